// Workers whose log or store has no room, on a log in memory that fails as told.
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "engine/worker/worker_test.h"

namespace esd {
namespace {

using ::testing::SizeIs;

// More than what follows can take, however long it waits.
const std::deque<CommitFault> kNoRoomForLong(1'000, CommitFault::kNoRoom);
constexpr absl::Duration kSoon = absl::Seconds(5);

class WorkerFullDiskTest : public testing::Test {
 protected:
  WorkerFullDiskTest() : cluster_({.partitions = {{"security", kTestPartitions}}}) {
    spdlog::set_level(spdlog::level::off);  // every test makes it complain
    user_ = UserIn(1);
    instance_ = Start("a", &store_);
    cluster_.Assign("a", {P(1)});
    EXPECT_TRUE(Await([this] { return listener_.WasTold(P(1), "serving"); }));
  }

  std::unique_ptr<TestInstance> Start(const std::string& id, HookedStore* store) {
    TestInstanceOptions options;
    options.listener = &listener_;
    auto instance = std::make_unique<TestInstance>(&cluster_, id, store, options);
    instance->log().SetShared(false);
    return instance;
  }

  void Send(const TestRecord& command) { cluster_.Append(P(1), Topic::kCommand, command); }
  bool AwaitEvents(size_t count) {
    return Await([&] { return cluster_.Read(P(1), Topic::kEvent).size() == count; });
  }
  bool WasAcknowledged() const { return listener_.WasTold(P(1), "committed 1"); }
  bool IsStored(HookedStore& store, int64_t version) const {
    const auto snapshot = store.GetSnapshot(P(1), user_);
    return snapshot.ok() && snapshot->has_value() && (*snapshot)->version() == version;
  }

  MemoryCluster cluster_;
  RecordingListener listener_;
  HookedStore store_, other_store_;
  std::string user_;
  std::unique_ptr<TestInstance> instance_;
};

TEST_F(WorkerFullDiskTest, ATransactionWaitsForRoomInTheLog) {
  instance_->log().ScriptCommits({CommitFault::kNoRoom, CommitFault::kNoRoom});
  Send(Register(user_, "Alex"));
  ASSERT_TRUE(Await([this] { return WasAcknowledged(); }));
  EXPECT_THAT(cluster_.Read(P(1), Topic::kEvent), SizeIs(1));
  EXPECT_EQ(instance_->log().reopens(), 0);
}

TEST_F(WorkerFullDiskTest, AHandOverDoesNotWaitForRoomInTheLog) {
  std::atomic<int> commits = 0;
  instance_->log().OnCommit([&commits](const Transaction&) { ++commits; });
  instance_->log().ScriptCommits(kNoRoomForLong);
  Send(Register(user_, "Alex"));
  ASSERT_TRUE(Await([&commits] { return commits >= 2; }));
  const absl::Time begin = absl::Now();
  cluster_.Revoke("a", {P(1)});
  EXPECT_LT(absl::Now() - begin, kSoon);
  const auto other = Start("b", &other_store_);
  cluster_.Assign("b", {P(1)});
  EXPECT_TRUE(AwaitEvents(1));
  EXPECT_TRUE(instance_->failure().ok()) << instance_->failure();
}

TEST_F(WorkerFullDiskTest, WhatIsCommittedIsAcknowledgedWhenTheStoreHasRoom) {
  store_.FailApply(absl::ResourceExhaustedError("no room"));
  Send(Register(user_, "Alex"));
  ASSERT_TRUE(AwaitEvents(1));
  EXPECT_FALSE(WasAcknowledged());
  EXPECT_FALSE(IsStored(store_, 0));
  store_.FailApply(absl::OkStatus());
  ASSERT_TRUE(Await([this] { return WasAcknowledged(); }));
  EXPECT_TRUE(IsStored(store_, 0));
  Send(Rename(user_, "Alex1"));
  ASSERT_TRUE(AwaitEvents(2));
  EXPECT_TRUE(Await([this] { return IsStored(store_, 1); }));
  EXPECT_TRUE(instance_->failure().ok()) << instance_->failure();
}

TEST_F(WorkerFullDiskTest, AHandOverDoesNotWaitForRoomInTheStoreWhichCatchesUpLater) {
  store_.FailApply(absl::ResourceExhaustedError("no room"));
  Send(Register(user_, "Alex"));
  ASSERT_TRUE(AwaitEvents(1));
  const absl::Time begin = absl::Now();
  cluster_.Revoke("a", {P(1)});
  EXPECT_LT(absl::Now() - begin, kSoon);
  EXPECT_FALSE(WasAcknowledged());
  store_.FailApply(absl::OkStatus());
  cluster_.Assign("a", {P(1)});
  EXPECT_TRUE(Await([this] { return IsStored(store_, 0); }));
  Send(Rename(user_, "Alex1"));
  EXPECT_TRUE(AwaitEvents(2));
}

TEST_F(WorkerFullDiskTest, WhereOthersCanTakeOverAStoreWithoutRoomEndsTheWorker) {
  instance_->log().SetShared(true);
  store_.FailApply(absl::ResourceExhaustedError("no room"));
  Send(Register(user_, "Alex"));
  ASSERT_TRUE(Await([this] { return !instance_->failure().ok(); }));
  EXPECT_TRUE(absl::IsResourceExhausted(instance_->failure())) << instance_->failure();
}

}  // namespace
}  // namespace esd
