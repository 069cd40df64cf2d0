#include "tests/log/fault_store.h"

namespace esd {

void FaultStore::Fail(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  failure_ = error;
}

void FaultStore::FailApply(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  apply_failure_ = error;
}

void FaultStore::FailHistory(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  history_failure_ = error;
}

int FaultStore::drops() const {
  absl::MutexLock lock(&mutex_);
  return drops_;
}

absl::Status FaultStore::failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

absl::Status FaultStore::history_failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_.ok() ? history_failure_ : failure_;
}

absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> FaultStore::GetSnapshot(
    const DomainPartition& partition, std::string_view key) const {
  if (absl::Status status = failure(); !status.ok()) return status;
  return MemorySnapshotStore::GetSnapshot(partition, key);
}

absl::StatusOr<std::optional<esd::v1::StoredOutcome>> FaultStore::GetOutcome(
    const DomainPartition& partition, std::string_view key, std::string_view command_id) const {
  if (absl::Status status = failure(); !status.ok()) return status;
  return MemorySnapshotStore::GetOutcome(partition, key, command_id);
}

absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> FaultStore::GetCheckpoint(
    const DomainPartition& partition) const {
  if (absl::Status status = failure(); !status.ok()) return status;
  return MemorySnapshotStore::GetCheckpoint(partition);
}

absl::Status FaultStore::Apply(const std::vector<StoreUpdate>& updates) {
  {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
    if (!apply_failure_.ok()) return apply_failure_;
  }
  return MemorySnapshotStore::Apply(updates);
}

absl::Status FaultStore::DropPartition(const DomainPartition& partition) {
  {
    absl::MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
    ++drops_;
  }
  return MemorySnapshotStore::DropPartition(partition);
}

absl::StatusOr<std::vector<SnapshotStore::KeyedSnapshot>> FaultStore::ListSnapshots(
    const DomainPartition& partition, std::string_view prefix, std::string_view from,
    size_t limit) const {
  if (absl::Status status = failure(); !status.ok()) return status;
  return MemorySnapshotStore::ListSnapshots(partition, prefix, from, limit);
}

absl::StatusOr<std::vector<SnapshotStore::VersionedEvent>> FaultStore::ListEvents(
    const DomainPartition& partition, std::string_view key, Version from, size_t limit,
    size_t max_bytes) const {
  if (absl::Status status = history_failure(); !status.ok()) return status;
  return MemorySnapshotStore::ListEvents(partition, key, from, limit, max_bytes);
}

absl::StatusOr<std::optional<Offset>> FaultStore::GetHistoryOffset(
    const DomainPartition& partition) const {
  if (absl::Status status = history_failure(); !status.ok()) return status;
  return MemorySnapshotStore::GetHistoryOffset(partition);
}

absl::Status FaultStore::UpdateHistory(const DomainPartition& partition,
                                       const std::vector<StoreUpdate::Event>& events, Offset next) {
  if (absl::Status status = history_failure(); !status.ok()) return status;
  return MemorySnapshotStore::UpdateHistory(partition, events, next);
}

absl::Status FaultStore::DropHistory() {
  if (absl::Status status = history_failure(); !status.ok()) return status;
  return MemorySnapshotStore::DropHistory();
}

}  // namespace esd
