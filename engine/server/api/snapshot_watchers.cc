#include "engine/server/api/snapshot_watchers.h"

#include <utility>

namespace esd::api {

SnapshotWatchers::Id SnapshotWatchers::Add(const DomainPartition& partition, const std::string& key,
                                           std::function<void()> changed) {
  absl::MutexLock lock(&mutex_);
  const Id id{partition, key, ++last_};
  watchers_[partition][key].emplace(id.number, std::move(changed));
  return id;
}

void SnapshotWatchers::Remove(const Id& id) {
  std::function<void()> ended;  // may own what waits for the lock
  absl::MutexLock lock(&mutex_);
  const auto partition = watchers_.find(id.partition);
  if (partition == watchers_.end()) return;
  const auto key = partition->second.find(id.key);
  if (key == partition->second.end()) return;
  const auto watcher = key->second.find(id.number);
  if (watcher == key->second.end()) return;
  ended = std::move(watcher->second);
  key->second.erase(watcher);
  if (key->second.empty()) partition->second.erase(key);
  if (partition->second.empty()) watchers_.erase(partition);
}

void SnapshotWatchers::OnCommitted(const CommittedPart& part) {
  std::vector<std::function<void()>> called;
  {
    absl::MutexLock lock(&mutex_);
    const auto partition = watchers_.find(part.partition);
    if (partition == watchers_.end()) return;
    for (const StoreUpdate::Snapshot& snapshot : part.snapshots) {
      const auto key = partition->second.find(snapshot.key);
      if (key == partition->second.end()) continue;
      for (const auto& [number, changed] : key->second) called.push_back(changed);
    }
  }
  Run(std::move(called));
}

void SnapshotWatchers::OnStopped(const DomainPartition& partition) {
  std::vector<std::function<void()>> called;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = watchers_.find(partition);
    if (it == watchers_.end()) return;
    for (const auto& [key, watchers] : it->second) {
      for (const auto& [number, changed] : watchers) called.push_back(changed);
    }
  }
  Run(std::move(called));
}

void SnapshotWatchers::Run(std::vector<std::function<void()>> called) {
  for (std::function<void()>& changed : called) executor_->Run(std::move(changed));
}

}  // namespace esd::api
