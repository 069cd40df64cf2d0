// Calls that wait until a worker has processed their command.
#ifndef ESD_ENGINE_SERVER_API_COMMAND_WAITERS_H_
#define ESD_ENGINE_SERVER_API_COMMAND_WAITERS_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/effect.h"
#include "engine/base/types.h"
#include "engine/server/api/executor.h"
#include "engine/worker/partition_listener.h"

namespace esd::api {

// What a worker made of a command.
struct ProcessedCommand {
  Effect effect = Effect::kAccepted;
  Offset offset;      // of the command itself
  std::string reply;  // see CommandResult
  std::string reason;
  std::optional<Offset> answered_offset;
};

// Any thread.
class CommandWaiters {
 public:
  using Id = uint64_t;
  // Called at most once, on the executor; nothing: the partition was let go of, whatever becomes of
  // the command.
  using Done = std::function<void(std::optional<ProcessedCommand>)>;

  explicit CommandWaiters(Executor* executor);

  // To be added before the command is appended, with RequestId() as its header kRequestIdHeader.
  Id Add(const DomainPartition& partition, Done done) ABSL_LOCKS_EXCLUDED(mutex_);
  std::string RequestId(Id id) const;

  // Ends the wait: `done` will not be called. False when it has been, or is about to be.
  bool Remove(Id id) ABSL_LOCKS_EXCLUDED(mutex_);

  // For the workers.
  void OnCommitted(const CommittedPart& part) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnStopped(const DomainPartition& partition) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Waiter {
    DomainPartition partition;
    Done done;
  };
  struct Answer {
    Done done;
    std::optional<ProcessedCommand> processed;
  };
  // The waiter's id, if the header is one of this instance's.
  std::optional<Id> ParseRequestId(std::string_view header) const;
  void Run(std::vector<Answer> answers);

  Executor* const executor_;
  // Random: nobody outside can answer in a worker's place, and no other instance's waiters are
  // meant.
  const std::string session_;

  absl::Mutex mutex_;
  Id last_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<Id, Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_COMMAND_WAITERS_H_
