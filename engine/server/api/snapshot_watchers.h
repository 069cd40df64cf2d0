// Calls that wait for an aggregate to change.
#ifndef ESD_ENGINE_SERVER_API_SNAPSHOT_WATCHERS_H_
#define ESD_ENGINE_SERVER_API_SNAPSHOT_WATCHERS_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/base/types.h"
#include "engine/server/api/executor.h"
#include "engine/worker/partition_listener.h"

namespace esd::api {

// Any thread.
class SnapshotWatchers {
 public:
  struct Id {
    DomainPartition partition;
    std::string key;
    int64_t number = 0;
  };

  explicit SnapshotWatchers(Executor* executor) : executor_(executor) {}

  // Calls `changed` on the executor, until Remove(): after each change of the aggregate's snapshot,
  // and when the partition is let go of. It may still be called once after Remove().
  Id Add(const DomainPartition& partition, const std::string& key, std::function<void()> changed)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const Id& id) ABSL_LOCKS_EXCLUDED(mutex_);

  // For the workers.
  void OnCommitted(const CommittedPart& part) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnStopped(const DomainPartition& partition) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using OfKey = std::map<int64_t, std::function<void()>>;
  using OfPartition = absl::flat_hash_map<std::string, OfKey>;

  void Run(std::vector<std::function<void()>> called);

  Executor* const executor_;
  absl::Mutex mutex_;
  int64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<DomainPartition, OfPartition> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_SNAPSHOT_WATCHERS_H_
