#include "engine/worker/history.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/string_view.h"
#include "engine/worker/command.h"
#include "engine/worker/event.h"

namespace esd {
namespace {

using State = HistoryStatus::State;

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLastRetry = absl::Seconds(2);
constexpr absl::Duration kRoomPause = absl::Milliseconds(500);
constexpr absl::Duration kProgressInterval = absl::Seconds(10);

// What is written at once: small enough that a transaction of a worker hardly waits for it.
constexpr size_t kBatchEvents = 500;
constexpr size_t kBatchBytes = size_t{1} << 20;
// While workers are busy the rebuild rests for as long as its last batch took, but not longer.
constexpr absl::Duration kLongestRest = absl::Milliseconds(100);

// Text that others may have chosen goes into protobuf's strings, which must be UTF-8 to be read
// back: what isn't plain is left out. (The engine's own ids and types are.)
bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return ' ' <= c && c <= '~'; });
}

// The field that keeps the header's text; null for headers that aren't kept, or not as they are.
std::string* FieldOf(std::string_view header, esd::v1::StoredEvent* event) {
  if (header == kEventIdHeader) return event->mutable_id();
  if (header == kEventTypeHeader) return event->mutable_type();
  if (header == kCausationIdHeader) return event->mutable_causation_id();
  if (header == kTraceparentHeader) return event->mutable_traceparent();
  return nullptr;
}

bool IsVersion(std::string_view text, Version* version) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(ToAbsl(text), &number) || number < 0) return false;
  *version = Version{number};
  return true;
}

std::string WhereOf(const Log& log, const DomainPartition& partition) {
  return absl::StrCat(log.TopicName(partition.domain, Topic::kEvent), "/",
                      partition.partition.value());
}

constexpr const char* kRestIsWell =
    "ListEvents and at_version can't be answered for this partition, commands and snapshots are "
    "not affected; run with --history=off to do without";

std::string Truncated(const Log& log, const DomainPartition& partition, std::string_view what) {
  return absl::StrCat(WhereOf(log, partition), ": ", ToAbsl(what),
                      ": the history can't be complete. The topic must keep its events for ever "
                      "(cleanup.policy=delete, retention.ms=-1, retention.bytes=-1). ",
                      kRestIsWell);
}

}  // namespace

StoreUpdate::Event HistoryEventOf(OutputRecord record, int64_t time_ms) {
  StoreUpdate::Event event{*std::move(record.key), kNoVersion, ""};
  esd::v1::StoredEvent stored;
  stored.set_value(*std::move(record.value));
  stored.set_time_ms(time_ms);
  for (OutputRecord::OwnedHeader& header : record.headers) {
    if (header.name == kEventVersionHeader) {
      IsVersion(*header.value, &event.version);
    } else if (std::string* field = FieldOf(header.name, &stored)) {
      if (IsPlain(*header.value)) *field = *std::move(header.value);
    }
  }
  event.value = stored.SerializeAsString();
  return event;
}

absl::StatusOr<EventRecord> ReadEvent(const InputRecord& record) {
  if (!record.key) return absl::FailedPreconditionError("the record has no key");
  if (!record.value) return absl::FailedPreconditionError("the record has no value");
  EventRecord read{std::string(*record.key), kNoVersion, {}};
  read.event.set_value(std::string(*record.value));
  read.event.set_time_ms(record.timestamp_ms);
  for (const Header& header : record.headers) {
    const std::string_view value = header.value.value_or("");
    if (header.name == kEventVersionHeader) {
      if (!IsVersion(value, &read.version))
        return absl::FailedPreconditionError("the record's header esd-version isn't a version");
    } else if (header.name == kEventTimeHeader) {
      absl::Time time;
      if (absl::ParseTime(absl::RFC3339_full, ToAbsl(value), &time, nullptr))
        read.event.set_time_ms(absl::ToUnixMillis(time));
    } else if (std::string* field = FieldOf(header.name, &read.event)) {
      if (IsPlain(value)) field->assign(value);
    }
  }
  if (read.version == kNoVersion)
    return absl::FailedPreconditionError("the record has no header esd-version");
  return read;
}

absl::StatusOr<StoreUpdate::Event> HistoryEventOf(const InputRecord& record) {
  absl::StatusOr<EventRecord> read = ReadEvent(record);
  if (!read.ok()) return read.status();
  return StoreUpdate::Event{std::move(read->key), read->version, read->event.SerializeAsString()};
}

