// What a LogReader and Bounds() must do.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include <thread>

#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"

namespace esd {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// --- from where to where

TEST_P(LogContract, AReaderReadsFromTheBeginningAndGoesOnAsMoreIsCommitted) {
  const auto a = OpenOwner("a");
  CommitEvents(*a->worker, kAlpha0, {"1", "2"});
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 2);
  CommitEvents(*a->worker, kAlpha0, {"3", "4", "5"});
  reading.AwaitRecords(kAlpha0, 5);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("1", "2", "3", "4", "5"));
}

TEST_P(LogContract, AReaderBeginsWhereItIsToldToAndAnywhereElseWhenToldAgain) {
  const auto a = OpenOwner("a");
  TransactionPart part = Part(kAlpha0, 1);
  for (int i = 0; i < 100; ++i) {
    part.records.push_back(Output(Topic::kEvent, kAlpha0.partition, absl::StrCat(i)));
  }
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 97);
  reading.AwaitRecords(kAlpha0, 3);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("97", "98", "99"));
  // Back, with nothing of it read yet; and again in the middle of what is read.
  reading.Start(kAlpha0, 10);
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 5, {.max_records = 5});
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("0", "1", "2", "3", "4"));
  reading.Start(kAlpha0, 96);
  reading.AwaitRecords(kAlpha0, 4);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("96", "97", "98", "99"));
}

TEST_P(LogContract, AReaderAtTheEndHasOnlyWhatComesLater) {
  const auto a = OpenOwner("a");
  CommitEvents(*a->worker, kAlpha0, {"1", "2"});
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, BoundsOk(*a->log, kAlpha0, Topic::kEvent).end.value());
  CommitEvents(*a->worker, kAlpha0, {"3"});
  reading.AwaitRecords(kAlpha0, 1);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("3"));
}

TEST_P(LogContract, AReaderReadsSeveralPartitionsOfItsTopicAlone) {
  const auto a = OpenOwner("a");
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.Start(kAlpha1, 0);
  for (int i = 1; i <= 10; ++i) {
    const std::string value = absl::StrCat(i);
    ASSERT_TRUE(Committed(CommitAtLast(
        *a->worker, {{Part(kAlpha0, i, {Topic::kEvent, Topic::kSnapshot}, value),
                      Part(kAlpha1, i, {Topic::kReply, Topic::kEvent}, "other " + value),
                      Part(kBeta0, i, {Topic::kEvent}, "of beta")}})));
  }
  reading.AwaitRecords(kAlpha0, 10);
  reading.AwaitRecords(kAlpha1, 10);
  EXPECT_EQ(reading.values(kAlpha0), ValuesOf(Numbered(1, 11)));
  EXPECT_EQ(reading.values(kAlpha1)[9], "other 10");
}

TEST_P(LogContract, AReaderDoesNotReadWhatWasStoppedAndCanStartItAgain) {
  const auto a = OpenOwner("a");
  TransactionPart part = Part(kAlpha0, 1);
  for (int i = 0; i < 100; ++i) {
    part.records.push_back(Output(Topic::kEvent, kAlpha0.partition, absl::StrCat(i)));
  }
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.Start(kAlpha1, 0);
  reading.AwaitRecords(kAlpha0, 1, {.max_records = 1});
  // What was fetched ahead is forgotten, too.
  reading.Stop(kAlpha0);
  reading.Stop(kBeta0);  // alpha/0 again
  CommitEvents(*a->worker, kAlpha1, {"other"});
  reading.AwaitRecords(kAlpha1, 1);
  EXPECT_THAT(reading.records(kAlpha0), SizeIs(1));
  reading.Start(kAlpha0, 98);
  reading.AwaitRecords(kAlpha0, 2);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("98", "99"));
}

