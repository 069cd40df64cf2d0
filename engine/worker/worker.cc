#include "engine/worker/worker.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace esd {
namespace {

// How long an idle worker sleeps in a poll; requests wake it.
constexpr absl::Duration kPollWait = absl::Milliseconds(500);
constexpr absl::Duration kLagInterval = absl::Seconds(1);

// A transaction that nothing comes of: tried again after 10, 20, 40 … 500 ms, for a minute or so if
// the broker answers at once. A broker that doesn't answer takes the partitions away before that.
constexpr int kMaxAttempts = 120;
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
constexpr absl::Duration kLastPause = absl::Milliseconds(500);
// A hand-over waits for so many attempts to commit what is under way; then the next owner processes
// it.
constexpr int kHandOverAttempts = 3;

absl::Duration PauseAfter(int attempt) {
  return std::min(kFirstPause * (1 << std::min(attempt, 10)), kLastPause);
}

TransactionResult MetricOf(CommitOutcome outcome) {
  switch (outcome) {
    case CommitOutcome::kCommitted:
      return TransactionResult::kCommitted;
    case CommitOutcome::kAborted:
    case CommitOutcome::kLost:
      return TransactionResult::kAborted;
    case CommitOutcome::kFenced:
      return TransactionResult::kFenced;
    case CommitOutcome::kUnknown:
      return TransactionResult::kUnknown;
  }
  return TransactionResult::kUnknown;
}

}  // namespace

void Worker::Batch::Add(ProcessedBatch processed) {
  transaction.parts.push_back(std::move(processed.part));
  effects.push_back({std::move(processed.outcomes), std::move(processed.results)});
}

void Worker::Batch::Remove(const DomainPartition& partition) {
  for (size_t i = 0; i < transaction.parts.size(); ++i) {
    if (transaction.parts[i].partition != partition) continue;
    transaction.parts.erase(transaction.parts.begin() + static_cast<ptrdiff_t>(i));
    effects.erase(effects.begin() + static_cast<ptrdiff_t>(i));
    return;
  }
}

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(int index, WorkerEnvironment environment) {
  auto log = environment.log->OpenWorker(index);
  if (!log.ok()) return log.status();
  std::unique_ptr<Worker> worker(new Worker(index, std::move(environment), *std::move(log)));
  for (const auto& [name, type] : *worker->environment_.domains) {
    auto codec = Codec::Create(*type);
    if (!codec.ok()) return codec.status();
    worker->codecs_[name] = *std::move(codec);
  }
  worker->thread_ = std::jthread([raw = worker.get()](std::stop_token stop) { raw->Run(stop); });
  return worker;
}

Worker::Worker(int index, WorkerEnvironment environment, std::unique_ptr<WorkerLog> log)
    : index_(index),
      environment_(std::move(environment)),
      log_(std::move(log)),
      restorer_(environment_.log, environment_.store, environment_.metrics,
                [this] { log_->Wake(); }) {}

Worker::~Worker() {
  thread_.request_stop();
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  log_->Wake();
}

void Worker::Assign(const std::vector<DomainPartition>& partitions) {
  {
    absl::MutexLock lock(&mutex_);
    restoring_.insert(partitions.begin(), partitions.end());
  }
  Post({Request::Kind::kAssign, partitions});
}

void Worker::HandOver(const std::vector<DomainPartition>& partitions) {
  absl::Notification done;
  Post({Request::Kind::kHandOver, partitions, &done});
  done.WaitForNotification();
}

void Worker::Drop(const std::vector<DomainPartition>& partitions) {
  absl::Notification done;
  Post({Request::Kind::kDrop, partitions, &done});
  done.WaitForNotification();
}

int Worker::restoring() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(restoring_.size());
}

void Worker::Post(Request request) {
  {
    absl::MutexLock lock(&mutex_);
    requests_.push_back(std::move(request));
  }
  log_->Wake();
}

std::deque<Worker::Request> Worker::TakeRequests() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(requests_, {});
}

