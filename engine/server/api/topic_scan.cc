#include "engine/server/api/topic_scan.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>

namespace esd::api {
namespace {

// How late a deadline or a stop may be noticed.
constexpr absl::Duration kPollWait = absl::Milliseconds(20);
constexpr absl::Duration kStallTimeout = absl::Seconds(10);
constexpr PollLimits kLimits = {.max_records = 10'000, .max_bytes = size_t{4} << 20};

}  // namespace

absl::Status TopicScan::Read(PartitionId partition, Offset from, Offset end, const Sink& sink,
                             absl::Time deadline, const std::stop_token& stop) {
  if (from >= end) return absl::OkStatus();
  if (absl::Status status = Start(partition, from); !status.ok()) return status;
  const absl::Status status = ReadOn(partition, from, end, sink, deadline, stop);
  reader_->Stop(partition);
  return status;
}

absl::Status TopicScan::ReadOn(PartitionId partition, Offset from, Offset end, const Sink& sink,
                               absl::Time deadline, const std::stop_token& stop) {
  absl::Time stalled_at = absl::Now() + kStallTimeout;
  for (Offset next = from; next < end;) {
    if (stop.stop_requested()) return absl::CancelledError("the reading was stopped");
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("not all of ", NameOf(partition), " could be read in time"));
    }
    if (absl::Now() >= stalled_at) {
      return absl::UnavailableError(absl::StrCat("nothing could be read of ", NameOf(partition),
                                                 " from offset ", next.value(), " on for ",
                                                 absl::FormatDuration(kStallTimeout)));
    }
    const auto polled = reader_->Poll(kLimits, kPollWait);
    if (!polled.ok() && !MayPass(polled.status())) return polled.status();
    if (!polled.ok()) continue;
    for (const LogReader::Batch& batch : polled->batches) {
      if (batch.partition != partition) continue;
      for (const InputRecord& record : batch.records) {
        if (record.offset >= end || !sink(record)) return absl::OkStatus();
      }
      if (batch.next > next) stalled_at = absl::Now() + kStallTimeout;
      next = std::max(next, batch.next);
    }
  }
  return absl::OkStatus();
}

absl::Status TopicScan::Start(PartitionId partition, Offset from) {
  if (reader_ == nullptr) {
    auto opened = log_->OpenReader(domain_, topic_);
    if (!opened.ok()) return opened.status();
    reader_ = *std::move(opened);
  }
  return reader_->Start(partition, from);
}

std::string TopicScan::NameOf(PartitionId partition) const {
  return absl::StrCat(log_->TopicName(domain_, topic_), "/", partition.value());
}

}  // namespace esd::api
