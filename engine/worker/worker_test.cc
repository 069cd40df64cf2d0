// The worker on a log in memory that fails as told, with the domain `security`.
#include "engine/worker/worker_test.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "domain/security/security.h"
#include "engine/base/murmur2.h"
#include "engine/worker/worker.h"

namespace esd {

DomainPartition P(int32_t partition) { return {"security", PartitionId{partition}}; }

std::string UserIn(int32_t partition, int n) {
  for (int i = 0;; ++i) {
    std::string email = absl::StrCat("user", i, "@example.com");
    if (PartitionForKey(email, kTestPartitions) == PartitionId{partition} && n-- == 0) return email;
  }
}

namespace {

TestRecord CommandRecord(const std::string& key, std::string value, const std::string& id) {
  TestRecord record{key, std::move(value), {}, {}, 0};
  if (!id.empty()) record.headers.emplace_back("ce_id", id);
  return record;
}

std::string EventValue(const char* type, const std::string& email, const std::string& name,
                       int64_t version) {
  return absl::StrCat(R"({"type":")", type, R"(","event":{"email":")", email, R"(","name":")", name,
                      R"(","version":)", version, "}}");
}

}  // namespace

TestRecord Register(const std::string& email, const std::string& name, const std::string& id) {
  return CommandRecord(email,
                       absl::StrCat(R"({"type":"RegisterUserCommand","command":{"name":")", name,
                                    R"(","email":")", email, R"("}})"),
                       id);
}

TestRecord Rename(const std::string& email, const std::string& name, const std::string& id) {
  return CommandRecord(email,
                       absl::StrCat(R"({"type":"ChangeUserNameCommand","command":{"email":")",
                                    email, R"(","newName":")", name, R"("}})"),
                       id);
}

std::string Registered(const std::string& email, const std::string& name) {
  return EventValue("UserRegisteredEvent", email, name, 0);
}

std::string Renamed(const std::string& email, const std::string& name, int64_t version) {
  return EventValue("UserNameChangedEvent", email, name, version);
}

TestInstance::TestInstance(MemoryCluster* cluster, std::string id, HookedStore* store,
                           const TestInstanceOptions& options)
    : id_(std::move(id)),
      log_(cluster->OpenInstance(id_), options.seed, /*print_seed=*/false),
      store_(store) {
  domains_["security"] = MakeAggregateType<security::Security>("security");
  const auto on_failure = [this](const absl::Status& error) {
    absl::MutexLock lock(&mutex_);
    failure_.Update(error);
  };
  if (options.history) {
    history_ = std::make_unique<History>(&log_, store_, &metrics_, on_failure);
  } else {
    EXPECT_TRUE(store_->DropHistory().ok());
  }
  auto pool = WorkerPool::Start(
      options.workers,
      {&log_, store_, &domains_, &metrics_, on_failure, {}, options.listener, history_.get()});
  EXPECT_TRUE(pool.ok()) << pool.status();
  pool_ = *std::move(pool);
  EXPECT_TRUE(log_.membership().Join(pool_.get()).ok());
}

TestInstance::~TestInstance() { log_.membership().Leave(absl::InfiniteDuration()); }

absl::Status TestInstance::failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() : cluster_({.partitions = {{"security", kTestPartitions}}}) {
    spdlog::set_level(spdlog::level::off);  // every test makes it complain
  }

  std::unique_ptr<TestInstance> Start(const std::string& id) { return Start(id, {}); }

  std::unique_ptr<TestInstance> Start(const std::string& id, const TestInstanceOptions& options) {
    return std::make_unique<TestInstance>(&cluster_, id, &stores_[id], options);
  }

  // Gives the partitions to the instance and waits until it processes them.
  void Give(const std::string& id, const std::vector<DomainPartition>& partitions) {
    cluster_.Assign(id, partitions);
    for (const DomainPartition& partition : partitions) {
      EXPECT_TRUE(Await([&] { return cluster_.Committed(partition).has_value(); }));
    }
  }

  void Send(int32_t partition, const TestRecord& command) {
    cluster_.Append(P(partition), Topic::kCommand, command);
  }

  // Waits until all commands of the partition have had their effect.
  testing::AssertionResult AwaitProcessed(int32_t partition,
                                          absl::Duration timeout = kTestDeadline) const {
    const auto processed = [&] {
      const auto commands = cluster_.Read(P(partition), Topic::kCommand);
      const auto committed = cluster_.Committed(P(partition));
      return commands.empty() || (committed && *committed > commands.back().offset);
    };
    if (Await(processed, timeout)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "partition " << partition << " was not processed";
  }

  std::vector<std::string> Values(int32_t partition, Topic topic) const {
    std::vector<std::string> values;
    for (const TestRecord& record : cluster_.Read(P(partition), topic)) {
      values.push_back(record.value.value_or("(null)"));
    }
    return values;
  }
  std::vector<std::string> Events(int32_t partition) const {
    return Values(partition, Topic::kEvent);
  }

  // Waits until the store has the aggregate at that version.
  testing::AssertionResult AwaitStored(TestInstance& instance, int32_t partition,
                                       const std::string& email, int64_t version) {
    const auto stored = [&] {
      const auto snapshot = instance.store().GetSnapshot(P(partition), email);
      return snapshot.ok() && snapshot->has_value() && (*snapshot)->version() == version;
    };
    if (Await(stored, absl::Seconds(10))) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "the store has no version " << version;
  }

  MemoryCluster cluster_;
  std::map<std::string, HookedStore> stores_;
};

// --- the race that the engine exists to remove

