#include "engine/worker/restore.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "engine/base/string_view.h"
#include "engine/worker/command.h"
#include "engine/worker/reply.h"

namespace esd {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLastRetry = absl::Seconds(2);
// Records of the changelog that can't be read: more are no accident.
constexpr size_t kMostGarbled = 1'000;

// The offset in the value of kSourcePositionHeader; nothing when it isn't one.
std::optional<Offset> OffsetIn(std::string_view position) {
  const size_t colon = position.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view text = position.substr(colon + 1);
  int64_t offset = 0;
  if (!absl::SimpleAtoi(ToAbsl(text), &offset) || offset < 0) return std::nullopt;
  return Offset{offset};
}

// The state of one restore.
class Restore {
 public:
  Restore(Log& log, SnapshotStore& store, const DomainPartition& partition, Metrics& metrics,
          std::stop_token stop)
      : log_(log),
        store_(store),
        partition_(partition),
        metrics_(metrics),
        stop_(std::move(stop)) {}

  absl::StatusOr<RestoredPartition> Run() {
    auto opened = log_.OpenPartition(partition_, stop_);
    if (!opened.ok()) return opened.status();
    opened_ = *opened;
    metrics_.RestoreRemainingRecords(partition_)
        .Set(static_cast<double>(opened_.snapshot_end.value() - opened_.snapshot_begin.value()));
    absl::Status status = LoadCheckpoint();
    if (status.ok()) status = LoadHistoryOffset();
    if (status.ok()) status = ReplayChangelogs();
    if (absl::IsOutOfRange(status)) {
      // Offsets that the checkpoint counts on are gone: what was deleted with them can't be told,
      // so start anew.
      opened = log_.OpenPartition(partition_, stop_);
      if (!opened.ok()) return opened.status();
      opened_ = *opened;
      if (status = Wipe(std::string(status.message())); status.ok()) status = ReplayChangelogs();
    }
    if (status.ok()) status = CheckPosition();
    if (!status.ok()) return status;
    return Finish();
  }

 private:
  absl::Status LoadCheckpoint() {
    auto stored = store_.GetCheckpoint(partition_);
    if (!stored.ok()) return stored.status();
    checkpoint_.set_snapshot_offset(opened_.snapshot_begin.value());
    if (!stored->has_value()) return absl::OkStatus();
    checkpoint_ = **stored;
    if (!opened_.committed) return Wipe("the group has no committed offset");
    if (Offset{checkpoint_.snapshot_offset()} > opened_.snapshot_end ||
        Offset{checkpoint_.reply_offset()} > opened_.reply_end ||
        Offset{checkpoint_.command_offset()} > *opened_.committed) {
      return Wipe(
          "the store's checkpoint is ahead of the topics, which were made again or whose offsets "
          "were reset");
    }
    if (Offset{checkpoint_.snapshot_offset()} < opened_.snapshot_begin) {
      return Wipe("the changelog doesn't reach back to the store's checkpoint");
    }
    return absl::OkStatus();
  }

  // A history that reaches beyond the topic is of another one.
  absl::Status LoadHistoryOffset() {
    auto stored = store_.GetHistoryOffset(partition_);
    if (!stored.ok()) return stored.status();
    history_offset_ = *stored;
    if (!history_offset_ || *history_offset_ <= opened_.event_end) return absl::OkStatus();
    return Wipe("the store's history is ahead of the event topic, which was made again");
  }

  absl::Status Wipe(const std::string& reason) {
    spdlog::warn("{}: {}: the local state is wiped and rebuilt from the changelog",
                 ToString(partition_), reason);
    checkpoint_.Clear();
    checkpoint_.set_snapshot_offset(opened_.snapshot_begin.value());
    history_offset_.reset();
    garbled_.clear();
    return store_.DropPartition(partition_);
  }

  absl::Status ReplayChangelogs() {
    const absl::Time begin = absl::Now();
    // Replies live for a limited time: what is gone from their topic has expired in the store, too.
    checkpoint_.set_reply_offset(std::max(checkpoint_.reply_offset(), opened_.reply_begin.value()));
    absl::Status status = log_.Replay(
        partition_, Topic::kSnapshot, Offset{checkpoint_.snapshot_offset()}, opened_.snapshot_end,
        [this](const auto& records, Offset next) { return ApplySnapshots(records, next); }, stop_);
    if (status.ok()) status = CheckNoneGarbled();
    if (!status.ok()) return status;
    status = log_.Replay(
        partition_, Topic::kReply, Offset{checkpoint_.reply_offset()}, opened_.reply_end,
        [this](const auto& records, Offset next) { return ApplyReplies(records, next); }, stop_);
    if (status.ok()) {
      spdlog::info("{}: restored {} records in {}", ToString(partition_), records_,
                   absl::FormatDuration(absl::Trunc(absl::Now() - begin, absl::Milliseconds(1))));
    }
    return status;
  }

