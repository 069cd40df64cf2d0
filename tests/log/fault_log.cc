#include "tests/log/fault_log.h"

#include <cstdio>
#include <utility>

namespace esd {
namespace {

absl::Status Unavailable() { return absl::UnavailableError("injected: the log can't be reached"); }
absl::Status DeadlineExceeded() {
  return absl::DeadlineExceededError("injected: it took too long");
}
// Not worth another try: ends whoever gets it, as the death of the process does.
absl::Status Severed() { return absl::InternalError("injected: this process is dead"); }

absl::Status Unknown() {
  return absl::UnknownError("injected: the command may have been written or not");
}

CommitResult Answer(CommitOutcome outcome) { return {outcome, "injected", {}, {}}; }

}  // namespace

FaultRates FaultRates::All(double rate) {
  FaultRates rates;
  for (double FaultRates::*each : {&FaultRates::commit_aborted,
                                   &FaultRates::commit_fenced,
                                   &FaultRates::commit_unknown_done,
                                   &FaultRates::commit_unknown_not_done,
                                   &FaultRates::commit_lost,
                                   &FaultRates::poll_unavailable,
                                   &FaultRates::poll_empty,
                                   &FaultRates::replay_unavailable,
                                   &FaultRates::replay_deadline_exceeded,
                                   &FaultRates::replay_partial,
                                   &FaultRates::open_unavailable,
                                   &FaultRates::open_deadline_exceeded,
                                   &FaultRates::reopen_unavailable,
                                   &FaultRates::committed_offset_unavailable,
                                   &FaultRates::append_unavailable,
                                   &FaultRates::append_resource_exhausted,
                                   &FaultRates::append_unknown_done,
                                   &FaultRates::append_unknown_not_done,
                                   &FaultRates::read_unavailable,
                                   &FaultRates::read_empty,
                                   &FaultRates::bounds_unavailable,
                                   &FaultRates::open_appender_unavailable,
                                   &FaultRates::open_reader_unavailable}) {
    rates.*each = rate;
  }
  return rates;
}

class FaultWorkerLog : public WorkerLog {
 public:
  FaultWorkerLog(FaultLog* faults, std::unique_ptr<WorkerLog> log)
      : faults_(faults), log_(std::move(log)) {}

  absl::Status Start(const DomainPartition& partition, Offset from) override {
    return log_->Start(partition, from);
  }
  void Stop(const DomainPartition& partition) override { log_->Stop(partition); }
  absl::StatusOr<PolledRecords> Poll(const PollLimits& limits, absl::Duration wait) override {
    if (faults_->severed()) return Severed();
    if (faults_->Due(&FaultRates::poll_unavailable, "poll unavailable")) return Unavailable();
    if (faults_->Due(&FaultRates::poll_empty, "poll empty")) return PolledRecords{};
    return log_->Poll(limits, wait);
  }
  CommitResult Commit(const Transaction& transaction) override;
  absl::Status Reopen() override;
  absl::StatusOr<std::optional<Offset>> CommittedOffset(const DomainPartition& partition) override {
    if (faults_->severed()) return Severed();
    if (faults_->FailureDue(&FaultLog::failing_committed_offsets_,
                            &FaultRates::committed_offset_unavailable,
                            "committed offset unavailable")) {
      return Unavailable();
    }
    return log_->CommittedOffset(partition);
  }
  std::optional<int64_t> Lag(const DomainPartition& partition) override {
    return log_->Lag(partition);
  }
  void Wake() override { log_->Wake(); }

 private:
  CommitResult CommitWith(CommitFault fault, const Transaction& transaction);