// Whoever wants all there is reads until `next` says so: the last offset below the end may be none
// of a record.
TEST_P(LogContract, AReaderComesToTheEndThatOthersTell) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 3));
  CommitEvents(*a->worker, kAlpha0, {"1", "2", "3"});
  const TopicBounds bounds = BoundsOk(*a->log, kAlpha0, Topic::kEvent);
  EXPECT_EQ(bounds.begin, Offset{0});
  EXPECT_GE(bounds.end, Offset{3});
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.AwaitNext(kAlpha0, bounds.end);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("1", "2", "3"));
  // From there on, nothing, and it needs no record to know.
  reading.AwaitNext(kAlpha0, OpenOk(*a->log, kAlpha0).event_end);
  EXPECT_THAT(reading.records(kAlpha0), SizeIs(3));
}

TEST_P(LogContract, WrittenTellsWhereAReaderStandsBehindATransactionsEvents) {
  const auto a = OpenOwner("a");
  CommitEvents(*a->worker, kAlpha0, {"1", "2"});
  const CommitResult third =
      CommitAtLast(*a->worker, {{Part(kAlpha0, 3, {Topic::kEvent, Topic::kEvent}, "3")}});
  ASSERT_TRUE(Committed(third));
  ASSERT_TRUE(third.written[0].event_end);
  const Offset event_end = *third.written[0].event_end;
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 4, {.max_records = 1});
  EXPECT_EQ(Next(reading.records(kAlpha0).back().offset), event_end);
  reading.Start(kAlpha0, event_end.value());
  CommitEvents(*a->worker, kAlpha0, {"4"});
  reading.AwaitRecords(kAlpha0, 1);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("4"));
}

TEST_P(LogContract, APositionThatIsNotThereAnyMoreIsOutOfRange) {
  const auto a = OpenOwner("a");
  CommitEvents(*a->worker, kAlpha0, {"1", "2", "3"});
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 3);
  const Offset third = reading.records(kAlpha0)[2].offset;
  harness().Truncate(kAlpha0, Topic::kEvent, third);
  reading.Start(kAlpha0, 0);
  const absl::Status status = reading.AwaitError();
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;

  Reading another(*a->log, Topic::kEvent);
  another.Start(kAlpha0, third.value());
  another.AwaitRecords(kAlpha0, 1);
  EXPECT_THAT(another.values(kAlpha0), ElementsAre("3"));
}

TEST_P(LogContract, APositionThatIsNotThereYetIsOutOfRange) {
  const auto a = OpenOwner("a");
  CommitEvents(*a->worker, kAlpha0, {"1"});
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 100);
  const absl::Status status = reading.AwaitError();
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
}

// --- what is committed

TEST_P(SharedLogContract, AReaderSeesNothingOfAnOpenTransactionNorBehindItBeforeItIsCommitted) {
  const auto a = OpenOwner("a");
  CommitEvents(*a->worker, kAlpha0, {"before"});
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.Start(kAlpha1, 0);
  const auto open = harness().BeginAs("x", kAlpha0);
  CommitEvents(*a->worker, kAlpha0, {"behind"});
  const TopicBounds bounds = BoundsOk(*a->log, kAlpha0, Topic::kEvent);
  CommitEvents(*a->worker, kAlpha1, {"elsewhere"});
  reading.AwaitRecords(kAlpha0, 1);
  reading.AwaitRecords(kAlpha1, 1);
  reading.AwaitNext(kAlpha0, bounds.end);
  EXPECT_EQ(reading.Poll({}, absl::Milliseconds(200)), 0u);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("before"));
  ASSERT_TRUE(open->Commit());
  reading.AwaitRecords(kAlpha0, 3);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("before", "left open", "behind"));
  EXPECT_GT(BoundsOk(*a->log, kAlpha0, Topic::kEvent).end, bounds.end);
}