// Turns red when pending writes are ignored: the rename meets no user.
TEST_F(WorkerTest, ARenameRightAfterARegistrationSeesTheUser) {
  const std::string user = UserIn(1);
  Send(1, Register(user, "Alex"));
  Send(1, Rename(user, "Alex1"));
  const auto a = Start("a");
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1)));
}

// Turns red when pending writes are ignored: all three get version 1.
TEST_F(WorkerTest, ThreeQuickRenamesGetVersionsOneTwoThree) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  Give("a", {P(1)});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  cluster_.AppendTogether({{P(1), Rename(user, "Alex1")},
                           {P(1), Rename(user, "Alex2")},
                           {P(1), Rename(user, "Alex3")}});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1),
                                     Renamed(user, "Alex2", 2), Renamed(user, "Alex3", 3)));
  EXPECT_TRUE(AwaitStored(*a, 1, user, 3));
}

TEST_F(WorkerTest, AnAggregateHasOneSnapshotRecordPerTransaction) {
  const std::string user = UserIn(1);
  const std::string other = UserIn(1, 1);
  Send(1, Register(user, "Alex"));
  Send(1, Register(other, "Bob"));
  for (const char* name : {"Alex1", "Alex2", "Alex3"}) Send(1, Rename(user, name));
  const auto a = Start("a");
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  std::map<std::string, std::vector<int64_t>> versions;
  for (const TestRecord& record : cluster_.Read(P(1), Topic::kSnapshot)) {
    esd::v1::StoredSnapshot snapshot;
    ASSERT_TRUE(snapshot.ParseFromString(*record.value));
    versions[*record.key].push_back(snapshot.version());
  }
  EXPECT_THAT(versions[user], ElementsAre(3));
  EXPECT_THAT(versions[other], ElementsAre(0));
}

TEST_F(WorkerTest, ACommandInAWrongPartitionIsProcessedInItsOwn) {
  const std::string user = UserIn(2);
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1)});
  Give("b", {P(2)});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  ASSERT_TRUE(AwaitProcessed(2));
  EXPECT_THAT(Events(1), IsEmpty());
  EXPECT_THAT(Events(2), ElementsAre(Registered(user, "Alex")));
}

// --- transactions

TEST_F(WorkerTest, OneTransactionCoversWhatWaitsInAllPartitions) {
  std::atomic<size_t> most_parts = 0;
  std::atomic<int> transactions = 0;
  const auto a = Start("a");
  Give("a", {P(0), P(1), P(2)});
  a->log().OnCommit([&](const Transaction& transaction) {
    most_parts = std::max<size_t>(most_parts, transaction.parts.size());
    ++transactions;
  });
  cluster_.AppendTogether({{P(0), Register(UserIn(0), "Alex")},
                           {P(1), Register(UserIn(1), "Bob")},
                           {P(2), Register(UserIn(2), "Cleo")}});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(AwaitProcessed(i));
  EXPECT_EQ(most_parts, 3u);
  EXPECT_EQ(transactions, 1);
}

// Turns red when the store is written before the commit.
TEST_F(WorkerTest, TheStoreIsWrittenOnlyAfterTheCommit) {
  std::atomic<int> looked = 0;
  const std::string user = UserIn(1);
  const auto a = Start("a");
  a->log().OnCommit([&](const Transaction& transaction) {
    for (const TransactionPart& part : transaction.parts) {
      for (const OutputRecord& record : part.records) {
        if (record.topic != Topic::kSnapshot) continue;
        esd::v1::StoredSnapshot written;
        EXPECT_TRUE(written.ParseFromString(*record.value));
        const auto stored = a->store().GetSnapshot(part.partition, *record.key);
        EXPECT_TRUE(stored.ok());
        EXPECT_LT(stored->has_value() ? (*stored)->version() : -1, written.version());
        const auto checkpoint = a->store().GetCheckpoint(part.partition);
        EXPECT_TRUE(checkpoint.ok());
        EXPECT_LT((*checkpoint)->command_offset(), part.next_command_offset.value());
        ++looked;
      }
    }
  });
  Give("a", {P(1)});
  a->log().ScriptCommits(
      {CommitFault::kAborted, CommitFault::kFenced, CommitFault::kUnknownNotDone});
  cluster_.AppendTogether({{P(1), Register(user, "Alex")}, {P(1), Rename(user, "Alex1")}});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_EQ(looked, 4);
  EXPECT_TRUE(AwaitStored(*a, 1, user, 1));
}

TEST_F(WorkerTest, AnAbortedTransactionIsTriedAgain) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().ScriptCommits({CommitFault::kAborted, CommitFault::kAborted});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex")));
  EXPECT_EQ(a->log().reopens(), 0);
}

TEST_F(WorkerTest, AFencedWorkerReopensAndTriesAgain) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().ScriptCommits({CommitFault::kFenced});
  a->log().FailReopens(2);
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex")));
  EXPECT_EQ(a->log().reopens(), 3);
  EXPECT_EQ(a->log().commits_while_closed(), 0);
}

