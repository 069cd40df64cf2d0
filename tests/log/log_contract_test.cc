#include "tests/log/log_contract_test.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <stop_token>
#include <thread>

#include "tests/log/log_contract_language.h"

namespace esd {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// --- facts

TEST_P(LogContract, AnInstanceThatIsOpenedLaterFindsTheSameTopics) {
  std::set<std::string> names;
  std::string source;
  for (const std::string id : {"a", "b"}) {
    const auto log = harness().OpenInstance(id);
    for (const std::string domain : {"alpha", "beta"}) {
      EXPECT_EQ(log->PartitionCount(domain), 2);
      for (const Topic topic : kAllTopics) {
        names.insert(log->TopicName(domain, topic));
        EXPECT_GE(log->MaxRecordBytes(domain, topic), size_t{1} << 20);
      }
      EXPECT_THAT(log->TopicName(domain, Topic::kCommand), testing::EndsWith(domain + "-command"));
    }
    if (source.empty()) source = log->SourceId();
    EXPECT_FALSE(source.empty());
    EXPECT_EQ(log->SourceId(), source);
  }
  EXPECT_THAT(names, SizeIs(2 * kAllTopics.size()));
  EXPECT_NE(source, GetParam()()->OpenInstance("a")->SourceId());
}

TEST_P(SharedLogContract, InstancesAgreeOnTheTopics) {
  const auto a = harness().OpenInstance("a");
  const auto b = harness().OpenInstance("b");
  for (const std::string domain : {"alpha", "beta"}) {
    EXPECT_EQ(a->PartitionCount(domain), 2);
    std::set<std::string> names;
    for (const Topic topic : kAllTopics) {
      names.insert(a->TopicName(domain, topic));
      EXPECT_EQ(a->TopicName(domain, topic), b->TopicName(domain, topic));
      EXPECT_GE(a->MaxRecordBytes(domain, topic), size_t{1} << 20);
    }
    EXPECT_THAT(names, SizeIs(kAllTopics.size()));
    EXPECT_THAT(a->TopicName(domain, Topic::kCommand), testing::EndsWith(domain + "-command"));
  }
  EXPECT_FALSE(a->SourceId().empty());
  EXPECT_EQ(a->SourceId(), b->SourceId());
  EXPECT_NE(a->SourceId(), GetParam()()->OpenInstance("a")->SourceId());
}

// --- reading commands

TEST_P(LogContract, CommandsComeInOffsetOrderPerPartitionAndNoneTwice) {
  const auto a = Open("a");
  harness().Append(kAlpha0, Numbered(0, 50));
  harness().Append(kAlpha1, Numbered(100, 150));
  for (const auto& partition : {kAlpha0, kAlpha1, kBeta0}) {
    ASSERT_TRUE(a->worker->Start(partition, Offset{0}).ok());
  }
  auto commands = PollAll(*a->worker, 100, {.max_records = 7});
  harness().Append(kAlpha0, Numbered(50, 60));
  harness().Append(kBeta0, Numbered(0, 1));
  for (auto& [partition, more] : PollAll(*a->worker, 11)) {
    commands[partition].insert(commands[partition].end(), more.begin(), more.end());
  }
  EXPECT_EQ(ValuesOf(commands[kAlpha0]), ValuesOf(Numbered(0, 60)));
  EXPECT_EQ(ValuesOf(commands[kAlpha1]), ValuesOf(Numbered(100, 150)));
  EXPECT_EQ(ValuesOf(commands[kBeta0]), ValuesOf(Numbered(0, 1)));
  for (const auto& [partition, records] : commands) {
    for (size_t i = 0; i < records.size(); ++i) {
      EXPECT_EQ(records[i].offset, Offset{static_cast<int64_t>(i)});
      EXPECT_NEAR(static_cast<double>(records[i].timestamp_ms),
                  static_cast<double>(absl::ToUnixMillis(absl::Now())), 60'000);
    }
  }
  const auto nothing = a->worker->Poll({}, absl::Milliseconds(200));
  ASSERT_TRUE(nothing.ok());
  EXPECT_THAT(nothing->batches, IsEmpty());
}

TEST_P(LogContract, APollReturnsAtMostOneBatchPerPartition) {
  const auto a = Open("a");
  for (const auto& partition : {kAlpha0, kAlpha1}) {
    harness().Append(partition, Numbered(0, 500));
    ASSERT_TRUE(a->worker->Start(partition, Offset{0}).ok());
  }
  size_t got = 0;
  for (const absl::Time deadline = absl::Now() + kContractDeadline;
       got < 1000 && absl::Now() < deadline;) {
    const auto polled = a->worker->Poll({}, absl::Seconds(1));
    ASSERT_TRUE(polled.ok());
    std::set<DomainPartition> seen;
    for (const RecordBatch& batch : polled->batches) {
      EXPECT_TRUE(seen.insert(batch.partition).second);
      got += batch.records.size();
    }
  }
  EXPECT_EQ(got, 1000u);
}

TEST_P(LogContract, APollReturnsNoMoreRecordsThanWanted) {
  const auto a = Open("a");
  harness().Append(kAlpha0, Numbered(0, 30));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  size_t got = 0;
  for (const absl::Time deadline = absl::Now() + kContractDeadline;
       got < 30 && absl::Now() < deadline;) {
    const auto polled = a->worker->Poll({.max_records = 4}, absl::Seconds(1));
    ASSERT_TRUE(polled.ok());
    if (polled->batches.empty()) continue;
    EXPECT_LE(polled->batches[0].records.size(), 4u);
    got += polled->batches[0].records.size();
  }
  EXPECT_EQ(got, 30u);
}

// One record beyond the limit is let pass: it may be known only when it has been taken.
TEST_P(LogContract, APollReturnsNoMoreBytesThanWantedBeyondOneRecord) {
  const auto a = Open("a");
  const std::string large(10'000, 'x');
  harness().Append(kAlpha0, std::vector<TestRecord>(20, {"key", large, {}, {}, 0}));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  size_t got = 0;
  for (const absl::Time deadline = absl::Now() + kContractDeadline;
       got < 20 && absl::Now() < deadline;) {
    const auto polled = a->worker->Poll({.max_bytes = 25'000}, absl::Seconds(1));
    ASSERT_TRUE(polled.ok());
    if (polled->batches.empty()) continue;
    EXPECT_LE(polled->batches[0].records.size(), 3u);
    got += polled->batches[0].records.size();
  }
  EXPECT_EQ(got, 20u);
}

TEST_P(LogContract, APollWithoutCommandsEndsAfterTheWait) {
  const auto a = Open("a");
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  const absl::Time begin = absl::Now();
  const auto polled = a->worker->Poll({}, absl::Milliseconds(300));
  ASSERT_TRUE(polled.ok());
  EXPECT_THAT(polled->batches, IsEmpty());
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(290));
}

TEST_P(LogContract, AWakeEndsThePollThatIsUnderWay) {
  const auto a = Open("a");
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  std::jthread waker([&] {
    absl::SleepFor(absl::Milliseconds(100));  // most likely the poll has begun; both must work
    a->worker->Wake();
  });
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(a->worker->Poll({}, kContractDeadline).ok());
  EXPECT_LT(absl::Now() - begin, kContractDeadline / 2);
}

TEST_P(LogContract, AWakeEndsTheNextPoll) {
  const auto a = Open("a");
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  a->worker->Wake();
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(a->worker->Poll({}, kContractDeadline).ok());
  EXPECT_LT(absl::Now() - begin, kContractDeadline / 2);
}

TEST_P(LogContract, ReadingBeginsWhereItIsToldTo) {
  const auto a = Open("a");
  harness().Append(kAlpha0, Numbered(0, 10));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{7}).ok());
  EXPECT_THAT(ValuesOf(PollAll(*a->worker, 3)[kAlpha0]), ElementsAre("7", "8", "9"));
}

TEST_P(LogContract, AStoppedPartitionIsNotReadAndCanBeStartedAgain) {
  const auto a = Open("a");
  harness().Append(kAlpha0, Numbered(0, 10));
  harness().Append(kAlpha1, Numbered(0, 10));
  for (const auto& partition : {kAlpha0, kAlpha1}) {
    ASSERT_TRUE(a->worker->Start(partition, Offset{0}).ok());
  }
  PollAll(*a->worker, 20);
  harness().Append(kAlpha0, Numbered(10, 20));
  a->worker->Stop(kAlpha0);
  a->worker->Stop(kBeta0);  // isn't read: nothing happens
  harness().Append(kAlpha1, Numbered(10, 11));
  auto commands = PollAll(*a->worker, 1);
  EXPECT_THAT(commands, SizeIs(1));
  EXPECT_THAT(ValuesOf(commands[kAlpha1]), ElementsAre("10"));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{5}).ok());
  EXPECT_EQ(ValuesOf(PollAll(*a->worker, 15)[kAlpha0]), ValuesOf(Numbered(5, 20)));
}

