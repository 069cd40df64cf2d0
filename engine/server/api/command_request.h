// A command as a caller sent it, made ready for the log.
#ifndef ESD_ENGINE_SERVER_API_COMMAND_REQUEST_H_
#define ESD_ENGINE_SERVER_API_COMMAND_REQUEST_H_

#include <google/rpc/status.pb.h>

#include <optional>
#include <string>
#include <string_view>

#include "engine/log/log.h"
#include "engine/server/api/domains.h"
#include "esd/v1/command_service.pb.h"

namespace esd::api {

struct PreparedCommand {
  DomainApi* domain = nullptr;
  DomainPartition partition;
  OutputRecord record;
  std::string command_id;  // empty: none was given
  esd::v1::PayloadFormat format = esd::v1::PAYLOAD_FORMAT_JSON;
};

// Checks all that can be checked without the aggregate's state and fills `*prepared`; otherwise
// returns what the caller did wrong.
std::optional<google::rpc::Status> Prepare(const Domains& domains,
                                           const esd::v1::SubmitCommandRequest& request,
                                           std::string_view traceparent, PreparedCommand* prepared);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_COMMAND_REQUEST_H_