// Turns red when kUnknown is treated as not committed: every event is there twice.
TEST_F(WorkerTest, AnUnknownTransactionThatWasCommittedIsNotProcessedTwice) {
  const std::string user = UserIn(1);
  const std::string elsewhere = UserIn(2);
  const auto a = Start("a");
  Give("a", {P(1), P(2)});
  a->log().ScriptCommits({CommitFault::kUnknownDone});
  Send(1, Register(user, "Alex", "id-1"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 0));
  a->log().ScriptCommits({CommitFault::kUnknownDone});
  cluster_.AppendTogether({{P(1), Rename(user, "Alex1")}, {P(2), Register(elsewhere, "Bob")}});
  ASSERT_TRUE(AwaitStored(*a, 1, user, 1));
  Send(1, Rename(user, "Alex2"));
  ASSERT_TRUE(AwaitProcessed(1));
  ASSERT_TRUE(AwaitProcessed(2));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1),
                                     Renamed(user, "Alex2", 2)));
  EXPECT_THAT(Events(2), ElementsAre(Registered(elsewhere, "Bob")));
  EXPECT_THAT(Values(1, Topic::kReply), SizeIs(1));
  EXPECT_EQ(a->log().reopens(), 2);
}

// What an unknown transaction wrote to the changelogs isn't told: the checkpoint must not claim it.
TEST_F(WorkerTest, AfterAnUnknownTransactionARestoreFindsEverything) {
  const std::string user = UserIn(1);
  auto a = Start("a");
  Give("a", {P(1)});
  a->log().ScriptCommits({CommitFault::kUnknownDone});
  Send(1, Register(user, "Alex", "id-1"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 0));
  a.reset();
  const auto again = Start("a");
  cluster_.Assign("a", {P(1)});
  Send(1, Register(user, "Alex", "id-1"));
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1)));
}

TEST_F(WorkerTest, AnUnknownTransactionThatWasNotCommittedIsTriedAgain) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().ScriptCommits({CommitFault::kUnknownNotDone, CommitFault::kUnknownNotDone});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex")));
  EXPECT_EQ(a->log().reopens(), 2);
  EXPECT_EQ(a->log().commits_while_closed(), 0);
}

TEST_F(WorkerTest, AfterAnUnknownTransactionThePositionIsAskedForUntilItIsTold) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().ScriptCommits({CommitFault::kUnknownDone});
  a->log().FailCommittedOffsets(3);
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 0)) << a->failure();
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitProcessed(1)) << a->failure();
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1)));
}

// The committed position stands below the first command that is still there.
TEST_F(WorkerTest, AnUnknownTransactionBehindDeletedCommandsIsTriedAgain) {
  for (int i = 0; i < 5; ++i) Send(1, Register(UserIn(1), "deleted"));
  cluster_.SetCommitted(P(1), Offset{2});
  cluster_.Truncate(P(1), Topic::kCommand, Offset{4});
  const auto a = Start("a");
  a->log().ScriptCommits({CommitFault::kUnknownNotDone});
  cluster_.Assign("a", {P(1)});
  EXPECT_TRUE(AwaitProcessed(1, absl::Seconds(5))) << a->failure();
  EXPECT_THAT(Events(1), SizeIs(1));
}

// The first transaction of a partition moves no position: whether it happened can't be told, and
// need not be.
TEST_F(WorkerTest, AnUnknownClaimIsWrittenAgain) {
  const auto a = Start("a");
  a->log().ScriptCommits({CommitFault::kUnknownDone, CommitFault::kUnknownNotDone});
  Give("a", {P(1)});
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), SizeIs(1));
}

TEST_F(WorkerTest, PartsOfLostPartitionsAreLeftOutAndTheOthersCommitted) {
  std::atomic<bool> taken = false;
  const auto a = Start("a");
  Give("a", {P(1), P(2)});
  a->log().OnCommit([&](const Transaction&) {
    if (taken.exchange(true)) return;
    cluster_.Expel("a", {P(1)});
    cluster_.TellLostSoon("a", {P(1)});
    EXPECT_TRUE(Await([&] { return !cluster_.Believes("a", P(1)); }));
  });
  cluster_.AppendTogether(
      {{P(1), Register(UserIn(1), "Alex")}, {P(2), Register(UserIn(2), "Bob")}});
  ASSERT_TRUE(AwaitProcessed(2));
  EXPECT_THAT(Events(2), SizeIs(1));
  EXPECT_THAT(Events(1), IsEmpty());
  a->log().OnCommit(nullptr);
  const auto b = Start("b");
  cluster_.Assign("b", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), SizeIs(1));
  EXPECT_TRUE(a->failure().ok()) << a->failure();
}

// As long as the answers say that another try may succeed, and however many requests wait.
TEST_F(WorkerTest, AWaitingAssignmentDoesNotUseUpTheAttempts) {
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().SetRates({.commit_aborted = 1});
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return a->log().commits() > 2; }));
  cluster_.Assign("a", {P(2)});
  EXPECT_FALSE(Await([&] { return !a->failure().ok(); }, absl::Seconds(1))) << a->failure();
  a->log().SetRates({});
  EXPECT_TRUE(AwaitProcessed(1, absl::Seconds(5)));
}

// --- owners

TEST_F(WorkerTest, AClaimIsWrittenOncePerAssignmentAndAReleaseAtHandOver) {
  std::string marks;
  absl::Mutex mutex;
  const auto a = Start("a");
  a->log().OnCommit([&](const Transaction& transaction) {
    absl::MutexLock lock(&mutex);
    for (const TransactionPart& part : transaction.parts) {
      marks += part.ownership == OwnershipMark::kClaim     ? 'C'
               : part.ownership == OwnershipMark::kRelease ? 'R'
                                                           : '.';
    }
  });
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(Await([&] { return cluster_.Committed(P(1)).has_value(); }));
  for (const char* name : {"Alex", "Alex1"}) {
    Send(1, Register(UserIn(1), name));
    ASSERT_TRUE(AwaitProcessed(1));
  }
  cluster_.Revoke("a", {P(1)});
  cluster_.Assign("a", {P(1)});
  Send(1, Register(UserIn(1), "Alex2"));
  ASSERT_TRUE(AwaitProcessed(1));
  a->log().OnCommit(nullptr);
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(marks, testing::MatchesRegex("C\\.\\.RC\\.?"));
}

