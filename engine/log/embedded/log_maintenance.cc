#include "engine/log/embedded/log_maintenance.h"

#include <absl/container/flat_hash_map.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/log/embedded/record_scan.h"

namespace esd::embedded {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);
// What one step looks at: little enough that nobody waits for it who commits.
constexpr PollLimits kStepLimits = {.max_records = 1'000, .max_bytes = size_t{4} << 20};

struct Step {
  Offset from, end;  // of what is to be looked at
  Offset next;
  RecordMemory memory;
  std::vector<InputRecord> records;
};

}  // namespace

LogMaintenance::LogMaintenance(LogDatabase* database, LogState* state, LogWriter* writer,
                               std::map<Topic, absl::Duration> retention)
    : database_(database),
      state_(state),
      writer_(writer),
      retention_(std::move(retention)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

LogMaintenance::~LogMaintenance() {
  thread_.request_stop();
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

void LogMaintenance::Run(const std::stop_token& stop) {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kInterval)) return;
    }
    RunOnce(absl::Now(), stop);
  }
}

void LogMaintenance::RunOnce(absl::Time now, const std::stop_token& stop) {
  absl::MutexLock lock(&running_);
  for (auto& [partition, partition_log] : state_->partitions) {
    for (const Topic topic : kAllTopics) {
      const auto retention = retention_.find(topic);
      if (retention == retention_.end() && topic != Topic::kSnapshot) continue;
      TopicLog* const log = &partition_log.of(topic);
      absl::StatusOr<bool> more = true;
      while (more.ok() && *more && !stop.stop_requested()) {
        more = topic == Topic::kSnapshot ? Compact(log) : Expire(log, now - retention->second);
      }
      if (more.ok()) continue;
      spdlog::warn("{}: old records can't be removed now, which is tried again in a minute: {}",
                   ToString(partition), std::string(more.status().message()));
      return;
    }
  }
}

absl::StatusOr<bool> LogMaintenance::Expire(TopicLog* log, absl::Time cutoff) {
  Step step;
  {
    absl::ReaderMutexLock lock(&state_->mutex);
    step.from = log->begin;
    step.end = log->end;
    if (log->topic == Topic::kCommand) {
      step.end = state_->partitions.at(log->partition).committed.value_or(log->begin);
    }
  }
  PollBudget budget(kStepLimits);
  absl::Status status = ScanRecords(*database_, *state_, *log, step.from, step.end, &budget,
                                    &step.memory, &step.records, &step.next);
  if (!status.ok()) return status;
  Offset begin = step.next;
  for (const InputRecord& record : step.records) {
    if (absl::FromUnixMillis(record.timestamp_ms) < cutoff) continue;
    begin = record.offset;
    break;
  }
  if (step.records.empty() || begin <= step.from) return false;
  auto request = std::make_shared<WriteRequest>();
  request->begins.push_back({log, begin});
  const WriteRequest::Result result = writer_->Write(std::move(request));
  if (result.outcome != WriteRequest::Outcome::kWritten) return result.why;
  const bool more = begin == step.next && begin < step.end;
  if (!more) database_->DropFilesBelow(FamilyOf(log->topic), log->key, begin);
  return more;
}

absl::StatusOr<bool> LogMaintenance::Compact(TopicLog* log) {
  const auto compacted = database_->GetOffset(kMeta, kCompactedKey + log->key);
  if (!compacted.ok()) return compacted.status();
  Step step;
  {
    absl::ReaderMutexLock lock(&state_->mutex);
    step.from = log->begin;
    step.end = log->end;
  }
  if (*compacted) step.from = std::max(step.from, **compacted);
  PollBudget budget(kStepLimits);
  absl::Status status = ScanRecords(*database_, *state_, *log, step.from, step.end, &budget,
                                    &step.memory, &step.records, &step.next);
  if (!status.ok()) return status;
  if (step.next <= step.from) return false;

  auto request = std::make_shared<WriteRequest>();
  absl::flat_hash_map<std::string_view, Offset> latest;  // of the keys in this step
  for (const InputRecord& record : step.records) {
    if (!record.key) continue;
    const std::string key = log->key + std::string(*record.key);
    auto [known, first] = latest.try_emplace(*record.key, record.offset);
    std::optional<Offset> before;
    if (!first) {
      before = std::exchange(known->second, record.offset);
    } else {
      const auto stored = database_->GetOffset(kLatest, key);
      if (!stored.ok()) return stored.status();
      before = *stored;
    }
    if (before && *before < record.offset) {
      request->changes.push_back({kSnapshots, RecordKey(log->key, *before), std::nullopt});
    }
  }
  for (const auto& [key, offset] : latest) {
    request->changes.push_back({kLatest, log->key + std::string(key), OffsetBytes(offset)});
  }
  request->changes.push_back({kMeta, kCompactedKey + log->key, OffsetBytes(step.next)});
  const WriteRequest::Result result = writer_->Write(std::move(request));
  if (result.outcome != WriteRequest::Outcome::kWritten) return result.why;
  return step.next < step.end;
}

}  // namespace esd::embedded