// Commands that the client has fetched ahead must not come after a Stop().
TEST_P(LogContract, WhatWasFetchedAheadIsForgottenByStop) {
  const auto a = Open("a");
  harness().Append(kAlpha0, Numbered(0, 100));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  PollAll(*a->worker, 1, {.max_records = 1});
  a->worker->Stop(kAlpha0);
  const auto nothing = a->worker->Poll({}, absl::Milliseconds(300));
  ASSERT_TRUE(nothing.ok());
  EXPECT_THAT(nothing->batches, IsEmpty());
}

TEST_P(LogContract, LagIsWhatWaitsBehindTheLastPoll) {
  const auto a = Open("a");
  EXPECT_EQ(a->worker->Lag(kAlpha0), std::nullopt);
  harness().Append(kAlpha0, Numbered(0, 10));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  PollAll(*a->worker, 3, {.max_records = 3});
  const auto lag = a->worker->Lag(kAlpha0);
  EXPECT_EQ(lag.value_or(7), 7);  // nothing: not known yet
}

TEST_P(LogContract, CommandsComeAsTheyWereMade) {
  const auto a = Open("a");
  std::string binary;
  for (int i = 0; i < 256; ++i) binary.push_back(static_cast<char>(i));
  harness().Append(
      kAlpha0,
      {{std::nullopt, "no key", {}, {}, 0},
       {"no value", std::nullopt, {}, {}, 0},
       {"", "", {}, {}, 0},
       {binary, binary, {{"h", binary}, {"h", "again"}, {"e", ""}, {"n", std::nullopt}}, {}, 0}});
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  const auto commands = PollAll(*a->worker, 4)[kAlpha0];
  ASSERT_THAT(commands, SizeIs(4));
  EXPECT_EQ(commands[0].key, std::nullopt);
  EXPECT_EQ(commands[0].value, "no key");
  EXPECT_EQ(commands[1].key, "no value");
  EXPECT_EQ(commands[1].value, std::nullopt);
  EXPECT_EQ(commands[2].key, "");
  EXPECT_EQ(commands[2].value, "");
  EXPECT_EQ(commands[3].key, binary);
  EXPECT_EQ(commands[3].value, binary);
  using Headers = std::vector<std::pair<std::string, std::optional<std::string>>>;
  EXPECT_EQ(commands[3].headers,
            (Headers{{"h", binary}, {"h", "again"}, {"e", ""}, {"n", std::nullopt}}));
}

// --- committing