HistoryStatus StatusOf(const History* history, const DomainPartition& partition) {
  return history == nullptr ? HistoryStatus{} : history->Status(partition);
}

// The state of one rebuild, from where the partition stands to its end or the first failure.
class History::Rebuild {
 public:
  Rebuild(History* history, const DomainPartition& partition, const Partition& from,
          std::stop_token stop)
      : history_(*history),
        partition_(partition),
        next_(from.next),
        end_(from.end),
        stop_(std::move(stop)),
        live_transactions_(history->live_transactions_.load(std::memory_order_relaxed)) {}

  // OK: the store has all events below the end. MayPass() errors are worth another try.
  absl::Status Run() {
    absl::Status status = history_.log_->Replay(
        partition_, Topic::kEvent, next_, end_,
        [this](const auto& records, Offset next) { return Add(records, next); }, stop_);
    if (absl::IsOutOfRange(status)) {
      return absl::FailedPreconditionError(
          Truncated(*history_.log_, partition_, std::string(status.message())));
    }
    if (status.ok()) next_ = end_;
    // What came before the log failed need not be read again.
    if (status.ok() || MayPass(status)) {
      if (absl::Status written = Write(); !written.ok()) return written;
    }
    return status;
  }

  // The error, when it was the store's.
  const absl::Status& store_failure() const { return store_failure_; }

 private:
  absl::Status Add(const std::vector<InputRecord>& records, Offset next) {
    for (const InputRecord& record : records) {
      auto event = HistoryEventOf(record);
      if (!event.ok()) {
        return absl::FailedPreconditionError(absl::StrCat(
            WhereOf(*history_.log_, partition_), ", offset ", record.offset.value(), ": ",
            event.status().message(), ": another program wrote to the event topic. ", kRestIsWell));
      }
      bytes_ += event->key.size() + event->value.size();
      events_.push_back(*std::move(event));
      next_ = Next(record.offset);
      if (events_.size() < kBatchEvents && bytes_ < kBatchBytes) continue;
      if (absl::Status status = Write(); !status.ok()) return status;
    }
    next_ = next;
    return absl::OkStatus();
  }

  absl::Status Write() {
    if (stop_.stop_requested()) return absl::CancelledError("the rebuild was cancelled");
    store_failure_ = history_.store_->UpdateHistory(partition_, events_, next_);
    while (absl::IsResourceExhausted(store_failure_) && !history_.log_->shared()) {
      // Its disk is full; the worker, which waits for the same, says so.
      history_.Rest(kRoomPause, stop_);
      if (stop_.stop_requested()) return absl::CancelledError("the rebuild was cancelled");
      store_failure_ = history_.store_->UpdateHistory(partition_, events_, next_);
    }
    // Not worth another try, whatever its code: the instance can't go on.
    if (!store_failure_.ok())
      return absl::InternalError(absl::StrCat("the store failed: ", store_failure_.message()));
    events_.clear();
    bytes_ = 0;
    history_.Advance(partition_, next_);
    LogProgress();
    const uint64_t live = history_.live_transactions_.load(std::memory_order_relaxed);
    if (std::exchange(live_transactions_, live) != live && next_ < end_)
      history_.Rest(std::min(absl::Now() - batch_begin_, kLongestRest), stop_);
    batch_begin_ = absl::Now();
    return absl::OkStatus();
  }

  void LogProgress() {
    const absl::Time now = absl::Now();
    if (now - logged_ < kProgressInterval) return;
    logged_ = now;
    spdlog::info("{}: the history is being rebuilt, {} records of {} to go", ToString(partition_),
                 end_.value() - next_.value(), WhereOf(*history_.log_, partition_));
  }

  History& history_;
  const DomainPartition& partition_;
  Offset next_;  // behind what was read
  const Offset end_;
  const std::stop_token stop_;
  std::vector<StoreUpdate::Event> events_;  // read but not written yet
  size_t bytes_ = 0;
  absl::Status store_failure_;
  absl::Time batch_begin_ = absl::Now();
  absl::Time logged_ = batch_begin_;
  uint64_t live_transactions_;
};

History::History(Log* log, SnapshotStore* store, Metrics* metrics,
                 std::function<void(const absl::Status&)> on_failure)
    : log_(log), store_(store), metrics_(metrics), on_failure_(std::move(on_failure)) {
  thread_ = std::jthread([this] { Run(); });
}

History::~History() {
  absl::MutexLock lock(&mutex_);
  stopping_ = changed_ = true;
  running_stop_.request_stop();
}

