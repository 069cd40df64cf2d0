// The snapshot store in memory, for tests of what stands on the contract. It passes the same suite
// as the one on disk.
#ifndef ESD_ENGINE_STORE_MEMORY_SNAPSHOT_STORE_H_
#define ESD_ENGINE_STORE_MEMORY_SNAPSHOT_STORE_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/store/snapshot_store.h"

namespace esd {

class MemorySnapshotStore : public SnapshotStore {
 public:
  explicit MemorySnapshotStore(absl::Duration outcome_retention = absl::Hours(48),
                               std::function<absl::Time()> now = absl::Now)
      : outcome_retention_(outcome_retention), now_(std::move(now)) {}

  absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> GetSnapshot(
      const DomainPartition& partition, std::string_view key) const override;
  absl::StatusOr<std::optional<esd::v1::StoredOutcome>> GetOutcome(
      const DomainPartition& partition, std::string_view key,
      std::string_view command_id) const override;
  absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> GetCheckpoint(
      const DomainPartition& partition) const override;
  absl::Status Apply(const std::vector<StoreUpdate>& updates) override;
  absl::Status DropPartition(const DomainPartition& partition) override;

  absl::StatusOr<std::vector<KeyedSnapshot>> ListSnapshots(const DomainPartition& partition,
                                                           std::string_view prefix,
                                                           std::string_view from,
                                                           size_t limit) const override;
  absl::StatusOr<std::vector<VersionedEvent>> ListEvents(const DomainPartition& partition,
                                                         std::string_view key, Version from,
                                                         size_t limit,
                                                         size_t max_bytes) const override;
  absl::StatusOr<std::optional<Offset>> GetHistoryOffset(
      const DomainPartition& partition) const override;
  absl::Status UpdateHistory(const DomainPartition& partition,
                             const std::vector<StoreUpdate::Event>& events, Offset next) override;
  absl::Status DropHistory() override;

  // The aggregates of the partition, by key.
  std::map<std::string, esd::v1::StoredSnapshot> Snapshots(const DomainPartition& partition) const;

 private:
  struct Contents {
    std::map<std::string, esd::v1::StoredSnapshot> snapshots;
    std::map<std::pair<std::string, std::string>, esd::v1::StoredOutcome> outcomes;
    std::optional<esd::v1::StoredCheckpoint> checkpoint;
    std::map<std::pair<std::string, Version>, std::string> events;  // serialized StoredEvents
    std::optional<Offset> history_offset;
  };

  static void Add(const std::vector<StoreUpdate::Event>& events, Contents* contents);

  const absl::Duration outcome_retention_;
  const std::function<absl::Time()> now_;
  mutable absl::Mutex mutex_;
  std::map<DomainPartition, Contents> partitions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd

#endif  // ESD_ENGINE_STORE_MEMORY_SNAPSHOT_STORE_H_
