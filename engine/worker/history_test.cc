#include "engine/worker/history.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine/worker/worker_test.h"

namespace esd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using State = HistoryStatus::State;

const DomainPartition kFirst{"users", PartitionId{0}};
const DomainPartition kSecond{"users", PartitionId{1}};

// Partitions with event topics that the test fills, and a store.
class HistoryTest : public testing::Test {
 protected:
  HistoryTest() : cluster_({.partitions = {{"users", 2}}}), log_(cluster_.OpenInstance("a"), 1) {
    spdlog::set_level(spdlog::level::off);
    Restart();
  }

  // A new process on the same store; it begins nothing yet.
  void Restart() {
    history_ = std::make_unique<History>(&log_, &store_, &metrics_, [this](const auto& error) {
      absl::MutexLock lock(&mutex_);
      failure_.Update(error);
    });
  }

  static TestRecord EventRecord(const std::string& key, int64_t version) {
    return {key,
            absl::StrCat("event ", version, " of ", key),
            {{"ce_id", absl::StrCat("0:", version, ":0")}, {"esd-version", absl::StrCat(version)}},
            {},
            0};
  }

  void AppendEvents(const DomainPartition& partition, const std::string& key, int64_t count,
                    int64_t first = 0) {
    for (int64_t i = first; i < first + count; ++i)
      cluster_.Append(partition, Topic::kEvent, EventRecord(key, i));
  }

  // As a restore does.
  void Begin(const DomainPartition& partition) {
    const auto opened = log_.OpenPartition(partition, {});
    ASSERT_TRUE(opened.ok());
    history_->Begin(partition, {opened->event_begin, opened->event_end}, Known(partition));
  }

  std::optional<Offset> Known(const DomainPartition& partition) {
    const auto known = store_.GetHistoryOffset(partition);
    EXPECT_TRUE(known.ok());
    return known.ok() ? *known : std::nullopt;
  }

  State StateOf(const DomainPartition& partition) const {
    return history_->Status(partition).state;
  }
  testing::AssertionResult AwaitState(const DomainPartition& partition, State state) const {
    if (Await([&] { return StateOf(partition) == state; })) return testing::AssertionSuccess();
    const HistoryStatus status = history_->Status(partition);
    return testing::AssertionFailure()
           << ToString(partition) << " is in state " << static_cast<int>(status.state) << ", "
           << status.remaining << " remain, " << status.message;
  }

  // "version:value"
  std::vector<std::string> Stored(const DomainPartition& partition, const std::string& key) {
    std::vector<std::string> stored;
    const auto events = store_.ListEvents(partition, key, Version{0}, 1'000'000, size_t{1} << 40);
    EXPECT_TRUE(events.ok());
    for (const auto& event : *events)
      stored.push_back(absl::StrCat(event.version.value(), ":", event.event.value()));
    return stored;
  }
  std::vector<std::string> Expected(const std::string& key, int64_t count) {
    std::vector<std::string> expected;
    for (int64_t i = 0; i < count; ++i)
      expected.push_back(absl::StrCat(i, ":", *EventRecord(key, i).value));
    return expected;
  }

  absl::Status failure() const {
    absl::MutexLock lock(&mutex_);
    return failure_;
  }

  MemoryCluster cluster_;
  FaultLog log_;
  HookedStore store_;
  Metrics metrics_;
  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, WithoutAHistoryTheStatusIsOff) {
  EXPECT_EQ(StatusOf(nullptr, kFirst).state, State::kOff);
  EXPECT_EQ(StatusOf(history_.get(), kFirst).state, State::kRebuilding);
}