TEST_P(LogContract, AnUntouchedPartitionHasNoPosition) {
  const auto a = Open("a");
  const OpenedPartition opened = OpenOk(*a->log, kAlpha0);
  EXPECT_EQ(opened.committed, std::nullopt);
  EXPECT_EQ(opened.command_begin, Offset{0});
  EXPECT_EQ(opened.snapshot_begin, opened.snapshot_end);
  EXPECT_EQ(opened.reply_begin, opened.reply_end);
  EXPECT_EQ(opened.event_begin, Offset{0});
  EXPECT_EQ(opened.event_end, Offset{0});
  const auto committed = a->worker->CommittedOffset(kAlpha0);
  ASSERT_TRUE(committed.ok()) << committed.status();
  EXPECT_EQ(*committed, std::nullopt);
}

// Turns red when the position isn't sent with the transaction.
TEST_P(LogContract, ACommitWritesAllItsPartsAndMovesTheirPositions) {
  const auto a = OpenOwner("a");
  const auto result =
      CommitAtLast(*a->worker, {{Part(kAlpha0, 5, {Topic::kEvent, Topic::kSnapshot, Topic::kReply}),
                                 Part(kBeta1, 9, {Topic::kSnapshot}), Part(kAlpha1, 1)}});
  ASSERT_TRUE(Committed(result));
  ASSERT_THAT(result.written, SizeIs(3));
  EXPECT_EQ(result.written[0].event_end, Offset{1});
  EXPECT_EQ(result.written[0].snapshot_end, Offset{1});
  EXPECT_EQ(result.written[0].reply_end, Offset{1});
  EXPECT_EQ(result.written[1].snapshot_end, Offset{1});
  EXPECT_EQ(result.written[1].reply_end, std::nullopt);
  EXPECT_EQ(result.written[1].event_end, std::nullopt);
  EXPECT_EQ(result.written[2].snapshot_end, std::nullopt);

  EXPECT_EQ(*a->worker->CommittedOffset(kBeta1), Offset{9});
  a->Close();
  const auto b = Open("b");
  // The position is a fact of the group's, and only of partitions that were in the transaction.
  harness().Append(kAlpha0, Numbered(0, 5));
  harness().Append(kBeta1, Numbered(0, 9));
  harness().Append(kAlpha1, Numbered(0, 1));
  EXPECT_EQ(OpenOk(*b->log, kAlpha0).committed, Offset{5});
  EXPECT_EQ(OpenOk(*b->log, kBeta1).committed, Offset{9});
  EXPECT_EQ(OpenOk(*b->log, kAlpha1).committed, Offset{1});
  EXPECT_EQ(OpenOk(*b->log, kBeta0).committed, std::nullopt);
  EXPECT_THAT(Snapshots(*b->log, kAlpha0), SizeIs(1));
  EXPECT_THAT(Snapshots(*b->log, kBeta1), SizeIs(1));
  EXPECT_THAT(Snapshots(*b->log, kAlpha1), IsEmpty());
  EXPECT_THAT(Replies(*b->log, kAlpha0), SizeIs(1));
  EXPECT_EQ(*b->worker->CommittedOffset(kBeta1), Offset{9});
}

// Turns red when the position isn't sent with the transaction.
TEST_P(LogContract, AReaderSeesATransactionInAllPartitionsOrInNone) {
  const auto a = OpenOwner("a");
  constexpr int kTransactions = 40;
  harness().Append(kAlpha0, Numbered(0, kTransactions));
  harness().Append(kBeta1, Numbered(0, kTransactions));
  std::jthread writer([&] {
    for (int i = 1; i <= kTransactions; ++i) {
      EXPECT_TRUE(Committed(
          CommitAtLast(*a->worker, {{Part(kAlpha0, i, {Topic::kSnapshot}, absl::StrCat(i)),
                                     Part(kBeta1, i, {Topic::kReply}, absl::StrCat(i))}})));
    }
  });
  int64_t position = 0;
  for (const absl::Time deadline = absl::Now() + kContractDeadline;
       position < kTransactions && absl::Now() < deadline;) {
    // What the position says must be there, in the other partition too…
    position = OpenOk(*a->log, kAlpha0).committed.value_or(Offset{0}).value();
    const auto replies = static_cast<int64_t>(Replies(*a->log, kBeta1).size());
    EXPECT_GE(replies, position);
    // … and what is there, the position must say.
    EXPECT_GE(OpenOk(*a->log, kAlpha0).committed.value_or(Offset{0}).value(), replies);
    EXPECT_GE(static_cast<int64_t>(Snapshots(*a->log, kAlpha0).size()), replies);
  }
  EXPECT_EQ(position, kTransactions);
}

TEST_P(LogContract, WrittenTellsFromWhereAReplayHasOnlyWhatCameLater) {
  const auto a = OpenOwner("a");
  CommitSnapshots(*a->worker, kAlpha0, 2);
  const CommitResult third = CommitAtLast(
      *a->worker, {{Part(kAlpha0, 3, {Topic::kSnapshot, Topic::kSnapshot, Topic::kReply}, "3")}});
  ASSERT_TRUE(Committed(third));
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 4, {Topic::kSnapshot}, "4")}})));
  harness().Append(kAlpha0, Numbered(0, 4));
  const OpenedPartition opened = OpenOk(*a->log, kAlpha0);
  ASSERT_TRUE(third.written[0].snapshot_end && third.written[0].reply_end);
  EXPECT_THAT(ValuesOf(ReplayOk(*a->log, kAlpha0, Topic::kSnapshot, *third.written[0].snapshot_end,
                                opened.snapshot_end)),
              ElementsAre("4"));
  EXPECT_THAT(
      ReplayOk(*a->log, kAlpha0, Topic::kReply, *third.written[0].reply_end, opened.reply_end),
      IsEmpty());
  EXPECT_THAT(ValuesOf(Snapshots(*a->log, kAlpha0)), ElementsAre("1", "2", "3", "3", "4"));
}

