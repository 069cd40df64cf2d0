// The log's contract on the log in memory.
#include <utility>

#include "tests/log/fault_log.h"
#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"
#include "tests/log/memory_log.h"

namespace esd {
namespace {

class MemoryTransaction : public OpenTransaction {
 public:
  MemoryTransaction(MemoryCluster* cluster, int64_t transaction)
      : cluster_(cluster), transaction_(transaction) {}

  bool Commit() override { return cluster_->EndTransaction(transaction_, /*commit=*/true); }
  void Abort() override { cluster_->EndTransaction(transaction_, /*commit=*/false); }

 private:
  MemoryCluster* const cluster_;
  const int64_t transaction_;
};

class MemoryHarness : public SharedLogContractHarness {
 public:
  explicit MemoryHarness(bool behind_faults = false)
      : behind_faults_(behind_faults),
        cluster_({.partitions = {{"alpha", 2}, {"beta", 2}}, .automatic = true}) {}

  std::unique_ptr<Log> OpenInstance(const std::string& instance) override {
    auto log = cluster_.OpenInstance(instance, AddressOf(instance));
    if (!behind_faults_) return log;
    return std::make_unique<FaultLog>(std::move(log), /*seed=*/1);
  }
  void Append(const DomainPartition& partition, const std::vector<TestRecord>& records) override {
    for (const TestRecord& record : records) cluster_.Append(partition, Topic::kCommand, record);
  }
  void Truncate(const DomainPartition& partition, Topic topic, Offset begin) override {
    cluster_.Truncate(partition, topic, begin);
  }
  void Expel(const std::string& instance) override { cluster_.ExpelMember(instance); }
  absl::Duration SessionTimeout() const override { return absl::Milliseconds(20); }
  void CutOff(const std::string& instance) override {
    cluster_.Silence(instance);
    cluster_.ExpelMember(instance);
  }
  void Reconnect(const std::string& instance) override { cluster_.Unsilence(instance); }
  std::unique_ptr<OpenTransaction> BeginAs(const std::string& instance,
                                           const DomainPartition& partition) override {
    return std::make_unique<MemoryTransaction>(
        &cluster_, cluster_.BeginTransaction(MemoryCluster::IdentityOf(instance, 0), partition,
                                             {Topic::kEvent, Topic::kSnapshot},
                                             {"key", "left open", {}, {}, 0}));
  }

 private:
  const bool behind_faults_;
  MemoryCluster cluster_;
};

std::unique_ptr<SharedLogContractHarness> MakeMemoryHarness() {
  return std::make_unique<MemoryHarness>();
}

// A FaultLog that was told nothing changes nothing.
std::unique_ptr<SharedLogContractHarness> MakeFaultHarness() {
  return std::make_unique<MemoryHarness>(/*behind_faults=*/true);
}

INSTANTIATE_TEST_SUITE_P(MemoryBehindFaults, LogContract, testing::Values(&MakeFaultHarness));
INSTANTIATE_TEST_SUITE_P(MemoryBehindFaults, SharedLogContract, testing::Values(&MakeFaultHarness));
INSTANTIATE_TEST_SUITE_P(Memory, LogContract, testing::Values(&MakeMemoryHarness));
INSTANTIATE_TEST_SUITE_P(Memory, SharedLogContract, testing::Values(&MakeMemoryHarness));

// --- what tests make the group do

class NothingListens : public MembershipListener {
 public:
  void OnAssigned(const std::vector<DomainPartition>&) override {}
  void OnRevoked(const std::vector<DomainPartition>&) override {}
  void OnLost(const std::vector<DomainPartition>&) override {}
  void OnFailed(const absl::Status&) override {}
};

TEST(MemoryCluster, ASilencedMemberHoldsNoLeaseThoughItsPartitionsAreStillItsOwn) {
  MemoryCluster cluster({.partitions = {{"alpha", 1}}});
  NothingListens listener;
  const auto a = cluster.OpenInstance("a");
  ASSERT_TRUE(a->membership().Join(&listener).ok());
  cluster.Assign("a", {kAlpha0});
  EXPECT_TRUE(a->membership().HoldsLease());
  cluster.Silence("a");
  EXPECT_FALSE(a->membership().HoldsLease());
  EXPECT_EQ(cluster.OwnerOf(kAlpha0), "a");
  cluster.Unsilence("a");
  EXPECT_TRUE(a->membership().HoldsLease());
}

TEST(MemoryCluster, AMemberThatIsExpelledUntoldHoldsNoLeaseUntilItIsTold) {
  MemoryCluster cluster({.partitions = {{"alpha", 2}}});
  NothingListens listener;
  const auto a = cluster.OpenInstance("a");
  ASSERT_TRUE(a->membership().Join(&listener).ok());
  cluster.Assign("a", {kAlpha0, kAlpha1});
  cluster.Expel("a", {kAlpha1});
  EXPECT_TRUE(cluster.Believes("a", kAlpha1));
  EXPECT_FALSE(a->membership().HoldsLease());
  NothingListens another;
  const auto b = cluster.OpenInstance("b");
  ASSERT_TRUE(b->membership().Join(&another).ok());
  cluster.Assign("b", {kAlpha1});
  EXPECT_FALSE(a->membership().HoldsLease());
  EXPECT_TRUE(b->membership().HoldsLease());
  cluster.TellLost("a", {kAlpha1});
  EXPECT_TRUE(a->membership().HoldsLease());
}

}  // namespace
}  // namespace esd
