// The snapshot store in memory, for tests of what stands on one; outcomes never expire.
#ifndef ESD_TESTS_LOG_MEMORY_SNAPSHOT_STORE_H_
#define ESD_TESTS_LOG_MEMORY_SNAPSHOT_STORE_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

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
  // From now on every function fails with `error`; an OK status ends that.
  void Fail(const absl::Status& error);
  // Only Apply() fails.
  void FailApply(const absl::Status& error);
  // How often DropPartition() was called.
  int drops() const;

  absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> GetSnapshot(
      const DomainPartition& partition, std::string_view key) const override;
  absl::StatusOr<std::optional<esd::v1::StoredOutcome>> GetOutcome(
      const DomainPartition& partition, std::string_view key,
      std::string_view command_id) const override;
  absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> GetCheckpoint(
      const DomainPartition& partition) const override;
  absl::Status Apply(const std::vector<StoreUpdate>& updates) override;
  absl::Status DropPartition(const DomainPartition& partition) override;

  // The aggregates of the partition.
  std::map<std::string, esd::v1::StoredSnapshot> Snapshots(const DomainPartition& partition) const;

 private:
  struct Partition {
    std::map<std::string, esd::v1::StoredSnapshot> snapshots;
    std::map<std::pair<std::string, std::string>, esd::v1::StoredOutcome> outcomes;
    esd::v1::StoredCheckpoint checkpoint;
  };

  const Partition* Find(const DomainPartition& partition) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<DomainPartition, Partition> partitions_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status apply_failure_ ABSL_GUARDED_BY(mutex_);
  int drops_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_MEMORY_SNAPSHOT_STORE_H_