void Worker::Run(std::stop_token stop) {
  absl::Status status;
  while (!stop.stop_requested() && status.ok()) status = RunOnce();
  while (!told_.empty()) TellStopped(DomainPartition(*told_.begin()));
  if (status.ok()) return;
  environment_.on_failure(status);
  // Nobody who waits for this worker is left waiting.
  while (!stop.stop_requested()) {
    for (const Request& request : TakeRequests()) {
      if (request.done != nullptr) request.done->Notify();
    }
    RefuseRepairs(absl::UnavailableError("this instance has failed"));
    Pause(kPollWait);
  }
}

absl::Status Worker::RunOnce() {
  if (absl::Status status = HandleRequests(); !status.ok()) return status;
  if (absl::Status status = HandleRepair(); !status.ok()) return status;

  absl::StatusOr<PolledRecords> commands = Poll();
  if (!commands.ok()) return commands.status();

  absl::StatusOr<Batch> batch = Process(*std::move(commands));
  if (!batch.ok()) return batch.status();
  if (batch->empty()) return absl::OkStatus();

  if (absl::Status status = Commit(&*batch); !status.ok()) return status;

  return Publish(*std::move(batch));
}

absl::Status Worker::HandleRequests() {
  for (const Request& request : TakeRequests()) {
    absl::Status status;
    switch (request.kind) {
      case Request::Kind::kAssign:
        HandleAssignment(request.partitions);
        break;
      case Request::Kind::kHandOver:
        status = HandleHandOver(request.partitions);
        break;
      case Request::Kind::kDrop:
        for (const DomainPartition& partition : request.partitions) Forget(partition);
        break;
    }
    if (request.done != nullptr) request.done->Notify();
    if (!status.ok()) return status;
  }
  return HandleFinishedRestores();
}

void Worker::HandleAssignment(const std::vector<DomainPartition>& partitions) {
  // What a failed hand-over left open would hold up the restore of a partition that comes back.
  if (std::exchange(release_undecided_, false)) log_->Reopen().IgnoreError();
  for (const DomainPartition& partition : partitions) {
    if (partitions_.contains(partition)) Forget(partition);  // given again, but never taken back
    environment_.metrics->PartitionRestored(partition).Set(0);
    if (environment_.listener != nullptr && told_.insert(partition).second)
      environment_.listener->OnAssigned(partition);
    restorer_.Submit(partition);
    absl::MutexLock lock(&mutex_);
    restoring_.insert(partition);  // again, if it was lost since Assign()
  }
}

absl::Status Worker::HandleFinishedRestores() {
  for (Restorer::Finished& finished : restorer_.TakeFinished()) {
    const DomainPartition& partition = finished.partition;
    if (absl::IsCancelled(finished.result.status())) continue;
    if (!finished.result.ok()) {
      return absl::Status(
          finished.result.status().code(),
          absl::StrCat(ToString(partition), ": ", finished.result.status().message()));
    }
    const Log& log = *environment_.log;
    ProcessorOptions options{partition,
                             log.PartitionCount(partition.domain),
                             log.TopicName(partition.domain, Topic::kCommand),
                             {}};
    options.limits.event = log.MaxRecordBytes(partition.domain, Topic::kEvent);
    options.limits.snapshot = log.MaxRecordBytes(partition.domain, Topic::kSnapshot);
    options.limits.reply = log.MaxRecordBytes(partition.domain, Topic::kReply);
    Partition state;
    state.processor = std::make_unique<PartitionProcessor>(
        std::move(options), environment_.domains->at(partition.domain).get(),
        codecs_.at(partition.domain).get(), environment_.store);
    state.checkpoint = finished.result->checkpoint;
    state.event_end = finished.result->events.end;
    if (environment_.history != nullptr) {
      environment_.history->Begin(partition, finished.result->events,
                                  finished.result->history_offset);
    }
    if (absl::Status status = log_->Start(partition, finished.result->next_command_offset);
        !status.ok())
      return status;
    partitions_[partition] = std::move(state);
    environment_.metrics->PartitionRestored(partition).Set(1);
  }
  return absl::OkStatus();
}

