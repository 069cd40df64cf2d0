#include "engine/server/api/event_feed.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/log/memory_log.h"

namespace esd::api {
namespace {

constexpr absl::Duration kLong = absl::Seconds(30);
constexpr PartitionId kFirst{0};
constexpr PartitionId kSecond{1};

// Counts what it is told.
class CountingWatcher : public EventFeed::Watcher {
 public:
  void OnNews() override {
    absl::MutexLock lock(&mutex_);
    ++news_;
  }
  void OnDrain() override {
    absl::MutexLock lock(&mutex_);
    ++drains_;
  }
  int drains() {
    absl::MutexLock lock(&mutex_);
    return drains_;
  }
  // Waits until it is told more than `seen` times; how often it was.
  int AwaitNews(int seen) {
    absl::MutexLock lock(&mutex_);
    const auto more = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return news_ > seen; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&more), kLong));
    return news_;
  }

 private:
  absl::Mutex mutex_;
  int news_ ABSL_GUARDED_BY(mutex_) = 0;
  int drains_ ABSL_GUARDED_BY(mutex_) = 0;
};

class EventFeedTest : public testing::Test {
 protected:
  EventFeedTest() { spdlog::set_level(spdlog::level::off); }

  void Append(PartitionId partition, int64_t version, size_t bytes = 10) {
    cluster_.Append({"users", partition}, Topic::kEvent,
                    {"a key",
                     std::string(bytes, 'x'),
                     {{"ce_id", absl::StrCat("0:", version, ":0")},
                      {"ce_type", "Renamed"},
                      {"esd-version", absl::StrCat(version)}},
                     {},
                     0});
  }

  // Follows a partition as a watcher does, from `*next` on, until it has seen `count` events or the
  // test takes too long; their versions.
  std::vector<int64_t> Follow(PartitionId partition, Offset* next, size_t count) {
    std::vector<int64_t> versions;
    int seen = 0;
    while (versions.size() < count && !HasFailure()) {
      FeedSlice slice;
      switch (feed_->Read(partition, *next, 10, &slice)) {
        case EventFeed::Place::kAtEnd:
          seen = watcher_.AwaitNews(seen);
          continue;
        case EventFeed::Place::kBehind:
          slice = CatchUp(partition, *next).value();
          ++pieces_;
          break;
        case EventFeed::Place::kInRing:
          break;
      }
      for (const auto& event : slice.events) versions.push_back(event->record.version.value());
      *next = slice.next;
    }
    return versions;
  }

  absl::StatusOr<FeedSlice> CatchUp(PartitionId partition, Offset from) {
    absl::Notification done;
    absl::StatusOr<FeedSlice> result;
    feed_->CatchUp(partition, from, [&](absl::StatusOr<FeedSlice> slice) {
      result = std::move(slice);
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong));
    return result;
  }

  static std::vector<int64_t> UpTo(int64_t count) {
    std::vector<int64_t> versions;
    for (int64_t i = 0; i < count; ++i) versions.push_back(i);
    return versions;
  }

  MemoryCluster cluster_{{.partitions = {{"users", 2}}}};
  std::unique_ptr<Log> log_ = cluster_.OpenInstance("a");
  CountingWatcher watcher_;
  std::unique_ptr<EventFeed> feed_ = std::make_unique<EventFeed>(log_.get(), "users");
  int pieces_ = 0;
};

TEST_F(EventFeedTest, AWatcherSeesWhatIsAppendedAfterItCame) {
  feed_->Join(&watcher_);
  watcher_.AwaitNews(0);  // the end is being read
  for (int64_t i = 0; i < 30; ++i) Append(kFirst, i);
  Offset next{0};
  EXPECT_EQ(Follow(kFirst, &next, 30), UpTo(30));
  EXPECT_EQ(pieces_, 0);
  feed_->Leave(&watcher_);
}

