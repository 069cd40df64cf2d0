#include "tests/log/memory_reader.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

namespace esd {

absl::Status MemoryReader::Start(PartitionId partition, Offset from) {
  absl::MutexLock lock(&cluster_->mutex_);
  positions_[partition] = from;
  return absl::OkStatus();
}

void MemoryReader::Stop(PartitionId partition) {
  absl::MutexLock lock(&cluster_->mutex_);
  positions_.erase(partition);
}

void MemoryReader::Wake() {
  absl::MutexLock lock(&cluster_->mutex_);
  woken_ = true;
}

const MemoryCluster::PartitionLog& MemoryReader::LogOf(PartitionId partition) const {
  return cluster_->logs_.at({domain_, topic_, partition});
}

bool MemoryReader::AnythingNew() const {
  return std::any_of(positions_.begin(), positions_.end(), [this](const auto& position) {
    const MemoryCluster::PartitionLog& log = LogOf(position.first);
    const Offset next = position.second;
    return next < log.stable_end() || next < log.begin || next > log.end;
  });
}

absl::StatusOr<LogReader::Polled> MemoryReader::Poll(const PollLimits& limits,
                                                     absl::Duration wait) {
  absl::MutexLock lock(&cluster_->mutex_);
  const auto ready = [this] { return woken_ || AnythingNew(); };
  cluster_->mutex_.AwaitWithTimeout(absl::Condition(&ready), wait);
  woken_ = false;
  std::vector<PartitionId> order;
  for (const auto& [partition, next] : positions_) order.push_back(partition);
  std::rotate(order.begin(), std::upper_bound(order.begin(), order.end(), last_), order.end());

  Polled polled;
  auto memory = std::make_shared<Memory>();
  size_t bytes = 0;
  for (const PartitionId partition : order) {
    const absl::Status status = Take(partition, limits, &bytes, memory.get(), &polled);
    if (!status.ok()) return status;
  }
  if (!polled.batches.empty()) last_ = polled.batches.front().partition;
  polled.memory = std::move(memory);
  return polled;
}

absl::Status MemoryReader::Take(PartitionId partition, const PollLimits& limits, size_t* bytes,
                                Memory* memory, Polled* polled) {
  const MemoryCluster::PartitionLog& log = LogOf(partition);
  Offset& next = positions_.at(partition);
  if (next < log.begin || next > log.end) {
    return absl::OutOfRangeError(absl::StrCat(
        MemoryCluster::NameOf(domain_, topic_), "/", partition.value(), " has ", log.begin.value(),
        " to ", log.end.value(), ", not ", next.value(), ": read from what is there"));
  }
  Batch batch{partition, {}, next};
  bool full = false;
  for (const auto& stored : log.records) {
    const TestRecord& record = stored->record;
    if (record.offset < next) continue;
    if (record.offset >= log.stable_end()) break;
    const size_t size = record.key.value_or("").size() + record.value.value_or("").size();
    full = !memory->empty() &&
           (memory->size() >= limits.max_records || *bytes + size > limits.max_bytes);
    if (full) break;
    *bytes += size;
    memory->push_back(stored);
    batch.records.push_back(MemoryCluster::ViewOf(*stored));
    batch.next = Next(record.offset);
  }
  // Over the ends of transactions, too.
  if (!full) batch.next = std::max(batch.next, log.stable_end());
  if (batch.next == next) return absl::OkStatus();
  next = batch.next;
  polled->batches.push_back(std::move(batch));
  return absl::OkStatus();
}

}  // namespace esd
