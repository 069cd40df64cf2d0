// Commands that could not be processed: listed, and sent again.
#ifndef ESD_ENGINE_SERVER_API_DEAD_LETTERS_H_
#define ESD_ENGINE_SERVER_API_DEAD_LETTERS_H_

#include <absl/time/time.h>
#include <google/rpc/status.pb.h>

#include <optional>

#include "engine/log/log.h"
#include "engine/server/api/api.h"
#include "engine/server/api/call.h"
#include "engine/server/api/domains.h"
#include "esd/v1/admin_service.pb.h"
#include "esd/v1/tokens.pb.h"

namespace esd::api {

// Nothing when a domain of so many partitions has this one.
std::optional<google::rpc::Status> CheckPartition(int32_t partition, int32_t partition_count);

// Checks the page that is asked for and fills `*token` with where it begins; otherwise returns what
// the caller did wrong.
std::optional<google::rpc::Status> ReadPage(const esd::v1::ListDeadLettersRequest& request,
                                            int32_t partition_count,
                                            esd::v1::DeadLetterPageToken* token);

// A record of the dead letter topic, taken apart. Headers that say why and where from, and the id
// by which an instance waited for the command, are the engine's and not the command's.
esd::v1::DeadLetter ToDeadLetter(PartitionId partition, const InputRecord& record);

// The command of a dead letter, to be appended.
OutputRecord CommandOf(const InputRecord& record, PartitionId partition, int32_t partition_count);

// Fills the page with what can be read until `deadline`, or returns what the caller is told. Reads
// the topic: takes long.
std::optional<google::rpc::Status> ListDeadLetters(const Api& api, const DomainApi& domain,
                                                   const esd::v1::ListDeadLettersRequest& request,
                                                   esd::v1::DeadLetterPageToken token,
                                                   absl::Time deadline,
                                                   esd::v1::ListDeadLettersResponse* response);

// Reads the dead letter, by `deadline`, and appends its command; answers the call then.
void ReplayDeadLetter(Api* api, const DomainApi& domain,
                      const esd::v1::ReplayDeadLetterRequest& request, absl::Time deadline,
                      esd::v1::ReplayDeadLetterResponse* response, UnaryCall* call);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_DEAD_LETTERS_H_
