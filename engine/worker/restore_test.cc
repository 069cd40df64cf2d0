#include "engine/worker/restore.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/worker/reply.h"
#include "tests/log/fault_log.h"
#include "tests/log/fault_store.h"
#include "tests/log/memory_log.h"

namespace esd {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

const DomainPartition kPartition{"users", PartitionId{0}};
constexpr absl::Duration kDeadline = absl::Seconds(30);

// A partition with topics that the test fills, and a store.
class RestoreTest : public testing::Test {
 protected:
  RestoreTest() : cluster_({.partitions = {{"users", 2}}}), log_(cluster_.OpenInstance("a"), 1) {}

  static std::string SnapshotValue(int64_t version, const std::string& state) {
    esd::v1::StoredSnapshot snapshot;
    snapshot.set_version(version);
    snapshot.set_state(state);
    return snapshot.SerializeAsString();
  }

  void AppendSnapshot(const std::string& key, int64_t version, const std::string& state) {
    cluster_.Append(kPartition, Topic::kSnapshot, {key, SnapshotValue(version, state), {}, {}, 0});
  }

  // A reply as the engine writes it; without a fingerprint when `fingerprint` is empty.
  void AppendReply(const std::string& key, const std::string& id, const std::string& reply,
                   const std::string& fingerprint) {
    TestRecord record{key, reply, {{"ce_id", id}}, {}, 0};
    if (!fingerprint.empty()) {
      record.headers.emplace_back(std::string(kFingerprintHeader), fingerprint);
    }
    cluster_.Append(kPartition, Topic::kReply, record);
  }

  // What an earlier restore or transaction left in the store.
  void Store(const std::string& key, int64_t version, int64_t command_offset,
             int64_t snapshot_offset, int64_t reply_offset = 0) {
    esd::v1::StoredCheckpoint checkpoint;
    checkpoint.set_command_offset(command_offset);
    checkpoint.set_snapshot_offset(snapshot_offset);
    checkpoint.set_reply_offset(reply_offset);
    StoreUpdate update;
    update.partition = kPartition;
    update.snapshots = {{key, SnapshotValue(version, "stored")}};
    update.checkpoint = checkpoint;
    ASSERT_TRUE(store_.Apply({update}).ok());
  }

  void AppendCommands(int count) {
    for (int i = 0; i < count; ++i) {
      cluster_.Append(kPartition, Topic::kCommand, {"key", "command", {}, {}, 0});
    }
  }

  absl::StatusOr<RestoredPartition> Restore(std::stop_token stop = {}) {
    return RestorePartition(log_, store_, kPartition, metrics_, std::move(stop));
  }

  // "3:state", or "none".
  std::string StoredSnapshotOf(const std::string& key) {
    const auto snapshot = store_.GetSnapshot(kPartition, key);
    if (!snapshot.ok()) return snapshot.status().ToString();
    if (!snapshot->has_value()) return "none";
    return absl::StrCat((*snapshot)->version(), ":", (*snapshot)->state());
  }

  std::string StoredReplyOf(const std::string& key, const std::string& id) {
    const auto outcome = store_.GetOutcome(kPartition, key, id);
    if (!outcome.ok()) return outcome.status().ToString();
    return outcome->has_value() ? (*outcome)->reply() : "none";
  }

  MemoryCluster cluster_;
  FaultLog log_;
  FaultStore store_;
  Metrics metrics_;
};

TEST_F(RestoreTest, APartitionWithoutPositionAndHistoryIsProcessedFromItsFirstCommand) {
  AppendCommands(3);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->next_command_offset, Offset{0});
  EXPECT_EQ(restored->checkpoint.command_offset(), 0);
}

TEST_F(RestoreTest, TheFirstCommandMayHaveBeenDeletedAlready) {
  AppendCommands(5);
  cluster_.Truncate(kPartition, Topic::kCommand, Offset{3});
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->next_command_offset, Offset{3});
}

TEST_F(RestoreTest, ASnapshotsLastStateIsRestoredAndTombstonesRemove) {
  AppendSnapshot("u", 0, "first");
  AppendSnapshot("gone", 0, "first");
  AppendSnapshot("u", 1, "second");
  cluster_.Append(kPartition, Topic::kSnapshot, {"gone", std::nullopt, {}, {}, 0});
  cluster_.Append(kPartition, Topic::kSnapshot, {std::nullopt, "no key", {}, {}, 0});
  cluster_.SetCommitted(kPartition, Offset{7});
  AppendCommands(9);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->next_command_offset, Offset{7});
  EXPECT_EQ(restored->checkpoint.command_offset(), 7);
  EXPECT_EQ(restored->checkpoint.snapshot_offset(), 5);
  EXPECT_EQ(StoredSnapshotOf("u"), "1:second");
  EXPECT_EQ(StoredSnapshotOf("gone"), "none");
  EXPECT_THAT(store_.Snapshots(kPartition), SizeIs(1));
}

