// A domain's committed events for those who watch them.
//
//   event topic     ──────────────────────────────────────────────┤ end
//                            │  ring: kept in memory               │ <── the feed's thread reads on
//                            │  a slow watcher      a quick one ───┘
//       catch-up: read again │       │
//       from the topic  <────┘ <─────┘
//
// One thread reads the topic's end for all watchers into a ring of bounded size. A watcher keeps
// nothing but its positions: when the ring has moved past one, it reads a bounded piece of the
// topic again. So a slow watcher costs no memory and holds up nobody.
#ifndef ESD_ENGINE_SERVER_API_EVENT_FEED_H_
#define ESD_ENGINE_SERVER_API_EVENT_FEED_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/worker/history.h"

namespace esd::api {

struct FeedEvent {
  Offset offset;
  EventRecord record;
};

// Events of one partition, in order, and where it is read on behind them.
struct FeedSlice {
  std::vector<std::shared_ptr<const FeedEvent>> events;
  Offset next;
};

// Of one domain. Any thread.
class EventFeed {
 public:
  // Called on threads of the feed's own; must return soon.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    // There may be something to Read().
    virtual void OnNews() = 0;
    // The instance stops.
    virtual void OnDrain() = 0;
  };

  EventFeed(Log* log, std::string domain);
  // Watchers have left.
  ~EventFeed();

  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

  // The topic is read for as long as there is a watcher. It is called until Leave() returns.
  void Join(Watcher* watcher) ABSL_LOCKS_EXCLUDED(mutex_, watchers_mutex_);
  void Leave(Watcher* watcher) ABSL_LOCKS_EXCLUDED(mutex_, watchers_mutex_);

  enum class Place {
    kInRing,
    kAtEnd,   // there is nothing (yet)
    kBehind,  // the ring begins further on: CatchUp()
  };
  // At most `limit` events of the ring from `from` on.
  Place Read(PartitionId partition, Offset from, size_t limit, FeedSlice* slice) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Reads a bounded piece of the topic from `from` on and calls `done` with it, on a thread of its
  // own. Errors: kOutOfRange when the topic doesn't reach back to `from`, else kUnavailable.
  using Done = std::function<void(absl::StatusOr<FeedSlice>)>;
  void CatchUp(PartitionId partition, Offset from, Done done) ABSL_LOCKS_EXCLUDED(catch_up_mutex_);

  // Tells all watchers, and those that join later.
  void Drain() ABSL_LOCKS_EXCLUDED(watchers_mutex_);

  Log& log() const { return *log_; }

 private:
  struct Ring {
    std::deque<std::shared_ptr<const FeedEvent>> events;
    size_t bytes = 0;
    Offset begin;  // everything from here on was read
    Offset end;    // up to here
  };
  struct Request {
    PartitionId partition;
    Offset from;
    Done done;
  };

  // The thread that reads the topic's end.
  void RunTail();
  void Tail() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::unique_ptr<LogReader>> OpenAtEnd() ABSL_LOCKS_EXCLUDED(mutex_);
  void AddToRing(const LogReader::Polled& polled) ABSL_LOCKS_EXCLUDED(mutex_);
  void TellNews() ABSL_LOCKS_EXCLUDED(watchers_mutex_);
  bool Wanted() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The thread that catches up.
  void RunCatchUp();
  absl::StatusOr<FeedSlice> ReadPiece(PartitionId partition, Offset from);

  std::shared_ptr<const FeedEvent> ToFeedEvent(PartitionId partition, const InputRecord& record);

  Log* const log_;
  const std::string domain_;
  const int32_t partition_count_;
  const size_t ring_bytes_;  // of each partition

  mutable absl::Mutex mutex_;
  std::vector<Ring> rings_ ABSL_GUARDED_BY(mutex_);
  bool tailing_ ABSL_GUARDED_BY(mutex_) = false;  // rings_ are valid
  int watcher_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  LogReader* tail_reader_ ABSL_GUARDED_BY(mutex_) = nullptr;

  // Held while watchers are called.
  absl::Mutex watchers_mutex_;
  absl::flat_hash_set<Watcher*> watchers_ ABSL_GUARDED_BY(watchers_mutex_);
  bool draining_ ABSL_GUARDED_BY(watchers_mutex_) = false;

  absl::Mutex catch_up_mutex_;
  std::deque<Request> requests_ ABSL_GUARDED_BY(catch_up_mutex_);
  bool catch_up_stopping_ ABSL_GUARDED_BY(catch_up_mutex_) = false;

  // For the thread that catches up: where its reader stands.
  std::unique_ptr<LogReader> catch_up_reader_;
  std::optional<PartitionId> reading_;
  Offset reading_next_;

  std::jthread tail_;  // last: they use everything above
  std::jthread catch_up_;
};

// The feeds of all domains; each begins when it is asked for first.
class EventFeeds {
 public:
  explicit EventFeeds(Log* log) : log_(log) {}

  EventFeed& Of(const std::string& domain) ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Log* const log_;
  absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::unique_ptr<EventFeed>> feeds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_EVENT_FEED_H_
