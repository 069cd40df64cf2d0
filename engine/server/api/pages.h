// The calls that answer in pages, once it is known that this instance answers them.
#ifndef ESD_ENGINE_SERVER_API_PAGES_H_
#define ESD_ENGINE_SERVER_API_PAGES_H_

#include <google/protobuf/message_lite.h>
#include <google/rpc/status.pb.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/server/api/api.h"
#include "engine/server/api/domains.h"
#include "esd/v1/query_service.pb.h"
#include "esd/v1/tokens.pb.h"

namespace esd::api {

// Tokens are base64url of a message in esd/v1/tokens.proto.
std::string WriteToken(const google::protobuf::MessageLite& token);
bool ReadToken(const std::string& text, google::protobuf::MessageLite* token);

// What all calls with pages have in common. `page_size` is the request's; PageSize() what it comes
// to, once it is checked.
std::optional<google::rpc::Status> CheckPageSize(int32_t page_size);
size_t PageSize(int32_t page_size);
google::rpc::Status InvalidToken();

// Checks the page that is asked for and fills `*token` with where it begins; otherwise returns what
// the caller did wrong.
std::optional<google::rpc::Status> ReadPage(const esd::v1::ListSnapshotsRequest& request,
                                            int32_t partition_count,
                                            esd::v1::SnapshotPageToken* token);
std::optional<google::rpc::Status> ReadPage(const esd::v1::ListEventsRequest& request,
                                            esd::v1::EventPageToken* token);

// Fills the page, or returns what the caller is told.
std::optional<google::rpc::Status> ListSnapshotsHere(const Api& api, DomainApi& domain,
                                                     const esd::v1::ListSnapshotsRequest& request,
                                                     esd::v1::SnapshotPageToken token,
                                                     esd::v1::ListSnapshotsResponse* response);
std::optional<google::rpc::Status> ListEventsHere(const Api& api, DomainApi& domain,
                                                  const esd::v1::ListEventsRequest& request,
                                                  esd::v1::EventPageToken token,
                                                  esd::v1::ListEventsResponse* response);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_PAGES_H_