  absl::Status ApplySnapshots(const std::vector<InputRecord>& records, Offset next) {
    StoreUpdate update;
    update.partition = partition_;
    esd::v1::StoredSnapshot parsed;
    for (const InputRecord& record : records) {
      if (!record.key) continue;  // not written by this engine, and no aggregate
      const std::string_view value = record.value.value_or("");
      if (!parsed.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
        garbled_.try_emplace(std::string(*record.key), record.offset);
        if (garbled_.size() > kMostGarbled) return CheckNoneGarbled();
        continue;
      }
      garbled_.erase(std::string(*record.key));
      update.snapshots.push_back({std::string(*record.key), std::string(value)});
    }
    // What is garbled is met again if this restore ends before it is made up for.
    Offset known = next;
    for (const auto& [key, offset] : garbled_) known = std::min(known, offset);
    checkpoint_.set_snapshot_offset(known.value());
    return Apply(std::move(update), records.size());
  }

  // A record that can't be read is of no matter when another one of its key stands behind it.
  absl::Status CheckNoneGarbled() const {
    if (garbled_.empty()) return absl::OkStatus();
    Offset first = garbled_.begin()->second;
    for (const auto& [key, offset] : garbled_) first = std::min(first, offset);
    return absl::FailedPreconditionError(absl::StrCat(
        "the record at offset ", first.value(), " of ",
        log_.TopicName(partition_.domain, Topic::kSnapshot), "/", partition_.partition.value(),
        " isn't a snapshot: another program wrote to the changelog; write the last good one with "
        "the same key behind it, or a tombstone, start again, and run esd snapshot verify "
        "--repair"));
  }

  absl::Status ApplyReplies(const std::vector<InputRecord>& records, Offset next) {
    StoreUpdate update;
    update.partition = partition_;
    for (const InputRecord& record : records) AddOutcome(record, &update.outcomes);
    checkpoint_.set_reply_offset(next.value());
    return Apply(std::move(update), records.size());
  }

  // Only replies with a fingerprint are the outcome of their command id; see kFingerprintHeader.
  static void AddOutcome(const InputRecord& record, std::vector<StoreUpdate::Outcome>* outcomes) {
    std::string_view command_id;
    uint64_t fingerprint = 0;
    bool is_outcome = false;
    std::optional<Offset> command_offset;
    for (const Header& header : record.headers) {
      if (header.name == kCommandIdHeader) command_id = header.value.value_or("");
      if (header.name == kFingerprintHeader)
        is_outcome = ParseFingerprint(header.value.value_or(""), &fingerprint);
      if (header.name == kSourcePositionHeader)
        command_offset = OffsetIn(header.value.value_or(""));
    }
    if (!is_outcome || command_id.empty() || !record.key || !record.value) return;
    esd::v1::StoredOutcome outcome;
    outcome.set_reply(std::string(*record.value));
    outcome.set_fingerprint(fingerprint);
    outcome.set_recorded_ms(record.timestamp_ms);
    if (command_offset) outcome.set_command_offset(command_offset->value());
    outcomes->push_back({std::string(*record.key), std::string(command_id), std::move(outcome)});
  }

  absl::Status Apply(StoreUpdate update, size_t records) {
    records_ += records;
    metrics_.RestoreRecords(partition_).Increment(static_cast<double>(records));
    const int64_t remaining = opened_.snapshot_end.value() - checkpoint_.snapshot_offset() +
                              opened_.reply_end.value() - checkpoint_.reply_offset();
    metrics_.RestoreRemainingRecords(partition_)
        .Set(static_cast<double>(std::max<int64_t>(0, remaining)));
    has_history_ = has_history_ || records > 0;
    update.checkpoint = checkpoint_;
    return store_.Apply({std::move(update)});
  }