TEST_F(WorkerTest, AHandOverLeavesNothingUndoneAndTheNextOwnerGoesOn) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1)});
  Send(1, Register(user, "Alex", "id-1"));
  Send(1, Rename(user, "Alex1"));
  cluster_.Revoke("a", {P(1)});
  cluster_.Assign("b", {P(1)});
  Send(1, Register(user, "Alex", "id-1"));
  Send(1, Rename(user, "Alex2"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1),
                                     Renamed(user, "Alex2", 2)));
  // The same outcome for the same command id.
  const auto replies = Values(1, Topic::kReply);
  ASSERT_THAT(replies, SizeIs(2));
  EXPECT_EQ(replies[0], replies[1]);
  EXPECT_TRUE(AwaitStored(*b, 1, user, 2));
}

TEST_F(WorkerTest, AHandOverEndsThoughNoTransactionSucceeds) {
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1), P(2)});
  a->log().SetRates({.commit_aborted = 1});
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return a->log().commits() > 2; }));
  const absl::Time begin = absl::Now();
  cluster_.Revoke("a", {P(1)});
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  cluster_.Assign("b", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), SizeIs(1));
  // What it kept, it still processes.
  a->log().SetRates({});
  Send(2, Register(UserIn(2), "Bob"));
  EXPECT_TRUE(AwaitProcessed(2));
  EXPECT_TRUE(a->failure().ok()) << a->failure();
}

TEST_F(WorkerTest, AHandOverEndsThoughTheWorkerCanNotReopen) {
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1), P(2)});
  a->log().ScriptCommits({CommitFault::kFenced});
  a->log().FailReopens(1'000'000);
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return a->log().reopens() > 1; }));
  const int before = a->log().reopens();
  cluster_.Revoke("a", {P(1)});
  // Each may take half a minute when no broker answers.
  EXPECT_LE(a->log().reopens() - before, 2);
  a->log().FailReopens(0);
  cluster_.Assign("b", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), SizeIs(1));
  Send(2, Register(UserIn(2), "Bob"));
  EXPECT_TRUE(AwaitProcessed(2));
  EXPECT_TRUE(a->failure().ok()) << a->failure();
}

TEST_F(WorkerTest, AnInstanceThatIsShutDownDoesNotWaitForALogThatCanNotBeReached) {
  auto a = Start("a");
  Give("a", {P(1), P(2)});
  a->log().ScriptCommits({CommitFault::kFenced});
  a->log().FailReopens(1'000'000);
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return a->log().reopens() > 1; }));
  const absl::Time begin = absl::Now();
  a.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST_F(WorkerTest, LostPartitionsAreDroppedThoughNoTransactionSucceeds) {
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1)});
  a->log().SetRates({.commit_unknown_not_done = 1});
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return a->log().commits() > 1; }));
  cluster_.Lose("a", {P(1)});
  cluster_.Assign("b", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), SizeIs(1));
  EXPECT_TRUE(a->failure().ok()) << a->failure();
}

TEST_F(WorkerTest, ADropDuringARestoreEndsTheRestore) {
  const auto a = Start("a");
  const auto b = Start("b");
  a->log().FailOpens(1'000'000);
  Send(1, Register(UserIn(1), "Alex"));
  cluster_.Assign("a", {P(1)});
  EXPECT_EQ(a->pool().restoring(), 1);
  const absl::Time begin = absl::Now();
  cluster_.Lose("a", {P(1)});
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_EQ(a->pool().restoring(), 0);
  cluster_.Assign("b", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), SizeIs(1));
}

// Whoever is told that an instance is ready may call it at once.
TEST_F(WorkerTest, APartitionIsRestoringUntilItsClaimIsCommitted) {
  const auto a = Start("a");
  std::atomic<int> at_first_commit = -1;
  a->log().OnCommit([&](const Transaction&) {
    int unset = -1;
    at_first_commit.compare_exchange_strong(unset, a->pool().restoring());
  });
  cluster_.Assign("a", {P(1)});
  EXPECT_TRUE(Await([&] { return a->pool().restoring() == 0; }));
  EXPECT_EQ(at_first_commit, 1);
}

TEST_F(WorkerTest, RestoringIsCountedUntilThePartitionIsProcessed) {
  const auto a = Start("a");
  EXPECT_EQ(a->pool().restoring(), 0);
  a->log().FailOpens(2);
  cluster_.Assign("a", {P(1), P(2)});
  EXPECT_EQ(a->pool().restoring(), 2);
  EXPECT_TRUE(Await([&] { return a->pool().restoring() == 0; }));
  Send(1, Register(UserIn(1), "Alex"));
  EXPECT_TRUE(AwaitProcessed(1));
}

// The group has moved on, and this instance hasn't heard of it: it can't commit, the new owner can.
TEST_F(WorkerTest, AStaleOwnerHasNoEffect) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1)});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  cluster_.Expel("a", {P(1)});
  cluster_.Assign("b", {P(1)});
  Send(1, Rename(user, "Alex1"));  // both poll it
  ASSERT_TRUE(AwaitProcessed(1));
  cluster_.TellLost("a", {P(1)});
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1)));
  EXPECT_TRUE(a->failure().ok()) << a->failure();
  // And back: what it had in its store and in its head is no basis any more.
  Send(1, Rename(user, "Alex2"));
  ASSERT_TRUE(AwaitProcessed(1));
  cluster_.Revoke("b", {P(1)});
  cluster_.Assign("a", {P(1)});
  Send(1, Rename(user, "Alex3"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1),
                                     Renamed(user, "Alex2", 2), Renamed(user, "Alex3", 3)));
}

