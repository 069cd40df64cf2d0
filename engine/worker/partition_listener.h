// Who wants to know what workers do: those that wait for a command or a version, and those that
// answer queries.
#ifndef ESD_ENGINE_WORKER_PARTITION_LISTENER_H_
#define ESD_ENGINE_WORKER_PARTITION_LISTENER_H_

#include <cstdint>
#include <vector>

#include "engine/base/types.h"
#include "engine/store/snapshot_store.h"
#include "engine/worker/partition_processor.h"

namespace esd {

// What a committed transaction did in one partition. The store has it already.
struct CommittedPart {
  const DomainPartition& partition;
  const std::vector<CommandResult>& results;
  const std::vector<StoreUpdate::Snapshot>& snapshots;
};

// Called by workers, of one partition by one thread at a time, of several by several. Must return
// soon: the partition's next transaction waits.
//
//   OnAssigned ─> OnServing ─> OnCommitted … ─> OnStopped          (or OnStopped at any time)
class PartitionListener {
 public:
  virtual ~PartitionListener() = default;

  // The partition was given to this instance and is being restored.
  virtual void OnAssigned(const DomainPartition& partition) = 0;

  // The store has everything that is committed, and this instance's claim is committed, too. Comes
  // before the OnCommitted() of the transaction that made the claim.
  virtual void OnServing(const DomainPartition& partition) = 0;

  virtual void OnCommitted(const CommittedPart& part) = 0;

  // Commands that wait, about once a second.
  virtual void OnLag(const DomainPartition& partition, int64_t lag) = 0;

  // The partition isn't this instance's any more, or will not be in a moment: nobody else owns it
  // before this returns, but when it was lost.
  virtual void OnStopped(const DomainPartition& partition) = 0;
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_PARTITION_LISTENER_H_