  FaultLog* const faults_;
  const std::unique_ptr<WorkerLog> log_;
  bool open_ = true;  // false from kFenced or kUnknown to Reopen()
};

CommitResult FaultWorkerLog::Commit(const Transaction& transaction) {
  faults_->Count(&FaultLog::Counters::commits);
  std::function<void(const Transaction&)> hook;
  {
    absl::MutexLock lock(&faults_->mutex_);
    hook = faults_->on_commit_;
  }
  if (hook) hook(transaction);
  if (!open_) {
    faults_->Count(&FaultLog::Counters::commits_while_closed);
    return Answer(CommitOutcome::kFenced);
  }
  CommitFault fault = faults_->NextCommitFault();
  if (faults_->severed()) {
    fault = fault == CommitFault::kNone ? CommitFault::kUnknownNotDone : CommitFault::kUnknownDone;
  }
  CommitResult result = CommitWith(fault, transaction);
  if (result.outcome == CommitOutcome::kFenced || result.outcome == CommitOutcome::kUnknown) {
    open_ = false;
  }
  return result;
}

CommitResult FaultWorkerLog::CommitWith(CommitFault fault, const Transaction& transaction) {
  switch (fault) {
    case CommitFault::kNone:
      return log_->Commit(transaction);
    case CommitFault::kAborted:
      return Answer(CommitOutcome::kAborted);
    case CommitFault::kNoRoom: {
      CommitResult result = Answer(CommitOutcome::kAborted);
      result.no_room = true;
      return result;
    }
    case CommitFault::kFenced:
      return Answer(CommitOutcome::kFenced);
    case CommitFault::kUnknownDone: {
      CommitResult result = log_->Commit(transaction);
      return result.outcome == CommitOutcome::kCommitted ? Answer(CommitOutcome::kUnknown) : result;
    }
    case CommitFault::kUnknownNotDone:
      return Answer(CommitOutcome::kUnknown);
    case CommitFault::kLost: {
      std::function<void(const DomainPartition&)> lose;
      {
        absl::MutexLock lock(&faults_->mutex_);
        lose = faults_->lose_;
      }
      if (!lose || transaction.parts.empty()) return log_->Commit(transaction);
      CommitResult result = Answer(CommitOutcome::kLost);
      result.lost = faults_->Choose(transaction);
      for (const DomainPartition& partition : result.lost) lose(partition);
      return result;
    }
  }
  return Answer(CommitOutcome::kAborted);
}

absl::Status FaultWorkerLog::Reopen() {
  faults_->Count(&FaultLog::Counters::reopens);
  std::function<void()> hook;
  {
    absl::MutexLock lock(&faults_->mutex_);
    hook = faults_->on_reopen_;
  }
  if (hook) hook();
  if (faults_->severed()) return Severed();
  if (faults_->FailureDue(&FaultLog::failing_reopens_, &FaultRates::reopen_unavailable,
                          "reopen unavailable")) {
    return Unavailable();
  }
  absl::Status status = log_->Reopen();
  open_ = open_ || status.ok();
  return status;
}

class FaultAppender : public CommandAppender {
 public:
  FaultAppender(FaultLog* faults, std::unique_ptr<CommandAppender> appender)
      : faults_(faults), appender_(std::move(appender)) {}

  void Append(const std::string& domain, const OutputRecord& command, Done done) override;

 private:
  FaultLog* const faults_;
  const std::unique_ptr<CommandAppender> appender_;
};

void FaultAppender::Append(const std::string& domain, const OutputRecord& command, Done done) {
  // A dead process sends nothing; what it sent before is written without it.
  if (faults_->severed()) return done(Unavailable());
  switch (faults_->NextAppendFault()) {
    case AppendFault::kNone:
      return appender_->Append(domain, command, std::move(done));
    case AppendFault::kUnavailable:
      return done(Unavailable());
    case AppendFault::kResourceExhausted:
      return done(absl::ResourceExhaustedError("injected: too much waits to be sent"));
    case AppendFault::kUnknownDone:
      return appender_->Append(domain, command,
                               [done = std::move(done)](const absl::StatusOr<Offset>& offset) {
                                 done(offset.ok() ? Unknown() : offset.status());
                               });
    case AppendFault::kUnknownNotDone:
      return done(Unknown());
  }
}

class FaultReader : public LogReader {
 public:
  FaultReader(FaultLog* faults, std::unique_ptr<LogReader> reader)
      : faults_(faults), reader_(std::move(reader)) {}

  absl::Status Start(PartitionId partition, Offset from) override {
    return reader_->Start(partition, from);
  }
  void Stop(PartitionId partition) override { reader_->Stop(partition); }
  absl::StatusOr<Polled> Poll(const PollLimits& limits, absl::Duration wait) override {
    if (faults_->severed()) return Severed();
    if (faults_->FailureDue(&FaultLog::failing_reads_, &FaultRates::read_unavailable,
                            "read unavailable")) {
      return Unavailable();
    }
    if (faults_->Due(&FaultRates::read_empty, "read empty")) return Polled{};
    return reader_->Poll(limits, wait);
  }
  void Wake() override { reader_->Wake(); }

