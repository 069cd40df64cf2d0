#include "tests/log/memory_log.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <utility>

#include "engine/log/topic_names.h"
#include "tests/log/memory_appender.h"
#include "tests/log/memory_membership.h"
#include "tests/log/memory_reader.h"

namespace esd {
namespace {

// Small, so that tests meet replays of several calls.
constexpr size_t kRecordsPerReplayCall = 50;

}  // namespace

class MemoryWorkerLog : public WorkerLog {
 public:
  MemoryWorkerLog(MemoryCluster* cluster, const MemoryMembership* membership, std::string identity,
                  std::string address)
      : cluster_(cluster),
        membership_(membership),
        identity_(std::move(identity)),
        address_(std::move(address)) {}

  absl::Status Start(const DomainPartition& partition, Offset from) override {
    absl::MutexLock lock(&cluster_->mutex_);
    readings_[partition] = from;
    return absl::OkStatus();
  }

  void Stop(const DomainPartition& partition) override {
    absl::MutexLock lock(&cluster_->mutex_);
    readings_.erase(partition);
  }

  absl::StatusOr<PolledRecords> Poll(const PollLimits& limits, absl::Duration wait) override;

  CommitResult Commit(const Transaction& transaction) override {
    absl::MutexLock lock(&cluster_->mutex_);
    return cluster_->Commit(transaction, {identity_, membership_->instance(), address_, epoch_},
                            membership_->view());
  }

