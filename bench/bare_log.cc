#include "bench/bare_log.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>

#include <stop_token>
#include <utility>

#include "bench/waiting.h"
#include "bench/workload.h"
#include "engine/log/embedded/embedded_log.h"

namespace esd::bench {
namespace {

constexpr char kDomain[] = "security";
constexpr absl::Duration kPollTimeout = absl::Seconds(10);
constexpr std::string_view kHeader = "ce_source";

}  // namespace

class BareLog::Listener : public MembershipListener {
 public:
  void OnAssigned(const std::vector<DomainPartition>&) override { assigned.Notify(); }
  void OnRevoked(const std::vector<DomainPartition>&) override {}
  void OnLost(const std::vector<DomainPartition>&) override {}
  void OnFailed(const absl::Status&) override {}

  absl::Notification assigned;
};

BareLog::BareLog() = default;

BareLog::~BareLog() {
  appender_.reset();
  if (log_ != nullptr) log_->membership().Leave(kPollTimeout);
  worker_.reset();
}

absl::Status BareLog::Open(const std::string& directory, int partitions, int64_t users) {
  users_ = users;
  next_ = users;
  partitions_ = partitions;
  EmbeddedLogOptions options;
  options.directory = directory;
  options.domains = {kDomain};
  options.partitions = partitions;
  options.instance_id = "bench";
  auto log = OpenEmbeddedLog(std::move(options));
  if (!log.ok()) return log.status();
  log_ = *std::move(log);
  return Begin();
}

absl::Status BareLog::Begin() {
  listener_ = std::make_unique<Listener>();
  if (absl::Status status = log_->membership().Join(listener_.get()); !status.ok()) return status;
  listener_->assigned.WaitForNotification();
  auto worker = log_->OpenWorker(0);
  if (!worker.ok()) return worker.status();
  worker_ = *std::move(worker);
  for (int p = 0; p < partitions_; ++p) {
    const DomainPartition partition{kDomain, PartitionId{p}};
    const auto opened = log_->OpenPartition(partition, std::stop_token());
    if (!opened.ok()) return opened.status();
    if (absl::Status status = worker_->Start(partition, opened->command_begin); !status.ok())
      return status;
  }
  auto appender = log_->OpenAppender();
  if (!appender.ok()) return appender.status();
  appender_ = *std::move(appender);
  return absl::OkStatus();
}

void BareLog::Append() {
  BenchCommand command = MakeCommand(next_, users_);
  const PartitionId partition{static_cast<int32_t>(next_ % partitions_)};
  ++next_;
  appender_->Append(
      kDomain,
      OutputRecord{
          Topic::kCommand, partition, std::move(command.key), std::move(command.value), {}},
      [this](const absl::StatusOr<Offset>& offset) {
        if (!offset.ok()) ++failed_appends_;
      });
}

absl::StatusOr<int64_t> BareLog::CommitWaiting() {
  const auto polled = worker_->Poll({}, kPollTimeout);
  if (!polled.ok()) return polled.status();
  Transaction transaction;
  int64_t commands = 0;
  for (const RecordBatch& batch : polled->batches) {
    TransactionPart part;
    part.partition = batch.partition;
    part.next_command_offset = Next(batch.records.back().offset);
    for (const InputRecord& command : batch.records) {
      const std::string key(command.key.value_or(""));
      part.records.push_back({Topic::kEvent,
                              batch.partition.partition,
                              key,
                              std::string(command.value.value_or("")),
                              {{kHeader, std::string(kLogEventHeaderBytes, 'h')}}});
      part.records.push_back({Topic::kSnapshot,
                              batch.partition.partition,
                              key,
                              std::string(kLogSnapshotBytes, 's'),
                              {}});
    }
    commands += static_cast<int64_t>(batch.records.size());
    transaction.parts.push_back(std::move(part));
  }
  if (commands == 0) return absl::DeadlineExceededError("the log took too long for a command");
  const CommitResult result = worker_->Commit(transaction);
  if (result.outcome != CommitOutcome::kCommitted)
    return absl::UnavailableError(absl::StrCat("the log did not commit: ", result.reason));
  return commands;
}

absl::StatusOr<BareLog::Figures> BareLog::Run(int in_flight, absl::Duration time) {
  Figures figures;
  const int64_t end_ns = NowNs() + absl::ToInt64Nanoseconds(time);
  int64_t waiting = 0;
  for (int64_t begin_ns = NowNs(); begin_ns < end_ns || waiting > 0;) {
    if (Interrupted()) return absl::CancelledError("interrupted");
    for (; begin_ns < end_ns && waiting < in_flight; ++waiting) Append();
    const auto committed = CommitWaiting();
    if (!committed.ok()) return committed.status();
    waiting -= *committed;
    figures.commands += *committed;
    const int64_t now_ns = NowNs();
    figures.transaction_times_ms.push_back(Seconds(now_ns - begin_ns) * 1e3);
    begin_ns = now_ns;
  }
  if (failed_appends_ > 0)
    return absl::UnavailableError(absl::StrCat(failed_appends_.load(), " commands were refused"));
  return figures;
}

}  // namespace esd::bench
