// A worker: one thread that processes the commands of its partitions and commits their effects, one
// transaction for whatever is waiting in all of them.
#ifndef ESD_ENGINE_WORKER_WORKER_H_
#define ESD_ENGINE_WORKER_WORKER_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <absl/time/time.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/aggregate/codec.h"
#include "engine/base/metrics.h"
#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/store/snapshot_store.h"
#include "engine/worker/domain_registry.h"
#include "engine/worker/history.h"
#include "engine/worker/partition_listener.h"
#include "engine/worker/partition_processor.h"
#include "engine/worker/repair.h"
#include "engine/worker/restore.h"

namespace esd {

// What workers share; all of it outlives them.
struct WorkerEnvironment {
  Log* log;
  SnapshotStore* store;
  const DomainRegistry* domains;
  Metrics* metrics;
  // Called when a worker or the membership can't go on, on its thread; the error says what to do.
  // It processes nothing from then on.
  std::function<void(const absl::Status&)> on_failure;
  PollLimits limits;
  // Null: nobody listens.
  PartitionListener* listener = nullptr;
  // Null: no history of events is kept.
  History* history = nullptr;
};

class Worker {
 public:
  // Opens the worker's side of the log, which may take some seconds, and starts the thread.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(int index, WorkerEnvironment environment);

  // Stops the thread; whatever it is doing ends first. Partitions that it still has are left as
  // after a crash.
  ~Worker();

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The following may be called from any thread, Assign() and the other two in the order that they
  // are meant in.

  // Restores the partitions, then processes them. Returns at once.
  void Assign(const std::vector<DomainPartition>& partitions);

  // Commits what is under way, marks the partitions as released and lets go of them. Returns when
  // that is done; of partitions that the worker doesn't have, nothing is done.
  void HandOver(const std::vector<DomainPartition>& partitions);

  // Lets go of the partitions without another commit. Returns when that is done.
  void Drop(const std::vector<DomainPartition>& partitions);

  // See SnapshotRepairer::Repair().
  void Repair(const DomainPartition& partition, std::vector<SnapshotRepair> repairs,
              SnapshotRepairer::Done done);

  // Partitions that are assigned but not restored and claimed, and so not served, yet.
  int restoring() const;

 private:
  struct Request {
    enum class Kind { kAssign, kHandOver, kDrop };
    Kind kind;
    std::vector<DomainPartition> partitions;
    absl::Notification* done = nullptr;
  };

  struct RepairRequest {
    DomainPartition partition;
    std::vector<SnapshotRepair> repairs;
    SnapshotRepairer::Done done;
  };

  // A partition that is being processed.
  struct Partition {
    std::unique_ptr<PartitionProcessor> processor;
    esd::v1::StoredCheckpoint checkpoint;  // as committed and in the store
    Offset event_end;                      // the store has the effects of all events below it
    bool claimed = false;                  // the ownership record is committed
    bool history_is_complete = false;      // the store has all events
  };

  // A transaction and, for each of its parts, what else it comes to.
  struct Batch {
    struct Effects {
      std::vector<StoreUpdate::Outcome> outcomes;
      std::vector<CommandResult> results;
    };
    PolledRecords commands;  // owns what the rest refers to
    absl::Time time;         // of the events
    Transaction transaction;
    std::vector<Effects> effects;
    std::vector<CommitResult::Written> written;

    bool empty() const { return transaction.parts.empty(); }
    void Add(ProcessedBatch processed);
    void Remove(const DomainPartition& partition);
  };

  Worker(int index, WorkerEnvironment environment, std::unique_ptr<WorkerLog> log);

  void Run(std::stop_token stop);

  // The engine's heartbeat. An error ends the worker.
  absl::Status RunOnce();

  // Partitions come and go.
  absl::Status HandleRequests();
  void HandleAssignment(const std::vector<DomainPartition>& partitions);
  absl::Status HandleFinishedRestores();
  absl::Status HandleHandOver(const std::vector<DomainPartition>& partitions);
  // The partition isn't processed any more, and nobody is told anything else of it.
  void Forget(const DomainPartition& partition);
  // The listener's OnStopped(), once for each OnAssigned().
  void TellStopped(const DomainPartition& partition);
  void Post(Request request);
  std::deque<Request> TakeRequests();

  // Does one of the repairs that wait. An error ends the worker.
  absl::Status HandleRepair();
  // The transaction of a repair, and for each snapshot whether it has a part in it.
  absl::StatusOr<Batch> BeginRepair(const RepairRequest& request, const Partition& state,
                                    std::vector<bool>* repaired) const;
  std::optional<RepairRequest> TakeRepair();
  void RefuseRepairs(const absl::Status& reason);

  // The stages of RunOnce().
  absl::StatusOr<PolledRecords> Poll();
  absl::StatusOr<Batch> Process(PolledRecords commands);
  absl::Status Commit(Batch* batch);
  absl::Status Publish(Batch batch);
  // What the i-th part of the batch, which is committed, changes in the store.
  StoreUpdate UpdateOf(size_t i, Batch* batch);
  // Tells the listener, once the store has the updates.
  void TellCommitted(const Batch& batch, const std::vector<StoreUpdate>& updates);

  // Claims for partitions that were restored and have not been claimed yet.
  void AddClaims(Batch* batch);
  // What Commit() does about an answer other than kCommitted; true when the batch is committed
  // after all.
  absl::StatusOr<bool> Recover(const CommitResult& result, Batch* batch);
  // Takes the worker's identity up again; OK without it when nothing of the batch is left to be
  // committed.
  absl::Status Reopen(std::string_view why, Batch* batch);
  // Whether the batch that a commit was tried for is committed. Parts whose partition was taken
  // over are removed.
  absl::StatusOr<bool> WasCommitted(Batch* batch);
  absl::StatusOr<bool> ComparePositions(Batch* batch);
  // Removes parts of partitions that this worker is asked to let go of.
  void RemoveUnwanted(bool also_handed_over, Batch* batch);
  // Waits, but not longer than until a request comes in.
  void Pause(absl::Duration duration);
  void Count(const DomainPartition& partition, const std::vector<CommandResult>& results,
             absl::Time now);
  void UpdateLag();

  const int index_;
  const WorkerEnvironment environment_;
  const std::unique_ptr<WorkerLog> log_;

  // For the worker's thread.
  std::map<std::string, std::unique_ptr<Codec>> codecs_;  // by domain
  std::map<DomainPartition, Partition> partitions_;
  absl::flat_hash_set<DomainPartition> told_;  // the listener's, from OnAssigned() to OnStopped()
  bool release_undecided_ = false;             // a hand-over's transaction may still be open
  absl::Time lag_updated_ = absl::InfinitePast();

  mutable absl::Mutex mutex_;
  std::deque<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::deque<RepairRequest> repairs_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<DomainPartition> restoring_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;

  Restorer restorer_;
  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_WORKER_H_