// A transaction is unknown, and while its worker reopens, one of its partitions gets another owner,
// who gets as far as the transaction would have. That says nothing about the other partition.
TEST_F(WorkerTest, WhatANewOwnerCommittedIsNotTakenForTheUnknownTransaction) {
  std::atomic<bool> moved = false;
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1), P(2)});
  a->log().OnReopen([&] {
    if (moved.exchange(true)) return;
    cluster_.Expel("a", {P(1)});
    cluster_.Assign("b", {P(1)});
    EXPECT_TRUE(AwaitProcessed(1));
    cluster_.TellLostSoon("a", {P(1)});
  });
  a->log().ScriptCommits({CommitFault::kUnknownNotDone});
  cluster_.AppendTogether(
      {{P(1), Register(UserIn(1), "Alex")}, {P(2), Register(UserIn(2), "Bob")}});
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_TRUE(AwaitProcessed(2, absl::Seconds(5))) << a->failure();
  EXPECT_THAT(Events(1), SizeIs(1));
  EXPECT_THAT(Events(2), SizeIs(1));
  a->log().OnReopen(nullptr);
}

// As before, but the new owner has got further: the instance goes on with what it still has.
TEST_F(WorkerTest, APartitionThatANewOwnerHasProcessedFurtherIsLetGo) {
  std::atomic<bool> moved = false;
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1), P(2)});
  a->log().OnReopen([&] {
    if (moved.exchange(true)) return;
    cluster_.Expel("a", {P(1)});
    Send(1, Rename(UserIn(1), "Alex1"));
    cluster_.Assign("b", {P(1)});
    EXPECT_TRUE(AwaitProcessed(1));
    cluster_.TellLostSoon("a", {P(1)});
  });
  a->log().ScriptCommits({CommitFault::kUnknownNotDone});
  cluster_.AppendTogether(
      {{P(1), Register(UserIn(1), "Alex")}, {P(2), Register(UserIn(2), "Bob")}});
  EXPECT_TRUE(AwaitProcessed(2, absl::Seconds(5)));
  EXPECT_THAT(Events(1), SizeIs(2));
  EXPECT_THAT(Events(2), SizeIs(1));
  EXPECT_TRUE(a->failure().ok()) << a->failure();
  a->log().OnReopen(nullptr);
}

// --- failures

TEST_F(WorkerTest, AStoreThatCanNotBeReadEndsTheWorker) {
  const auto a = Start("a");
  Give("a", {P(1)});
  a->store().Fail(absl::DataLossError("the disk is broken"));
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return !a->failure().ok(); }));
  EXPECT_TRUE(absl::IsDataLoss(a->failure())) << a->failure();
  EXPECT_THAT(Events(1), IsEmpty());
  // And nobody who waits for it is left waiting.
  cluster_.Revoke("a", {P(1)});
}

TEST_F(WorkerTest, AStoreThatCanNotBeWrittenEndsTheWorkerAndCostsNoEvent) {
  const std::string user = UserIn(1);
  auto a = Start("a");
  Give("a", {P(1)});
  a->store().FailApply(absl::DataLossError("the disk is full"));
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(Await([&] { return !a->failure().ok(); }));
  EXPECT_TRUE(absl::IsDataLoss(a->failure())) << a->failure();
  a->store().FailApply(absl::OkStatus());
  a.reset();
  const auto again = Start("a");
  cluster_.Assign("a", {P(1)});
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitProcessed(1));
  EXPECT_THAT(Events(1), ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1)));
}

TEST_F(WorkerTest, ARestoreThatCanNotSucceedEndsTheWorkerAndNamesThePartition) {
  Send(1, Register(UserIn(1), "Alex"));
  cluster_.Append(P(1), Topic::kSnapshot, {UserIn(1), "history", {}, {}, 0});
  const auto a = Start("a");
  a->store().FailApply(absl::DataLossError("the disk is broken"));
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(Await([&] { return !a->failure().ok(); }));
  EXPECT_THAT(std::string(a->failure().message()), HasSubstr("security/1"));
}

TEST_F(WorkerTest, ALogThatCanNotBePolledForAWhileIsPolledAgain) {
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().SetRates({.poll_unavailable = 0.9});
  Send(1, Register(UserIn(1), "Alex"));
  EXPECT_TRUE(AwaitProcessed(1));
  EXPECT_TRUE(a->failure().ok()) << a->failure();
}

// --- the listener

class WorkerListenerTest : public WorkerTest {
 protected:
  std::unique_ptr<TestInstance> Start(const std::string& id) {
    TestInstanceOptions options;
    options.listener = &listener_;
    return WorkerTest::Start(id, options);
  }
  RecordingListener listener_;
};

TEST_F(WorkerListenerTest, ItIsToldWhatAPartitionGoesThroughInOrder) {
  const auto a = Start("a");
  Give("a", {P(1)});
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  cluster_.Revoke("a", {P(1)});
  EXPECT_THAT(listener_.Told(P(1)),
              ElementsAre("assigned", "serving", "committed 0", "committed 1", "stopped"));
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(Await([&] { return listener_.Told(P(1)).size() == 8; }));
  cluster_.Revoke("a", {P(1)});
  EXPECT_THAT(listener_.Told(P(1)), SizeIs(9));
  EXPECT_THAT(listener_.Told(P(2)), IsEmpty());
}