  absl::Status Reopen() override {
    epoch_ = cluster_->TakeIdentity(identity_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<Offset>> CommittedOffset(const DomainPartition& partition) override {
    return cluster_->Committed(partition);
  }

  std::optional<int64_t> Lag(const DomainPartition& partition) override {
    absl::MutexLock lock(&cluster_->mutex_);
    const auto reading = readings_.find(partition);
    if (reading == readings_.end()) return std::nullopt;
    const auto& log = cluster_->LogOf(partition, Topic::kCommand);
    return std::max<int64_t>(0, log.stable_end().value() - reading->second.value());
  }

  void Wake() override {
    absl::MutexLock lock(&cluster_->mutex_);
    woken_ = true;
  }

 private:
  using Memory = std::vector<std::shared_ptr<const MemoryCluster::Stored>>;

  bool AnythingWaits() const ABSL_SHARED_LOCKS_REQUIRED(cluster_->mutex_);
  // Takes what fits of one partition.
  absl::Status Take(const DomainPartition& partition, const PollLimits& limits, size_t* bytes,
                    Memory* memory, PolledRecords* commands)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(cluster_->mutex_);

  MemoryCluster* const cluster_;
  const MemoryMembership* const membership_;
  const std::string identity_;
  const std::string address_;
  int64_t epoch_ = 0;

  // Guarded by the cluster's mutex.
  std::map<DomainPartition, Offset> readings_;  // the next offset of each
  DomainPartition last_;                        // the next poll begins behind it: none starves
  bool woken_ = false;
};

absl::StatusOr<PolledRecords> MemoryWorkerLog::Poll(const PollLimits& limits, absl::Duration wait) {
  absl::MutexLock lock(&cluster_->mutex_);
  const auto ready = [this] { return woken_ || AnythingWaits(); };
  cluster_->mutex_.AwaitWithTimeout(absl::Condition(&ready), wait);
  woken_ = false;
  std::vector<DomainPartition> order;
  for (const auto& [partition, next] : readings_) order.push_back(partition);
  std::rotate(order.begin(), std::upper_bound(order.begin(), order.end(), last_), order.end());

  PolledRecords commands;
  auto memory = std::make_shared<Memory>();
  size_t bytes = 0;
  for (const DomainPartition& partition : order) {
    const absl::Status status = Take(partition, limits, &bytes, memory.get(), &commands);
    if (!status.ok()) return status;
  }
  if (!commands.batches.empty()) last_ = commands.batches.front().partition;
  commands.memory = std::move(memory);
  return commands;
}

bool MemoryWorkerLog::AnythingWaits() const {
  return std::any_of(readings_.begin(), readings_.end(), [this](const auto& reading) {
    return cluster_->LogOf(reading.first, Topic::kCommand).HasFrom(reading.second);
  });
}

absl::Status MemoryWorkerLog::Take(const DomainPartition& partition, const PollLimits& limits,
                                   size_t* bytes, Memory* memory, PolledRecords* commands) {
  const MemoryCluster::PartitionLog& log = cluster_->LogOf(partition, Topic::kCommand);
  Offset& next = readings_.at(partition);
  if (next < log.begin) {
    return absl::OutOfRangeError(absl::StrCat(ToString(partition), " begins at ", log.begin.value(),
                                              ", not at ", next.value()));
  }
  RecordBatch batch{partition, {}};
  for (const auto& stored : log.records) {
    const TestRecord& record = stored->record;
    if (record.offset < next) continue;
    if (record.offset >= log.stable_end()) break;
    const size_t size = record.key.value_or("").size() + record.value.value_or("").size();
    const bool first = memory->empty();
    if (!first && (memory->size() >= limits.max_records || *bytes + size > limits.max_bytes)) break;
    *bytes += size;
    memory->push_back(stored);
    batch.records.push_back(MemoryCluster::ViewOf(*stored));
    next = Next(record.offset);
  }
  if (!batch.records.empty()) commands->batches.push_back(std::move(batch));
  return absl::OkStatus();
}

class MemoryLog : public Log {
 public:
  MemoryLog(MemoryCluster* cluster, std::string instance, std::string address, int64_t session)
      : cluster_(cluster),
        instance_(instance),
        address_(std::move(address)),
        membership_(cluster, std::move(instance), session) {}

  int32_t PartitionCount(const std::string& domain) const override {
    return cluster_->options_.partitions.at(domain);
  }
  size_t MaxRecordBytes(const std::string&, Topic) const override {
    return cluster_->options_.max_record_bytes;
  }
  std::string TopicName(const std::string& domain, Topic topic) const override {
    return MemoryCluster::NameOf(domain, topic);
  }
  std::string SourceId() const override {
    return absl::StrCat("memory ", reinterpret_cast<uintptr_t>(cluster_));
  }

  absl::StatusOr<std::unique_ptr<WorkerLog>> OpenWorker(int index) override {
    const std::string identity = MemoryCluster::IdentityOf(instance_, index);
    auto worker = std::make_unique<MemoryWorkerLog>(cluster_, &membership_, identity, address_);
    if (absl::Status status = worker->Reopen(); !status.ok()) return status;
    absl::MutexLock lock(&cluster_->mutex_);
    own_identities_.insert(identity);
    return worker;
  }

  absl::StatusOr<OpenedPartition> OpenPartition(const DomainPartition& partition,
                                                std::stop_token stop) override;
  absl::Status Replay(const DomainPartition& partition, Topic topic, Offset from, Offset end,
                      const ReplaySink& sink, std::stop_token stop) override;

  absl::StatusOr<std::unique_ptr<CommandAppender>> OpenAppender() override {
    return std::make_unique<MemoryAppender>(cluster_);
  }
  absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(const std::string& domain,
                                                        Topic topic) override {
    return std::make_unique<MemoryReader>(cluster_, domain, topic);
  }
  absl::StatusOr<TopicBounds> Bounds(const DomainPartition& partition, Topic topic) override {
    absl::MutexLock lock(&cluster_->mutex_);
    const MemoryCluster::PartitionLog& log = cluster_->LogOf(partition, topic);
    return TopicBounds{log.begin, log.stable_end()};
  }

  Membership& membership() override { return membership_; }

 private:
  MemoryCluster* const cluster_;
  const std::string instance_;
  const std::string address_;
  std::set<std::string> own_identities_;  // guarded by the cluster's mutex
  MemoryMembership membership_;
};

absl::StatusOr<OpenedPartition> MemoryLog::OpenPartition(const DomainPartition& partition,
                                                         std::stop_token stop) {
  if (stop.stop_requested()) return absl::CancelledError("the opening was cancelled");
  absl::MutexLock lock(&cluster_->mutex_);
  const auto owner = cluster_->owners_.find(partition);
  if (owner != cluster_->owners_.end() && !owner->second.released &&
      !own_identities_.contains(owner->second.identity)) {
    cluster_->Fence(owner->second.identity);
  }
  OpenedPartition opened;
  if (const auto it = cluster_->committed_.find(partition); it != cluster_->committed_.end()) {
    opened.committed = it->second;
  }
  opened.command_begin = cluster_->LogOf(partition, Topic::kCommand).begin;
  opened.snapshot_begin = cluster_->LogOf(partition, Topic::kSnapshot).begin;
  opened.snapshot_end = cluster_->LogOf(partition, Topic::kSnapshot).end;
  opened.reply_begin = cluster_->LogOf(partition, Topic::kReply).begin;
  opened.reply_end = cluster_->LogOf(partition, Topic::kReply).end;
  opened.event_begin = cluster_->LogOf(partition, Topic::kEvent).begin;
  opened.event_end = cluster_->LogOf(partition, Topic::kEvent).end;
  return opened;
}

absl::Status MemoryLog::Replay(const DomainPartition& partition, Topic topic, Offset from,
                               Offset end, const ReplaySink& sink, std::stop_token stop) {
  while (from < end) {
    if (stop.stop_requested()) return absl::CancelledError("the replay was cancelled");
    std::vector<std::shared_ptr<const MemoryCluster::Stored>> taken;  // own what is viewed
    std::vector<InputRecord> records;
    {
      absl::MutexLock lock(&cluster_->mutex_);
      const MemoryCluster::PartitionLog& log = cluster_->LogOf(partition, topic);
      if (from < log.begin || from > log.end) {
        return absl::OutOfRangeError(absl::StrCat(TopicName(partition.domain, topic), " has ",
                                                  log.begin.value(), " to ", log.end.value(),
                                                  ", not ", from.value()));
      }
      if (log.stable_end() < std::min(end, log.end)) {
        return absl::UnavailableError(absl::StrCat(TopicName(partition.domain, topic),
                                                   " has an open transaction: try again"));
      }
      for (const auto& stored : log.records) {
        if (stored->record.offset < from || stored->record.offset >= end) continue;
        if (taken.size() == kRecordsPerReplayCall) break;
        taken.push_back(stored);
        records.push_back(MemoryCluster::ViewOf(*stored));
      }
    }
    from = taken.size() < kRecordsPerReplayCall ? end : Next(taken.back()->record.offset);
    if (absl::Status status = sink(records, from); !status.ok()) return status;
  }
  return absl::OkStatus();
}

MemoryCluster::MemoryCluster(MemoryClusterOptions options) : options_(std::move(options)) {
  for (const DomainPartition& partition : AllPartitions()) {
    for (const Topic topic : kAllTopics) {
      logs_[{partition.domain, topic, partition.partition}] = PartitionLog{};
    }
  }
  if (options_.automatic) rebalancer_ = std::jthread([this] { RunRebalances(); });
}

MemoryCluster::~MemoryCluster() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

std::unique_ptr<Log> MemoryCluster::OpenInstance(const std::string& instance,
                                                 const std::string& address) {
  absl::MutexLock lock(&mutex_);
  return std::make_unique<MemoryLog>(this, instance, address, ++last_session_);
}

std::string MemoryCluster::IdentityOf(const std::string& instance, int worker) {
  return absl::StrCat(instance, "-", worker);
}

int64_t MemoryCluster::TakeIdentity(const std::string& identity) {
  absl::MutexLock lock(&mutex_);
  return Fence(identity);
}

bool MemoryCluster::HoldsIdentity(const std::string& identity, int64_t epoch) const {
  absl::MutexLock lock(&mutex_);
  const auto it = epochs_.find(identity);
  return it != epochs_.end() && it->second == epoch;
}

// --- topics

MemoryCluster::PartitionLog& MemoryCluster::LogOf(const DomainPartition& partition, Topic topic) {
  return logs_.at({partition.domain, topic, partition.partition});
}

const MemoryCluster::PartitionLog& MemoryCluster::LogOf(const DomainPartition& partition,
                                                        Topic topic) const {
  return logs_.at({partition.domain, topic, partition.partition});
}

Offset MemoryCluster::PartitionLog::stable_end() const {
  Offset stable = end;
  for (const auto& [transaction, first] : open) stable = std::min(stable, first);
  return stable;
}

bool MemoryCluster::PartitionLog::HasFrom(Offset from) const {
  const Offset to = stable_end();
  const auto last = std::find_if(records.rbegin(), records.rend(),
                                 [to](const auto& stored) { return stored->record.offset < to; });
  return last != records.rend() && (*last)->record.offset >= from;
}

size_t MemoryCluster::SizeOf(const OutputRecord& record) {
  size_t size = record.key.value_or("").size() + record.value.value_or("").size();
  for (const auto& header : record.headers) {
    size += header.name.size() + header.value.value_or("").size();
  }
  return size;
}

TestRecord MemoryCluster::Copy(const OutputRecord& output) {
  TestRecord record{output.key, output.value, {}, {}, 0};
  for (const auto& header : output.headers) {
    record.headers.emplace_back(std::string(header.name), header.value);
  }
  return record;
}

std::string MemoryCluster::NameOf(const std::string& domain, Topic topic) {
  const std::string_view suffix = TopicSuffix(topic);
  return absl::StrCat(domain, "-", absl::string_view(suffix.data(), suffix.size()));
}

Offset MemoryCluster::Write(PartitionLog& log, TestRecord record, int64_t transaction) {
  const Offset offset = log.end;
  record.offset = offset;
  record.timestamp_ms = absl::ToUnixMillis(absl::Now());
  const auto stored = std::make_shared<Stored>();
  stored->record = std::move(record);
  stored->transaction = transaction;
  for (const auto& [name, value] : stored->record.headers) {
    Header& header = stored->headers.emplace_back(Header{name, std::nullopt});
    if (value) header.value = *value;
  }
  log.records.push_back(stored);
  log.end = Next(log.end);
  return offset;
}

InputRecord MemoryCluster::ViewOf(const Stored& stored) {
  InputRecord view{stored.record.offset, stored.record.timestamp_ms, {}, {}, stored.headers};
  if (stored.record.key) view.key.emplace(*stored.record.key);
  if (stored.record.value) view.value.emplace(*stored.record.value);
  return view;
}

Offset MemoryCluster::Append(const DomainPartition& partition, Topic topic,
                             const TestRecord& record) {
  absl::MutexLock lock(&mutex_);
  return Write(LogOf(partition, topic), record);
}

void MemoryCluster::AppendTogether(
    const std::vector<std::pair<DomainPartition, TestRecord>>& commands) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [partition, command] : commands) {
    Write(LogOf(partition, Topic::kCommand), command);
  }
}

std::vector<TestRecord> MemoryCluster::Read(const DomainPartition& partition, Topic topic) const {
  absl::MutexLock lock(&mutex_);
  const PartitionLog& log = LogOf(partition, topic);
  std::vector<TestRecord> records;
  for (const auto& stored : log.records) {
    if (stored->record.offset < log.stable_end()) records.push_back(stored->record);
  }
  return records;
}

Offset MemoryCluster::End(const DomainPartition& partition, Topic topic) const {
  absl::MutexLock lock(&mutex_);
  return LogOf(partition, topic).end;
}

std::optional<Offset> MemoryCluster::Committed(const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const auto it = committed_.find(partition);
  if (it == committed_.end()) return std::nullopt;
  return it->second;
}

void MemoryCluster::SetCommitted(const DomainPartition& partition, std::optional<Offset> offset) {
  absl::MutexLock lock(&mutex_);
  committed_.erase(partition);
  if (offset) committed_[partition] = *offset;
}

void MemoryCluster::Truncate(const DomainPartition& partition, Topic topic, Offset begin) {
  absl::MutexLock lock(&mutex_);
  PartitionLog& log = LogOf(partition, topic);
  log.begin = std::max(log.begin, begin);
  log.end = std::max(log.end, begin);
  while (!log.records.empty() && log.records.front()->record.offset < begin) {
    log.records.pop_front();
  }
}

void MemoryCluster::Recreate(const DomainPartition& partition, Topic topic) {
  absl::MutexLock lock(&mutex_);
  LogOf(partition, topic) = PartitionLog{};
}

// --- transactions

CommitResult MemoryCluster::Commit(const Transaction& transaction, const Committer& who,
                                   const std::map<DomainPartition, Turn>& view) {
  CommitResult result;
  result.outcome = CommitOutcome::kLost;
  result.reason = "not assigned to this instance any more";
  for (const TransactionPart& part : transaction.parts) {
    if (!view.contains(part.partition)) result.lost.push_back(part.partition);
  }
  if (!result.lost.empty()) return result;
  if (epochs_[who.identity] != who.epoch)
    return {CommitOutcome::kFenced, "identity taken over", {}, {}};
  for (const TransactionPart& part : transaction.parts) {
    const auto turn = turns_.find(part.partition);
    if (turn == turns_.end() || turn->second != view.at(part.partition)) {
      return {CommitOutcome::kAborted, "the group has moved on", {}, {}};
    }
    for (const OutputRecord& record : part.records) {
      if (SizeOf(record) > options_.max_record_bytes) {
        return {CommitOutcome::kAborted, "a record is too large", {}, {}};
      }
    }
  }
  std::set<TopicPartition> written;
  result = {CommitOutcome::kCommitted, "", {}, {}};
  for (const TransactionPart& part : transaction.parts) {
    CommitPart(part, who, &written, &result.written.emplace_back());
  }
  // The markers.
  for (const TopicPartition& log : written) logs_.at(log).end = Next(logs_.at(log).end);
  return result;
}

void MemoryCluster::CommitPart(const TransactionPart& part, const Committer& who,
                               std::set<TopicPartition>* written, CommitResult::Written* ends) {
  committed_[part.partition] = part.next_command_offset;
  if (part.ownership != OwnershipMark::kNone) MarkOwnership(part, who);
  for (const OutputRecord& output : part.records) {
    const TopicPartition where{part.partition.domain, output.topic, output.partition};
    PartitionLog& log = logs_.at(where);
    Write(log, Copy(output));
    written->insert(where);
    if (output.topic == Topic::kEvent) ends->event_end = log.end;
    if (output.topic == Topic::kSnapshot) ends->snapshot_end = log.end;
    if (output.topic == Topic::kReply) ends->reply_end = log.end;
  }
}

void MemoryCluster::MarkOwnership(const TransactionPart& part, const Committer& who) {
  const auto previous = owners_.find(part.partition);
  int64_t generation = 0;
  if (previous != owners_.end()) {
    const bool same = previous->second.identity == who.identity;
    generation = previous->second.who.generation + (same ? 0 : 1);
  }
  owners_[part.partition] = {who.identity,
                             {who.instance, who.address, generation},
                             part.ownership == OwnershipMark::kRelease};
}

std::optional<PartitionOwner> MemoryCluster::ClaimerOf(const DomainPartition& partition) const {
  const auto owner = owners_.find(partition);
  if (owner == owners_.end() || owner->second.released) return std::nullopt;
  return owner->second.who;
}

int64_t MemoryCluster::Fence(const std::string& identity) {
  std::vector<int64_t> left_open;
  for (const auto& [transaction, open] : open_) {
    if (open.identity == identity) left_open.push_back(transaction);
  }
  for (const int64_t transaction : left_open) End(transaction, /*commit=*/false);
  return ++epochs_[identity];
}

int64_t MemoryCluster::BeginTransaction(const std::string& identity,
                                        const DomainPartition& partition,
                                        const std::vector<Topic>& topics,
                                        const TestRecord& record) {
  absl::MutexLock lock(&mutex_);
  Fence(identity);
  const int64_t transaction = ++last_transaction_;
  OpenTransaction& open = open_[transaction];
  open.identity = identity;
  for (const Topic topic : topics) {
    PartitionLog& log = LogOf(partition, topic);
    log.open.emplace(transaction, Write(log, record, transaction));
    open.written.push_back({partition.domain, topic, partition.partition});
  }
  return transaction;
}

bool MemoryCluster::EndTransaction(int64_t transaction, bool commit) {
  absl::MutexLock lock(&mutex_);
  if (!open_.contains(transaction)) return false;
  End(transaction, commit);
  return true;
}

void MemoryCluster::End(int64_t transaction, bool commit) {
  for (const TopicPartition& where : open_.at(transaction).written) {
    PartitionLog& log = logs_.at(where);
    // A topic that was made again knows nothing of it.
    if (log.open.erase(transaction) == 0) continue;
    if (!commit) {
      std::erase_if(log.records,
                    [&](const auto& stored) { return stored->transaction == transaction; });
    }
    log.end = Next(log.end);  // the marker
  }
  open_.erase(transaction);
}

// --- the group

std::vector<DomainPartition> MemoryCluster::AllPartitions() const {
  std::vector<DomainPartition> all;
  for (const auto& [domain, count] : options_.partitions) {
    for (int32_t i = 0; i < count; ++i) all.push_back({domain, PartitionId{i}});
  }
  return all;
}

MemoryMembership* MemoryCluster::MemberOf(const std::string& instance) {
  for (const auto& [session, member] : members_) {
    if (member->instance() == instance) return member;
  }
  return nullptr;
}

std::vector<DomainPartition> MemoryCluster::OwnedBy(int64_t session) const {
  std::vector<DomainPartition> owned;
  for (const auto& [partition, turn] : turns_) {
    if (turn.session == session) owned.push_back(partition);
  }
  return owned;
}

void MemoryCluster::TakeFrom(int64_t session, const std::vector<DomainPartition>& partitions) {
  for (const DomainPartition& partition : partitions) {
    const auto turn = turns_.find(partition);
    if (turn != turns_.end() && turn->second.session == session) turns_.erase(turn);
  }
}

void MemoryCluster::Assign(const std::string& instance,
                           const std::vector<DomainPartition>& partitions) {
  std::shared_ptr<absl::Notification> told;
  {
    absl::MutexLock lock(&mutex_);
    MemoryMembership* member = MemberOf(instance);
    if (member == nullptr) return;
    MemoryMembership::Task task{MemoryMembership::Task::Kind::kAssign, partitions, {}};
    for (const DomainPartition& partition : partitions) {
      task.turns[partition] = turns_[partition] = {member->session(), ++last_turn_};
    }
    told = member->Post(std::move(task));
  }
  told->WaitForNotification();
}

void MemoryCluster::Revoke(const std::string& instance,
                           const std::vector<DomainPartition>& partitions) {
  std::shared_ptr<absl::Notification> told;
  {
    absl::MutexLock lock(&mutex_);
    MemoryMembership* member = MemberOf(instance);
    if (member == nullptr) return;
    told = member->Post({MemoryMembership::Task::Kind::kRevoke, partitions, {}});
  }
  told->WaitForNotification();
}

void MemoryCluster::Lose(const std::string& instance,
                         const std::vector<DomainPartition>& partitions) {
  Expel(instance, partitions);
  TellLost(instance, partitions);
}

void MemoryCluster::Expel(const std::string& instance,
                          const std::vector<DomainPartition>& partitions) {
  absl::MutexLock lock(&mutex_);
  if (const MemoryMembership* member = MemberOf(instance)) TakeFrom(member->session(), partitions);
}

void MemoryCluster::TellLost(const std::string& instance,
                             const std::vector<DomainPartition>& partitions) {
  std::shared_ptr<absl::Notification> told;
  {
    absl::MutexLock lock(&mutex_);
    MemoryMembership* member = MemberOf(instance);
    if (member == nullptr) return;
    told = member->Post({MemoryMembership::Task::Kind::kLost, partitions, {}});
  }
  told->WaitForNotification();
}

void MemoryCluster::TellLostSoon(const std::string& instance,
                                 const std::vector<DomainPartition>& partitions) {
  absl::MutexLock lock(&mutex_);
  if (MemoryMembership* member = MemberOf(instance)) {
    member->Post({MemoryMembership::Task::Kind::kLost, partitions, {}});
  }
}

void MemoryCluster::Silence(const std::string& instance) {
  absl::MutexLock lock(&mutex_);
  if (MemoryMembership* member = MemberOf(instance)) member->set_silenced(true);
}

void MemoryCluster::Unsilence(const std::string& instance) {
  absl::MutexLock lock(&mutex_);
  if (MemoryMembership* member = MemberOf(instance)) member->set_silenced(false);
}

// --- the group, automatic

void MemoryCluster::RunRebalances() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this] { return stopping_ || unbalanced_; };
      mutex_.Await(absl::Condition(&due));
      if (stopping_) return;
      unbalanced_ = false;
    }
    Rebalance();
  }
}