 private:
  FaultLog* const faults_;
  const std::unique_ptr<LogReader> reader_;
};

FaultLog::FaultLog(std::unique_ptr<Log> log, uint64_t seed, bool print_seed)
    : log_(std::move(log)), seed_(seed), seed_printed_(!print_seed), random_(seed) {}

void FaultLog::SetRates(const FaultRates& rates) {
  absl::MutexLock lock(&mutex_);
  if (!std::exchange(seed_printed_, true)) {
    std::printf("FaultLog: seed %llu\n", static_cast<unsigned long long>(seed_));
  }
  rates_ = rates;
}

void FaultLog::ScriptCommits(std::deque<CommitFault> faults) {
  absl::MutexLock lock(&mutex_);
  script_ = std::move(faults);
}

void FaultLog::FailReopens(int count) {
  absl::MutexLock lock(&mutex_);
  failing_reopens_ = count;
}

void FaultLog::FailOpens(int count) {
  absl::MutexLock lock(&mutex_);
  failing_opens_ = count;
}

void FaultLog::FailReplays(int count) {
  absl::MutexLock lock(&mutex_);
  failing_replays_ = count;
}

void FaultLog::FailCommittedOffsets(int count) {
  absl::MutexLock lock(&mutex_);
  failing_committed_offsets_ = count;
}

void FaultLog::FailReads(int count) {
  absl::MutexLock lock(&mutex_);
  failing_reads_ = count;
}

void FaultLog::FailBounds(int count) {
  absl::MutexLock lock(&mutex_);
  failing_bounds_ = count;
}

void FaultLog::FailOpenAppenders(int count) {
  absl::MutexLock lock(&mutex_);
  failing_open_appenders_ = count;
}

void FaultLog::FailOpenReaders(int count) {
  absl::MutexLock lock(&mutex_);
  failing_open_readers_ = count;
}

void FaultLog::ScriptAppends(std::deque<AppendFault> faults) {
  absl::MutexLock lock(&mutex_);
  append_script_ = std::move(faults);
}

void FaultLog::OnCommit(std::function<void(const Transaction&)> hook) {
  absl::MutexLock lock(&mutex_);
  on_commit_ = std::move(hook);
}

void FaultLog::OnReopen(std::function<void()> hook) {
  absl::MutexLock lock(&mutex_);
  on_reopen_ = std::move(hook);
}

void FaultLog::SetLose(std::function<void(const DomainPartition&)> lose) {
  absl::MutexLock lock(&mutex_);
  lose_ = std::move(lose);
}

void FaultLog::Sever() {
  absl::MutexLock lock(&mutex_);
  severed_ = true;
}

bool FaultLog::severed() const {
  absl::MutexLock lock(&mutex_);
  return severed_;
}

std::map<std::string, int> FaultLog::given() const {
  absl::MutexLock lock(&mutex_);
  return given_;
}

int FaultLog::Get(int Counters::*counter) const {
  absl::MutexLock lock(&mutex_);
  return counters_.*counter;
}

void FaultLog::Count(int Counters::*counter) {
  absl::MutexLock lock(&mutex_);
  ++(counters_.*counter);
}

bool FaultLog::Due(double FaultRates::*rate, const char* name) {
  absl::MutexLock lock(&mutex_);
  if (rates_.*rate <= 0 || std::uniform_real_distribution<>()(random_) >= rates_.*rate) {
    return false;
  }
  ++given_[name];
  return true;
}

bool FaultLog::FailureDue(int FaultLog::*left, double FaultRates::*rate, const char* name) {
  {
    absl::MutexLock lock(&mutex_);
    if (this->*left > 0) {
      --(this->*left);
      return true;
    }
  }
  return Due(rate, name);
}

void FaultLog::SetShared(bool shared) {
  absl::MutexLock lock(&mutex_);
  shared_ = shared;
}

bool FaultLog::shared() const {
  absl::MutexLock lock(&mutex_);
  return shared_.value_or(log_->shared());
}

CommitFault FaultLog::NextCommitFault() {
  absl::MutexLock lock(&mutex_);
  return NextFault<CommitFault>(
      &script_,
      {{CommitFault::kAborted, rates_.commit_aborted, "commit aborted"},
       {CommitFault::kFenced, rates_.commit_fenced, "commit fenced"},
       {CommitFault::kUnknownDone, rates_.commit_unknown_done, "commit unknown but done"},
       {CommitFault::kUnknownNotDone, rates_.commit_unknown_not_done, "commit unknown, not done"},
       {CommitFault::kLost, rates_.commit_lost, "commit lost"}});
}

AppendFault FaultLog::NextAppendFault() {
  absl::MutexLock lock(&mutex_);
  return NextFault<AppendFault>(
      &append_script_,
      {{AppendFault::kUnavailable, rates_.append_unavailable, "append unavailable"},
       {AppendFault::kResourceExhausted, rates_.append_resource_exhausted, "append exhausted"},
       {AppendFault::kUnknownDone, rates_.append_unknown_done, "append unknown but done"},
       {AppendFault::kUnknownNotDone, rates_.append_unknown_not_done, "append unknown, not done"}});
}

template <typename Fault>
Fault FaultLog::NextFault(std::deque<Fault>* script, const std::vector<Choice<Fault>>& choices) {
  if (!script->empty()) {
    const Fault fault = script->front();
    script->pop_front();
    return fault;
  }
  double draw = std::uniform_real_distribution<>()(random_);
  for (const Choice<Fault>& choice : choices) {
    draw -= choice.rate;
    if (draw >= 0) continue;
    ++given_[choice.name];
    return choice.fault;
  }
  return Fault::kNone;
}

std::vector<DomainPartition> FaultLog::Choose(const Transaction& transaction) {
  absl::MutexLock lock(&mutex_);
  std::vector<DomainPartition> chosen;
  for (const TransactionPart& part : transaction.parts) {
    if (random_() % 2 == 0) chosen.push_back(part.partition);
  }
  if (chosen.empty()) chosen.push_back(transaction.parts.front().partition);
  return chosen;
}

absl::StatusOr<std::unique_ptr<WorkerLog>> FaultLog::OpenWorker(int index) {
  auto worker = log_->OpenWorker(index);
  if (!worker.ok()) return worker.status();
  return std::make_unique<FaultWorkerLog>(this, *std::move(worker));
}

absl::StatusOr<std::unique_ptr<CommandAppender>> FaultLog::OpenAppender() {
  if (severed()) return Severed();
  if (FailureDue(&FaultLog::failing_open_appenders_, &FaultRates::open_appender_unavailable,
                 "open appender unavailable")) {
    return Unavailable();
  }
  auto appender = log_->OpenAppender();
  if (!appender.ok()) return appender.status();
  return std::make_unique<FaultAppender>(this, *std::move(appender));
}

absl::StatusOr<std::unique_ptr<LogReader>> FaultLog::OpenReader(const std::string& domain,
                                                                Topic topic) {
  if (severed()) return Severed();
  if (FailureDue(&FaultLog::failing_open_readers_, &FaultRates::open_reader_unavailable,
                 "open reader unavailable")) {
    return Unavailable();
  }
  auto reader = log_->OpenReader(domain, topic);
  if (!reader.ok()) return reader.status();
  return std::make_unique<FaultReader>(this, *std::move(reader));
}

absl::StatusOr<TopicBounds> FaultLog::Bounds(const DomainPartition& partition, Topic topic) {
  if (severed()) return Severed();
  if (FailureDue(&FaultLog::failing_bounds_, &FaultRates::bounds_unavailable,
                 "bounds unavailable")) {
    return Unavailable();
  }
  return log_->Bounds(partition, topic);
}

absl::StatusOr<OpenedPartition> FaultLog::OpenPartition(const DomainPartition& partition,
                                                        std::stop_token stop) {
  if (severed()) return Severed();
  if (FailureDue(&FaultLog::failing_opens_, &FaultRates::open_unavailable, "open unavailable")) {
    return Unavailable();
  }
  if (Due(&FaultRates::open_deadline_exceeded, "open deadline exceeded")) return DeadlineExceeded();
  return log_->OpenPartition(partition, std::move(stop));
}

absl::Status FaultLog::Replay(const DomainPartition& partition, Topic topic, Offset from,
                              Offset end, const ReplaySink& sink, std::stop_token stop) {
  if (severed()) return Severed();
  if (FailureDue(&FaultLog::failing_replays_, &FaultRates::replay_unavailable,
                 "replay unavailable")) {
    return Unavailable();
  }
  if (Due(&FaultRates::replay_deadline_exceeded, "replay deadline exceeded")) {
    return DeadlineExceeded();
  }
  if (from < end && Due(&FaultRates::replay_partial, "replay in part")) {
    return ReplayInPart(partition, topic, from, end, sink, std::move(stop));
  }
  return log_->Replay(partition, topic, from, end, sink, std::move(stop));
}

// Hands over the first half of what the first call of the sink would get, then fails.
absl::Status FaultLog::ReplayInPart(const DomainPartition& partition, Topic topic, Offset from,
                                    Offset end, const ReplaySink& sink, std::stop_token stop) {
  const ReplaySink half = [&](const std::vector<InputRecord>& records, Offset) -> absl::Status {
    const auto middle = records.begin() + static_cast<ptrdiff_t>(records.size() / 2);
    if (middle == records.begin()) return Unavailable();
    absl::Status status = sink({records.begin(), middle}, Next((middle - 1)->offset));
    return status.ok() ? Unavailable() : status;
  };
  return log_->Replay(partition, topic, from, end, half, std::move(stop));
}

}  // namespace esd