// What a repair writes behind it makes up for it, long before the topic is compacted.
TEST_F(RestoreTest, ARecordThatIsNoSnapshotIsPassedOverWhenAnotherOfItsKeyFollows) {
  AppendSnapshot("u", 0, "first");
  for (const char* key : {"u", "gone"})
    cluster_.Append(kPartition, Topic::kSnapshot, {key, "\xff", {}, {}, 0});
  for (int i = 0; i < 100; ++i) AppendSnapshot(absl::StrCat("other", i), 0, "topic");
  AppendSnapshot("u", 1, "repaired");
  cluster_.Append(kPartition, Topic::kSnapshot, {"gone", std::nullopt, {}, {}, 0});
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(StoredSnapshotOf("u"), "1:repaired");
  EXPECT_EQ(StoredSnapshotOf("gone"), "none");
  EXPECT_EQ(restored->checkpoint.snapshot_offset(), 105);
}

// Turns red when the checkpoint passes the record: the second restore would know nothing of it.
TEST_F(RestoreTest, ARecordThatIsNoSnapshotEndsEveryRestoreUntilItIsMadeUpFor) {
  cluster_.Append(kPartition, Topic::kSnapshot, {"u", "\xff", {}, {}, 0});
  for (int i = 0; i < 100; ++i) AppendSnapshot(absl::StrCat("other", i), 0, "topic");
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  for (int i = 0; i < 2; ++i) {
    const auto restored = Restore();
    EXPECT_TRUE(absl::IsFailedPrecondition(restored.status()));
    EXPECT_THAT(std::string(restored.status().message()), HasSubstr("offset 0"));
  }
  AppendSnapshot("u", 0, "right");
  ASSERT_TRUE(Restore().ok());
  EXPECT_EQ(StoredSnapshotOf("u"), "0:right");
}

TEST_F(RestoreTest, AStoreThatIsBehindIsOnlyBroughtUpToDate) {
  for (int i = 0; i < 300; ++i) AppendSnapshot(absl::StrCat("u", i), 0, "topic");
  Store("u0", 0, /*command_offset=*/4, /*snapshot_offset=*/200);
  cluster_.SetCommitted(kPartition, Offset{5});
  AppendCommands(5);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(store_.drops(), 0);
  EXPECT_EQ(StoredSnapshotOf("u0"), "0:stored");
  EXPECT_EQ(StoredSnapshotOf("u199"), "none");
  EXPECT_EQ(StoredSnapshotOf("u200"), "0:topic");
  EXPECT_THAT(store_.Snapshots(kPartition), SizeIs(101));
  EXPECT_EQ(restored->checkpoint.snapshot_offset(), 300);
}

// The commands between the committed position and the checkpoint have had no effect: what the store
// says of them never happened.
TEST_F(RestoreTest, ACheckpointAheadOfTheCommittedPositionIsWiped) {
  AppendSnapshot("u", 0, "topic");
  Store("u", 5, /*command_offset=*/6, /*snapshot_offset=*/1);
  cluster_.SetCommitted(kPartition, Offset{5});
  AppendCommands(9);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(store_.drops(), 1);
  EXPECT_EQ(StoredSnapshotOf("u"), "0:topic");
  EXPECT_EQ(restored->next_command_offset, Offset{5});
}

TEST_F(RestoreTest, ACheckpointAheadOfTheSnapshotTopicIsWiped) {
  AppendSnapshot("u", 0, "topic");
  Store("other", 5, /*command_offset=*/1, /*snapshot_offset=*/100);
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  ASSERT_TRUE(Restore().ok());
  EXPECT_EQ(store_.drops(), 1);
  EXPECT_EQ(StoredSnapshotOf("u"), "0:topic");
  EXPECT_EQ(StoredSnapshotOf("other"), "none");
}

TEST_F(RestoreTest, ACheckpointAheadOfTheReplyTopicIsWiped) {
  AppendSnapshot("u", 0, "topic");
  Store("other", 5, /*command_offset=*/1, /*snapshot_offset=*/1, /*reply_offset=*/2);
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  ASSERT_TRUE(Restore().ok());
  EXPECT_EQ(store_.drops(), 1);
  EXPECT_EQ(StoredSnapshotOf("other"), "none");
}