// Cooperative: takes what members have too much of, waits until they have handed it over or were
// expelled, gives.
void MemoryCluster::Rebalance() {
  std::map<int64_t, std::shared_ptr<absl::Notification>> pending;
  absl::MutexLock lock(&mutex_);
  for (auto& [member, partitions] : Excess()) {
    pending[member->session()] =
        member->Post({MemoryMembership::Task::Kind::kRevoke, std::move(partitions), {}});
  }
  for (const auto& [session, done] : pending) {
    const auto ended = [&, session = session]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      const auto member = members_.find(session);
      return stopping_ || done->HasBeenNotified() || member == members_.end() ||
             member->second->expelled();
    };
    mutex_.Await(absl::Condition(&ended));
  }
  if (!stopping_) AssignUnowned();
}

void MemoryCluster::ExpelMember(const std::string& instance) {
  absl::MutexLock lock(&mutex_);
  MemoryMembership* member = MemberOf(instance);
  if (member == nullptr) return;
  TakeFrom(member->session(), OwnedBy(member->session()));
  member->set_expelled(true);
  member->Post({MemoryMembership::Task::Kind::kLost, AllPartitions(), {}});
  unbalanced_ = true;
}

bool MemoryCluster::Believes(const std::string& instance, const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  return std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
    return member.second->instance() == instance && member.second->view().contains(partition);
  });
}

