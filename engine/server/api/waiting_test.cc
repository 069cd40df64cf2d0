// What calls wait with: the timer, the executor, the limits, and the waiters for commands and
// aggregates.
#include <absl/synchronization/blocking_counter.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/gauge.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/server/api/command_waiters.h"
#include "engine/server/api/executor.h"
#include "engine/server/api/in_flight.h"
#include "engine/server/api/snapshot_watchers.h"
#include "engine/server/api/timer.h"
#include "engine/server/api/verification_slot.h"

namespace esd::api {
namespace {

using ::testing::ElementsAre;

constexpr absl::Duration kLong = absl::Seconds(30);
const DomainPartition kHere{"security", PartitionId{0}};
const DomainPartition kThere{"security", PartitionId{1}};

// ---- Timer ----

TEST(TimerTest, CallsInTheOrderOfTimeAndNotBefore) {
  absl::Mutex mutex;
  std::vector<int> order;
  absl::BlockingCounter missing(2);
  Timer timer;
  const absl::Time begin = absl::Now();
  absl::Time called;
  const auto add = [&](int number) {
    absl::MutexLock lock(&mutex);
    order.push_back(number);
    called = absl::Now();
    missing.DecrementCount();
  };
  timer.At(begin + absl::Milliseconds(30), [&] { add(2); });
  timer.At(begin + absl::Milliseconds(10), [&] { add(1); });
  missing.Wait();
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(order, ElementsAre(1, 2));
  EXPECT_GE(called, begin + absl::Milliseconds(30));
}

TEST(TimerTest, WhatIsCancelledIsNotCalled) {
  absl::Notification later;
  bool called = false;
  Timer timer;
  const absl::Time now = absl::Now();
  const Timer::Id id = timer.At(now + absl::Milliseconds(10), [&] { called = true; });
  timer.Cancel(id);
  timer.At(now + absl::Milliseconds(20), [&] { later.Notify(); });
  ASSERT_TRUE(later.WaitForNotificationWithTimeout(kLong));
  EXPECT_FALSE(called);
}

TEST(TimerTest, AFunctionMaySetAndCancelOthers) {
  absl::Notification done;
  Timer timer;
  timer.At(absl::InfinitePast(), [&] {
    timer.Cancel(timer.At(absl::Now() + kLong, [] {}));
    timer.At(absl::Now(), [&] { done.Notify(); });
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong));
}

TEST(TimerTest, WhatIsFarAwayDoesNotHoldUpTheEnd) {
  Timer timer;
  timer.At(absl::InfiniteFuture(), [] { FAIL(); });
}

// ---- VerificationSlot ----

TEST(VerificationSlotTest, OneRunsAtATimeAndIsStoppedWithItsPartitionOrWithAll) {
  VerificationSlot slot;
  std::vector<std::string> stopped;
  const auto stop = [&](const google::rpc::Status& reason) { stopped.push_back(reason.message()); };
  const auto because = [](const char* message) {
    google::rpc::Status reason;
    reason.set_message(message);
    return reason;
  };
  slot.StopRunning({}, because("nothing runs"));
  ASSERT_TRUE(slot.Take(kHere, stop));
  EXPECT_FALSE(slot.Take(kThere, stop));
  slot.StopRunning(kThere, because("another"));
  slot.StopRunning(kHere, because("this"));
  slot.StopRunning({}, because("all"));
  EXPECT_THAT(stopped, ElementsAre("this", "all"));
  slot.Release();
  slot.StopRunning(kHere, because("too late"));
  EXPECT_TRUE(slot.Take(kThere, stop));
  EXPECT_THAT(stopped, ElementsAre("this", "all"));
}

// ---- Executor ----

TEST(ExecutorTest, RunsWhatWaitsBeforeItEnds) {
  std::atomic<int> runs = 0;
  {
    Executor executor(2);
    for (int i = 0; i < 100; ++i) executor.Run([&] { ++runs; });
  }
  EXPECT_EQ(runs, 100);
}

TEST(ExecutorTest, RefusesWhatIsAboveTheLimit) {
  absl::Notification go;
  absl::Notification begun;
  Executor executor(1);
  executor.Run([&] {
    begun.Notify();
    go.WaitForNotification();
  });
  begun.WaitForNotification();
  EXPECT_TRUE(executor.TryRun(2, [] {}));
  EXPECT_TRUE(executor.TryRun(2, [] {}));
  EXPECT_FALSE(executor.TryRun(2, [] { FAIL(); }));
  go.Notify();
}

// ---- Limits ----

// What the limits show to Prometheus.
prometheus::Gauge gauge;

TEST(InFlightTest, RefusesAllOfABatchThatIsTooMuchForTheConnection) {
  InFlight limits(100, 10, &gauge);
  EXPECT_EQ(limits.Take("a", 8), "");
  EXPECT_EQ(limits.Take("a", 3), kConnectionLimitFlag);
  EXPECT_EQ(limits.Take("a", 2), "");
  EXPECT_EQ(limits.Take("b", 10), "");
  EXPECT_EQ(limits.total(), 20);
}

TEST(InFlightTest, RefusesWhatIsTooMuchForTheServer) {
  InFlight limits(10, 100, &gauge);
  EXPECT_EQ(limits.Take("a", 6), "");
  EXPECT_EQ(limits.Take("b", 5), kServerLimitFlag);
  EXPECT_EQ(limits.Take("b", 4), "");
}

TEST(InFlightTest, WhatIsGivenBackCanBeTakenAgain) {
  InFlight limits(10, 5, &gauge);
  ASSERT_EQ(limits.Take("a", 5), "");
  ASSERT_EQ(limits.Take("a", 1), kConnectionLimitFlag);
  limits.GiveBack("a", 5);
  EXPECT_EQ(limits.Take("a", 5), "");
}

TEST(InFlightTest, OnlyTheServersLimitHoldsForOtherInstances) {
  InFlight limits(10, 2, &gauge);
  const double before = gauge.Value();
  EXPECT_EQ(limits.Take("", 10), "");
  EXPECT_EQ(limits.Take("", 1), kServerLimitFlag);
  EXPECT_EQ(gauge.Value() - before, 10);
  limits.GiveBack("", 10);
  EXPECT_EQ(limits.total(), 0);
  EXPECT_EQ(gauge.Value(), before);
}

TEST(InFlightTest, TellsWhenNothingIsInFlight) {
  InFlight limits(10, 10, &gauge);
  ASSERT_EQ(limits.Take("a", 1), "");
  EXPECT_FALSE(limits.AwaitNone(absl::ZeroDuration()));
  std::jthread other([&] { limits.GiveBack("a", 1); });
  EXPECT_TRUE(limits.AwaitNone(kLong));
}

// ---- Waiters for commands ----

CommandResult ResultOf(const std::string& request_id, Effect effect = Effect::kAccepted) {
  CommandResult result;
  result.offset = Offset{7};
  result.effect = effect;
  result.request_id = request_id;
  result.reply = "the reply";
  result.answered_offset = Offset{5};
  return result;
}

class CommandWaitersTest : public testing::Test {
 protected:
  // Adds a waiter whose answer is remembered.
  CommandWaiters::Id Add(const DomainPartition& partition) {
    return waiters_->Add(partition, [this](std::optional<ProcessedCommand> processed) {
      absl::MutexLock lock(&mutex_);
      answers_.push_back(processed ? processed->reply : "unknown");
      last_ = processed;
    });
  }
  void Commit(const std::vector<CommandResult>& results) {
    waiters_->OnCommitted({kHere, results, {}});
  }
  // After all answers were given.
  std::vector<std::string> Answers() {
    executor_.reset();
    absl::MutexLock lock(&mutex_);
    return answers_;
  }

