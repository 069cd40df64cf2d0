// The one verification that an instance runs at a time.
#ifndef ESD_ENGINE_SERVER_API_VERIFICATION_SLOT_H_
#define ESD_ENGINE_SERVER_API_VERIFICATION_SLOT_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <google/rpc/status.pb.h>

#include <functional>
#include <optional>
#include <utility>

#include "engine/base/types.h"

namespace esd::api {

// Any thread.
class VerificationSlot {
 public:
  // Asks it to end and answer so; any thread, returns at once.
  using Stop = std::function<void(const google::rpc::Status& reason)>;

  // False while another one runs.
  bool Take(const DomainPartition& partition, Stop stop) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (running_) return false;
    running_.emplace(partition, std::move(stop));
    return true;
  }
  void Release() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::optional<std::pair<DomainPartition, Stop>> ended;  // may own what waits for the lock
    absl::MutexLock lock(&mutex_);
    ended = std::exchange(running_, std::nullopt);
  }

  // Stops what runs; without a partition whatever its partition.
  void StopRunning(const std::optional<DomainPartition>& partition,
                   const google::rpc::Status& reason) ABSL_LOCKS_EXCLUDED(mutex_) {
    Stop stop;
    {
      absl::MutexLock lock(&mutex_);
      if (!running_ || (partition && running_->first != *partition)) return;
      stop = running_->second;
    }
    stop(reason);
  }

 private:
  absl::Mutex mutex_;
  std::optional<std::pair<DomainPartition, Stop>> running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_VERIFICATION_SLOT_H_