std::optional<std::string> MemoryCluster::OwnerOf(const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const auto turn = turns_.find(partition);
  if (turn == turns_.end()) return std::nullopt;
  const auto member = members_.find(turn->second.session);
  if (member == members_.end()) return std::nullopt;
  return member->second->instance();
}

size_t MemoryCluster::QuotaOf(size_t rank) const {
  const auto members =
      static_cast<size_t>(std::count_if(members_.begin(), members_.end(), [](const auto& member) {
        return !member.second->expelled();
      }));
  const size_t partitions = AllPartitions().size();
  return partitions / members + (rank < partitions % members ? 1 : 0);
}

std::map<MemoryMembership*, std::vector<DomainPartition>> MemoryCluster::Excess() {
  std::map<MemoryMembership*, std::vector<DomainPartition>> excess;
  size_t rank = 0;
  for (const auto& [session, member] : members_) {
    if (member->expelled()) continue;
    std::vector<DomainPartition> owned = OwnedBy(session);
    const size_t quota = QuotaOf(rank++);
    if (owned.size() > quota) {
      excess[member].assign(owned.begin() + static_cast<ptrdiff_t>(quota), owned.end());
    }
  }
  return excess;
}

void MemoryCluster::AssignUnowned() {
  std::vector<DomainPartition> unowned = AllPartitions();
  std::erase_if(unowned, [this](const auto& partition) { return turns_.contains(partition); });
  size_t rank = 0;
  for (const auto& [session, member] : members_) {
    if (member->expelled()) continue;
    const size_t quota = QuotaOf(rank++);
    MemoryMembership::Task task{MemoryMembership::Task::Kind::kAssign, {}, {}};
    for (size_t owned = OwnedBy(session).size(); owned < quota && !unowned.empty(); ++owned) {
      task.partitions.push_back(unowned.back());
      task.turns[unowned.back()] = turns_[unowned.back()] = {session, ++last_turn_};
      unowned.pop_back();
    }
    if (!task.partitions.empty()) member->Post(std::move(task));
  }
}

}  // namespace esd