// Tombstones of what the store still has may be among the records that are gone.
TEST_F(RestoreTest, ACheckpointThatTheSnapshotTopicNoLongerReachesIsWiped) {
  for (int i = 0; i < 10; ++i) AppendSnapshot(absl::StrCat("u", i), 0, "topic");
  cluster_.Truncate(kPartition, Topic::kSnapshot, Offset{4});
  Store("deleted", 5, /*command_offset=*/1, /*snapshot_offset=*/2);
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  ASSERT_TRUE(Restore().ok());
  EXPECT_EQ(store_.drops(), 1);
  EXPECT_EQ(StoredSnapshotOf("deleted"), "none");
  EXPECT_THAT(store_.Snapshots(kPartition), SizeIs(6));
}

// Replies expire in their topic as they do in the store.
TEST_F(RestoreTest, RepliesThatAreGoneFromTheirTopicAreNoReasonToWipe) {
  for (int i = 0; i < 10; ++i) AppendReply("u", absl::StrCat("id", i), "reply", "00000000000000aa");
  cluster_.Truncate(kPartition, Topic::kReply, Offset{4});
  Store("u", 5, /*command_offset=*/1, /*snapshot_offset=*/0, /*reply_offset=*/2);
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(store_.drops(), 0);
  EXPECT_EQ(StoredReplyOf("u", "id3"), "none");
  EXPECT_EQ(StoredReplyOf("u", "id4"), "reply");
  EXPECT_EQ(restored->checkpoint.reply_offset(), 10);
}

TEST_F(RestoreTest, HistoryWithoutACommittedPositionIsAnErrorThatNamesTheFix) {
  AppendCommands(3);
  AppendSnapshot("u", 0, "topic");
  const auto restored = Restore();
  EXPECT_TRUE(absl::IsFailedPrecondition(restored.status())) << restored.status();
  EXPECT_THAT(std::string(restored.status().message()), HasSubstr("users-command/0"));
  EXPECT_THAT(std::string(restored.status().message()), HasSubstr("--group"));
}

TEST_F(RestoreTest, OutcomesAreHistoryToo) {
  AppendCommands(3);
  AppendReply("u", "id", "reply", "00000000000000aa");
  EXPECT_TRUE(absl::IsFailedPrecondition(Restore().status()));
}

// A rejection without a command id is an effect like any other: its reply would come a second time.
TEST_F(RestoreTest, RepliesWithoutAFingerprintAreHistoryToo) {
  AppendCommands(3);
  AppendReply("u", "", "rejected", "");
  EXPECT_TRUE(absl::IsFailedPrecondition(Restore().status()));
}

TEST_F(RestoreTest, AStoreWithACheckpointButNoCommittedPositionIsWiped) {
  Store("u", 5, /*command_offset=*/1, /*snapshot_offset=*/0);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(store_.drops(), 1);
  EXPECT_EQ(restored->next_command_offset, Offset{0});
}

TEST_F(RestoreTest, OnlyRepliesWithAFingerprintAreOutcomes) {
  AppendReply("u", "with", "outcome", "00000000000000aa");
  AppendReply("u", "without", "no outcome", "");
  AppendReply("u", "broken", "no outcome", "not sixteen digits");
  AppendReply("u", "", "no id", "00000000000000aa");
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  ASSERT_TRUE(Restore().ok());
  EXPECT_EQ(StoredReplyOf("u", "with"), "outcome");
  EXPECT_EQ(StoredReplyOf("u", "without"), "none");
  EXPECT_EQ(StoredReplyOf("u", "broken"), "none");
  EXPECT_EQ(StoredReplyOf("u", ""), "none");
  const auto outcome = store_.GetOutcome(kPartition, "u", "with");
  EXPECT_EQ((*outcome)->fingerprint(), 0xaau);
  EXPECT_NEAR(static_cast<double>((*outcome)->recorded_ms()),
              static_cast<double>(absl::ToUnixMillis(absl::Now())), 60'000);
}

TEST_F(RestoreTest, AnOutcomeKnowsWhereItsCommandIs) {
  const auto append = [&](const std::string& id, const char* position) {
    TestRecord record{"u", "reply", {{"ce_id", id}}, {}, 0};
    record.headers.emplace_back(std::string(kFingerprintHeader), "00000000000000aa");
    if (position != nullptr)
      record.headers.emplace_back(std::string(kSourcePositionHeader), position);
    cluster_.Append(kPartition, Topic::kReply, record);
  };
  append("known", "0:17");
  append("unknown", nullptr);
  append("broken", "0:");
  append("without a partition", "17");
  append("negative", "0:-1");
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  ASSERT_TRUE(Restore().ok());
  const auto known = store_.GetOutcome(kPartition, "u", "known");
  EXPECT_EQ((*known)->command_offset(), 17);
  for (const char* id : {"unknown", "broken", "without a partition", "negative"}) {
    const auto outcome = store_.GetOutcome(kPartition, "u", id);
    ASSERT_TRUE(outcome.ok() && outcome->has_value()) << id;
    EXPECT_FALSE((*outcome)->has_command_offset()) << id;
  }
}

// --- the history

TEST_F(RestoreTest, ItTellsWhatTheHistoryLacks) {
  for (int i = 0; i < 10; ++i) cluster_.Append(kPartition, Topic::kEvent, {"u", "e", {}, {}, 0});
  cluster_.Truncate(kPartition, Topic::kEvent, Offset{2});
  ASSERT_TRUE(store_.UpdateHistory(kPartition, {}, Offset{7}).ok());
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->events.begin, Offset{2});
  EXPECT_EQ(restored->events.end, Offset{10});
  EXPECT_EQ(restored->history_offset, Offset{7});
  ASSERT_TRUE(store_.DropHistory().ok());
  EXPECT_EQ(Restore()->history_offset, std::nullopt);
}

