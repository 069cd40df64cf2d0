// What a transaction that is being put together will write, laid over what is committed: the state
// that each command meets includes what the commands before it did, though nothing of that is
// committed yet. This is what makes three quick renames version 1, 2 and 3.
#ifndef ESD_ENGINE_STORE_PENDING_WRITES_H_
#define ESD_ENGINE_STORE_PENDING_WRITES_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/types.h"
#include "engine/store/snapshot_store.h"

namespace esd {

// One aggregate as the transaction sees it.
struct Aggregate {
  std::unique_ptr<google::protobuf::Message> state;  // null: no event yet
  Version version = kNoVersion;
};

// For one partition and one thread. The store outlives it.
class PendingWrites {
 public:
  PendingWrites(const SnapshotStore* store, DomainPartition partition,
                const google::protobuf::Message* state_prototype)
      : store_(store), partition_(std::move(partition)), state_prototype_(state_prototype) {}

  // The aggregate, changed by this transaction or as committed; valid until Clear(). Errors are the
  // store's.
  absl::StatusOr<const Aggregate*> Load(std::string_view key);

  // Replaces the aggregate; it was loaded before.
  void Update(std::string_view key, Aggregate aggregate);

  // The outcome of the command with that id, of this transaction or committed; null when there is
  // none. Valid until AddOutcome() or Clear().
  absl::StatusOr<const esd::v1::StoredOutcome*> FindOutcome(std::string_view key,
                                                            std::string_view command_id);

  void AddOutcome(std::string_view key, std::string_view command_id,
                  esd::v1::StoredOutcome outcome);

  // The last state of each aggregate that was updated, in the order of their first updates.
  std::vector<StoreUpdate::Snapshot> Snapshots() const;

  // The outcomes that were added, in order.
  std::vector<StoreUpdate::Outcome> TakeOutcomes();

  // Forgets everything: the transaction has ended.
  void Clear();

 private:
  struct Entry {
    Aggregate aggregate;
    bool updated = false;
  };

  const SnapshotStore* const store_;
  const DomainPartition partition_;
  const google::protobuf::Message* const state_prototype_;

  absl::flat_hash_map<std::string, std::unique_ptr<Entry>> aggregates_;
  std::vector<std::pair<std::string, const Entry*>> updated_;
  std::vector<StoreUpdate::Outcome> outcomes_;
  absl::flat_hash_map<std::pair<std::string, std::string>, size_t> outcome_index_;
  esd::v1::StoredOutcome committed_outcome_;  // what FindOutcome() last read from the store
};

}  // namespace esd

#endif  // ESD_ENGINE_STORE_PENDING_WRITES_H_