// Turns red when OnServing() comes with the restore: another instance may still own the partition.
TEST_F(WorkerListenerTest, APartitionIsServedOnlyOnceItsClaimIsCommitted) {
  Send(1, Register(UserIn(1), "Alex"));
  const auto a = Start("a");
  std::atomic<int> claims = 0;
  a->log().ScriptCommits(
      {CommitFault::kAborted, CommitFault::kFenced, CommitFault::kUnknownNotDone});
  a->log().OnCommit([&](const Transaction& transaction) {
    if (transaction.parts[0].ownership != OwnershipMark::kClaim) return;
    ++claims;
    EXPECT_THAT(listener_.Told(P(1)), ElementsAre("assigned"));
  });
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(Await([&] { return listener_.WasTold(P(1), "serving"); }));
  EXPECT_EQ(claims, 4);
  a->log().OnCommit(nullptr);
}

// Turns red when OnCommitted() comes before the commit or before the store has it.
TEST_F(WorkerListenerTest, WhatItIsToldIsCommittedAndInTheStore) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  std::vector<std::string> told;
  absl::Mutex mutex;
  listener_.OnCommit([&](const CommittedPart& part) {
    for (const CommandResult& result : part.results) {
      EXPECT_GT(*cluster_.Committed(part.partition), result.offset);
      EXPECT_GT((*a->store().GetCheckpoint(part.partition))->command_offset(),
                result.offset.value());
      absl::MutexLock lock(&mutex);
      told.push_back(std::string(result.request_id) + " " + result.reply);
    }
    for (const StoreUpdate::Snapshot& snapshot : part.snapshots) {
      esd::v1::StoredSnapshot written;
      EXPECT_TRUE(written.ParseFromString(snapshot.value));
      const auto stored = a->store().GetSnapshot(part.partition, snapshot.key);
      EXPECT_EQ((*stored)->version(), written.version());
    }
  });
  Give("a", {P(1)});
  a->log().ScriptCommits(
      {CommitFault::kAborted, CommitFault::kUnknownNotDone, CommitFault::kUnknownDone});
  TestRecord command = Register(user, "Alex");
  command.headers.emplace_back("esd-request-id", "r1");
  Send(1, command);
  ASSERT_TRUE(AwaitStored(*a, 1, user, 0));
  cluster_.Revoke("a", {P(1)});
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(told, ElementsAre(absl::StrCat(
                        R"(r1 {"commandId":"1:0","status":"ACCEPTED","version":0,"events":[)",
                        Registered(user, "Alex"), "]}")));
}

TEST_F(WorkerListenerTest, AForwardedCommandIsAnsweredWhereItIsProcessed) {
  const std::string user = UserIn(2);
  const auto a = Start("a");
  std::vector<std::string> answered;
  absl::Mutex mutex;
  listener_.OnCommit([&](const CommittedPart& part) {
    absl::MutexLock lock(&mutex);
    for (const CommandResult& result : part.results) {
      if (!result.request_id.empty()) answered.push_back(ToString(part.partition));
    }
  });
  Give("a", {P(1), P(2)});
  TestRecord command = Register(user, "Alex");
  command.headers.emplace_back("esd-request-id", "r1");
  Send(1, command);
  ASSERT_TRUE(AwaitProcessed(1));
  ASSERT_TRUE(AwaitStored(*a, 2, user, 0));
  cluster_.Revoke("a", {P(1), P(2)});
  absl::MutexLock lock(&mutex);
  EXPECT_THAT(answered, ElementsAre("security/2"));
}

// Before the group may give the partition to another instance, and before it is marked as released.
TEST_F(WorkerListenerTest, AHandOverIsToldFirst) {
  const auto a = Start("a");
  Give("a", {P(1), P(2)});
  std::atomic<int> releases = 0;
  a->log().OnCommit([&](const Transaction& transaction) {
    for (const TransactionPart& part : transaction.parts) {
      if (part.ownership != OwnershipMark::kRelease) continue;
      ++releases;
      EXPECT_TRUE(listener_.WasTold(part.partition, "stopped"));
    }
  });
  cluster_.Revoke("a", {P(1), P(2)});
  a->log().OnCommit(nullptr);
  EXPECT_EQ(releases, 2);
}

TEST_F(WorkerListenerTest, APartitionThatIsLostIsStopped) {
  const auto a = Start("a");
  Give("a", {P(1), P(2)});
  ASSERT_TRUE(Await([&] { return listener_.WasTold(P(1), "serving"); }));
  cluster_.Lose("a", {P(1)});
  EXPECT_THAT(listener_.Told(P(1)), ElementsAre("assigned", "serving", "committed 0", "stopped"));
  EXPECT_FALSE(listener_.WasTold(P(2), "stopped"));
}

// The log says so before the group does.
TEST_F(WorkerListenerTest, APartitionThatACommitFindsLostIsStoppedOnce) {
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().SetLose([&](const DomainPartition& partition) {
    cluster_.Expel("a", {partition});
    cluster_.TellLostSoon("a", {partition});
  });
  a->log().ScriptCommits({CommitFault::kLost});
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return listener_.WasTold(P(1), "stopped"); }));
  ASSERT_TRUE(Await([&] { return !cluster_.Believes("a", P(1)); }));
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(AwaitProcessed(1));
  cluster_.Revoke("a", {P(1)});
  EXPECT_THAT(listener_.Told(P(1)), ElementsAre("assigned", "serving", "committed 0", "stopped",
                                                "assigned", "serving", "committed 1", "stopped"));
}

