// The store in memory, failing when it is told to; outcomes never expire.
#ifndef ESD_TESTS_LOG_FAULT_STORE_H_
#define ESD_TESTS_LOG_FAULT_STORE_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/store/memory_snapshot_store.h"

namespace esd {

class FaultStore : public MemorySnapshotStore {
 public:
  FaultStore() : MemorySnapshotStore(absl::InfiniteDuration()) {}

  // From now on every function fails with `error`; an OK status ends that.
  void Fail(const absl::Status& error);
  // Only Apply() fails.
  void FailApply(const absl::Status& error);
  // Only the functions of the history fail.
  void FailHistory(const absl::Status& error);
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

 private:
  absl::Status failure() const;
  absl::Status history_failure() const;

  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status apply_failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status history_failure_ ABSL_GUARDED_BY(mutex_);
  int drops_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_FAULT_STORE_H_