TEST_F(HistoryTest, EveryEventOfTheTopicIsReadAndItsHeadersAreKept) {
  TestRecord record{"u", R"({"type":"T","event":{}})", {}, {}, 0};
  record.headers = {{"ce_specversion", "1.0"},
                    {"ce_id", "0:17:0"},
                    {"ce_type", "T"},
                    {"ce_time", "2023-11-14T22:13:20.123Z"},
                    {"esd-version", "0"},
                    {"esd-causation-id", "c1"},
                    {"traceparent", "00-abc-def-01"}};
  cluster_.Append(kFirst, Topic::kEvent, record);
  AppendEvents(kFirst, "other", 3);
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  const auto events = store_.ListEvents(kFirst, "u", Version{0}, 10, 1'000);
  ASSERT_TRUE(events.ok());
  ASSERT_THAT(*events, SizeIs(1));
  const esd::v1::StoredEvent& event = (*events)[0].event;
  EXPECT_EQ(event.value(), *record.value);
  EXPECT_EQ(event.id(), "0:17:0");
  EXPECT_EQ(event.type(), "T");
  EXPECT_EQ(event.time_ms(), 1'700'000'000'123);
  EXPECT_EQ(event.causation_id(), "c1");
  EXPECT_EQ(event.traceparent(), "00-abc-def-01");
  EXPECT_EQ(Stored(kFirst, "other"), Expected("other", 3));
  EXPECT_EQ(Known(kFirst), cluster_.End(kFirst, Topic::kEvent));
  EXPECT_EQ(history_->Status(kFirst).remaining, 0);
}

TEST_F(HistoryTest, WhatAWorkerStoresIsWhatTheTopicSays) {
  OutputRecord written{Topic::kEvent, PartitionId{0}, "u", "value", {}};
  written.headers = {{"ce_id", "0:17:0"},          {"ce_type", "T"},
                     {"ce_subject", "u"},          {"ce_time", "2023-11-14T22:13:20.123Z"},
                     {"esd-version", "7"},         {"esd-causation-id", "c1"},
                     {"traceparent", "00-abc-01"}, {"content-type", "application/json"}};
  InputRecord read;
  read.key = "u";
  read.value = "value";
  for (const auto& header : written.headers) read.headers.push_back({header.name, *header.value});
  const auto from_topic = HistoryEventOf(read);
  ASSERT_TRUE(from_topic.ok()) << from_topic.status();
  const StoreUpdate::Event from_worker = HistoryEventOf(written, 1'700'000'000'123);
  EXPECT_EQ(from_worker.key, from_topic->key);
  EXPECT_EQ(from_worker.version, Version{7});
  EXPECT_EQ(from_worker.version, from_topic->version);
  EXPECT_EQ(from_worker.value, from_topic->value);
}

// A client chooses it, and protobuf reads no string back that isn't UTF-8.
TEST_F(HistoryTest, ATraceparentThatIsNoTextDoesNotSpoilTheStore) {
  OutputRecord written{Topic::kEvent, PartitionId{0}, "u", "value", {}};
  written.headers = {{"ce_id", "0:17:0"}, {"esd-version", "0"}, {"traceparent", "\xff\xfe"}};
  esd::v1::StoredEvent stored;
  EXPECT_TRUE(stored.ParseFromString(HistoryEventOf(written, 5).value));
  EXPECT_EQ(stored.traceparent(), "");
  EXPECT_EQ(stored.id(), "0:17:0");
  EXPECT_EQ(stored.time_ms(), 5);
  InputRecord read;
  read.key = "u";
  read.value = "value";
  read.timestamp_ms = 6;
  read.headers = {{"esd-version", "0"}, {"traceparent", "\xff\xfe"}, {"ce_time", "yesterday"}};
  const auto from_topic = HistoryEventOf(read);
  ASSERT_TRUE(from_topic.ok());
  EXPECT_TRUE(stored.ParseFromString(from_topic->value));
  EXPECT_EQ(stored.traceparent(), "");
  EXPECT_EQ(stored.time_ms(), 6);
}

TEST_F(HistoryTest, WithoutAnEventItIsCompleteAtOnce) {
  Begin(kFirst);
  EXPECT_EQ(StateOf(kFirst), State::kComplete);
}

TEST_F(HistoryTest, WhatTheStoreHasIsNotReadAgain) {
  AppendEvents(kFirst, "u", 10);
  ASSERT_TRUE(store_.UpdateHistory(kFirst, {}, Offset{8}).ok());
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_THAT(Stored(kFirst, "u"), ElementsAre("8:event 8 of u", "9:event 9 of u"));
}

TEST_F(HistoryTest, ItIsWrittenInSmallBatchesAndSaysHowMuchRemains) {
  AppendEvents(kFirst, "u", 1'200);
  TestRecord large = EventRecord("large", 0);
  large.value = std::string(700'000, 'x');
  for (int i = 0; i < 3; ++i) {
    large.headers[1].second = absl::StrCat(i);
    cluster_.Append(kFirst, Topic::kEvent, large);
  }
  std::vector<size_t> sizes;
  std::vector<int64_t> remaining;
  store_.OnUpdateHistory([&](const auto& events) {
    sizes.push_back(events.size());
    remaining.push_back(history_->Status(kFirst).remaining);
    EXPECT_EQ(metrics_.HistoryRemainingRecords(kFirst).Value(), remaining.back());
    EXPECT_EQ(StateOf(kFirst), State::kRebuilding);
  });
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_THAT(sizes, ElementsAre(500, 500, 202, 1));
  EXPECT_THAT(remaining, ElementsAre(1'203, 703, 203, 1));
  EXPECT_EQ(metrics_.HistoryRemainingRecords(kFirst).Value(), 0);
  EXPECT_EQ(Stored(kFirst, "u"), Expected("u", 1'200));
}

// A log whose replay comes so far, and then goes on until it is asked to stop.
class StuckLog : public FaultLog {
 public:
  StuckLog(std::unique_ptr<Log> log, Offset last) : FaultLog(std::move(log), 1), last_(last) {}

  absl::Status Replay(const DomainPartition& partition, Topic topic, Offset from, Offset end,
                      const ReplaySink& sink, std::stop_token stop) override {
    absl::Status status =
        FaultLog::Replay(partition, topic, from, std::min(last_, end), sink, stop);
    if (!status.ok() || end <= last_) return status;
    stuck.Notify();
    if (!Await([&] { return stop.stop_requested(); }))
      return absl::InternalError("nobody asked to stop");
    return absl::CancelledError();
  }
  absl::Notification stuck;

 private:
  const Offset last_;
};

TEST_F(HistoryTest, ACancelledRebuildWritesNothingMoreAndGoesOnWhereItStood) {
  AppendEvents(kFirst, "u", 1'700);
  std::atomic<size_t> written = 0;
  store_.OnUpdateHistory([&](const auto& events) { written += events.size(); });
  {
    StuckLog log(cluster_.OpenInstance("b"), Offset{1'200});
    History history(&log, &store_, &metrics_, [](const auto&) {});
    history.Begin(kFirst, {Offset{0}, Offset{1'700}}, std::nullopt);
    ASSERT_TRUE(log.stuck.WaitForNotificationWithTimeout(kTestDeadline));
    EXPECT_EQ(history.Status(kFirst).remaining, 700);
    history.End(kFirst);
    EXPECT_EQ(written, 1'000u);
    EXPECT_EQ(Known(kFirst), Offset{1'000});
    // Its thread does other things.
    AppendEvents(kSecond, "v", 10);
    history.Begin(kSecond, {Offset{0}, Offset{10}}, std::nullopt);
    ASSERT_TRUE(Await([&] { return history.Status(kSecond).state == State::kComplete; }));
  }
  EXPECT_EQ(Known(kFirst), Offset{1'000});
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_EQ(Stored(kFirst, "u"), Expected("u", 1'700));
  EXPECT_EQ(written, 1'710u);
}

TEST_F(HistoryTest, APartitionThatIsTakenAwayWhileItWaitsIsNotRebuilt) {
  AppendEvents(kFirst, "u", 10);
  AppendEvents(kSecond, "v", 10);
  absl::Notification writing;
  absl::Notification go_on;
  store_.OnUpdateHistory([&](const auto&) {
    if (!writing.HasBeenNotified()) writing.Notify();
    go_on.WaitForNotificationWithTimeout(kTestDeadline);
  });
  Begin(kFirst);
  ASSERT_TRUE(writing.WaitForNotificationWithTimeout(kTestDeadline));
  Begin(kSecond);
  history_->End(kSecond);
  go_on.Notify();
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_THAT(Stored(kSecond, "v"), IsEmpty());
  Begin(kSecond);
  ASSERT_TRUE(AwaitState(kSecond, State::kComplete));
  EXPECT_EQ(Stored(kSecond, "v"), Expected("v", 10));
}

TEST_F(HistoryTest, ErrorsThatMayPassAreTriedAgain) {
  AppendEvents(kFirst, "u", 10);
  log_.FailReplays(4);
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_EQ(Stored(kFirst, "u"), Expected("u", 10));
  EXPECT_TRUE(failure().ok()) << failure();
}

TEST_F(HistoryTest, APartitionThatCanNotBeReadHoldsUpNoOther) {
  class Leaderless : public FaultLog {
   public:
    using FaultLog::FaultLog;
    absl::Status Replay(const DomainPartition& partition, Topic topic, Offset from, Offset end,
                        const ReplaySink& sink, std::stop_token stop) override {
      if (partition == kFirst) return absl::UnavailableError("it has no leader");
      return FaultLog::Replay(partition, topic, from, end, sink, stop);
    }
  };
  AppendEvents(kSecond, "v", 10);
  Leaderless log(cluster_.OpenInstance("b"), 1);
  History history(&log, &store_, &metrics_, [](const auto&) {});
  history.Begin(kFirst, {Offset{0}, Offset{10}}, std::nullopt);
  history.Begin(kSecond, {Offset{0}, Offset{10}}, std::nullopt);
  EXPECT_TRUE(Await([&] { return history.Status(kSecond).state == State::kComplete; }));
  EXPECT_EQ(history.Status(kFirst).state, State::kRebuilding);
  EXPECT_EQ(history.Status(kFirst).remaining, 10);
}

// The log hands over half of what it should, each time: it ends all the same.
TEST_F(HistoryTest, WhatWasReadBeforeAnErrorIsKept) {
  AppendEvents(kFirst, "u", 100);
  log_.SetRates({.replay_partial = 1});
  Begin(kFirst);
  ASSERT_TRUE(Await([&] { return Known(kFirst).value_or(Offset{0}) > Offset{25}; }));
  log_.SetRates({});
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_EQ(Stored(kFirst, "u"), Expected("u", 100));
}

TEST_F(HistoryTest, DeletedEventsThatTheStoreLacksMakeItImpossible) {
  AppendEvents(kFirst, "u", 10);
  cluster_.Truncate(kFirst, Topic::kEvent, Offset{4});
  Begin(kFirst);
  const HistoryStatus status = history_->Status(kFirst);
  EXPECT_EQ(status.state, State::kFailed);
  EXPECT_THAT(status.message, HasSubstr("users-event/0"));
  EXPECT_THAT(status.message, HasSubstr("retention.ms=-1"));
  EXPECT_THAT(status.message, HasSubstr("--history=off"));
  EXPECT_TRUE(failure().ok()) << failure();
}

TEST_F(HistoryTest, DeletedEventsThatTheStoreHasDoNoHarm) {
  AppendEvents(kFirst, "u", 10);
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  history_->End(kFirst);
  AppendEvents(kFirst, "u", 10, 10);
  cluster_.Truncate(kFirst, Topic::kEvent, Offset{10});
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_EQ(Stored(kFirst, "u"), Expected("u", 20));
}

TEST_F(HistoryTest, EventsThatAreDeletedUnderTheRebuildMakeItImpossible) {
  AppendEvents(kFirst, "u", 10);
  const auto opened = log_.OpenPartition(kFirst, {});
  cluster_.Truncate(kFirst, Topic::kEvent, Offset{4});
  history_->Begin(kFirst, {opened->event_begin, opened->event_end}, std::nullopt);
  ASSERT_TRUE(AwaitState(kFirst, State::kFailed));
  EXPECT_THAT(history_->Status(kFirst).message, HasSubstr("retention.ms=-1"));
}

TEST_F(HistoryTest, ARecordThatIsNoEventOfTheEngineMakesItImpossibleAndIsNamed) {
  std::vector<TestRecord> records(5, EventRecord("u", 5));
  records[0].headers.pop_back();
  records[1].headers.back().second = "one";
  records[2].headers.back().second = "-1";
  records[3].key.reset();
  records[4].value.reset();
  for (const TestRecord& record : records) {
    cluster_.Recreate(kFirst, Topic::kEvent);
    AppendEvents(kFirst, "u", 5);
    cluster_.Append(kFirst, Topic::kEvent, record);
    Begin(kFirst);
    ASSERT_TRUE(AwaitState(kFirst, State::kFailed));
    EXPECT_THAT(history_->Status(kFirst).message, HasSubstr("users-event/0, offset 5: the record"));
    history_->End(kFirst);
  }
  AppendEvents(kSecond, "v", 10);
  Begin(kSecond);
  EXPECT_TRUE(AwaitState(kSecond, State::kComplete));
  EXPECT_TRUE(failure().ok()) << failure();
}

TEST_F(HistoryTest, AStoreThatFailsEndsTheInstance) {
  AppendEvents(kFirst, "u", 10);
  store_.FailHistory(absl::DataLossError("the disk is broken"));
  history_->Begin(kFirst, {Offset{0}, Offset{10}}, std::nullopt);
  ASSERT_TRUE(Await([&] { return !failure().ok(); }));
  EXPECT_TRUE(absl::IsDataLoss(failure())) << failure();
  EXPECT_THAT(std::string(failure().message()), HasSubstr("users/0"));
  EXPECT_EQ(StateOf(kFirst), State::kFailed);
}

TEST_F(HistoryTest, ItGivesWayToWorkersAndEndsAllTheSame) {
  AppendEvents(kFirst, "u", 2'000);
  store_.OnUpdateHistory([&](const auto&) { history_->GiveWay(); });
  Begin(kFirst);
  ASSERT_TRUE(AwaitState(kFirst, State::kComplete));
  EXPECT_EQ(Stored(kFirst, "u"), Expected("u", 2'000));
}

TEST_F(HistoryTest, ItCanBeDestroyedInTheMiddle) {
  AppendEvents(kFirst, "u", 10);
  AppendEvents(kSecond, "v", 10);
  log_.FailReplays(1'000'000);
  Begin(kFirst);
  Begin(kSecond);
  const absl::Time begin = absl::Now();
  history_.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

}  // namespace

}  // namespace esd
