#include "engine/store/memory_snapshot_store.h"

namespace esd {
namespace {

template <typename Map, typename Key>
auto Find(const Map& map, const Key& key) -> std::optional<typename Map::mapped_type> {
  const auto it = map.find(key);
  if (it == map.end()) return std::nullopt;
  return it->second;
}

}  // namespace

absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> MemorySnapshotStore::GetSnapshot(
    const DomainPartition& partition, std::string_view key) const {
  absl::MutexLock lock(&mutex_);
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return std::nullopt;
  return Find(it->second.snapshots, std::string(key));
}

absl::StatusOr<std::optional<esd::v1::StoredOutcome>> MemorySnapshotStore::GetOutcome(
    const DomainPartition& partition, std::string_view key, std::string_view command_id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return std::nullopt;
  auto outcome = Find(it->second.outcomes, std::pair(std::string(key), std::string(command_id)));
  if (outcome && absl::FromUnixMillis(outcome->recorded_ms()) + outcome_retention_ < now_())
    return std::nullopt;
  return outcome;
}

absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> MemorySnapshotStore::GetCheckpoint(
    const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return std::nullopt;
  return it->second.checkpoint;
}

absl::Status MemorySnapshotStore::Apply(const std::vector<StoreUpdate>& updates) {
  absl::MutexLock lock(&mutex_);
  for (const StoreUpdate& update : updates) {
    Contents& contents = partitions_[update.partition];
    for (const StoreUpdate::Snapshot& snapshot : update.snapshots) {
      if (snapshot.value.empty()) {
        contents.snapshots.erase(snapshot.key);
      } else if (!contents.snapshots[snapshot.key].ParseFromString(snapshot.value)) {
        return absl::DataLossError("a snapshot that can't be read back was applied");
      }
    }
    for (const StoreUpdate::Outcome& outcome : update.outcomes) {
      contents.outcomes[{outcome.key, outcome.command_id}] = outcome.outcome;
    }
    contents.checkpoint = update.checkpoint;
  }
  return absl::OkStatus();
}

std::map<std::string, esd::v1::StoredSnapshot> MemorySnapshotStore::Snapshots(
    const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return {};
  return it->second.snapshots;
}

absl::Status MemorySnapshotStore::DropPartition(const DomainPartition& partition) {
  absl::MutexLock lock(&mutex_);
  partitions_.erase(partition);
  return absl::OkStatus();
}

}  // namespace esd
