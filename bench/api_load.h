// The calls that are measured, and whether their answers are right.
#ifndef ESD_BENCH_API_LOAD_H_
#define ESD_BENCH_API_LOAD_H_

#include <absl/status/status.h>

#include <cstdint>
#include <vector>

#include "bench/api_client.h"
#include "esd/v1/command_service.pb.h"
#include "esd/v1/query_service.pb.h"

namespace esd::bench {

// What each user must look like, from the commands that were sent and the answers to them.
class ExpectedUsers {
 public:
  explicit ExpectedUsers(int64_t users) : users_(static_cast<size_t>(users)) {}

  int64_t size() const { return static_cast<int64_t>(users_.size()); }

  // The command was processed after all others of its user so far.
  void Processed(int64_t number);

  // kDataLoss unless the answer accepts the command with its one event, as a version that no other
  // command of the user was given.
  absl::Status Acknowledged(int64_t number, const esd::v1::SubmitCommandResponse& response);

  // After all commands.
  int64_t version(int64_t user) const { return users_[static_cast<size_t>(user)].commands - 1; }

  // kDataLoss unless it is the user's state after all commands. Not while commands are in flight.
  absl::Status Check(int64_t user, const esd::v1::Snapshot& snapshot) const;

 private:
  struct User {
    int64_t commands = 0;
    int64_t version = -1;  // the highest known
    int64_t number = -1;   // of the command that made it
  };
  std::vector<User> users_;
};

// Slots for `in_flight` calls, spread over the channels. `expected` must outlive them.
//
// Reads of users that are chosen evenly at random; those of the null server are answered with
// `response`.
CallSlots SnapshotReads(const Channels& channels, int in_flight, const ExpectedUsers& expected);
CallSlots NullReads(const Channels& channels, int in_flight, int64_t users,
                    const esd::v1::GetSnapshotResponse& response);
// Reads of the user with the call's number. What was acknowledged must be there at once; of what
// was only seen in the event topic, the read must say the version to wait for.
enum class Since { kAcknowledged, kSeen };
CallSlots SnapshotChecks(const Channels& channels, int in_flight, Since since,
                         const ExpectedUsers& expected);
// A call's number is that of its command.
CallSlots Submits(const Channels& channels, int in_flight, ExpectedUsers* expected);
// The call with the number n has `batch_size` commands, beginning with first_command + n *
// batch_size.
CallSlots BatchSubmits(const Channels& channels, int in_flight, int64_t first_command,
                       int batch_size, ExpectedUsers* expected);

// One read, of user 0, and its answer.
absl::StatusOr<esd::v1::GetSnapshotResponse> ReadOne(const Channels& channels);

}  // namespace esd::bench

#endif  // ESD_BENCH_API_LOAD_H_
