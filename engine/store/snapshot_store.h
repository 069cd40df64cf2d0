// The committed state of the partitions that this instance holds: snapshots, outcomes of commands
// with an id, and checkpoints. It is a copy of what the topics say; it never holds anything that is
// not committed there, and what it lacks is replayed from them.
#ifndef ESD_ENGINE_STORE_SNAPSHOT_STORE_H_
#define ESD_ENGINE_STORE_SNAPSHOT_STORE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
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
    std::string value;  // a serialized StoredSnapshot; empty removes the aggregate (a tombstone of
                        // the changelog)
  };
  struct Outcome {
    std::string key;
    std::string command_id;
    esd::v1::StoredOutcome outcome;
  };
  struct Event {
    std::string key;
    Version version;
    std::string value;  // a serialized StoredEvent
  };

  DomainPartition partition;
  std::vector<Snapshot> snapshots;
  std::vector<Outcome> outcomes;
  esd::v1::StoredCheckpoint checkpoint;
  // For the history; nothing when it isn't kept.
  std::vector<Event> events = {};
  // With it, the history has all events below this offset of the event topic. Left out while it is
  // being rebuilt: then only UpdateHistory() says how far it has come.
  std::optional<Offset> history_offset = {};
};

// Every function may be called from any thread; updates of one partition come from one thread at a
// time. Errors: kDataLoss when what is stored can't be read back (a broken disk or file: rebuild
// the store), kResourceExhausted while the disk is full, kInternal for other failures of the
// storage.
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

  // Forgets everything about the partition, its checkpoint and its history included.
  virtual absl::Status DropPartition(const DomainPartition& partition) = 0;

  // The following are for queries.

  struct KeyedSnapshot {
    std::string key;
    esd::v1::StoredSnapshot snapshot;
  };
  // The first key that can come behind this one.
  static std::string KeyBehind(std::string_view key) { return std::string(key) + '\0'; }

  // Snapshots whose keys begin with `prefix`, from the key `from` on (in the order of bytes), at
  // most `limit`, in the order of their keys. What comes behind the last of them begins at
  // KeyBehind() its key.
  virtual absl::StatusOr<std::vector<KeyedSnapshot>> ListSnapshots(const DomainPartition& partition,
                                                                   std::string_view prefix,
                                                                   std::string_view from,
                                                                   size_t limit) const = 0;

  struct VersionedEvent {
    Version version;
    esd::v1::StoredEvent event;
  };
  // The aggregate's events from version `from` on, in order: at most `limit`, and no more once they
  // have `max_bytes` together (but one if there is one). They have no gap as long as the history
  // has all events of the partition.
  virtual absl::StatusOr<std::vector<VersionedEvent>> ListEvents(const DomainPartition& partition,
                                                                 std::string_view key, Version from,
                                                                 size_t limit,
                                                                 size_t max_bytes) const = 0;

  // The following are for whoever rebuilds the history. They may be called while Apply() is, for
  // the same partition.

  // The history has all events below this offset of the event topic; nothing when it was never
  // begun.
  virtual absl::StatusOr<std::optional<Offset>> GetHistoryOffset(
      const DomainPartition& partition) const = 0;

  // Adds events (of which some may be there already, and are the same) and sets the offset above,
  // at once. Gives way to Apply() when the storage is busy.
  virtual absl::Status UpdateHistory(const DomainPartition& partition,
                                     const std::vector<StoreUpdate::Event>& events,
                                     Offset next) = 0;

  // Forgets the history of all partitions, and frees its space. Nothing may be added to it at the
  // same time.
  virtual absl::Status DropHistory() = 0;
};

}  // namespace esd

#endif  // ESD_ENGINE_STORE_SNAPSHOT_STORE_H_