TEST_F(EventFeedTest, AWatcherThatBeginsBeforeTheRingCatchesUpWithoutAGapOrARepeat) {
  for (int64_t i = 0; i < 3'000; ++i) Append(kFirst, i);
  feed_->Join(&watcher_);
  Offset next{0};
  EXPECT_EQ(Follow(kFirst, &next, 3'000), UpTo(3'000));
  EXPECT_GT(pieces_, 1);  // a piece is bounded
  Append(kFirst, 3'000);
  EXPECT_EQ(Follow(kFirst, &next, 1), std::vector<int64_t>{3'000});
  feed_->Leave(&watcher_);
}

TEST_F(EventFeedTest, TheRingIsBoundedAndWhoFallsBehindMissesNothing) {
  feed_->Join(&watcher_);
  watcher_.AwaitNews(0);
  constexpr int64_t kCount = 40;
  constexpr size_t kHalfAMebibyte = size_t{512}
                                    << 10;  // together more than the ring of a partition
  for (int64_t i = 0; i < kCount; ++i) Append(kFirst, i, kHalfAMebibyte);
  Offset at_end = cluster_.End({"users", kFirst}, Topic::kEvent);
  FeedSlice slice;
  int seen = 0;
  // Until the ring has come to the end.
  while (feed_->Read(kFirst, Offset{at_end.value() - 2}, 1, &slice) == EventFeed::Place::kAtEnd)
    seen = watcher_.AwaitNews(seen);
  EXPECT_EQ(feed_->Read(kFirst, Offset{0}, 1, &slice), EventFeed::Place::kBehind);
  Offset next{0};
  EXPECT_EQ(Follow(kFirst, &next, kCount), UpTo(kCount));
  feed_->Leave(&watcher_);
}

TEST_F(EventFeedTest, PartitionsAreReadEachByItself) {
  feed_->Join(&watcher_);
  Append(kSecond, 0);
  Append(kFirst, 0);
  Append(kSecond, 1);
  Offset first{0};
  Offset second{0};
  EXPECT_EQ(Follow(kSecond, &second, 2), UpTo(2));
  EXPECT_EQ(Follow(kFirst, &first, 1), UpTo(1));
  feed_->Leave(&watcher_);
}

TEST_F(EventFeedTest, WhatTheRetentionHasRemovedIsOutOfRange) {
  for (int64_t i = 0; i < 5; ++i) Append(kFirst, i);
  cluster_.Truncate({"users", kFirst}, Topic::kEvent, Offset{4});
  EXPECT_TRUE(absl::IsOutOfRange(CatchUp(kFirst, Offset{0}).status()));
  // And the next one is served.
  EXPECT_TRUE(CatchUp(kFirst, Offset{4}).ok());
}

TEST_F(EventFeedTest, ARecordThatIsNoEventIsLeftOut) {
  Append(kFirst, 0);
  cluster_.Append({"users", kFirst}, Topic::kEvent, {"a key", "no version", {}, {}, 0});
  Append(kFirst, 1);
  feed_->Join(&watcher_);
  Offset next{0};
  EXPECT_EQ(Follow(kFirst, &next, 2), UpTo(2));
  feed_->Leave(&watcher_);
}

TEST_F(EventFeedTest, AfterAllWatchersHaveLeftANewOneIsServed) {
  feed_->Join(&watcher_);
  watcher_.AwaitNews(0);
  feed_->Leave(&watcher_);
  Append(kFirst, 0);
  feed_->Join(&watcher_);
  Offset next{0};
  EXPECT_EQ(Follow(kFirst, &next, 1), UpTo(1));
  feed_->Leave(&watcher_);
}

TEST_F(EventFeedTest, WatchersAreToldThatTheInstanceStopsAlsoWhenTheyComeLate) {
  feed_->Join(&watcher_);
  feed_->Drain();
  EXPECT_EQ(watcher_.drains(), 1);
  CountingWatcher late;
  feed_->Join(&late);
  EXPECT_EQ(late.drains(), 1);
  feed_->Leave(&late);
  feed_->Leave(&watcher_);
}

}  // namespace
}  // namespace esd::api
