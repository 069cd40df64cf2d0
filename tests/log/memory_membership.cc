#include "tests/log/memory_membership.h"

#include <algorithm>
#include <utility>

namespace esd {

using Kind = MemoryMembership::Task::Kind;

MemoryMembership::~MemoryMembership() { Leave(absl::InfiniteDuration()); }

absl::Status MemoryMembership::Join(MembershipListener* listener) {
  listener_ = listener;
  absl::MutexLock lock(&cluster_->mutex_);
  cluster_->members_[session_] = this;
  cluster_->unbalanced_ = true;
  joined_ = true;
  thread_ = std::jthread([this] { Run(); });
  return absl::OkStatus();
}

void MemoryMembership::Leave(absl::Duration timeout) {
  if (!thread_.joinable()) return;
  std::shared_ptr<absl::Notification> left;
  {
    absl::MutexLock lock(&cluster_->mutex_);
    left = Post({Kind::kLeave, {}, {}});
  }
  if (left->WaitForNotificationWithTimeout(timeout)) {
    thread_.join();
    return;
  }
  // The listener holds it up: the group doesn't wait.
  absl::MutexLock lock(&cluster_->mutex_);
  cluster_->TakeFrom(session_, cluster_->OwnedBy(session_));
  cluster_->unbalanced_ = true;
  expelled_ = true;
}

bool MemoryMembership::joined() const {
  absl::MutexLock lock(&cluster_->mutex_);
  return joined_ && !expelled_;
}

bool MemoryMembership::HoldsLease() const {
  absl::MutexLock lock(&cluster_->mutex_);
  return joined_ && !expelled_ && !silenced_ &&
         std::all_of(view_.begin(), view_.end(), [this](const auto& owned) {
           const auto turn = cluster_->turns_.find(owned.first);
           return turn != cluster_->turns_.end() && turn->second == owned.second;
         });
}

std::optional<PartitionOwner> MemoryMembership::OwnerOf(const DomainPartition& partition) const {
  absl::MutexLock lock(&cluster_->mutex_);
  return cluster_->ClaimerOf(partition);
}

std::shared_ptr<absl::Notification> MemoryMembership::Post(Task task) {
  tasks_.push_back(std::move(task));
  return tasks_.back().done;
}

void MemoryMembership::Run() {
  for (;;) {
    Task task;
    {
      absl::MutexLock lock(&cluster_->mutex_);
      const auto has_task = [this] { return HasTask(); };
      cluster_->mutex_.Await(absl::Condition(&has_task));
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    Handle(task);
    task.done->Notify();
    if (task.kind != Kind::kLeave) continue;
    // Whoever asked for something after the end is not left waiting.
    absl::MutexLock lock(&cluster_->mutex_);
    for (const Task& late : tasks_) late.done->Notify();
    return;
  }
}

// A silenced member can leave, though nobody hears of it.
bool MemoryMembership::HasTask() const {
  const bool leaving = std::any_of(tasks_.begin(), tasks_.end(),
                                   [](const Task& task) { return task.kind == Kind::kLeave; });
  return !tasks_.empty() && (!silenced_ || leaving);
}

void MemoryMembership::Handle(const Task& task) {
  switch (task.kind) {
    case Kind::kAssign: {
      {
        absl::MutexLock lock(&cluster_->mutex_);
        for (const auto& [partition, turn] : task.turns) view_[partition] = turn;
      }
      return listener_->OnAssigned(task.partitions);
    }
    case Kind::kRevoke:
      return HandleRevoke(task.partitions);
    case Kind::kLost:
      return HandleLost(task.partitions);
    case Kind::kLeave:
      return HandleLeave();
  }
}

void MemoryMembership::HandleRevoke(const std::vector<DomainPartition>& partitions) {
  const std::vector<DomainPartition> revoked = InView(partitions);
  if (revoked.empty()) return;
  listener_->OnRevoked(revoked);
  absl::MutexLock lock(&cluster_->mutex_);
  for (const DomainPartition& partition : revoked) {
    const auto turn = cluster_->turns_.find(partition);
    // Unless it was expelled meanwhile and the partition is another's.
    if (turn != cluster_->turns_.end() && turn->second == view_.at(partition)) {
      cluster_->turns_.erase(turn);
    }
    view_.erase(partition);
  }
}

void MemoryMembership::HandleLost(const std::vector<DomainPartition>& partitions) {
  const std::vector<DomainPartition> lost = InView(partitions);
  {
    absl::MutexLock lock(&cluster_->mutex_);
    for (const DomainPartition& partition : lost) view_.erase(partition);
  }
  if (!lost.empty()) listener_->OnLost(lost);
  absl::MutexLock lock(&cluster_->mutex_);
  expelled_ = false;
  cluster_->unbalanced_ = true;
}

void MemoryMembership::HandleLeave() {
  std::vector<DomainPartition> owned;
  {
    absl::MutexLock lock(&cluster_->mutex_);
    for (const auto& [partition, turn] : view_) owned.push_back(partition);
  }
  HandleRevoke(owned);
  absl::MutexLock lock(&cluster_->mutex_);
  // What it was given while it left.
  cluster_->TakeFrom(session_, cluster_->OwnedBy(session_));
  cluster_->members_.erase(session_);
  cluster_->unbalanced_ = true;
  joined_ = false;
}

std::vector<DomainPartition> MemoryMembership::InView(
    const std::vector<DomainPartition>& partitions) const {
  absl::MutexLock lock(&cluster_->mutex_);
  std::vector<DomainPartition> found;
  for (const DomainPartition& partition : partitions) {
    if (view_.contains(partition)) found.push_back(partition);
  }
  return found;
}

}  // namespace esd