void History::Begin(const DomainPartition& partition, const TopicBounds& events,
                    std::optional<Offset> known) {
  absl::MutexLock lock(&mutex_);
  Partition& state = partitions_[partition];
  state = {};
  state.next = known.value_or(Offset{0});
  state.end = events.end;
  state.status.remaining = state.end.value() - state.next.value();
  if (state.next < events.begin) {
    Fail(partition,
         Truncated(*log_, partition,
                   absl::StrCat("the events from offset ", state.next.value(), " to ",
                                events.begin.value() - 1, " were deleted")),
         &state);
  } else if (state.next == state.end) {
    state.status.state = State::kComplete;
  } else {
    // A clean restart leaves the end of the last transaction to be read: no news.
    state.is_news = state.status.remaining > 1;
    spdlog::log(state.is_news ? spdlog::level::info : spdlog::level::debug,
                "{}: the history is rebuilt in the background, {} records of {} from offset {} on",
                ToString(partition), state.status.remaining, WhereOf(*log_, partition),
                state.next.value());
    waiting_.push_back(partition);
    changed_ = true;
  }
  metrics_->HistoryRemainingRecords(partition).Set(static_cast<double>(state.status.remaining));
}

void History::End(const DomainPartition& partition) {
  absl::MutexLock lock(&mutex_);
  std::erase(waiting_, partition);
  if (running_ == partition) {
    running_stop_.request_stop();
    const auto ended = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return running_ != partition; };
    mutex_.Await(absl::Condition(&ended));
  }
  partitions_.erase(partition);
}

HistoryStatus History::Status(const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return {State::kRebuilding, 0, ""};
  return it->second.status;
}

void History::Run() {
  DomainPartition partition;
  Partition from;
  std::stop_token stop;
  while (Take(&partition, &from, &stop)) {
    Rebuild rebuild(this, partition, from, stop);
    const absl::Status status = rebuild.Run();
    Finish(partition, status);
    if (!rebuild.store_failure().ok()) {
      on_failure_(
          absl::Status(rebuild.store_failure().code(),
                       absl::StrCat(ToString(partition), ": ", rebuild.store_failure().message())));
    }
  }
}

bool History::Take(DomainPartition* partition, Partition* state, std::stop_token* stop) {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    const absl::Time now = absl::Now();
    absl::Time soonest = absl::InfiniteFuture();
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      const Partition& candidate = partitions_.at(*it);
      soonest = std::min(soonest, candidate.not_before);
      if (candidate.not_before > now) continue;
      *partition = *it;
      *state = candidate;
      waiting_.erase(it);
      running_ = *partition;
      running_stop_ = std::stop_source();
      *stop = running_stop_.get_token();
      return true;
    }
    changed_ = false;
    mutex_.AwaitWithTimeout(absl::Condition(&changed_), soonest - now);
  }
  return false;
}

void History::Advance(const DomainPartition& partition, Offset next) {
  absl::MutexLock lock(&mutex_);
  Partition& state = partitions_.at(partition);
  state.next = next;
  state.failures = 0;
  state.status.remaining = state.end.value() - next.value();
  metrics_->HistoryRemainingRecords(partition).Set(static_cast<double>(state.status.remaining));
}

void History::Finish(const DomainPartition& partition, const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  running_.reset();
  if (absl::IsCancelled(status) || running_stop_.stop_requested()) return;
  Partition& state = partitions_.at(partition);
  if (status.ok()) {
    state.status.state = State::kComplete;
    spdlog::log(state.is_news ? spdlog::level::info : spdlog::level::debug,
                "{}: the history is complete", ToString(partition));
  } else if (MayPass(status)) {
    // Behind the others, so that one that can't be read holds up none of them.
    const absl::Duration pause =
        std::min(kFirstRetry * (1 << std::min(state.failures++, 10)), kLastRetry);
    spdlog::warn("{}: the history's rebuild is tried again: {}", ToString(partition),
                 std::string(status.message()));
    state.not_before = absl::Now() + pause;
    waiting_.push_back(partition);
  } else {
    Fail(partition, std::string(status.message()), &state);
  }
}

void History::Fail(const DomainPartition& partition, const std::string& message, Partition* state) {
  spdlog::error("{}: the history can't be rebuilt: {}", ToString(partition), message);
  state->status.state = State::kFailed;
  state->status.message = message;
}

void History::Rest(absl::Duration duration, const std::stop_token& stop) {
  const auto stopped = [&stop] { return stop.stop_requested(); };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopped), duration);
}

}  // namespace esd