// What it holds are events of a topic that is gone.
TEST_F(RestoreTest, AHistoryAheadOfTheEventTopicIsWiped) {
  AppendSnapshot("u", 0, "topic");
  cluster_.Append(kPartition, Topic::kEvent, {"u", "event", {}, {}, 0});
  Store("u", 0, /*command_offset=*/1, /*snapshot_offset=*/1);
  ASSERT_TRUE(store_.UpdateHistory(kPartition, {{"gone", Version{0}, ""}}, Offset{2}).ok());
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->history_offset, std::nullopt);
  EXPECT_EQ(store_.drops(), 1);
  const auto events = store_.ListEvents(kPartition, "gone", Version{0}, 10, 1'000);
  ASSERT_TRUE(events.ok());
  EXPECT_THAT(*events, SizeIs(0));
  EXPECT_EQ(StoredSnapshotOf("u"), "0:topic");
}

// The changelog is cut between the opening and the replay.
TEST_F(RestoreTest, AReplayThatIsOutOfRangeRebuildsTheStore) {
  class Cutting : public FaultLog {
   public:
    Cutting(MemoryCluster* cluster, std::unique_ptr<Log> log)
        : FaultLog(std::move(log), 1), cluster_(cluster) {}
    absl::StatusOr<OpenedPartition> OpenPartition(const DomainPartition& partition,
                                                  std::stop_token stop) override {
      auto opened = FaultLog::OpenPartition(partition, std::move(stop));
      if (!std::exchange(cut_, true)) cluster_->Truncate(partition, Topic::kSnapshot, Offset{6});
      return opened;
    }

   private:
    MemoryCluster* const cluster_;
    bool cut_ = false;
  };
  for (int i = 0; i < 10; ++i) AppendSnapshot(absl::StrCat("u", i), 0, "topic");
  Store("deleted", 5, /*command_offset=*/1, /*snapshot_offset=*/2);
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  Cutting log(&cluster_, cluster_.OpenInstance("b"));
  Restorer restorer(&log, &store_, &metrics_, [] {});
  restorer.Submit(kPartition);
  std::vector<Restorer::Finished> finished;
  for (const absl::Time deadline = absl::Now() + kDeadline;
       finished.empty() && absl::Now() < deadline; absl::SleepFor(absl::Milliseconds(1))) {
    finished = restorer.TakeFinished();
  }
  ASSERT_THAT(finished, SizeIs(1));
  ASSERT_TRUE(finished[0].result.ok()) << finished[0].result.status();
  EXPECT_EQ(StoredSnapshotOf("deleted"), "none");
  EXPECT_THAT(store_.Snapshots(kPartition), SizeIs(4));
}

TEST_F(RestoreTest, AnErrorOfTheStoreEndsTheRestore) {
  AppendSnapshot("u", 0, "topic");
  cluster_.SetCommitted(kPartition, Offset{0});
  store_.FailApply(absl::DataLossError("broken"));
  EXPECT_TRUE(absl::IsDataLoss(Restore().status()));
}

TEST_F(RestoreTest, AReplayThatBreaksOffLeavesACheckpointToGoOnFrom) {
  for (int i = 0; i < 120; ++i) AppendSnapshot(absl::StrCat("u", i), 0, "topic");
  cluster_.SetCommitted(kPartition, Offset{1});
  AppendCommands(1);
  log_.SetRates({.replay_partial = 1});
  EXPECT_TRUE(absl::IsUnavailable(Restore().status()));
  const auto half = store_.Snapshots(kPartition).size();
  EXPECT_GT(half, 0u);
  EXPECT_LT(half, 120u);
  log_.SetRates({});
  ASSERT_TRUE(Restore().ok());
  EXPECT_EQ(store_.drops(), 0);
  EXPECT_THAT(store_.Snapshots(kPartition), SizeIs(120));
}

