#include "engine/worker/worker_pool.h"

#include <absl/strings/str_join.h>
#include <spdlog/spdlog.h>

#include <iterator>
#include <map>
#include <string>

namespace esd {
namespace {

std::string Names(const std::vector<DomainPartition>& partitions) {
  return absl::StrJoin(partitions, " ", [](std::string* out, const DomainPartition& p) {
    out->append(ToString(p));
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerPool>> WorkerPool::Start(
    int count, const WorkerEnvironment& environment) {
  std::unique_ptr<WorkerPool> pool(new WorkerPool(environment));
  for (int i = 0; i < count; ++i) {
    auto worker = Worker::Start(i, environment);
    if (!worker.ok()) return worker.status();
    pool->workers_.push_back(*std::move(worker));
  }
  return pool;
}

void WorkerPool::OnAssigned(const std::vector<DomainPartition>& partitions) {
  spdlog::info("assigned: {}", Names(partitions));
  ForEachShare(partitions, [](Worker& worker, const auto& share) { worker.Assign(share); });
}

void WorkerPool::OnRevoked(const std::vector<DomainPartition>& partitions) {
  ForEachShare(partitions, [](Worker& worker, const auto& share) { worker.HandOver(share); });
  spdlog::info("handed over: {}", Names(partitions));
}

void WorkerPool::OnLost(const std::vector<DomainPartition>& partitions) {
  spdlog::warn(
      "lost to the group, because this instance was not heard of for the session timeout: {}",
      Names(partitions));
  ForEachShare(partitions, [](Worker& worker, const auto& share) { worker.Drop(share); });
}

void WorkerPool::Repair(const DomainPartition& partition, std::vector<SnapshotRepair> repairs,
                        Done done) {
  WorkerOf(partition).Repair(partition, std::move(repairs), std::move(done));
}

int WorkerPool::restoring() const {
  int restoring = 0;
  for (const auto& worker : workers_) restoring += worker->restoring();
  return restoring;
}

Worker& WorkerPool::WorkerOf(const DomainPartition& partition) const {
  // Domains start at different workers, so that few partitions each still spread.
  const auto domain =
      std::distance(environment_.domains->begin(), environment_.domains->find(partition.domain));
  const auto index = static_cast<size_t>(domain + partition.partition.value()) % workers_.size();
  return *workers_[index];
}

template <typename Function>
void WorkerPool::ForEachShare(const std::vector<DomainPartition>& partitions,
                              const Function& function) const {
  std::map<Worker*, std::vector<DomainPartition>> shares;
  for (const DomainPartition& partition : partitions)
    shares[&WorkerOf(partition)].push_back(partition);
  for (const auto& [worker, share] : shares) function(*worker, share);
}

}  // namespace esd
