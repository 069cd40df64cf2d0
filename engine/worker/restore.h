// Brings the store up to what the topics say, before a partition is processed.
#ifndef ESD_ENGINE_WORKER_RESTORE_H_
#define ESD_ENGINE_WORKER_RESTORE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <deque>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "engine/base/metrics.h"
#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/store/snapshot_store.h"

namespace esd {

// Where a partition stands after its restore.
struct RestoredPartition {
  // The first command to process.
  Offset next_command_offset;
  // What the store has followed the changelogs to.
  esd::v1::StoredCheckpoint checkpoint;
  // The event topic's bounds as of its opening, and the offset that the store has all events below;
  // nothing when it has no history.
  TopicBounds events;
  std::optional<Offset> history_offset;
};

// Restores one partition: opens it (which ends what another owner left unfinished), replays the
// snapshot and the reply topic from the store's checkpoint on, or from the beginning when the
// checkpoint can't be trusted. Errors: as of Log::OpenPartition() and Replay(), of the store, and
// kFailedPrecondition when the consumer group's position doesn't fit to the topics (processing
// would repeat or skip commands; the message says what to do).
absl::StatusOr<RestoredPartition> RestorePartition(Log& log, SnapshotStore& store,
                                                   const DomainPartition& partition,
                                                   Metrics& metrics, std::stop_token stop);

// Restores partitions one after the other on a thread of its own, so that the worker goes on with
// those it has. An error that may pass is tried again until it does or the partition is cancelled.
// Its functions may be called from any thread.
class Restorer {
 public:
  struct Finished {
    DomainPartition partition;
    absl::StatusOr<RestoredPartition> result;
  };

  // `on_finished` is called on the restorer's thread after each restore. Log, store and metrics
  // outlive the restorer.
  Restorer(Log* log, SnapshotStore* store, Metrics* metrics, std::function<void()> on_finished);
  ~Restorer();

  void Submit(const DomainPartition& partition) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes sure that the partition isn't being restored, and that TakeFinished() doesn't return it:
  // returns when the restore that is under way has ended.
  void Cancel(const DomainPartition& partition) ABSL_LOCKS_EXCLUDED(mutex_);

  // What was finished since the last call.
  std::vector<Finished> TakeFinished() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run(std::stop_token stop);
  absl::StatusOr<RestoredPartition> RestoreWithRetries(const DomainPartition& partition,
                                                       std::stop_token stop);

  Log* const log_;
  SnapshotStore* const store_;
  Metrics* const metrics_;
  const std::function<void()> on_finished_;

  absl::Mutex mutex_;
  std::deque<DomainPartition> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<DomainPartition> running_ ABSL_GUARDED_BY(mutex_);
  std::stop_source running_stop_ ABSL_GUARDED_BY(mutex_);
  std::vector<Finished> finished_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_RESTORE_H_