  // Effects without a committed position: the group is another one, or its offsets have expired.
  // Processing from the beginning would do everything a second time.
  absl::Status CheckPosition() const {
    if (opened_.committed || !has_history_) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "the consumer group has no committed offset for ",
        log_.TopicName(partition_.domain, Topic::kCommand), "/", partition_.partition.value(),
        ", but its commands have been processed before: run with the --group that did, or set the "
        "group's offset behind "
        "the last command that has an effect (kafka-consumer-groups --reset-offsets --to-offset)"));
  }

  absl::StatusOr<RestoredPartition> Finish() {
    const Offset next = std::max(opened_.committed.value_or(Offset{0}), opened_.command_begin);
    if (opened_.committed && *opened_.committed < opened_.command_begin) {
      spdlog::error(
          "{}: commands {} to {} were deleted by the topic's retention before they were processed; "
          "raise "
          "retention.ms of {} above the longest time that esd may stand still",
          ToString(partition_), opened_.committed->value(), opened_.command_begin.value() - 1,
          log_.TopicName(partition_.domain, Topic::kCommand));
    }
    checkpoint_.set_command_offset(next.value());
    metrics_.RestoreRemainingRecords(partition_).Set(0);
    return RestoredPartition{
        next, checkpoint_, {opened_.event_begin, opened_.event_end}, history_offset_};
  }

  Log& log_;
  SnapshotStore& store_;
  const DomainPartition& partition_;
  Metrics& metrics_;
  const std::stop_token stop_;
  OpenedPartition opened_;
  esd::v1::StoredCheckpoint checkpoint_;
  std::optional<Offset> history_offset_;
  std::map<std::string, Offset> garbled_;  // snapshots that can't be read, by key
  bool has_history_ = false;  // the changelogs have records: commands were processed before
  size_t records_ = 0;
};

}  // namespace

absl::StatusOr<RestoredPartition> RestorePartition(Log& log, SnapshotStore& store,
                                                   const DomainPartition& partition,
                                                   Metrics& metrics, std::stop_token stop) {
  return Restore(log, store, partition, metrics, std::move(stop)).Run();
}

Restorer::Restorer(Log* log, SnapshotStore* store, Metrics* metrics,
                   std::function<void()> on_finished)
    : log_(log), store_(store), metrics_(metrics), on_finished_(std::move(on_finished)) {
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

Restorer::~Restorer() {
  thread_.request_stop();
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  running_stop_.request_stop();
}

void Restorer::Submit(const DomainPartition& partition) {
  absl::MutexLock lock(&mutex_);
  waiting_.push_back(partition);
}

void Restorer::Cancel(const DomainPartition& partition) {
  absl::MutexLock lock(&mutex_);
  std::erase(waiting_, partition);
  if (running_ == partition) {
    running_stop_.request_stop();
    const auto ended = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return running_ != partition; };
    mutex_.Await(absl::Condition(&ended));
  }
  std::erase_if(finished_,
                [&](const Finished& finished) { return finished.partition == partition; });
}

std::vector<Restorer::Finished> Restorer::TakeFinished() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(finished_, {});
}

void Restorer::Run(std::stop_token stop) {
  for (;;) {
    DomainPartition partition;
    std::stop_source cancel;
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !waiting_.empty();
      };
      mutex_.Await(absl::Condition(&has_work));
      if (stop.stop_requested()) return;
      partition = std::move(waiting_.front());
      waiting_.pop_front();
      running_ = partition;
      running_stop_ = cancel;
    }
    absl::StatusOr<RestoredPartition> result = RestoreWithRetries(partition, cancel.get_token());
    {
      absl::MutexLock lock(&mutex_);
      running_.reset();
      finished_.push_back({std::move(partition), std::move(result)});
    }
    on_finished_();
  }
}

absl::StatusOr<RestoredPartition> Restorer::RestoreWithRetries(const DomainPartition& partition,
                                                               std::stop_token stop) {
  absl::Duration wait = kFirstRetry;
  for (;;) {
    absl::StatusOr<RestoredPartition> result =
        RestorePartition(*log_, *store_, partition, *metrics_, stop);
    if (result.ok() || !MayPass(result.status())) return result;
    spdlog::warn("{}: the restore is tried again: {}", ToString(partition),
                 std::string(result.status().message()));
    const auto cancelled = [&stop] { return stop.stop_requested(); };
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&cancelled), wait))
      return absl::CancelledError("the restore was cancelled");
    wait = std::min(2 * wait, kLastRetry);
  }
}

}  // namespace esd
