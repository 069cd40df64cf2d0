// Snapshots that turned out not to be what the events come to, put right by the one worker that may
// write them.
#ifndef ESD_ENGINE_WORKER_REPAIR_H_
#define ESD_ENGINE_WORKER_REPAIR_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"
#include "esd/v1/stored.pb.h"

namespace esd {

// Tells snapshots of one aggregate apart, within one process.
struct SeenSnapshot {
  Version version;
  uint64_t hash = 0;  // of the state's bytes

  friend bool operator==(const SeenSnapshot&, const SeenSnapshot&) = default;
};

uint64_t HashOf(std::string_view bytes);
SeenSnapshot SeenOf(const esd::v1::StoredSnapshot& snapshot);

struct SnapshotRepair {
  std::string key;
  // What the store had when it was found wrong, there or in the changelog; nothing: no snapshot.
  std::optional<SeenSnapshot> seen;
  // The right one, a serialized StoredSnapshot; empty: there must be none.
  std::string value;
};

struct RepairResult {
  // For each repair, in order, whether it was done. An aggregate whose snapshot in the store isn't
  // the one that was seen has changed since, and is left as it is.
  std::vector<bool> done;
  // Between two transactions of the partition, this one: the store has the effects of all that is
  // below, in the changelog and among the events.
  Offset snapshot_end;
  Offset event_end;
};

// Any thread.
class SnapshotRepairer {
 public:
  // kUnavailable when the partition isn't processed here (any more): then nothing was done. Other
  // errors end the instance.
  using Done = std::function<void(absl::StatusOr<RepairResult>)>;

  virtual ~SnapshotRepairer() = default;

  // Between two transactions, writes the snapshots to changelog and store, all in one transaction
  // that leaves the commands' position where it is: keep it small. Without repairs it only tells
  // where the partition stands. `done` is called once, on the worker's thread, and must return
  // soon; it isn't called when the worker is ended before it gets there.
  virtual void Repair(const DomainPartition& partition, std::vector<SnapshotRepair> repairs,
                      Done done) = 0;
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_REPAIR_H_