TEST_P(LogContract, RecordsAreWrittenAsTheyWereMade) {
  const auto a = OpenOwner("a");
  std::string binary;
  for (int i = 0; i < 256; ++i) binary.push_back(static_cast<char>(i));
  // Not to the snapshot topic: a compacted one takes no null key.
  const PartitionId home = kAlpha0.partition;
  TransactionPart part{kAlpha0, Offset{0}, OwnershipMark::kNone, {}};
  part.records.push_back({Topic::kReply, home, std::nullopt, "no key", {}});
  part.records.push_back({Topic::kReply, home, "no value", std::nullopt, {}});
  part.records.push_back({Topic::kReply, home, "", "", {}});
  part.records.push_back({Topic::kReply,
                          home,
                          binary,
                          binary,
                          {{"h", binary}, {"h", "again"}, {"e", ""}, {"n", std::nullopt}}});
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  const auto records = Replies(*a->log, kAlpha0);
  ASSERT_THAT(records, SizeIs(4));
  EXPECT_EQ(records[0].key, std::nullopt);
  EXPECT_EQ(records[0].value, "no key");
  EXPECT_EQ(records[1].value, std::nullopt);
  EXPECT_EQ(records[2].key, "");
  EXPECT_EQ(records[2].value, "");
  EXPECT_EQ(records[3].key, binary);
  EXPECT_EQ(records[3].value, binary);
  using Headers = std::vector<std::pair<std::string, std::optional<std::string>>>;
  EXPECT_EQ(records[3].headers,
            (Headers{{"h", binary}, {"h", "again"}, {"e", ""}, {"n", std::nullopt}}));
}

TEST_P(LogContract, ARecordOfTheLargestSizeIsWrittenAndRead) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, {{"key", std::string(size_t{1} << 20, 'c').substr(100), {}, {}, 0}});
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  EXPECT_THAT(PollAll(*a->worker, 1)[kAlpha0], SizeIs(1));

  const size_t largest = a->log->MaxRecordBytes("alpha", Topic::kSnapshot) - 100;
  std::string value(largest, 'x');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>((i * i) >> 3);
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 1, {Topic::kSnapshot}, value)}})));
  const auto records = Snapshots(*a->log, kAlpha0);
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_TRUE(records[0].value == value);
}

TEST_P(LogContract, ManyRecordsInOneTransactionKeepTheirOrder) {
  const auto a = OpenOwner("a");
  constexpr int kRecords = 20'000;
  TransactionPart part = Part(kAlpha0, 1);
  for (int i = 0; i < kRecords; ++i) {
    part.records.push_back(Output(Topic::kSnapshot, kAlpha0.partition, absl::StrCat(i)));
  }
  const CommitResult result = CommitAtLast(*a->worker, {{part}});
  ASSERT_TRUE(Committed(result));
  EXPECT_EQ(result.written[0].snapshot_end, Offset{kRecords});
  harness().Append(kAlpha0, Numbered(0, 1));
  EXPECT_EQ(ValuesOf(Snapshots(*a->log, kAlpha0)), ValuesOf(Numbered(0, kRecords)));
}

TEST_P(LogContract, ForwardedCommandsAppearAtTheOtherPartitionInOrder) {
  const auto a = OpenOwner("a");
  ASSERT_TRUE(a->worker->Start(kAlpha1, Offset{0}).ok());
  TransactionPart part = Part(kAlpha0, 3);
  for (const char* value : {"1", "2", "3"}) {
    part.records.push_back(Output(Topic::kCommand, kAlpha1.partition, value));
  }
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  harness().Append(kAlpha1, Numbered(4, 5));
  EXPECT_THAT(ValuesOf(PollAll(*a->worker, 4)[kAlpha1]), ElementsAre("1", "2", "3", "4"));
}

// --- commits that come to nothing

TEST_P(LogContract, AnAbortedCommitLeavesNothingAndTheNextOneWorks) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 9));
  CommitSnapshots(*a->worker, kAlpha0, 1);
  TransactionPart bad = Part(kAlpha0, 9, {Topic::kSnapshot, Topic::kReply}, "bad");
  // Larger than the topic takes: found by the broker, behind what it has taken already.
  const size_t too_large = a->log->MaxRecordBytes("alpha", Topic::kCommand) + 10'000;
  bad.records.push_back(Output(Topic::kCommand, kAlpha1.partition, Noise(too_large)));
  const CommitResult result = a->worker->Commit({{Part(kBeta0, 7, {Topic::kSnapshot}), bad}});
  EXPECT_EQ(result.outcome, CommitOutcome::kAborted) << result.reason;
  EXPECT_FALSE(result.reason.empty());

  EXPECT_EQ(OpenOk(*a->log, kAlpha0).committed, Offset{1});
  EXPECT_EQ(OpenOk(*a->log, kBeta0).committed, std::nullopt);
  EXPECT_THAT(ValuesOf(Snapshots(*a->log, kAlpha0)), ElementsAre("1"));
  EXPECT_THAT(Replies(*a->log, kAlpha0), IsEmpty());
  EXPECT_THAT(Snapshots(*a->log, kBeta0), IsEmpty());

  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 2, {Topic::kSnapshot}, "2")}})));
  EXPECT_THAT(ValuesOf(Snapshots(*a->log, kAlpha0)), ElementsAre("1", "2"));
  EXPECT_EQ(OpenOk(*a->log, kAlpha0).committed, Offset{2});
}

TEST_P(SharedLogContract, AWorkerWhoseIdentityWasTakenIsFencedUntilItReopens) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 9));
  CommitSnapshots(*a->worker, kAlpha0, 1);
  {
    const auto again = harness().OpenInstance("a");
    ASSERT_TRUE(again->OpenWorker(0).ok());
  }
  for (int i = 0; i < 2; ++i) {
    const CommitResult fenced = a->worker->Commit({{Part(kAlpha0, 9, {Topic::kSnapshot}, "bad")}});
    // A client may learn of it only when it asks for the commit.
    ASSERT_TRUE(fenced.outcome == CommitOutcome::kFenced ||
                fenced.outcome == CommitOutcome::kUnknown)
        << static_cast<int>(fenced.outcome) << ": " << fenced.reason;
  }
  ASSERT_TRUE(a->worker->Reopen().ok());
  EXPECT_EQ(*a->worker->CommittedOffset(kAlpha0), Offset{1});
  EXPECT_THAT(ValuesOf(Snapshots(*a->log, kAlpha0)), ElementsAre("1"));
  EXPECT_TRUE(Committed(a->worker->Commit({{Part(kAlpha0, 2, {Topic::kSnapshot}, "2")}})));
  EXPECT_THAT(ValuesOf(Snapshots(*a->log, kAlpha0)), ElementsAre("1", "2"));
}

