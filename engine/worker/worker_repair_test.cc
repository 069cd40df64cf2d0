// Repairs of snapshots by the worker, on a log in memory that fails as told.
#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <security/v1/security.pb.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/worker/worker_test.h"

namespace esd {
namespace {

using ::testing::ElementsAre;

class WorkerRepairTest : public testing::Test {
 protected:
  WorkerRepairTest() : cluster_({.partitions = {{"security", kTestPartitions}}}) {
    spdlog::set_level(spdlog::level::off);  // every test makes it complain
    user_ = UserIn(1);
    Send(Register(user_, "Alex"));
    Send(Rename(user_, "Sam"));
    instance_ = Start();
  }

  // A process on the store, with the partition.
  std::unique_ptr<TestInstance> Start() {
    auto instance = std::make_unique<TestInstance>(&cluster_, "a", &store_);
    cluster_.Assign("a", {P(1)});
    EXPECT_TRUE(Await([&] { return Ask(instance.get(), {}).ok(); }));
    EXPECT_TRUE(AwaitVersion(1));
    return instance;
  }

  void Send(const TestRecord& command) { cluster_.Append(P(1), Topic::kCommand, command); }

  // Waits until the store has what the commands come to.
  bool AwaitVersion(int64_t version) {
    return Await([&] { return Stored() && Stored()->version() == version; });
  }

  absl::StatusOr<RepairResult> Asked(std::vector<SnapshotRepair> repairs) {
    return Ask(instance_.get(), std::move(repairs));
  }
  static absl::StatusOr<RepairResult> Ask(TestInstance* instance,
                                          std::vector<SnapshotRepair> repairs) {
    auto answered = std::make_shared<absl::Notification>();
    auto answer = std::make_shared<absl::StatusOr<RepairResult>>();
    instance->pool().Repair(P(1), std::move(repairs),
                            [answer, answered](absl::StatusOr<RepairResult> result) {
                              *answer = std::move(result);
                              answered->Notify();
                            });
    if (!answered->WaitForNotificationWithTimeout(kTestDeadline))
      return absl::DeadlineExceededError("no answer");
    return *answer;
  }

  std::optional<esd::v1::StoredSnapshot> Stored() const { return *store_.GetSnapshot(P(1), user_); }
  std::optional<SeenSnapshot> Seen() const {
    const auto stored = Stored();
    return stored ? std::optional(SeenOf(*stored)) : std::nullopt;
  }
  std::string Snapshot(int64_t version, const std::string& name) const {
    ::security::v1::User state;
    state.set_email(user_);
    state.set_name(name);
    esd::v1::StoredSnapshot snapshot;
    snapshot.set_version(version);
    snapshot.set_state(state.SerializeAsString());
    return snapshot.SerializeAsString();
  }
  // What the changelog says of the user; nothing after a tombstone.
  std::optional<std::string> InChangelog() const {
    return cluster_.Read(P(1), Topic::kSnapshot).back().value;
  }
  int64_t ChangelogEnd() const {
    return Next(cluster_.Read(P(1), Topic::kSnapshot).back().offset).value();
  }
  int64_t SnapshotOffset() const { return (*store_.GetCheckpoint(P(1)))->snapshot_offset(); }