TEST_F(WorkerListenerTest, APartitionThatIsTakenWhileNothingCommitsIsStopped) {
  const auto a = Start("a");
  Give("a", {P(1), P(2)});
  a->log().SetRates({.commit_unknown_not_done = 1});
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return a->log().commits() > 2; }));
  cluster_.Lose("a", {P(1)});
  EXPECT_EQ(listener_.Told(P(1)).back(), "stopped");
  a->log().SetRates({});
  Send(2, Register(UserIn(2), "Bob"));
  ASSERT_TRUE(AwaitProcessed(2));
  EXPECT_FALSE(listener_.WasTold(P(2), "stopped"));
  EXPECT_FALSE(listener_.WasTold(P(1), "committed 1"));
}

TEST_F(WorkerListenerTest, APartitionThatIsLostDuringItsRestoreIsStoppedAndWasNeverServed) {
  const auto a = Start("a");
  a->log().FailOpens(1'000'000);
  cluster_.Assign("a", {P(1)});
  ASSERT_TRUE(Await([&] { return listener_.WasTold(P(1), "assigned"); }));
  cluster_.Lose("a", {P(1)});
  EXPECT_THAT(listener_.Told(P(1)), ElementsAre("assigned", "stopped"));
}

TEST_F(WorkerListenerTest, AWorkerThatCanNotGoOnStopsItsPartitionsAndAnswersNobody) {
  const auto a = Start("a");
  Give("a", {P(1), P(2)});
  a->log().FailOpens(1'000'000);
  cluster_.Assign("a", {P(3)});
  ASSERT_TRUE(Await([&] { return listener_.WasTold(P(3), "assigned"); }));
  a->store().FailApply(absl::DataLossError("the disk is full"));
  Send(1, Register(UserIn(1), "Alex"));
  ASSERT_TRUE(Await([&] { return !a->failure().ok(); }));
  EXPECT_THAT(listener_.Told(P(1)), ElementsAre("assigned", "serving", "committed 0", "stopped"));
  EXPECT_EQ(listener_.Told(P(2)).back(), "stopped");
  EXPECT_THAT(listener_.Told(P(3)), ElementsAre("assigned", "stopped"));
}

TEST_F(WorkerListenerTest, AnInstanceThatIsShutDownStopsItsPartitions) {
  auto a = Start("a");
  Give("a", {P(1), P(2)});
  a.reset();
  EXPECT_EQ(listener_.Told(P(1)).back(), "stopped");
  EXPECT_EQ(listener_.Told(P(2)).back(), "stopped");
}

TEST_F(WorkerListenerTest, TheLagIsToldAboutOnceASecond) {
  const auto a = Start("a");
  Give("a", {P(1)});
  EXPECT_TRUE(Await([&] { return !listener_.Lags(P(1)).empty(); }));
  EXPECT_EQ(listener_.Lags(P(1))[0], 0);
}

// --- the history

class WorkerHistoryTest : public WorkerTest {
 protected:
  std::unique_ptr<TestInstance> Start(const std::string& id, bool history = true) {
    TestInstanceOptions options;
    options.history = history;
    return WorkerTest::Start(id, options);
  }

  static bool IsComplete(const TestInstance& instance, int32_t partition) {
    return StatusOf(instance.history(), P(partition)).state == HistoryStatus::State::kComplete;
  }

  // The values of the aggregate's events in the instance's store.
  std::vector<std::string> HistoryOf(TestInstance& instance, int32_t partition,
                                     const std::string& email) {
    std::vector<std::string> values;
    const auto events =
        instance.store().ListEvents(P(partition), email, Version{0}, 1'000, 1 << 20);
    EXPECT_TRUE(events.ok()) << events.status();
    for (const auto& event : *events) {
      EXPECT_EQ(event.version.value(), static_cast<int64_t>(values.size()));
      values.push_back(event.event.value());
    }
    return values;
  }

  std::optional<Offset> HistoryOffset(TestInstance& instance, int32_t partition) {
    const auto offset = instance.store().GetHistoryOffset(P(partition));
    EXPECT_TRUE(offset.ok());
    return offset.ok() ? *offset : std::nullopt;
  }
};

TEST_F(WorkerHistoryTest, EventsAreInTheHistoryWithTheirSnapshots) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  Give("a", {P(1)});
  TestRecord command = Register(user, "Alex", "id-1");
  command.headers.emplace_back("traceparent", "00-abc-def-01");
  Send(1, command);
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 1));
  EXPECT_THAT(HistoryOf(*a, 1, user),
              ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1)));
  const auto first = (*a->store().ListEvents(P(1), user, Version{0}, 1, 1'000))[0].event;
  EXPECT_EQ(first.id(), "1:0:0");
  EXPECT_EQ(first.type(), "UserRegisteredEvent");
  EXPECT_EQ(first.causation_id(), "id-1");
  EXPECT_EQ(first.traceparent(), "00-abc-def-01");
  EXPECT_EQ(absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", absl::FromUnixMillis(first.time_ms()),
                             absl::UTCTimeZone()),
            cluster_.Read(P(1), Topic::kEvent)[0].HeaderValue("ce_time"));
  EXPECT_TRUE(IsComplete(*a, 1));
  EXPECT_EQ(HistoryOffset(*a, 1), Next(cluster_.Read(P(1), Topic::kEvent).back().offset));
}

TEST_F(WorkerHistoryTest, WithoutAHistoryNothingIsWrittenToIt) {
  const std::string user = UserIn(1);
  const auto a = Start("a", /*history=*/false);
  Give("a", {P(1)});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 0));
  EXPECT_THAT(HistoryOf(*a, 1, user), IsEmpty());
  EXPECT_EQ(HistoryOffset(*a, 1), std::nullopt);
}