TEST_P(LogContract, AnIdentityThatIsOpenedAgainFencesItsFormerHolder) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 9));
  CommitSnapshots(*a->worker, kAlpha0, 1);
  const auto again = a->log->OpenWorker(0);
  ASSERT_TRUE(again.ok()) << again.status();
  for (int i = 0; i < 2; ++i) {
    const CommitResult fenced = a->worker->Commit({{Part(kAlpha0, 9, {Topic::kSnapshot}, "bad")}});
    ASSERT_TRUE(fenced.outcome == CommitOutcome::kFenced ||
                fenced.outcome == CommitOutcome::kUnknown)
        << static_cast<int>(fenced.outcome) << ": " << fenced.reason;
  }
  ASSERT_TRUE(a->worker->Reopen().ok());
  EXPECT_EQ(*a->worker->CommittedOffset(kAlpha0), Offset{1});
  EXPECT_TRUE(Committed(a->worker->Commit({{Part(kAlpha0, 2, {Topic::kSnapshot}, "2")}})));
  EXPECT_NE((*again)->Commit({{Part(kAlpha0, 3, {Topic::kSnapshot}, "bad")}}).outcome,
            CommitOutcome::kCommitted);
  EXPECT_THAT(ValuesOf(Snapshots(*a->log, kAlpha0)), ElementsAre("1", "2"));
}

// Another identity is nobody's business.
TEST_P(LogContract, WorkersOfOneInstanceDoNotDisturbEachOther) {
  const auto a = OpenOwner("a");
  const auto second = a->log->OpenWorker(1);
  ASSERT_TRUE(second.ok()) << second.status();
  harness().Append(kAlpha0, Numbered(0, 20));
  harness().Append(kBeta0, Numbered(0, 20));
  std::jthread other([&] { CommitSnapshots(**second, kBeta0, 20); });
  CommitSnapshots(*a->worker, kAlpha0, 20);
  other.join();
  EXPECT_THAT(Snapshots(*a->log, kAlpha0), SizeIs(20));
  EXPECT_THAT(Snapshots(*a->log, kBeta0), SizeIs(20));
}

TEST_P(LogContract, ACommitBeforeJoiningOrAfterLeavingIsLostAndSaysWhich) {
  const auto a = Open("a");
  harness().Append(kAlpha0, Numbered(0, 1));
  const Transaction transaction{{Part(kAlpha0, 1, {Topic::kSnapshot})}};
  const CommitResult before = a->worker->Commit(transaction);
  EXPECT_EQ(before.outcome, CommitOutcome::kLost);
  EXPECT_THAT(before.lost, ElementsAre(kAlpha0));
  a->Join();
  a->listener.AwaitOwned(kAllPartitionCount);
  EXPECT_TRUE(Committed(CommitAtLast(*a->worker, transaction)));
  a->log->membership().Leave(absl::Seconds(10));
  EXPECT_THAT(a->listener.owned(), IsEmpty());
  const CommitResult after = a->worker->Commit(transaction);
  EXPECT_EQ(after.outcome, CommitOutcome::kLost);
  EXPECT_THAT(after.lost, ElementsAre(kAlpha0));
  EXPECT_THAT(Snapshots(*a->log, kAlpha0), SizeIs(1));
}

TEST_P(LogContract, TheLastTransactionOfAPartitionIsCommittedWhileItsInstanceLeaves) {
  const auto a = OpenOwner("a");
  a->listener.SetOnRevoked([&](const std::vector<DomainPartition>& partitions) {
    Transaction last;
    for (const auto& partition : partitions) {
      last.parts.push_back(Part(partition, 0, {Topic::kSnapshot}, "last"));
      last.parts.back().ownership = OwnershipMark::kRelease;
    }
    EXPECT_TRUE(Committed(CommitAtLast(*a->worker, last)));
  });
  a->log->membership().Leave(absl::Seconds(20));
  const size_t calls = CallsOf("a");
  a->listener.SetOnRevoked(nullptr);
  a->Close();
  EXPECT_EQ(CallsOf("a"), calls);
  const auto b = Open("b");
  for (const auto& partition : {kAlpha0, kAlpha1, kBeta0, kBeta1}) {
    EXPECT_THAT(ValuesOf(Snapshots(*b->log, partition)), ElementsAre("last"));
  }
}

TEST_P(LogContract, ReadingGoesOnOverAReopening) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 3));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  PollAll(*a->worker, 3);
  ASSERT_TRUE(a->worker->Reopen().ok());
  harness().Append(kAlpha0, Numbered(3, 5));
  EXPECT_THAT(ValuesOf(PollAll(*a->worker, 2)[kAlpha0]), ElementsAre("3", "4"));
}

