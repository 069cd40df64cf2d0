// The history of events, from which an aggregate's events and its state at a version are answered:
// a copy of the event topic in the store, by aggregate.
//
// Two write it, and neither waits for the other:
//
//                       known                 end of the topic at the restore
//                         │                            │
//    events  ─────────────┼────────────────────────────┼──────────────────────>
//             in the store│  read in the background    │ put into the store by the partition's
//             worker,
//                         │  by this class             │ with the snapshots of the same transaction
//
// When the background has come to the end, the history is complete, and the worker moves `known`
// along. After a crash it begins where `known` stood; what is there already is written once more.
#ifndef ESD_ENGINE_WORKER_HISTORY_H_
#define ESD_ENGINE_WORKER_HISTORY_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "engine/base/metrics.h"
#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/store/snapshot_store.h"

namespace esd {

// Whether the history of a partition can be asked.
struct HistoryStatus {
  enum class State {
    kOff,         // none is kept
    kRebuilding,  // it lacks events
    kComplete,    // it has every event of every committed transaction that the store has
    kFailed,      // it lacks events, and will: `message` says why and what to do
  };
  State state = State::kOff;
  // With kRebuilding: offsets of the event topic still to be read; 0 while that isn't known.
  int64_t remaining = 0;
  std::string message;
};

// Brings the partitions' histories up to date, one after the other, on a thread of its own that
// gives way to workers. Log, store and metrics outlive it. Its functions may be called from any
// thread.
class History {
 public:
  // `on_failure` is called, on the history's thread, when the store fails: the instance can't go
  // on.
  History(Log* log, SnapshotStore* store, Metrics* metrics,
          std::function<void(const absl::Status&)> on_failure);
  ~History();

  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // The partition was restored; the store has all its events below `known` (nothing: it has none),
  // which isn't above the end of `events`, the topic's bounds as of when it was opened. From now on
  // until End() the caller puts the events of every transaction into the store.
  void Begin(const DomainPartition& partition, const TopicBounds& events,
             std::optional<Offset> known) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes sure that nothing more is written for the partition; returns soon.
  void End(const DomainPartition& partition) ABSL_LOCKS_EXCLUDED(mutex_);

  // kRebuilding for partitions that are not between Begin() and End(). Quick.
  HistoryStatus Status(const DomainPartition& partition) const ABSL_LOCKS_EXCLUDED(mutex_);

  // A worker is busy: the rebuild takes rests.
  void GiveWay() { live_transactions_.fetch_add(1, std::memory_order_relaxed); }

 private:
  class Rebuild;

  struct Partition {
    HistoryStatus status{HistoryStatus::State::kRebuilding, 0, ""};
    Offset next;           // where the rebuild goes on
    Offset end;            // and where it ends
    bool is_news = false;  // worth a line in the log
    int failures = 0;
    absl::Time not_before = absl::InfinitePast();  // after a failure
  };

  void Run();
  // The next partition to work on and how to be stopped; false when the thread is to end.
  bool Take(DomainPartition* partition, Partition* state, std::stop_token* stop)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The rebuild has come so far: everything below `next` is in the store.
  void Advance(const DomainPartition& partition, Offset next) ABSL_LOCKS_EXCLUDED(mutex_);
  // The rebuild ended so. Called with what Replay() and the rest returned.
  void Finish(const DomainPartition& partition, const absl::Status& status)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits, but not longer than until `stop` is requested by End() or the destructor.
  void Rest(absl::Duration duration, const std::stop_token& stop) ABSL_LOCKS_EXCLUDED(mutex_);
  void Fail(const DomainPartition& partition, const std::string& message, Partition* state)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Log* const log_;
  SnapshotStore* const store_;
  Metrics* const metrics_;
  const std::function<void(const absl::Status&)> on_failure_;
  std::atomic<uint64_t> live_transactions_ = 0;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<DomainPartition, Partition> partitions_ ABSL_GUARDED_BY(mutex_);
  std::deque<DomainPartition> waiting_ ABSL_GUARDED_BY(mutex_);  // to be rebuilt
  std::optional<DomainPartition> running_ ABSL_GUARDED_BY(mutex_);
  std::stop_source running_stop_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;  // something to look at for Take()
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: uses everything above
};

// The status of a partition; `history` is null when none is kept.
HistoryStatus StatusOf(const History* history, const DomainPartition& partition);

// An event for the store, of a record that was committed just now at `time` (its header ce_time).
// The record, a kEvent of the engine's own, is used up.
StoreUpdate::Event HistoryEventOf(OutputRecord record, int64_t time_ms);

// An event's record, taken apart.
struct EventRecord {
  std::string key;
  Version version;
  esd::v1::StoredEvent event;
};

// The error says what isn't as the engine writes it.
absl::StatusOr<EventRecord> ReadEvent(const InputRecord& record);

// An event for the store, of a record that was read. Errors as above.
absl::StatusOr<StoreUpdate::Event> HistoryEventOf(const InputRecord& record);

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_HISTORY_H_
