// The workers of an instance: partitions that the instance is given go to one of them each.
#ifndef ESD_ENGINE_WORKER_WORKER_POOL_H_
#define ESD_ENGINE_WORKER_WORKER_POOL_H_

#include <absl/status/statusor.h>

#include <memory>
#include <utility>
#include <vector>

#include "engine/log/log.h"
#include "engine/worker/repair.h"
#include "engine/worker/worker.h"

namespace esd {

class WorkerPool : public MembershipListener, public SnapshotRepairer {
 public:
  // Starts `count` workers; returns when all are open.
  static absl::StatusOr<std::unique_ptr<WorkerPool>> Start(int count,
                                                           const WorkerEnvironment& environment);

  // For the membership's thread.
  void OnAssigned(const std::vector<DomainPartition>& partitions) override;
  void OnRevoked(const std::vector<DomainPartition>& partitions) override;
  void OnLost(const std::vector<DomainPartition>& partitions) override;
  void OnFailed(const absl::Status& error) override { environment_.on_failure(error); }

  void Repair(const DomainPartition& partition, std::vector<SnapshotRepair> repairs,
              Done done) override;

  // Partitions that are assigned but not restored and claimed, and so not served, yet. Any thread.
  int restoring() const;

 private:
  explicit WorkerPool(WorkerEnvironment environment) : environment_(std::move(environment)) {}

  // Fixed for the life of the pool, so that requests about one partition stay in order.
  Worker& WorkerOf(const DomainPartition& partition) const;

  // Calls `function` with each worker's share of the partitions, one worker after the other.
  template <typename Function>
  void ForEachShare(const std::vector<DomainPartition>& partitions, const Function& function) const;

  const WorkerEnvironment environment_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_WORKER_POOL_H_
