// How long a member of a group can be sure that its partitions are nobody else's.
//
// A broker gives a member's partitions away when it has not heard from it for the session timeout.
// It starts that time anew with each SyncGroup and Heartbeat request of the member that it answers
// without an error (or, to a heartbeat, with "the group is rebalancing"). So an answer to a request
// that was sent at T or later proves the partitions to be this member's until T + session timeout.
//
// This class is told what goes over the member's connection to its coordinator and what the client
// made of it, and works out that end:
//
//   - T is when the answer before was received. What happens at the sending itself is no proof: the
//     process may be stopped between the sending and the look at the clock.
//   - That an answer came is known before it is known whether it is an error. It counts once the
//     client has taken it for none: when it sends the next heartbeat, has it that no error was
//     noticed (Confirm()), or reports the assignment that the answer held.
#ifndef ESD_ENGINE_LOG_KAFKA_GROUP_LEASE_H_
#define ESD_ENGINE_LOG_KAFKA_GROUP_LEASE_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <optional>

namespace esd::kafka {

// Time since the machine was started, sleep included: it only goes forward, and goes on while this
// process is stopped.
absl::Duration TimeSinceBoot();

// All functions may be called from any thread. `now` is TimeSinceBoot(). What happens on the
// connection is reported in its order.
class GroupLease {
 public:
  enum class Request { kJoinGroup, kSyncGroup, kHeartbeat };
  // Names one answer to a heartbeat.
  using Answer = int64_t;

  explicit GroupLease(absl::Duration session_timeout) : session_timeout_(session_timeout) {}

  // A request has been sent to the coordinator.
  void OnSent(Request request) ABSL_LOCKS_EXCLUDED(mutex_);
  // An answer came, be it an error; or, without `arrived`, none will. It may be reported again
  // before the client does anything about it: librdkafka does so when it begins to.
  void OnAnswer(Request request, bool arrived, absl::Duration now) ABSL_LOCKS_EXCLUDED(mutex_);
  // The last answer to a heartbeat is an error.
  void OnHeartbeatError() ABSL_LOCKS_EXCLUDED(mutex_);
  // The client reports the assignment that it got by SyncGroup.
  void OnAssigned() ABSL_LOCKS_EXCLUDED(mutex_);

  // The answer to a heartbeat that would extend the lease if it is no error.
  std::optional<Answer> unconfirmed() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The client has handled the answer; had it been an error, OnHeartbeatError() would have been
  // called.
  void Confirm(Answer answer) ABSL_LOCKS_EXCLUDED(mutex_);

  // Whether the group has let the client in but has never told it what it is assigned.
  bool AwaitsFirstAssignment() const ABSL_LOCKS_EXCLUDED(mutex_);

  // This instance is no member any more, until the next OnAssigned().
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

  // Whether the lease holds. Quick: takes no lock.
  bool Holds(absl::Duration now) const { return absl::ToInt64Nanoseconds(now) < end_ns_; }

 private:
  struct Heard {
    Answer answer;
    absl::Duration since;
  };

  void TakeHeard() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Extend(absl::Duration since) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration session_timeout_;

  mutable absl::Mutex mutex_;
  bool member_ ABSL_GUARDED_BY(mutex_) = false;
  bool ever_assigned_ ABSL_GUARDED_BY(mutex_) = false;
  // The last JoinGroup request has an answer. One that is an error is followed by the next request.
  bool join_answered_ ABSL_GUARDED_BY(mutex_) = false;
  Answer last_answer_ ABSL_GUARDED_BY(mutex_) = 0;
  // When the last answer came.
  std::optional<absl::Duration> answered_at_ ABSL_GUARDED_BY(mutex_);
  // For the request that is under way: a time before it was sent.
  std::optional<absl::Duration> heartbeat_since_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Duration> sync_since_ ABSL_GUARDED_BY(mutex_);
  // Answers of which it isn't known yet whether they are errors.
  std::optional<Heard> heard_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Duration> synced_ ABSL_GUARDED_BY(mutex_);

  std::atomic<int64_t> end_ns_ = 0;
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_GROUP_LEASE_H_
