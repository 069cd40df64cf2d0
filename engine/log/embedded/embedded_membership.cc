#include "engine/log/embedded/embedded_membership.h"

namespace esd::embedded {
namespace {

// The listener only notes what it is told.
constexpr absl::Duration kAssignTimeout = absl::Seconds(10);

}  // namespace

EmbeddedMembership::~EmbeddedMembership() { Leave(absl::InfiniteDuration()); }

absl::Status EmbeddedMembership::Join(MembershipListener* listener) {
  absl::MutexLock lock(&mutex_);
  if (begun_ || leaving_) return absl::FailedPreconditionError("a log can be joined once");
  begun_ = true;
  thread_ = std::jthread([this, listener] { Run(listener); });
  // Who is told that it has joined may rely on its listener knowing the partitions.
  mutex_.AwaitWithTimeout(absl::Condition(&joined_), kAssignTimeout);
  return absl::OkStatus();
}

void EmbeddedMembership::Leave(absl::Duration timeout) {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    leaving_ = true;
    const auto left = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return left_; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&left), timeout)) {
      joined_ = false;
    }
  }
  if (!joined()) Assign(false);  // the listener holds it up: it commits no more
  absl::MutexLock lock(&mutex_);
  if (left_) thread_.join();
}

bool EmbeddedMembership::joined() const {
  absl::ReaderMutexLock lock(&mutex_);
  return joined_;
}

void EmbeddedMembership::Run(MembershipListener* listener) {
  listener->OnAssigned(Assign(true));
  absl::Status failure;
  {
    absl::MutexLock lock(&mutex_);
    joined_ = !leaving_;
    const auto due = [this]()
                         ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return leaving_ || !failure_.ok(); };
    mutex_.Await(absl::Condition(&due));
    failure = failure_;
  }
  if (!failure.ok()) listener->OnFailed(failure);
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&leaving_));
  }
  std::vector<DomainPartition> all;
  for (const auto& [partition, log] : state_->partitions) all.push_back(partition);
  listener->OnRevoked(all);
  Assign(false);
  absl::MutexLock lock(&mutex_);
  joined_ = false;
  left_ = true;
}

std::vector<DomainPartition> EmbeddedMembership::Assign(bool assigned) {
  std::vector<DomainPartition> all;
  absl::MutexLock lock(&state_->mutex);
  for (auto& [partition, log] : state_->partitions) {
    log.assigned = assigned;
    all.push_back(partition);
  }
  return all;
}

void EmbeddedMembership::Fail(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  if (failure_.ok()) failure_ = error;
}

std::optional<PartitionOwner> EmbeddedMembership::OwnerOf(const DomainPartition& partition) const {
  absl::ReaderMutexLock lock(&state_->mutex);
  const auto log = state_->partitions.find(partition);
  if (log == state_->partitions.end() || !log->second.owner || log->second.owner->released()) {
    return std::nullopt;
  }
  const esd::v1::OwnershipRecord& owner = *log->second.owner;
  return PartitionOwner{owner.instance(), owner.address(), owner.generation()};
}

}  // namespace esd::embedded