TEST_P(SharedLogContract, AReaderNeverSeesAnAbortedTransactionAndPassesIt) {
  const auto a = OpenOwner("a");
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  harness().BeginAs("x", kAlpha0)->Abort();
  // There is nothing but an aborted record, and still it comes to the end.
  Offset end;
  EXPECT_TRUE(Eventually([&] {
    end = BoundsOk(*a->log, kAlpha0, Topic::kEvent).end;
    return end > Offset{1};
  }));
  reading.AwaitNext(kAlpha0, end);
  EXPECT_THAT(reading.records(kAlpha0), IsEmpty());
  CommitEvents(*a->worker, kAlpha0, {"1"});
  harness().BeginAs("x", kAlpha0)->Abort();
  CommitEvents(*a->worker, kAlpha0, {"2"});
  reading.AwaitRecords(kAlpha0, 2);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("1", "2"));
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 2);
  EXPECT_THAT(reading.values(kAlpha0), ElementsAre("1", "2"));
}

TEST_P(LogContract, AReaderSeesEachRecordOnceWhileTransactionsGoOn) {
  const auto a = OpenOwner("a");
  constexpr int kTransactions = 60;
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  std::jthread writer([&] {
    for (int i = 0; i < kTransactions; ++i) {
      TransactionPart part = Part(kAlpha0, i + 1);
      for (int j = 0; j < 10; ++j) {
        part.records.push_back(Output(Topic::kEvent, kAlpha0.partition, absl::StrCat(i * 10 + j)));
      }
      EXPECT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
    }
  });
  reading.AwaitRecords(kAlpha0, kTransactions * 10, {.max_records = 7});
  EXPECT_EQ(reading.values(kAlpha0), ValuesOf(Numbered(0, kTransactions * 10)));
}

TEST_P(LogContract, ReadRecordsAreAsTheyWereMade) {
  const auto a = OpenOwner("a");
  std::string binary;
  for (int i = 0; i < 256; ++i) binary.push_back(static_cast<char>(i));
  const PartitionId home = kAlpha0.partition;
  TransactionPart part = Part(kAlpha0, 0);
  part.records.push_back({Topic::kEvent, home, std::nullopt, std::nullopt, {}});
  part.records.push_back({Topic::kEvent, home, "", "", {}});
  part.records.push_back({Topic::kEvent,
                          home,
                          binary,
                          binary,
                          {{"h", binary}, {"h", "again"}, {"e", ""}, {"n", std::nullopt}}});
  const std::string large = Noise(a->log->MaxRecordBytes("alpha", Topic::kEvent) - 100);
  part.records.push_back(Output(Topic::kEvent, home, large));
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 4);
  const std::vector<TestRecord>& records = reading.records(kAlpha0);
  ASSERT_THAT(records, SizeIs(4));
  EXPECT_EQ(records[0].key, std::nullopt);
  EXPECT_EQ(records[0].value, std::nullopt);
  EXPECT_EQ(records[1].key, "");
  EXPECT_EQ(records[1].value, "");
  EXPECT_EQ(records[2].key, binary);
  EXPECT_EQ(records[2].value, binary);
  using Headers = std::vector<std::pair<std::string, std::optional<std::string>>>;
  EXPECT_EQ(records[2].headers,
            (Headers{{"h", binary}, {"h", "again"}, {"e", ""}, {"n", std::nullopt}}));
  EXPECT_TRUE(records[3].value == large);
  for (const TestRecord& record : records) {
    EXPECT_NEAR(static_cast<double>(record.timestamp_ms),
                static_cast<double>(absl::ToUnixMillis(absl::Now())), 60'000);
  }
}

// --- one poll

TEST_P(LogContract, AReaderReturnsNoMoreRecordsThanWanted) {
  const auto a = OpenOwner("a");
  const std::vector<Topic> ten(10, Topic::kEvent);
  ASSERT_TRUE(
      Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 1, ten), Part(kAlpha1, 1, ten)}})));
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.Start(kAlpha1, 0);
  size_t got = 0;
  for (const absl::Time deadline = absl::Now() + kContractDeadline;
       got < 20 && absl::Now() < deadline;) {
    const size_t more = reading.Poll({.max_records = 3});
    EXPECT_LE(more, 3u);
    got += more;
  }
  EXPECT_THAT(reading.records(kAlpha0), SizeIs(10));
  EXPECT_THAT(reading.records(kAlpha1), SizeIs(10));
}

