#include "engine/log/embedded/embedded_reader.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace esd::embedded {

absl::Status EmbeddedReader::Start(PartitionId partition, Offset from) {
  positions_[partition] = from;
  return absl::OkStatus();
}

void EmbeddedReader::Stop(PartitionId partition) { positions_.erase(partition); }

void EmbeddedReader::Wake() {
  absl::MutexLock lock(&state_->mutex);
  woken_ = true;
}

const TopicLog& EmbeddedReader::LogOf(PartitionId partition) const {
  return state_->partitions.at({domain_, partition}).of(topic_);
}

bool EmbeddedReader::AnythingNew() const {
  return std::any_of(positions_.begin(), positions_.end(), [this](const auto& position) {
    const TopicLog& log = LogOf(position.first);
    return position.second != log.end;
  });
}

absl::StatusOr<LogReader::Polled> EmbeddedReader::Poll(const PollLimits& limits,
                                                       absl::Duration wait) {
  {
    absl::MutexLock lock(&state_->mutex);
    const auto ready = [this] { return woken_ || (state_->trouble.ok() && AnythingNew()); };
    state_->mutex.AwaitWithTimeout(absl::Condition(&ready), wait);
    woken_ = false;
  }
  std::vector<PartitionId> order;
  for (const auto& [partition, next] : positions_) order.push_back(partition);
  std::rotate(order.begin(), std::upper_bound(order.begin(), order.end(), last_), order.end());

  Polled polled;
  auto memory = std::make_shared<RecordMemory>();
  PollBudget budget(limits);
  for (const PartitionId partition : order) {
    const absl::Status status = Take(partition, &budget, memory.get(), &polled);
    if (!status.ok()) return status;
  }
  if (!polled.batches.empty()) last_ = polled.batches.front().partition;
  polled.memory = std::move(memory);
  return polled;
}

absl::Status EmbeddedReader::Take(PartitionId partition, PollBudget* budget, RecordMemory* memory,
                                  Polled* polled) {
  const TopicLog& log = LogOf(partition);
  Offset& next = positions_.at(partition);
  if (absl::Status status = CheckRange(*state_, log, next); !status.ok()) return status;
  Offset end;
  {
    absl::ReaderMutexLock lock(&state_->mutex);
    end = log.end;
  }
  Batch batch{partition, {}, next};
  if (absl::Status status = ScanRecords(*database_, *state_, log, next, end, budget, memory,
                                        &batch.records, &batch.next);
      !status.ok()) {
    return status;
  }
  if (batch.next == next) return absl::OkStatus();
  next = batch.next;
  polled->batches.push_back(std::move(batch));
  return absl::OkStatus();
}

}  // namespace esd::embedded