absl::Status Worker::HandleHandOver(const std::vector<DomainPartition>& partitions) {
  for (const DomainPartition& partition : partitions) TellStopped(partition);
  Transaction release;
  for (const DomainPartition& partition : partitions) {
    const auto it = partitions_.find(partition);
    if (it == partitions_.end() || !it->second.claimed) continue;
    release.parts.push_back(
        {partition, Offset{it->second.checkpoint.command_offset()}, OwnershipMark::kRelease, {}});
  }
  if (!release.parts.empty()) {
    // Only a courtesy: without the mark the next owner fences this worker first.
    const CommitResult result = log_->Commit(release);
    if (result.outcome != CommitOutcome::kCommitted) {
      release_undecided_ = true;
      spdlog::warn(
          "worker {}: the hand-over of {} partitions could not be marked ({}); the next owner will "
          "fence this "
          "worker first",
          index_, release.parts.size(), result.reason);
    }
  }
  for (const DomainPartition& partition : partitions) Forget(partition);
  return absl::OkStatus();
}

void Worker::Forget(const DomainPartition& partition) {
  TellStopped(partition);
  restorer_.Cancel(partition);
  if (environment_.history != nullptr) environment_.history->End(partition);
  log_->Stop(partition);
  partitions_.erase(partition);
  environment_.metrics->RemovePartition(partition);
  absl::MutexLock lock(&mutex_);
  restoring_.erase(partition);
}

void Worker::TellStopped(const DomainPartition& partition) {
  if (told_.erase(partition) > 0) environment_.listener->OnStopped(partition);
}

absl::StatusOr<PolledRecords> Worker::Poll() {
  UpdateLag();
  const bool has_claims =
      std::any_of(partitions_.begin(), partitions_.end(),
                  [](const auto& partition) { return !partition.second.claimed; });
  absl::StatusOr<PolledRecords> commands =
      log_->Poll(environment_.limits, has_claims ? absl::ZeroDuration() : kPollWait);
  if (commands.ok() || !MayPass(commands.status())) return commands;
  spdlog::debug("worker {}: {}", index_, std::string(commands.status().message()));
  return PolledRecords{};
}

absl::StatusOr<Worker::Batch> Worker::Process(PolledRecords commands) {
  const absl::Time now = absl::Now();
  Batch batch;
  batch.time = now;
  batch.commands = std::move(commands);
  for (const RecordBatch& waiting : batch.commands.batches) {
    const auto it = partitions_.find(waiting.partition);
    if (it == partitions_.end()) continue;
    PartitionProcessor& processor = *it->second.processor;
    for (const InputRecord& record : waiting.records) {
      if (absl::Status status = processor.Process(record, now); !status.ok()) return status;
    }
    batch.Add(processor.Finish());
  }
  AddClaims(&batch);
  return batch;
}

void Worker::AddClaims(Batch* batch) {
  for (const auto& [partition, state] : partitions_) {
    if (state.claimed) continue;
    auto part = std::find_if(
        batch->transaction.parts.begin(), batch->transaction.parts.end(),
        [&](const TransactionPart& candidate) { return candidate.partition == partition; });
    if (part == batch->transaction.parts.end()) {
      batch->Add({{partition, Offset{state.checkpoint.command_offset()}, OwnershipMark::kNone, {}},
                  {},
                  {}});
      part = batch->transaction.parts.end() - 1;
    }
    part->ownership = OwnershipMark::kClaim;
  }
}