// Turns red when the offset moves before the rebuild has come to it, and when it is not moved then.
TEST_F(WorkerHistoryTest, ARebuildDelaysNothingAndIsCompleteWithWhatHappensMeanwhile) {
  const std::string user = UserIn(1);
  {
    const auto a = Start("a", /*history=*/false);
    Give("a", {P(1)});
    Send(1, Register(user, "Alex"));
    ASSERT_TRUE(AwaitStored(*a, 1, user, 0));
  }
  absl::Notification go_on;
  stores_["a"].OnUpdateHistory(
      [&](const auto&) { EXPECT_TRUE(go_on.WaitForNotificationWithTimeout(kTestDeadline)); });
  const auto a = Start("a");
  cluster_.Assign("a", {P(1)});
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 1));
  EXPECT_FALSE(IsComplete(*a, 1));
  EXPECT_EQ(HistoryOffset(*a, 1), std::nullopt);
  go_on.Notify();
  ASSERT_TRUE(Await([&] { return IsComplete(*a, 1); }));
  EXPECT_THAT(HistoryOf(*a, 1, user),
              ElementsAre(Registered(user, "Alex"), Renamed(user, "Alex1", 1)));
  Send(1, Rename(user, "Alex2"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 2));
  EXPECT_EQ(HistoryOffset(*a, 1), Next(cluster_.Read(P(1), Topic::kEvent).back().offset));
}

TEST_F(WorkerHistoryTest, AProcessThatDiesDuringARebuildGoesOnWithIt) {
  const std::string user = UserIn(1);
  {
    const auto a = Start("a", /*history=*/false);
    Give("a", {P(1)});
    Send(1, Register(user, "Alex"));
    for (int i = 1; i <= 700; ++i) Send(1, Rename(user, absl::StrCat("Alex", i)));
    ASSERT_TRUE(AwaitStored(*a, 1, user, 700));
  }
  {
    auto a = Start("a");
    std::atomic<int> batches = 0;
    a->store().OnUpdateHistory([&](const auto&) {
      if (++batches == 2) a->log().Sever();
    });
    cluster_.Assign("a", {P(1)});
    ASSERT_TRUE(Await([&] { return batches == 2; }));
    Send(1, Rename(user, "never seen"));
    a->store().OnUpdateHistory(nullptr);
  }
  const auto a = Start("a");
  cluster_.Assign("a", {P(1)});
  Send(1, Rename(user, "the end"));
  ASSERT_TRUE(AwaitProcessed(1));
  ASSERT_TRUE(Await([&] { return IsComplete(*a, 1); }));
  const auto events = Events(1);
  ASSERT_TRUE(AwaitStored(*a, 1, user, static_cast<int64_t>(events.size()) - 1));
  EXPECT_EQ(HistoryOf(*a, 1, user), events);
}

// Where its events end isn't told, so the offset waits for the next transaction.
TEST_F(WorkerHistoryTest, AnUnknownTransactionsEventsAreInTheHistoryToo) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  Give("a", {P(1)});
  a->log().ScriptCommits({CommitFault::kUnknownDone});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 0));
  EXPECT_THAT(HistoryOf(*a, 1, user), SizeIs(1));
  EXPECT_EQ(HistoryOffset(*a, 1), std::nullopt);
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 1));
  EXPECT_THAT(HistoryOf(*a, 1, user), SizeIs(2));
  EXPECT_EQ(HistoryOffset(*a, 1), Next(cluster_.Read(P(1), Topic::kEvent).back().offset));
}

TEST_F(WorkerHistoryTest, WhatAnotherOwnerDidIsCaughtUpWith) {
  const std::string user = UserIn(1);
  const auto a = Start("a");
  const auto b = Start("b");
  Give("a", {P(1)});
  Send(1, Register(user, "Alex"));
  ASSERT_TRUE(AwaitProcessed(1));
  cluster_.Revoke("a", {P(1)});
  cluster_.Assign("b", {P(1)});
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitStored(*b, 1, user, 1));
  ASSERT_TRUE(Await([&] { return IsComplete(*b, 1); }));
  EXPECT_THAT(HistoryOf(*b, 1, user), SizeIs(2));
  cluster_.Revoke("b", {P(1)});
  cluster_.Assign("a", {P(1)});
  Send(1, Rename(user, "Alex2"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 2));
  ASSERT_TRUE(Await([&] { return IsComplete(*a, 1); }));
  EXPECT_THAT(HistoryOf(*a, 1, user), SizeIs(3));
}

TEST_F(WorkerHistoryTest, APartitionWhoseEventsWereDeletedIsProcessedAllTheSame) {
  const std::string user = UserIn(1);
  {
    const auto a = Start("a", /*history=*/false);
    Give("a", {P(1)});
    Send(1, Register(user, "Alex"));
    ASSERT_TRUE(AwaitProcessed(1));
  }
  cluster_.Truncate(P(1), Topic::kEvent, Offset{1});
  const auto a = Start("a");
  cluster_.Assign("a", {P(1)});
  Send(1, Rename(user, "Alex1"));
  ASSERT_TRUE(AwaitStored(*a, 1, user, 1));
  EXPECT_EQ(StatusOf(a->history(), P(1)).state, HistoryStatus::State::kFailed);
  EXPECT_EQ(HistoryOffset(*a, 1), std::nullopt);
  EXPECT_TRUE(a->failure().ok()) << a->failure();
}

}  // namespace
}  // namespace esd