TEST_P(SharedLogContract, ACommitForPartitionsOfOthersIsLostAndSaysWhich) {
  const auto a = OpenOwner("a");
  const auto b = Open("b");  // is no member: nothing is its own
  const CommitResult all = b->worker->Commit({{Part(kAlpha0, 1, {Topic::kSnapshot})}});
  EXPECT_EQ(all.outcome, CommitOutcome::kLost);
  EXPECT_THAT(all.lost, ElementsAre(kAlpha0));
  b->Join();
  b->listener.AwaitOwned(kAllPartitionCount / 2);
  a->listener.AwaitOwned(kAllPartitionCount / 2);

  Transaction transaction;
  for (const auto& partition : {kAlpha0, kAlpha1, kBeta0, kBeta1}) {
    transaction.parts.push_back(Part(partition, 1, {Topic::kSnapshot}));
  }
  const CommitResult some = b->worker->Commit(transaction);
  EXPECT_EQ(some.outcome, CommitOutcome::kLost);
  const auto of_a = a->listener.owned();
  EXPECT_THAT(some.lost, testing::UnorderedElementsAreArray(of_a.begin(), of_a.end()));
  for (const auto& partition : {kAlpha0, kAlpha1, kBeta0, kBeta1}) {
    EXPECT_THAT(Snapshots(*a->log, partition), IsEmpty());
  }
  std::erase_if(transaction.parts, [&](const auto& part) { return of_a.contains(part.partition); });
  EXPECT_TRUE(Committed(CommitAtLast(*b->worker, transaction)));
}

// --- opening partitions

TEST_P(LogContract, OpeningTellsTheBoundsAsOfNow) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 10));
  CommitSnapshots(*a->worker, kAlpha0, 3);
  ASSERT_TRUE(
      Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 4, {Topic::kReply, Topic::kReply})}})));
  ASSERT_TRUE(Committed(CommitAtLast(
      *a->worker, {{Part(kAlpha0, 5, {Topic::kEvent, Topic::kEvent, Topic::kEvent})}})));
  harness().Truncate(kAlpha0, Topic::kEvent, Offset{2});
  harness().Truncate(kAlpha0, Topic::kCommand, Offset{2});
  harness().Truncate(kAlpha0, Topic::kReply, Offset{1});
  const OpenedPartition opened = OpenOk(*a->log, kAlpha0);
  EXPECT_EQ(opened.committed, Offset{5});
  EXPECT_EQ(opened.event_begin, Offset{2});
  EXPECT_GE(opened.event_end, Offset{3});
  EXPECT_EQ(opened.command_begin, Offset{2});
  EXPECT_EQ(opened.snapshot_begin, Offset{0});
  EXPECT_GE(opened.snapshot_end, Offset{3});
  EXPECT_EQ(opened.reply_begin, Offset{1});
  EXPECT_GE(opened.reply_end, Offset{2});
}

TEST_P(LogContract, OpeningCanBeCancelled) {
  const auto a = Open("a");
  std::stop_source stop;
  stop.request_stop();
  const auto opened = a->log->OpenPartition(kAlpha0, stop.get_token());
  // What takes no time may be done all the same.
  EXPECT_TRUE(opened.ok() || absl::IsCancelled(opened.status())) << opened.status();
}

TEST_P(SharedLogContract, OpeningFencesAnOwnerThatDidNotRelease) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 9));
  TransactionPart claim = Part(kAlpha0, 1, {Topic::kSnapshot}, "1");
  claim.ownership = OwnershipMark::kClaim;
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{claim}})));
  const auto b = Open("b");
  EXPECT_EQ(OpenOk(*b->log, kAlpha0).committed, Offset{1});
  const CommitResult zombie = a->worker->Commit({{Part(kAlpha0, 2, {Topic::kSnapshot}, "bad")}});
  EXPECT_NE(zombie.outcome, CommitOutcome::kCommitted);
  EXPECT_THAT(ValuesOf(Snapshots(*b->log, kAlpha0)), ElementsAre("1"));
}

TEST_P(SharedLogContract, OpeningLeavesAnOwnerAloneThatReleased) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 9));
  harness().Append(kAlpha1, Numbered(0, 9));
  for (const auto mark : {OwnershipMark::kClaim, OwnershipMark::kRelease}) {
    TransactionPart part = Part(kAlpha0, 1, {Topic::kSnapshot}, "1");
    part.ownership = mark;
    ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  }
  const auto b = Open("b");
  OpenOk(*b->log, kAlpha0);
  const CommitResult others = a->worker->Commit({{Part(kAlpha1, 1, {Topic::kSnapshot})}});
  EXPECT_TRUE(Committed(others));
}

TEST_P(LogContract, AnOwnerCanOpenItsOwnPartitionAgain) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 9));
  TransactionPart claim = Part(kAlpha0, 1, {Topic::kSnapshot}, "1");
  claim.ownership = OwnershipMark::kClaim;
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{claim}})));
  EXPECT_EQ(OpenOk(*a->log, kAlpha0).committed, Offset{1});
  EXPECT_TRUE(Committed(a->worker->Commit({{Part(kAlpha0, 2, {Topic::kSnapshot}, "2")}})));
}

// An owner that died within a transaction holds up nobody until that times out.
TEST_P(SharedLogContract, TheTransactionThatADeadOwnerLeftOpenIsEndedAtOnce) {
  {
    const auto a = OpenOwner("a");
    harness().Append(kAlpha0, Numbered(0, 9));
    TransactionPart claim = Part(kAlpha0, 1, {Topic::kSnapshot}, "1");
    claim.ownership = OwnershipMark::kClaim;
    ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{claim}})));
  }
  const auto left_open = harness().BeginAs("a", kAlpha0);
  const auto b = OpenOwner("b");
  const absl::Time begin = absl::Now();
  EXPECT_EQ(OpenOk(*b->log, kAlpha0).committed, Offset{1});
  EXPECT_THAT(ValuesOf(Snapshots(*b->log, kAlpha0)), ElementsAre("1"));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(6));  // the transaction's timeout: 10 s and more
  EXPECT_FALSE(left_open->Commit());
  EXPECT_TRUE(Committed(CommitAtLast(*b->worker, {{Part(kAlpha0, 2, {Topic::kSnapshot}, "2")}})));
  EXPECT_THAT(ValuesOf(Snapshots(*b->log, kAlpha0)), ElementsAre("1", "2"));
}

// --- replaying

