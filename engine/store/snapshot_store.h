// The committed state of the partitions that this instance holds: snapshots, outcomes of commands with an id, and
// checkpoints. It is a copy of what the topics say; it never holds anything that is not committed there, and what it
// lacks is replayed from them.
#ifndef ESD_ENGINE_STORE_SNAPSHOT_STORE_H_
#define ESD_ENGINE_STORE_SNAPSHOT_STORE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"
#include "esd/v1/stored.pb.h"

namespace esd {

// What one committed transaction changes in one partition. Later entries of the same key win.
struct StoreUpdate {
  struct Snapshot {
    std::string key;
    std::string value;  // a serialized StoredSnapshot; empty removes the aggregate (a tombstone of the changelog)
  };
  struct Outcome {
    std::string key;
    std::string command_id;
    esd::v1::StoredOutcome outcome;
  };

  DomainPartition partition;
  std::vector<Snapshot> snapshots;
  std::vector<Outcome> outcomes;
  esd::v1::StoredCheckpoint checkpoint;
};

// Every function may be called from any thread; updates of one partition come from one thread at a time. Errors:
// kDataLoss when what is stored can't be read back (a broken disk or file: rebuild the store), kInternal for other
// failures of the storage.
class SnapshotStore {
 public:
  virtual ~SnapshotStore() = default;

  // The aggregate's snapshot; nothing when it has none.
  virtual absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> GetSnapshot(
      const DomainPartition& partition, std::string_view key) const = 0;

  // The outcome of the command with that id; nothing when there was none or it has expired.
  virtual absl::StatusOr<std::optional<esd::v1::StoredOutcome>> GetOutcome(
      const DomainPartition& partition, std::string_view key,
      std::string_view command_id) const = 0;

  // Where the partition stands; nothing when the store knows nothing of it.
  virtual absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> GetCheckpoint(
      const DomainPartition& partition) const = 0;

  // Makes all updates visible at once, checkpoints included: all or, after a crash, nothing.
  virtual absl::Status Apply(const std::vector<StoreUpdate>& updates) = 0;

  // Forgets everything about the partition, its checkpoint included.
  virtual absl::Status DropPartition(const DomainPartition& partition) = 0;
};

}  // namespace esd

#endif  // ESD_ENGINE_STORE_SNAPSHOT_STORE_H_
