#include "tests/log/memory_snapshot_store.h"

namespace esd {

void MemorySnapshotStore::Fail(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  failure_ = error;
}

void MemorySnapshotStore::FailApply(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  apply_failure_ = error;
}

int MemorySnapshotStore::drops() const {
  absl::MutexLock lock(&mutex_);
  return drops_;
}

const MemorySnapshotStore::Partition* MemorySnapshotStore::Find(
    const DomainPartition& partition) const {
  const auto it = partitions_.find(partition);
  return it == partitions_.end() ? nullptr : &it->second;
}

absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> MemorySnapshotStore::GetSnapshot(
    const DomainPartition& partition, std::string_view key) const {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  const Partition* found = Find(partition);
  if (found == nullptr) return std::nullopt;
  const auto it = found->snapshots.find(std::string(key));
  if (it == found->snapshots.end()) return std::nullopt;
  return it->second;
}

absl::StatusOr<std::optional<esd::v1::StoredOutcome>> MemorySnapshotStore::GetOutcome(
    const DomainPartition& partition, std::string_view key, std::string_view command_id) const {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  const Partition* found = Find(partition);
  if (found == nullptr) return std::nullopt;
  const auto it = found->outcomes.find({std::string(key), std::string(command_id)});
  if (it == found->outcomes.end()) return std::nullopt;
  return it->second;
}

absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> MemorySnapshotStore::GetCheckpoint(
    const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  const Partition* found = Find(partition);
  if (found == nullptr) return std::nullopt;
  return found->checkpoint;
}

absl::Status MemorySnapshotStore::Apply(const std::vector<StoreUpdate>& updates) {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  if (!apply_failure_.ok()) return apply_failure_;
  for (const StoreUpdate& update : updates) {
    Partition& partition = partitions_[update.partition];
    for (const StoreUpdate::Snapshot& snapshot : update.snapshots) {
      if (snapshot.value.empty()) {
        partition.snapshots.erase(snapshot.key);
      } else if (!partition.snapshots[snapshot.key].ParseFromString(snapshot.value)) {
        return absl::DataLossError("not a snapshot");
      }
    }
    for (const StoreUpdate::Outcome& outcome : update.outcomes) {
      partition.outcomes[{outcome.key, outcome.command_id}] = outcome.outcome;
    }
    partition.checkpoint = update.checkpoint;
  }
  return absl::OkStatus();
}

absl::Status MemorySnapshotStore::DropPartition(const DomainPartition& partition) {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  partitions_.erase(partition);
  ++drops_;
  return absl::OkStatus();
}

std::map<std::string, esd::v1::StoredSnapshot> MemorySnapshotStore::Snapshots(
    const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const Partition* found = Find(partition);
  if (found == nullptr) return {};
  return found->snapshots;
}

}  // namespace esd