TEST_P(LogContract, AReplayHasTheRecordsFromOneOffsetToAnother) {
  const auto a = OpenOwner("a");
  TransactionPart part = Part(kAlpha0, 0);
  for (int i = 0; i < 3'000; ++i) {
    part.records.push_back(Output(Topic::kSnapshot, kAlpha0.partition, absl::StrCat(i)));
  }
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  const OpenedPartition opened = OpenOk(*a->log, kAlpha0);
  EXPECT_EQ(ValuesOf(ReplayOk(*a->log, kAlpha0, Topic::kSnapshot, Offset{0}, opened.snapshot_end)),
            ValuesOf(Numbered(0, 3'000)));
  EXPECT_EQ(ValuesOf(ReplayOk(*a->log, kAlpha0, Topic::kSnapshot, Offset{10}, Offset{12})),
            ValuesOf(Numbered(10, 12)));
  EXPECT_THAT(ReplayOk(*a->log, kAlpha0, Topic::kSnapshot, Offset{12}, Offset{12}), IsEmpty());
  EXPECT_THAT(
      ReplayOk(*a->log, kAlpha0, Topic::kSnapshot, opened.snapshot_end, opened.snapshot_end),
      IsEmpty());
}

TEST_P(LogContract, AReplayOutsideOfWhatIsThereIsOutOfRange) {
  const auto a = OpenOwner("a");
  const std::vector<Topic> five(5, Topic::kReply);
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{Part(kAlpha0, 0, five)}})));
  harness().Truncate(kAlpha0, Topic::kReply, Offset{4});
  const ReplaySink ignore = [](const auto&, Offset) { return absl::OkStatus(); };
  const Offset end = OpenOk(*a->log, kAlpha0).reply_end;
  const auto replay = [&](Offset from, Offset to) {
    return a->log->Replay(kAlpha0, Topic::kReply, from, to, ignore, {});
  };
  EXPECT_TRUE(absl::IsOutOfRange(replay(Offset{0}, end))) << replay(Offset{0}, end);
  EXPECT_TRUE(absl::IsOutOfRange(replay(Offset{end.value() + 5}, Offset{end.value() + 9})));
  EXPECT_TRUE(replay(Offset{4}, end).ok());
}

TEST_P(LogContract, AReplayCanBeCancelled) {
  const auto a = OpenOwner("a");
  CommitSnapshots(*a->worker, kAlpha0, 3);
  harness().Append(kAlpha0, Numbered(0, 3));
  const OpenedPartition opened = OpenOk(*a->log, kAlpha0);
  std::stop_source stop;
  stop.request_stop();
  int calls = 0;
  const ReplaySink count = [&](const auto&, Offset) {
    ++calls;
    return absl::OkStatus();
  };
  const absl::Status status = a->log->Replay(kAlpha0, Topic::kSnapshot, opened.snapshot_begin,
                                             opened.snapshot_end, count, stop.get_token());
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(calls, 0);
}

TEST_P(LogContract, AReplayThatIsCancelledUnderWayEndsSoon) {
  const auto a = OpenOwner("a");
  TransactionPart part = Part(kAlpha0, 0);
  for (int i = 0; i < 5'000; ++i) {
    part.records.push_back(Output(Topic::kSnapshot, kAlpha0.partition, absl::StrCat(i)));
  }
  ASSERT_TRUE(Committed(CommitAtLast(*a->worker, {{part}})));
  const OpenedPartition opened = OpenOk(*a->log, kAlpha0);
  std::stop_source stop;
  size_t got = 0;
  const ReplaySink cancel = [&](const std::vector<InputRecord>& records, Offset) {
    got += records.size();
    if (got > 0) stop.request_stop();
    return absl::OkStatus();
  };
  const absl::Status status = a->log->Replay(kAlpha0, Topic::kSnapshot, opened.snapshot_begin,
                                             opened.snapshot_end, cancel, stop.get_token());
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_LT(got, 5'000u);
}

TEST_P(LogContract, AnErrorOfTheSinkEndsTheReplay) {
  const auto a = OpenOwner("a");
  CommitSnapshots(*a->worker, kAlpha0, 2);
  harness().Append(kAlpha0, Numbered(0, 2));
  const OpenedPartition opened = OpenOk(*a->log, kAlpha0);
  int calls = 0;
  const ReplaySink fail = [&](const auto&, Offset) {
    ++calls;
    return absl::DataLossError("the store is broken");
  };
  const absl::Status status = a->log->Replay(kAlpha0, Topic::kSnapshot, opened.snapshot_begin,
                                             opened.snapshot_end, fail, {});
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(calls, 1);
}

TEST_P(LogContract, ReplaysOfSeveralPartitionsAndTopicsRunAtTheSameTime) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 5));
  harness().Append(kAlpha1, Numbered(0, 5));
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(Committed(
        CommitAtLast(*a->worker, {{Part(kAlpha0, i, {Topic::kSnapshot, Topic::kReply}),
                                   Part(kAlpha1, i, {Topic::kSnapshot, Topic::kReply})}})));
  }
  std::vector<std::jthread> readers;
  for (const auto& partition : {kAlpha0, kAlpha1}) {
    readers.emplace_back([&, partition] {
      for (int i = 0; i < 3; ++i) EXPECT_THAT(Snapshots(*a->log, partition), SizeIs(5));
    });
    readers.emplace_back([&, partition] {
      for (int i = 0; i < 3; ++i) EXPECT_THAT(Replies(*a->log, partition), SizeIs(5));
    });
  }
}

// --- membership

TEST_P(LogContract, AMemberAloneOwnsEverything) {
  const auto a = Open("a");
  EXPECT_FALSE(a->log->membership().joined());
  a->Join();
  a->listener.AwaitOwned(kAllPartitionCount);
  EXPECT_TRUE(a->log->membership().joined());
}