// One record beyond the limit is let pass: it may be known only when it has been taken.
TEST_P(LogContract, AReaderReturnsNoMoreBytesThanWantedBeyondOneRecord) {
  const auto a = OpenOwner("a");
  const std::vector<Topic> twenty(20, Topic::kEvent);
  ASSERT_TRUE(
      Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 1, twenty, std::string(10'000, 'x'))}})));
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  size_t got = 0;
  for (const absl::Time deadline = absl::Now() + kContractDeadline;
       got < 20 && absl::Now() < deadline;) {
    const size_t more = reading.Poll({.max_bytes = 25'000});
    EXPECT_LE(more, 3u);
    got += more;
  }
  EXPECT_THAT(reading.records(kAlpha0), SizeIs(20));
}

TEST_P(LogContract, AReaderWithNothingToReadWaitsAsLongAsItIsTold) {
  const auto a = Open("a");
  Reading reading(*a->log, Topic::kEvent);
  for (const bool started : {false, true}) {
    if (started) reading.Start(kAlpha0, 0);
    reading.Poll({}, absl::Milliseconds(300));  // may have to tell what it has come to
    const absl::Time begin = absl::Now();
    EXPECT_EQ(reading.Poll({}, absl::Milliseconds(300)), 0u);
    EXPECT_GE(absl::Now() - begin, absl::Milliseconds(290));
  }
}

TEST_P(LogContract, AWakeEndsTheReadersPollThatIsUnderWayOrTheNextOne) {
  const auto a = Open("a");
  Reading reading(*a->log, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  const absl::Time begin = absl::Now();
  {
    std::jthread waker([&] {
      absl::SleepFor(absl::Milliseconds(100));  // most likely the poll has begun; both must work
      reading.reader().Wake();
    });
    reading.Poll({}, kContractDeadline);
  }
  reading.reader().Wake();
  reading.Poll({}, kContractDeadline);
  EXPECT_LT(absl::Now() - begin, kContractDeadline / 2);
}

TEST_P(LogContract, ReadersOfOneTopicDoNotDisturbEachOther) {
  const auto a = OpenOwner("a");
  CommitEvents(*a->worker, kAlpha0, {"1", "2", "3"});
  Reading first(*a->log, Topic::kEvent);
  first.Start(kAlpha0, 0);
  Reading second(*a->log, Topic::kEvent);
  second.Start(kAlpha0, 0);
  second.AwaitRecords(kAlpha0, 3);
  second.Stop(kAlpha0);
  first.AwaitRecords(kAlpha0, 3);
  EXPECT_THAT(first.values(kAlpha0), ElementsAre("1", "2", "3"));
}

// --- bounds

TEST_P(LogContract, BoundsAreThoseOfWhatIsThereNow) {
  const auto a = OpenOwner("a");
  TopicBounds bounds = BoundsOk(*a->log, kAlpha0, Topic::kEvent);
  EXPECT_EQ(bounds.begin, Offset{0});
  EXPECT_EQ(bounds.end, Offset{0});
  harness().Append(kAlpha0, Numbered(0, 10));
  EXPECT_EQ(BoundsOk(*a->log, kAlpha0, Topic::kCommand).end, Offset{10});
  CommitEvents(*a->worker, kAlpha0, {"1", "2", "3"});
  harness().Truncate(kAlpha0, Topic::kEvent, Offset{2});
  bounds = BoundsOk(*a->log, kAlpha0, Topic::kEvent);
  EXPECT_EQ(bounds.begin, Offset{2});
  EXPECT_GE(bounds.end, Offset{3});
  EXPECT_EQ(BoundsOk(*a->log, kAlpha1, Topic::kEvent).end, Offset{0});
  EXPECT_EQ(BoundsOk(*a->log, kBeta0, Topic::kEvent).end, Offset{0});
}

}  // namespace esd
