// The log's contract on the log in memory.
#include <utility>

#include "tests/log/log_contract_test.h"
#include "tests/log/memory_log.h"

namespace esd {
namespace {

class MemoryTransaction : public OpenTransaction {
 public:
  MemoryTransaction(MemoryCluster* cluster, std::string identity)
      : cluster_(cluster),
        identity_(std::move(identity)),
        epoch_(cluster->TakeIdentity(identity_)) {}

  bool Commit() override { return cluster_->HoldsIdentity(identity_, epoch_); }

 private:
  MemoryCluster* const cluster_;
  const std::string identity_;
  const int64_t epoch_;
};

class MemoryHarness : public LogContractHarness {
 public:
  MemoryHarness() : cluster_({.partitions = {{"alpha", 2}, {"beta", 2}}, .automatic = true}) {}

  std::unique_ptr<Log> OpenInstance(const std::string& instance) override {
    return cluster_.OpenInstance(instance);
  }
  void Append(const DomainPartition& partition, const std::vector<TestRecord>& records) override {
    for (const TestRecord& record : records) cluster_.Append(partition, Topic::kCommand, record);
  }
  void Truncate(const DomainPartition& partition, Topic topic, Offset begin) override {
    cluster_.Truncate(partition, topic, begin);
  }
  void Expel(const std::string& instance) override { cluster_.ExpelMember(instance); }
  std::unique_ptr<OpenTransaction> BeginAs(const std::string& instance,
                                           const DomainPartition&) override {
    return std::make_unique<MemoryTransaction>(&cluster_, MemoryCluster::IdentityOf(instance, 0));
  }

 private:
  MemoryCluster cluster_;
};

std::unique_ptr<LogContractHarness> MakeMemoryHarness() {
  return std::make_unique<MemoryHarness>();
}

INSTANTIATE_TEST_SUITE_P(Memory, LogContract, testing::Values(&MakeMemoryHarness));

}  // namespace
}  // namespace esd
