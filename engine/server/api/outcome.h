// A reply of the engine as the API shows it.
#ifndef ESD_ENGINE_SERVER_API_OUTCOME_H_
#define ESD_ENGINE_SERVER_API_OUTCOME_H_

#include <absl/status/statusor.h>

#include <optional>
#include <string_view>

#include "engine/base/types.h"
#include "engine/server/api/domains.h"
#include "esd/v1/command_service.pb.h"
#include "esd/v1/resources.pb.h"

namespace esd::api {

// A reply record's value, and what it answers.
struct ReplyOf {
  std::string_view reply;
  DomainPartition partition;
  std::string_view aggregate_key;
  std::optional<Offset> offset;  // of the command that it answers
};

// kDataLoss when the reply can't be read, an error of the codec when an event can't be written in
// that format.
absl::StatusOr<esd::v1::Outcome> ToOutcome(DomainApi& domain, const ReplyOf& reply,
                                           esd::v1::PayloadFormat format);

// What SubmitCommand answers for that outcome.
esd::v1::CommandResult ToResult(std::string_view domain, esd::v1::Outcome outcome, bool replayed);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_OUTCOME_H_
