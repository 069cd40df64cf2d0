#include <algorithm>
#include <utility>

#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"

namespace esd {

void RecordingListener::OnAssigned(const std::vector<DomainPartition>& partitions) {
  std::function<void(const std::vector<DomainPartition>&)> hook;
  {
    absl::MutexLock lock(&mutex_);
    hook = on_assigned_;
  }
  if (hook) hook(partitions);
  Note("assigned", partitions);
  absl::MutexLock lock(&mutex_);
  for (const DomainPartition& partition : partitions) {
    EXPECT_TRUE(owned_.insert(partition).second) << ToString(partition) << " was assigned twice";
  }
}

void RecordingListener::OnRevoked(const std::vector<DomainPartition>& partitions) {
  std::function<void(const std::vector<DomainPartition>&)> hook;
  {
    absl::MutexLock lock(&mutex_);
    hook = on_revoked_;
  }
  if (hook) hook(partitions);
  Note("revoked", partitions);
  absl::MutexLock lock(&mutex_);
  for (const DomainPartition& partition : partitions) owned_.erase(partition);
}

void RecordingListener::OnLost(const std::vector<DomainPartition>& partitions) {
  Note("lost", partitions);
  absl::MutexLock lock(&mutex_);
  for (const DomainPartition& partition : partitions) owned_.erase(partition);
}

void RecordingListener::SetOnAssigned(
    std::function<void(const std::vector<DomainPartition>&)> hook) {
  absl::MutexLock lock(&mutex_);
  on_assigned_ = std::move(hook);
}

void RecordingListener::SetOnRevoked(
    std::function<void(const std::vector<DomainPartition>&)> hook) {
  absl::MutexLock lock(&mutex_);
  on_revoked_ = std::move(hook);
}

std::set<DomainPartition> RecordingListener::owned() const {
  absl::MutexLock lock(&mutex_);
  return owned_;
}

void RecordingListener::AwaitOwned(size_t count) const {
  Await([count](const std::set<DomainPartition>& owned) { return owned.size() == count; });
}

void RecordingListener::Await(
    const std::function<bool(const std::set<DomainPartition>&)>& condition) const {
  absl::MutexLock lock(&mutex_);
  const auto met = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return condition(owned_); };
  EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&met), kContractDeadline))
      << instance_ << " owns " << owned_.size() << " partitions";
}

void RecordingListener::Note(const char* what, const std::vector<DomainPartition>& partitions) {
  absl::MutexLock lock(&timeline_->mutex);
  for (const DomainPartition& partition : partitions) {
    timeline_->calls.push_back({instance_, what, partition});
  }
}

ContractInstance::ContractInstance(std::unique_ptr<Log> opened, const std::string& id,
                                   RecordingListener::Timeline* timeline)
    : ContractInstance(std::move(opened), nullptr, id, timeline) {
  auto made = log->OpenWorker(0);
  if (made.ok()) worker = *std::move(made);
  EXPECT_TRUE(made.ok()) << made.status();
}

ContractInstance::ContractInstance(std::unique_ptr<Log> opened,
                                   std::unique_ptr<WorkerLog> opened_worker, const std::string& id,
                                   RecordingListener::Timeline* timeline)
    : listener(id, timeline), log(std::move(opened)), worker(std::move(opened_worker)) {}

ContractInstance::~ContractInstance() { Close(); }

void ContractInstance::Close() {
  worker.reset();
  log.reset();
}

std::unique_ptr<ContractInstance> LogContractFixture::Open(const std::string& id) {
  return std::make_unique<ContractInstance>(harness_->OpenInstance(id), id, &timeline_);
}

std::unique_ptr<ContractInstance> LogContractFixture::OpenOwner(const std::string& id) {
  auto instance = Open(id);
  instance->Join();
  instance->listener.AwaitOwned(kAllPartitionCount);
  return instance;
}

size_t LogContractFixture::CallsOf(const std::string& instance) {
  absl::MutexLock lock(&timeline_.mutex);
  return static_cast<size_t>(
      std::count_if(timeline_.calls.begin(), timeline_.calls.end(),
                    [&](const auto& call) { return call.instance == instance; }));
}

}  // namespace esd