TEST_P(SharedLogContract, TwoMembersShareAndEachPartitionIsTakenBeforeItIsGiven) {
  const auto a = OpenOwner("a");
  const auto b = Open("b");
  b->Join();
  b->listener.AwaitOwned(kAllPartitionCount / 2);
  a->listener.AwaitOwned(kAllPartitionCount / 2);
  std::set<DomainPartition> all = a->listener.owned();
  for (const auto& partition : b->listener.owned()) {
    EXPECT_TRUE(all.insert(partition).second) << ToString(partition) << " has two owners";
  }
  EXPECT_THAT(all, SizeIs(kAllPartitionCount));
  std::map<DomainPartition, std::string> owner;
  auto& calls = const_cast<RecordingListener::Timeline&>(timeline());
  absl::MutexLock lock(&calls.mutex);
  for (const auto& call : calls.calls) {
    EXPECT_NE(call.what, "lost");
    if (call.what == "assigned") {
      EXPECT_EQ(owner[call.partition], "") << call.instance << " gets " << ToString(call.partition);
      owner[call.partition] = call.instance;
    } else {
      EXPECT_EQ(owner[call.partition], call.instance);
      owner[call.partition] = "";
    }
  }
}

TEST_P(SharedLogContract, TheLastTransactionOfAPartitionIsCommittedWhileItIsHandedOver) {
  const auto a = OpenOwner("a");
  for (const auto& partition : {kAlpha0, kAlpha1, kBeta0, kBeta1}) {
    harness().Append(partition, Numbered(0, 3));
  }
  std::vector<DomainPartition> handed_over;
  a->listener.SetOnRevoked([&](const std::vector<DomainPartition>& partitions) {
    Transaction last;
    for (const auto& partition : partitions) {
      last.parts.push_back(Part(partition, 3, {Topic::kSnapshot}, "last"));
      last.parts.back().ownership = OwnershipMark::kRelease;
      handed_over.push_back(partition);
    }
    EXPECT_TRUE(Committed(CommitAtLast(*a->worker, last)));
  });
  const auto b = Open("b");
  b->Join();
  b->listener.AwaitOwned(kAllPartitionCount / 2);
  for (const auto& partition : b->listener.owned()) {
    EXPECT_EQ(OpenOk(*b->log, partition).committed, Offset{3});
    EXPECT_THAT(ValuesOf(Snapshots(*b->log, partition)), ElementsAre("last"));
  }
  // The former owner goes on with what it kept, unfenced, and has lost what it gave.
  for (const auto& partition : a->listener.owned()) {
    EXPECT_TRUE(Committed(CommitAtLast(*a->worker, {{Part(partition, 1, {Topic::kSnapshot})}})));
  }
  for (const auto& partition : b->listener.owned()) {
    EXPECT_NE(a->worker->Commit({{Part(partition, 4)}}).outcome, CommitOutcome::kCommitted);
  }
  a->listener.SetOnRevoked(nullptr);
}

TEST_P(SharedLogContract, LeavingHandsEverythingOverAndThenTellsNothingMore) {
  const auto a = OpenOwner("a");
  const auto b = Open("b");
  b->Join();
  b->listener.AwaitOwned(kAllPartitionCount / 2);
  a->log->membership().Leave(absl::Seconds(10));
  EXPECT_FALSE(a->log->membership().joined());
  EXPECT_THAT(a->listener.owned(), IsEmpty());
  const size_t before = CallsOf("a");
  b->listener.AwaitOwned(kAllPartitionCount);
  EXPECT_EQ(CallsOf("a"), before);
  EXPECT_EQ(a->worker->Commit({{Part(kAlpha0, 1)}}).outcome, CommitOutcome::kLost);
}

// The group gives up on a member that takes too long. What that one still believes to own, it can't
// commit for: not even with an identity that nobody has fenced.
TEST_P(SharedLogContract, AMemberThatTheGroupGaveUpOnCanNotCommit) {
  const auto a = OpenOwner("a");
  harness().Append(kAlpha0, Numbered(0, 9));
  CommitSnapshots(*a->worker, kAlpha0, 1);
  absl::Notification stalled;
  absl::Notification go_on;
  a->listener.SetOnRevoked([&](const auto&) {
    if (!stalled.HasBeenNotified()) stalled.Notify();
    go_on.WaitForNotification();
  });
  const auto b = Open("b");
  b->Join();
  ASSERT_TRUE(stalled.WaitForNotificationWithTimeout(kContractDeadline));
  harness().Expel("a");
  b->listener.AwaitOwned(kAllPartitionCount);

  const CommitResult stale = a->worker->Commit({{Part(kAlpha0, 2, {Topic::kSnapshot}, "bad")}});
  EXPECT_NE(stale.outcome, CommitOutcome::kCommitted);
  if (stale.outcome != CommitOutcome::kLost) {
    // Neither after it has taken up its identity again.
    ASSERT_TRUE(a->worker->Reopen().ok());
    EXPECT_NE(a->worker->Commit({{Part(kAlpha0, 2, {Topic::kSnapshot}, "bad")}}).outcome,
              CommitOutcome::kCommitted);
  }
  EXPECT_EQ(OpenOk(*b->log, kAlpha0).committed, Offset{1});
  EXPECT_TRUE(Committed(CommitAtLast(*b->worker, {{Part(kAlpha0, 2, {Topic::kSnapshot}, "2")}})));
  EXPECT_THAT(ValuesOf(Snapshots(*b->log, kAlpha0)), ElementsAre("1", "2"));

  EXPECT_TRUE(Eventually([&] { return !a->log->membership().HoldsLease(); }));

  // It is told, joins again, and the two share.
  a->listener.SetOnRevoked(nullptr);
  go_on.Notify();
  b->listener.AwaitOwned(kAllPartitionCount / 2);
  a->listener.Await([&](const auto& owned) {
    const auto of_b = b->listener.owned();
    return owned.size() == kAllPartitionCount / 2 &&
           std::none_of(owned.begin(), owned.end(),
                        [&](const auto& partition) { return of_b.contains(partition); });
  });
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LogContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SharedLogContract);

}  // namespace esd
