#include "engine/store/memory_snapshot_store.h"

#include <algorithm>

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
    Add(update.events, &contents);
    if (update.history_offset) contents.history_offset = update.history_offset;
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

absl::StatusOr<std::vector<SnapshotStore::KeyedSnapshot>> MemorySnapshotStore::ListSnapshots(
    const DomainPartition& partition, std::string_view prefix, std::string_view from,
    size_t limit) const {
  absl::MutexLock lock(&mutex_);
  std::vector<KeyedSnapshot> found;
  const auto contents = partitions_.find(partition);
  if (contents == partitions_.end()) return found;
  const auto& snapshots = contents->second.snapshots;
  auto it = snapshots.lower_bound(std::string(std::max(prefix, from)));
  for (; it != snapshots.end() && it->first.starts_with(prefix) && found.size() < limit; ++it) {
    found.push_back({it->first, it->second});
  }
  return found;
}

absl::StatusOr<std::vector<SnapshotStore::VersionedEvent>> MemorySnapshotStore::ListEvents(
    const DomainPartition& partition, std::string_view key, Version from, size_t limit,
    size_t max_bytes) const {
  absl::MutexLock lock(&mutex_);
  std::vector<VersionedEvent> found;
  const auto contents = partitions_.find(partition);
  if (contents == partitions_.end()) return found;
  const auto& events = contents->second.events;
  size_t bytes = 0;
  for (auto it = events.lower_bound({std::string(key), from});
       it != events.end() && it->first.first == key && found.size() < limit; ++it) {
    if (!found.empty() && bytes >= max_bytes) break;
    bytes += it->second.size();
    VersionedEvent& event = found.emplace_back();
    event.version = it->first.second;
    if (!event.event.ParseFromString(it->second)) {
      return absl::DataLossError("an event that can't be read back was added");
    }
  }
  return found;
}

absl::StatusOr<std::optional<Offset>> MemorySnapshotStore::GetHistoryOffset(
    const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return std::nullopt;
  return it->second.history_offset;
}

absl::Status MemorySnapshotStore::UpdateHistory(const DomainPartition& partition,
                                                const std::vector<StoreUpdate::Event>& events,
                                                Offset next) {
  absl::MutexLock lock(&mutex_);
  Contents& contents = partitions_[partition];
  Add(events, &contents);
  contents.history_offset = next;
  return absl::OkStatus();
}

absl::Status MemorySnapshotStore::DropHistory() {
  absl::MutexLock lock(&mutex_);
  for (auto& [partition, contents] : partitions_) {
    contents.events.clear();
    contents.history_offset.reset();
  }
  return absl::OkStatus();
}

void MemorySnapshotStore::Add(const std::vector<StoreUpdate::Event>& events, Contents* contents) {
  for (const StoreUpdate::Event& event : events) {
    contents->events[{event.key, event.version}] = event.value;
  }
}

}  // namespace esd