absl::Status Worker::Commit(Batch* batch) {
  for (int attempt = 0; !batch->empty(); ++attempt) {
    const absl::Time begin = absl::Now();
    CommitResult result = log_->Commit(batch->transaction);
    environment_.metrics->Transactions(MetricOf(result.outcome)).Increment();
    if (result.outcome == CommitOutcome::kCommitted) {
      environment_.metrics->commit_seconds().Observe(absl::ToDoubleSeconds(absl::Now() - begin));
      batch->written = std::move(result.written);
      return absl::OkStatus();
    }
    spdlog::warn("worker {}: the transaction is tried again: {}", index_, result.reason);
    if (attempt == kMaxAttempts) {
      return absl::UnavailableError(absl::StrCat(
          "no transaction succeeded in ", kMaxAttempts, " attempts, last: ", result.reason,
          "; check the broker, and that no other process runs with "
          "this --instance-id"));
    }
    const absl::StatusOr<bool> committed = Recover(result, batch);
    if (!committed.ok()) return committed.status();
    if (*committed) return absl::OkStatus();
    RemoveUnwanted(attempt >= kHandOverAttempts, batch);
    if (!batch->empty()) Pause(PauseAfter(attempt));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Worker::Recover(const CommitResult& result, Batch* batch) {
  switch (result.outcome) {
    case CommitOutcome::kCommitted:
      return true;
    case CommitOutcome::kAborted:
      return false;
    case CommitOutcome::kLost:
      for (const DomainPartition& partition : result.lost) {
        Forget(partition);
        batch->Remove(partition);
      }
      return false;
    case CommitOutcome::kFenced:
      if (absl::Status status = Reopen("fenced", batch); !status.ok()) return status;
      return false;
    case CommitOutcome::kUnknown:
      if (absl::Status status = Reopen("unknown", batch); !status.ok()) return status;
      return WasCommitted(batch);
  }
  return false;
}

absl::Status Worker::Reopen(std::string_view why, Batch* batch) {
  environment_.metrics->ProducerReopens(why).Increment();
  for (int attempt = 0;; ++attempt) {
    absl::Status status = log_->Reopen();
    if (status.ok() || !MayPass(status) || attempt == kMaxAttempts) return status;
    spdlog::warn("worker {}: opening the producer is tried again: {}", index_,
                 std::string(status.message()));
    // Whoever wants a partition back doesn't wait for a broker that doesn't answer.
    RemoveUnwanted(/*also_handed_over=*/true, batch);
    if (batch->empty()) return absl::OkStatus();
    Pause(PauseAfter(attempt));
  }
}

absl::StatusOr<bool> Worker::WasCommitted(Batch* batch) {
  for (int attempt = 0;; ++attempt) {
    const absl::StatusOr<bool> committed = ComparePositions(batch);
    if (committed.ok() || !MayPass(committed.status()) || attempt == kMaxAttempts) return committed;
    spdlog::warn("worker {}: the position is asked for again: {}", index_,
                 std::string(committed.status().message()));
    RemoveUnwanted(/*also_handed_over=*/true, batch);
    Pause(PauseAfter(attempt));
  }
}

absl::StatusOr<bool> Worker::ComparePositions(Batch* batch) {
  bool undone = false;  // a partition stands where it stood: nothing of the transaction happened
  std::vector<DomainPartition> reached;
  std::vector<DomainPartition> passed;
  for (const TransactionPart& part : batch->transaction.parts) {
    const Offset before{partitions_.at(part.partition).checkpoint.command_offset()};
    if (part.next_command_offset == before) continue;  // doesn't move: tells nothing
    const auto offset = log_->CommittedOffset(part.partition);
    if (!offset.ok()) return offset.status();
    const Offset committed = offset->value_or(before);
    // It may be below where this worker began: commands that were deleted are skipped.
    if (committed <= before) {
      undone = true;
    } else if (committed == part.next_command_offset) {
      reached.push_back(part.partition);
    } else {
      passed.push_back(part.partition);
    }
  }
  // All or nothing: what moved though nothing happened here was moved by a new owner.
  if (undone) passed.insert(passed.end(), reached.begin(), reached.end());
  for (const DomainPartition& partition : passed) {
    spdlog::warn("worker {}: {} was processed by another instance meanwhile", index_,
                 ToString(partition));
    Forget(partition);
    batch->Remove(partition);
  }
  if (undone || reached.empty()) return false;
  batch->written.resize(batch->transaction.parts.size());
  return true;
}

void Worker::RemoveUnwanted(bool also_handed_over, Batch* batch) {
  std::vector<DomainPartition> unwanted;
  {
    absl::MutexLock lock(&mutex_);
    for (const Request& request : requests_) {
      const bool applies = request.kind == Request::Kind::kDrop ||
                           (request.kind == Request::Kind::kHandOver && also_handed_over);
      if (applies)
        unwanted.insert(unwanted.end(), request.partitions.begin(), request.partitions.end());
    }
  }
  for (const DomainPartition& partition : unwanted) {
    TellStopped(partition);
    batch->Remove(partition);
    partitions_.erase(partition);
    log_->Stop(partition);
  }
}

absl::Status Worker::Publish(Batch batch) {
  const absl::Time now = absl::Now();
  std::vector<StoreUpdate> updates;
  size_t commands = 0;
  for (size_t i = 0; i < batch.transaction.parts.size(); ++i) {
    updates.push_back(UpdateOf(i, &batch));
    Count(updates.back().partition, batch.effects[i].results, now);
    commands += batch.effects[i].results.size();
  }
  if (commands > 0) {
    environment_.metrics->transaction_commands().Observe(static_cast<double>(commands));
    if (environment_.history != nullptr) environment_.history->GiveWay();
  }
  if (absl::Status status = environment_.store->Apply(updates); !status.ok()) return status;
  TellCommitted(batch, updates);
  return absl::OkStatus();
}

StoreUpdate Worker::UpdateOf(size_t i, Batch* batch) {
  TransactionPart& part = batch->transaction.parts[i];
  Partition& partition = partitions_.at(part.partition);
  const CommitResult::Written& written = batch->written[i];
  partition.checkpoint.set_command_offset(part.next_command_offset.value());
  if (written.snapshot_end) partition.checkpoint.set_snapshot_offset(written.snapshot_end->value());
  if (written.event_end) partition.event_end = *written.event_end;
  if (written.reply_end) partition.checkpoint.set_reply_offset(written.reply_end->value());

  StoreUpdate update;
  update.partition = part.partition;
  update.outcomes = std::move(batch->effects[i].outcomes);
  update.checkpoint = partition.checkpoint;
  if (environment_.history != nullptr) update.events.reserve(part.records.size());
  for (OutputRecord& record : part.records) {
    if (record.topic == Topic::kSnapshot) {
      update.snapshots.push_back({*std::move(record.key), std::move(record.value).value_or("")});
    } else if (record.topic == Topic::kEvent && environment_.history != nullptr) {
      update.events.push_back(HistoryEventOf(std::move(record), absl::ToUnixMillis(batch->time)));
    }
  }
  if (environment_.history == nullptr || !written.event_end) return update;
  // Once complete, it stays so: the store gets every event from then on. Where they end isn't told
  // of a transaction whose outcome was unknown; the next one's end covers them.
  if (!partition.history_is_complete) {
    partition.history_is_complete =
        environment_.history->Status(part.partition).state == HistoryStatus::State::kComplete;
  }
  if (partition.history_is_complete) update.history_offset = written.event_end;
  return update;
}

void Worker::TellCommitted(const Batch& batch, const std::vector<StoreUpdate>& updates) {
  for (size_t i = 0; i < updates.size(); ++i) {
    const DomainPartition& partition = updates[i].partition;
    const bool is_claimed_now = !std::exchange(partitions_.at(partition).claimed, true);
    if (environment_.listener != nullptr) {
      if (is_claimed_now) environment_.listener->OnServing(partition);
      environment_.listener->OnCommitted(
          {partition, batch.effects[i].results, updates[i].snapshots});
    }
    if (!is_claimed_now) continue;
    absl::MutexLock lock(&mutex_);
    restoring_.erase(partition);
  }
}

void Worker::Count(const DomainPartition& partition, const std::vector<CommandResult>& results,
                   absl::Time now) {
  absl::flat_hash_map<std::pair<std::string_view, Effect>, int> counts;
  for (const CommandResult& result : results) {
    ++counts[{result.type.empty() ? Metrics::kUnknownType : result.type, result.effect}];
    const absl::Duration age = now - absl::FromUnixMillis(result.timestamp_ms);
    environment_.metrics->end_to_end_seconds().Observe(std::max(0.0, absl::ToDoubleSeconds(age)));
    if (result.effect == Effect::kDeadLetter) {
      environment_.metrics->DeadLetters(partition.domain, result.reason).Increment();
    }
  }
  for (const auto& [what, count] : counts) {
    environment_.metrics->Commands(partition.domain, what.first, what.second).Increment(count);
  }
}

void Worker::UpdateLag() {
  const absl::Time now = absl::Now();
  if (now - lag_updated_ < kLagInterval) return;
  lag_updated_ = now;
  for (const auto& [partition, state] : partitions_) {
    if (const auto lag = log_->Lag(partition)) {
      environment_.metrics->PartitionLag(partition).Set(static_cast<double>(*lag));
      if (environment_.listener != nullptr) environment_.listener->OnLag(partition, *lag);
    }
  }
}

void Worker::Pause(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  const size_t known = requests_.size();
  const auto interesting = [this, known]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || requests_.size() != known;
  };
  mutex_.AwaitWithTimeout(absl::Condition(&interesting), duration);
}

}  // namespace esd