  std::unique_ptr<Executor> executor_ = std::make_unique<Executor>(2);
  std::unique_ptr<CommandWaiters> waiters_ = std::make_unique<CommandWaiters>(executor_.get());
  absl::Mutex mutex_;
  std::vector<std::string> answers_;
  std::optional<ProcessedCommand> last_;
};

TEST_F(CommandWaitersTest, AWaiterGetsWhatBecameOfItsCommandOnce) {
  const std::string id = waiters_->RequestId(Add(kHere));
  Commit({ResultOf(id, Effect::kDuplicate)});
  Commit({ResultOf(id)});
  EXPECT_THAT(Answers(), ElementsAre("the reply"));
  EXPECT_EQ(last_->effect, Effect::kDuplicate);
  EXPECT_EQ(last_->offset, Offset{7});
  EXPECT_EQ(last_->answered_offset, Offset{5});
}

TEST_F(CommandWaitersTest, OtherCommandsAnswerNobody) {
  const std::string mine = waiters_->RequestId(Add(kHere));
  CommandWaiters other(executor_.get());
  Commit({ResultOf(""), ResultOf("1"), ResultOf("junk-1"), ResultOf(mine + "0"),
          ResultOf(other.RequestId(1))});
  EXPECT_THAT(Answers(), ElementsAre());
}

// The command was only moved to its own partition; what becomes of it there is the answer.
TEST_F(CommandWaitersTest, AForwardedCommandIsNoAnswer) {
  const std::string id = waiters_->RequestId(Add(kHere));
  Commit({ResultOf(id, Effect::kForwarded)});
  Commit({ResultOf(id)});
  EXPECT_THAT(Answers(), ElementsAre("the reply"));
}

TEST_F(CommandWaitersTest, APartitionThatIsLetGoOfAnswersItsWaitersAndNoOthers) {
  Add(kHere);
  Add(kThere);
  waiters_->OnStopped(kHere);
  EXPECT_THAT(Answers(), ElementsAre("unknown"));
}

TEST_F(CommandWaitersTest, WhoEndsTheWaitIsNotAnswered) {
  const CommandWaiters::Id id = Add(kHere);
  EXPECT_TRUE(waiters_->Remove(id));
  EXPECT_FALSE(waiters_->Remove(id));
  Commit({ResultOf(waiters_->RequestId(id))});
  EXPECT_THAT(Answers(), ElementsAre());
}

TEST_F(CommandWaitersTest, ALargeTransactionAnswersAll) {
  std::vector<std::string> ids;
  for (int i = 0; i < 1'000; ++i) ids.push_back(waiters_->RequestId(Add(kHere)));
  std::vector<CommandResult> results;
  for (const std::string& id : ids) results.push_back(ResultOf(id));
  Commit(results);
  EXPECT_THAT(Answers(), testing::SizeIs(1'000));
}

// ---- Waiters for aggregates ----

class SnapshotWatchersTest : public testing::Test {
 protected:
  SnapshotWatchers::Id Add(const DomainPartition& partition, const std::string& key) {
    return watchers_->Add(partition, key, [this] { ++calls_; });
  }
  void Change(const std::string& key) {
    const std::vector<StoreUpdate::Snapshot> snapshots = {{key, "a snapshot"}};
    watchers_->OnCommitted({kHere, {}, snapshots});
  }
  int Calls() {
    executor_.reset();
    return calls_;
  }

  std::atomic<int> calls_ = 0;
  std::unique_ptr<Executor> executor_ = std::make_unique<Executor>(1);
  std::unique_ptr<SnapshotWatchers> watchers_ = std::make_unique<SnapshotWatchers>(executor_.get());
};

TEST_F(SnapshotWatchersTest, EachChangeOfTheAggregateIsTold) {
  Add(kHere, "a");
  Add(kHere, "a");
  Change("a");
  Change("b");
  Change("a");
  EXPECT_EQ(Calls(), 4);
}

TEST_F(SnapshotWatchersTest, AWatcherThatWasRemovedIsNotTold) {
  const SnapshotWatchers::Id id = Add(kHere, "a");
  Add(kThere, "a");
  watchers_->Remove(id);
  watchers_->Remove(id);
  Change("a");
  EXPECT_EQ(Calls(), 0);
}

TEST_F(SnapshotWatchersTest, APartitionThatIsLetGoOfIsTold) {
  Add(kHere, "a");
  Add(kThere, "b");
  watchers_->OnStopped(kHere);
  EXPECT_EQ(Calls(), 1);
}

}  // namespace
}  // namespace esd::api
