// The worker's part in repairs of snapshots; see repair.h.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <optional>
#include <string>
#include <utility>

#include "engine/worker/worker.h"

namespace esd {
namespace {

// What a record has besides the key and the value at most.
constexpr size_t kRecordOverheadBytes = 2'048;

absl::Status NotHere(const DomainPartition& partition) {
  return absl::UnavailableError(
      absl::StrCat(ToString(partition), " isn't processed by this instance (any more)"));
}

}  // namespace

void Worker::Repair(const DomainPartition& partition, std::vector<SnapshotRepair> repairs,
                    SnapshotRepairer::Done done) {
  {
    absl::MutexLock lock(&mutex_);
    repairs_.push_back({partition, std::move(repairs), std::move(done)});
  }
  log_->Wake();
}

std::optional<Worker::RepairRequest> Worker::TakeRepair() {
  absl::MutexLock lock(&mutex_);
  if (repairs_.empty()) return std::nullopt;
  RepairRequest request = std::move(repairs_.front());
  repairs_.pop_front();
  return request;
}

void Worker::RefuseRepairs(const absl::Status& reason) {
  while (auto request = TakeRepair()) request->done(reason);
}

absl::Status Worker::HandleRepair() {
  std::optional<RepairRequest> request = TakeRepair();
  if (!request) return absl::OkStatus();
  const DomainPartition& partition = request->partition;
  const auto it = partitions_.find(partition);
  if (it == partitions_.end() || !it->second.claimed) {
    request->done(NotHere(partition));
    return absl::OkStatus();
  }
  RepairResult result;
  absl::StatusOr<Batch> batch = BeginRepair(*request, it->second, &result.done);
  absl::Status status = batch.status();
  if (status.ok() && !batch->empty()) {
    status = Commit(&*batch);
    if (status.ok() && batch->empty()) {  // it was lost meanwhile
      request->done(NotHere(partition));
      return absl::OkStatus();
    }
    if (status.ok()) status = Publish(*std::move(batch));
  }
  if (!status.ok()) {
    request->done(status);
    return status;
  }
  const Partition& state = partitions_.at(partition);
  result.snapshot_end = Offset{state.checkpoint.snapshot_offset()};
  result.event_end = state.event_end;
  request->done(std::move(result));
  return absl::OkStatus();
}

absl::StatusOr<Worker::Batch> Worker::BeginRepair(const RepairRequest& request,
                                                  const Partition& state,
                                                  std::vector<bool>* repaired) const {
  const size_t limit = environment_.log->MaxRecordBytes(request.partition.domain, Topic::kSnapshot);
  TransactionPart part{
      request.partition, Offset{state.checkpoint.command_offset()}, OwnershipMark::kNone, {}};
  for (const SnapshotRepair& repair : request.repairs) {
    const auto stored = environment_.store->GetSnapshot(request.partition, repair.key);
    if (!stored.ok()) return stored.status();
    const std::optional<SeenSnapshot> present =
        *stored ? std::optional(SeenOf(**stored)) : std::nullopt;
    const bool fits = repair.key.size() + repair.value.size() + kRecordOverheadBytes <= limit;
    repaired->push_back(present == repair.seen && fits);
    if (!repaired->back()) continue;
    OutputRecord record{Topic::kSnapshot, request.partition.partition, repair.key, {}, {}};
    if (!repair.value.empty()) record.value = repair.value;
    part.records.push_back(std::move(record));
  }
  Batch batch;
  batch.time = absl::Now();
  if (part.records.empty()) return batch;
  spdlog::warn("{}: {} snapshots are put right, as they come out of the events",
               ToString(request.partition), part.records.size());
  batch.Add({std::move(part), {}, {}});
  return batch;
}

}  // namespace esd
