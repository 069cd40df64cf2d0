// What every SnapshotStore must do, as a suite: an implementation's test instantiates it with a way
// to make one.
//
//   INSTANTIATE_TEST_SUITE_P(Rocksdb, SnapshotStoreContract, testing::Values(&MakeRocksdbHarness));
#ifndef ESD_ENGINE_STORE_SNAPSHOT_STORE_CONTRACT_TEST_H_
#define ESD_ENGINE_STORE_SNAPSHOT_STORE_CONTRACT_TEST_H_

#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/store/snapshot_store.h"

namespace esd {

// A store that keeps outcomes for `outcome_retention()` by a clock that the test sets.
class SnapshotStoreHarness {
 public:
  virtual ~SnapshotStoreHarness() = default;
  virtual SnapshotStore& store() = 0;
  virtual absl::Duration outcome_retention() const = 0;
  virtual void SetNow(absl::Time now) = 0;
};

class SnapshotStoreContract
    : public testing::TestWithParam<std::function<std::unique_ptr<SnapshotStoreHarness>()>> {
 protected:
  SnapshotStoreContract() : harness_(GetParam()()) {}

  SnapshotStore& store() { return harness_->store(); }
  SnapshotStoreHarness& harness() { return *harness_; }

 private:
  std::unique_ptr<SnapshotStoreHarness> harness_;
};

// The small language of the store's tests.

inline DomainPartition In(std::string domain, int32_t partition) {
  return {std::move(domain), PartitionId{partition}};
}

// One update of one partition, built up: Update(p).Put("k", 3, "state").At(17).
class Update {
 public:
  explicit Update(DomainPartition partition) { update_.partition = std::move(partition); }

  Update& Put(std::string key, int64_t version, std::string state);
  Update& Remove(std::string key);
  Update& Record(std::string key, std::string command_id, std::string reply, absl::Time at);
  Update& At(int64_t command_offset);
  Update& Happened(std::string key, int64_t version, std::string text);
  Update& HistoryUpTo(int64_t event_offset);

  operator StoreUpdate() const { return update_; }  // NOLINT: what it is for

 private:
  StoreUpdate update_;
};

// The parts as text, so that a test compares with one literal: "3:state", "reply", the command or
// event offset. "none" when the store has nothing, the status when it fails.
std::string Snapshot(const SnapshotStore& store, const DomainPartition& p, std::string_view key);
std::string Outcome(const SnapshotStore& store, const DomainPartition& p, std::string_view key,
                    std::string_view command_id);
std::string Checkpoint(const SnapshotStore& store, const DomainPartition& p);
std::string HistoryOffset(const SnapshotStore& store, const DomainPartition& p);

// All of the aggregate's events, or as many as `limit` and `max_bytes` let through: "0:text
// 1:text". Empty when there are none.
std::string Events(const SnapshotStore& store, const DomainPartition& p, std::string_view key,
                   int64_t from = 0, size_t limit = 1000, size_t max_bytes = size_t{1} << 20);

// An event for UpdateHistory().
StoreUpdate::Event Happened(std::string key, int64_t version, std::string text);

// The keys of the listed snapshots; the status alone when it fails.
std::vector<std::string> Keys(const SnapshotStore& store, const DomainPartition& p,
                              std::string_view prefix = "", std::string_view after = "",
                              size_t limit = 1000);

}  // namespace esd

#endif  // ESD_ENGINE_STORE_SNAPSHOT_STORE_CONTRACT_TEST_H_
