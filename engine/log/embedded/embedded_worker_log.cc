#include "engine/log/embedded/embedded_worker_log.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/log/embedded/record_codec.h"
#include "engine/log/topic_names.h"

namespace esd::embedded {
namespace {

using Outcome = WriteRequest::Outcome;

CommitOutcome ToCommitOutcome(Outcome outcome) {
  switch (outcome) {
    case Outcome::kWritten:
      return CommitOutcome::kCommitted;
    case Outcome::kRefused:
      return CommitOutcome::kAborted;
    case Outcome::kFenced:
      return CommitOutcome::kFenced;
    case Outcome::kLost:
      return CommitOutcome::kLost;
    case Outcome::kUnknown:
      return CommitOutcome::kUnknown;
  }
  return CommitOutcome::kUnknown;
}

// For each part, in order, the ends of its partition's own topics.
std::vector<CommitResult::Written> WrittenOf(const Transaction& transaction,
                                             const std::vector<WriteRequest::Record>& records) {
  std::vector<CommitResult::Written> written(transaction.parts.size());
  size_t i = 0;
  for (size_t part = 0; part < transaction.parts.size(); ++part) {
    for (const OutputRecord& record : transaction.parts[part].records) {
      const Offset end = Next(records[i++].offset);
      if (record.topic == Topic::kEvent) written[part].event_end = end;
      if (record.topic == Topic::kSnapshot) written[part].snapshot_end = end;
      if (record.topic == Topic::kReply) written[part].reply_end = end;
    }
  }
  return written;
}

}  // namespace

absl::Status EmbeddedWorkerLog::Start(const DomainPartition& partition, Offset from) {
  absl::MutexLock lock(&state_->mutex);
  readings_[partition] = from;
  return absl::OkStatus();
}

void EmbeddedWorkerLog::Stop(const DomainPartition& partition) {
  absl::MutexLock lock(&state_->mutex);
  readings_.erase(partition);
}

void EmbeddedWorkerLog::Wake() {
  absl::MutexLock lock(&state_->mutex);
  woken_ = true;
}

bool EmbeddedWorkerLog::AnythingWaits() const {
  return std::any_of(readings_.begin(), readings_.end(), [this](const auto& reading) {
    return reading.second < state_->partitions.at(reading.first).of(Topic::kCommand).end;
  });
}

absl::StatusOr<PolledRecords> EmbeddedWorkerLog::Poll(const PollLimits& limits,
                                                      absl::Duration wait) {
  std::vector<DomainPartition> order;
  {
    absl::MutexLock lock(&state_->mutex);
    const auto ready = [this] { return woken_ || (state_->trouble.ok() && AnythingWaits()); };
    state_->mutex.AwaitWithTimeout(absl::Condition(&ready), wait);
    woken_ = false;
    for (const auto& [partition, next] : readings_) order.push_back(partition);
  }
  std::rotate(order.begin(), std::upper_bound(order.begin(), order.end(), last_), order.end());
  PolledRecords commands;
  auto memory = std::make_shared<RecordMemory>();
  PollBudget budget(limits);
  for (const DomainPartition& partition : order) {
    const absl::Status status = Take(partition, &budget, memory.get(), &commands);
    if (!status.ok()) return status;
  }
  if (!commands.batches.empty()) last_ = commands.batches.front().partition;
  commands.memory = std::move(memory);
  return commands;
}

absl::Status EmbeddedWorkerLog::Take(const DomainPartition& partition, PollBudget* budget,
                                     RecordMemory* memory, PolledRecords* commands) {
  const TopicLog& log = state_->partitions.at(partition).of(Topic::kCommand);
  Offset from;
  Offset end;
  {
    absl::ReaderMutexLock lock(&state_->mutex);
    from = readings_.at(partition);
    end = log.end;
  }
  RecordBatch batch{partition, {}};
  Offset next;
  if (absl::Status status =
          ScanRecords(*database_, *state_, log, from, end, budget, memory, &batch.records, &next);
      !status.ok()) {
    return status;
  }
  {
    absl::MutexLock lock(&state_->mutex);
    readings_.at(partition) = next;
  }
  if (!batch.records.empty()) commands->batches.push_back(std::move(batch));
  return absl::OkStatus();
}

CommitResult EmbeddedWorkerLog::Commit(const Transaction& transaction) {
  const int64_t now_ms = absl::ToUnixMillis(absl::Now());
  auto request = std::make_shared<WriteRequest>();
  request->worker = worker_;
  for (const TransactionPart& part : transaction.parts) {
    const std::string& domain = part.partition.domain;
    request->positions.push_back(
        {&state_->partitions.at(part.partition), part.next_command_offset, part.ownership});
    for (const OutputRecord& record : part.records) {
      if (const size_t size = SizeOf(record); size > MaxRecordBytes(record.topic)) {
        CommitResult refused;
        refused.outcome = CommitOutcome::kAborted;
        refused.reason = absl::StrCat("a record of ", size, " bytes is larger than ",
                                      TopicName("", domain, record.topic), " takes, which is ",
                                      MaxRecordBytes(record.topic));
        return refused;
      }
      TopicLog& log = state_->partitions.at({domain, record.partition}).of(record.topic);
      request->records.push_back({&log, EncodeRecord(record, now_ms)});
    }
  }
  WriteRequest::Result result = writer_->Write(request);
  CommitResult committed;
  committed.outcome = ToCommitOutcome(result.outcome);
  committed.reason = std::string(result.why.message());
  committed.no_room = result.outcome == Outcome::kRefused && absl::IsResourceExhausted(result.why);
  committed.lost = std::move(result.lost);
  if (result.outcome == Outcome::kWritten) {
    committed.written = WrittenOf(transaction, request->records);
  }
  return committed;
}

// Behind whatever was submitted before: when it is answered, so is that.
absl::Status EmbeddedWorkerLog::Reopen() {
  {
    absl::MutexLock lock(&state_->mutex);
    worker_.epoch = ++state_->epochs[worker_.index];
  }
  const WriteRequest::Result result = writer_->Write(std::make_shared<WriteRequest>());
  if (result.outcome == Outcome::kWritten) return absl::OkStatus();
  if (absl::IsResourceExhausted(result.why)) return result.why;
  return absl::UnavailableError(result.why.message());
}

absl::StatusOr<std::optional<Offset>> EmbeddedWorkerLog::CommittedOffset(
    const DomainPartition& partition) {
  absl::ReaderMutexLock lock(&state_->mutex);
  if (!state_->trouble.ok()) return absl::UnavailableError(state_->trouble.message());
  return state_->partitions.at(partition).committed;
}

std::optional<int64_t> EmbeddedWorkerLog::Lag(const DomainPartition& partition) {
  absl::ReaderMutexLock lock(&state_->mutex);
  const auto reading = readings_.find(partition);
  if (reading == readings_.end()) return std::nullopt;
  const TopicLog& log = state_->partitions.at(partition).of(Topic::kCommand);
  return std::max<int64_t>(0, log.end.value() - reading->second.value());
}

}  // namespace esd::embedded