  MemoryCluster cluster_;
  HookedStore store_;
  std::string user_;
  std::unique_ptr<TestInstance> instance_;
};

TEST_F(WorkerRepairTest, ARepairedSnapshotIsInChangelogAndStoreAndMetByTheNextCommand) {
  const auto committed = cluster_.Committed(P(1));
  const auto result = Asked({{user_, Seen(), Snapshot(4, "Eve")}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->done, ElementsAre(true));
  EXPECT_EQ(InChangelog(), Snapshot(4, "Eve"));
  EXPECT_EQ(Stored()->SerializeAsString(), Snapshot(4, "Eve"));
  EXPECT_EQ(cluster_.Committed(P(1)), committed);
  EXPECT_EQ(result->snapshot_end.value(), SnapshotOffset());
  EXPECT_EQ(SnapshotOffset(), ChangelogEnd());
  Send(Rename(user_, "Kim"));
  ASSERT_TRUE(AwaitVersion(5));
}

// Turns red without the comparison: the repair takes the rename back.
TEST_F(WorkerRepairTest, AnAggregateThatHasChangedIsLeftAsItIs) {
  const auto seen = Seen();
  Send(Rename(user_, "Kim"));
  ASSERT_TRUE(AwaitVersion(2));
  const std::string other = UserIn(1, 1);
  const auto result = Asked({{user_, seen, Snapshot(1, "Sam")}, {other, std::nullopt, ""}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->done, ElementsAre(false, true));
  EXPECT_EQ(Stored()->version(), 2);
}

TEST_F(WorkerRepairTest, AnAggregateThatCameMeanwhileIsNotRemoved) {
  const auto result = Asked({{user_, std::nullopt, ""}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->done, ElementsAre(false));
  EXPECT_EQ(Stored()->version(), 1);
}

TEST_F(WorkerRepairTest, AnUnexpectedSnapshotIsRemovedFromChangelogAndStore) {
  const auto result = Asked({{user_, Seen(), ""}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(InChangelog(), std::nullopt);
  EXPECT_EQ(Stored(), std::nullopt);
  EXPECT_EQ(SnapshotOffset(), ChangelogEnd());
}

TEST_F(WorkerRepairTest, ARepairIsDoneOnceWhateverBecomesOfItsTransaction) {
  for (const CommitFault fault : {CommitFault::kAborted, CommitFault::kFenced,
                                  CommitFault::kUnknownDone, CommitFault::kUnknownNotDone}) {
    instance_->log().ScriptCommits({fault});
    const auto seen = Seen();
    const int64_t next = seen->version.value() + 1;
    const auto result = Asked({{user_, seen, Snapshot(next, "Eve")}});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(result->done, ElementsAre(true));
    EXPECT_EQ(InChangelog(), Snapshot(next, "Eve"));
    EXPECT_EQ(Stored()->version(), next);
  }
}

TEST_F(WorkerRepairTest, APartitionThatIsHandedOverIsNotRepaired) {
  cluster_.Revoke("a", {P(1)});
  const auto records = cluster_.Read(P(1), Topic::kSnapshot).size();
  const auto result = Asked({{user_, Seen(), Snapshot(4, "Eve")}});
  EXPECT_TRUE(absl::IsUnavailable(result.status())) << result.status();
  EXPECT_EQ(cluster_.Read(P(1), Topic::kSnapshot).size(), records);
}

TEST_F(WorkerRepairTest, APartitionThatIsLostDuringTheTransactionIsNotRepaired) {
  instance_->log().SetLose([this](const DomainPartition& p) { cluster_.Expel("a", {p}); });
  instance_->log().ScriptCommits({CommitFault::kLost});
  const auto result = Asked({{user_, Seen(), Snapshot(4, "Eve")}});
  EXPECT_TRUE(absl::IsUnavailable(result.status())) << result.status();
  EXPECT_EQ(Stored()->version(), 1);
}

TEST_F(WorkerRepairTest, ASnapshotThatItsTopicDoesNotTakeIsLeftOut) {
  const std::string large(size_t{2} << 20, 'x');
  const auto result = Asked({{user_, Seen(), Snapshot(4, large)}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->done, ElementsAre(false));
}

// Turns red when the worker answers in the midst of a transaction.
TEST_F(WorkerRepairTest, WithoutRepairsItTellsWhereThePartitionStandsBetweenTransactions) {
  for (int i = 0; i < 50; ++i) {
    Send(Rename(user_, absl::StrCat("Name", i)));
    const auto result = Asked({});
    ASSERT_TRUE(result.ok()) << result.status();
    const int64_t stored = Stored()->version();
    const auto events = cluster_.Read(P(1), Topic::kEvent);
    const auto known = std::count_if(events.begin(), events.end(), [&](const TestRecord& event) {
      return event.offset < result->event_end;
    });
    EXPECT_GE(known, 2);
    EXPECT_GE(stored, known - 1);
  }
}

}  // namespace
}  // namespace esd