// --- the restorer

class RestorerTest : public RestoreTest {
 protected:
  RestorerTest() {
    for (int i = 0; i < 200; ++i) AppendSnapshot(absl::StrCat("u", i), 0, "topic");
    cluster_.SetCommitted(kPartition, Offset{1});
    AppendCommands(1);
  }

  std::vector<Restorer::Finished> Await(Restorer& restorer) {
    for (const absl::Time deadline = absl::Now() + kDeadline; absl::Now() < deadline;) {
      auto finished = restorer.TakeFinished();
      if (!finished.empty()) return finished;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return {};
  }
};

TEST_F(RestorerTest, ErrorsThatMayPassAreTriedAgain) {
  log_.FailOpens(2);
  log_.FailReplays(1);
  absl::Notification told;
  Restorer restorer(&log_, &store_, &metrics_, [&] { told.Notify(); });
  restorer.Submit(kPartition);
  ASSERT_TRUE(told.WaitForNotificationWithTimeout(kDeadline));
  const auto finished = Await(restorer);
  ASSERT_THAT(finished, SizeIs(1));
  EXPECT_TRUE(finished[0].result.ok()) << finished[0].result.status();
  EXPECT_EQ(finished[0].partition, kPartition);
  EXPECT_THAT(store_.Snapshots(kPartition), SizeIs(200));
}

TEST_F(RestorerTest, OtherErrorsAreTheResult) {
  store_.FailApply(absl::DataLossError("broken"));
  Restorer restorer(&log_, &store_, &metrics_, [] {});
  restorer.Submit(kPartition);
  const auto finished = Await(restorer);
  ASSERT_THAT(finished, SizeIs(1));
  EXPECT_TRUE(absl::IsDataLoss(finished[0].result.status()));
}

TEST_F(RestorerTest, ACancelledRestoreEndsSoonThoughTheLogCanNotBeReached) {
  log_.FailOpens(1'000'000);
  Restorer restorer(&log_, &store_, &metrics_, [] {});
  restorer.Submit(kPartition);
  const absl::Time begin = absl::Now();
  restorer.Cancel(kPartition);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_THAT(restorer.TakeFinished(), SizeIs(0));
}

// A replay that goes on until it is asked to stop.
TEST_F(RestorerTest, ACancelledReplayEndsSoonAndIsNotFinished) {
  class Endless : public FaultLog {
   public:
    using FaultLog::FaultLog;
    absl::Status Replay(const DomainPartition&, Topic, Offset, Offset, const ReplaySink& sink,
                        std::stop_token stop) override {
      if (!replaying.HasBeenNotified()) replaying.Notify();
      for (const absl::Time deadline = absl::Now() + kDeadline; !stop.stop_requested();) {
        if (absl::Status status = sink({}, Offset{0}); !status.ok()) return status;
        if (absl::Now() > deadline) return absl::InternalError("nobody asked to stop");
        absl::SleepFor(absl::Milliseconds(1));
      }
      return absl::CancelledError();
    }
    absl::Notification replaying;
  };
  Endless log(cluster_.OpenInstance("b"), 1);
  Restorer restorer(&log, &store_, &metrics_, [] {});
  restorer.Submit(kPartition);
  ASSERT_TRUE(log.replaying.WaitForNotificationWithTimeout(kDeadline));
  restorer.Cancel(kPartition);
  EXPECT_THAT(restorer.TakeFinished(), SizeIs(0));
}

TEST_F(RestorerTest, WhatWaitsCanBeCancelledAndSubmittedAgain) {
  const DomainPartition other{"users", PartitionId{1}};
  log_.FailOpens(1);
  Restorer restorer(&log_, &store_, &metrics_, [] {});
  restorer.Submit(kPartition);
  restorer.Submit(other);
  restorer.Cancel(other);
  restorer.Cancel(kPartition);
  restorer.Submit(other);
  const auto finished = Await(restorer);
  ASSERT_THAT(finished, SizeIs(1));
  EXPECT_EQ(finished[0].partition, other);
}

TEST_F(RestorerTest, ItCanBeDestroyedInTheMiddle) {
  log_.FailOpens(1'000'000);
  Restorer restorer(&log_, &store_, &metrics_, [] {});
  restorer.Submit(kPartition);
  restorer.Submit({"users", PartitionId{1}});
}

}  // namespace
}  // namespace esd
