#include "engine/log/embedded/embedded_log.h"

#include <absl/strings/str_cat.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "engine/log/embedded/embedded_appender.h"
#include "engine/log/embedded/embedded_log_impl.h"
#include "engine/log/embedded/embedded_reader.h"
#include "engine/log/embedded/embedded_worker_log.h"
#include "engine/log/embedded/record_limits.h"
#include "engine/log/embedded/record_scan.h"
#include "engine/log/topic_names.h"

namespace esd {
namespace embedded {
namespace {

constexpr PollLimits kReplayLimits = {.max_records = 1'000, .max_bytes = size_t{1} << 20};

absl::Status Validate(const EmbeddedLogOptions& options) {
  if (options.directory.empty()) {
    return absl::InvalidArgumentError("the embedded log needs a directory");
  }
  if (options.domains.empty()) return absl::InvalidArgumentError("the log needs a domain");
  if (options.partitions < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a domain needs at least one partition, not ",
                                                   options.partitions, ": choose another number"));
  }
  return absl::OkStatus();
}

absl::Status Garbled(const LogDatabase& database, const std::string& key) {
  return absl::DataLossError(absl::StrCat("the log in ", database.directory(), " has a garbled ",
                                          key.substr(0, key.find('/')),
                                          ": put it back from a copy of the folder"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EmbeddedLog>> EmbeddedLog::Open(EmbeddedLogOptions options) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  auto database = LogDatabase::Open(options.directory, options.env);
  if (!database.ok()) return database.status();
  std::unique_ptr<EmbeddedLog> log(new EmbeddedLog(std::move(options), *std::move(database)));
  for (const std::string& domain : log->options_.domains) {
    if (absl::Status status = log->LoadDomain(domain); !status.ok()) return status;
  }
  const auto batch = log->LoadBatchNumber();
  if (!batch.ok()) return batch.status();
  log->writer_ = std::make_unique<LogWriter>(
      log->database_.get(), &log->state_, *batch,
      [raw = log.get()](const absl::Status& error) { raw->membership_.Fail(error); });
  log->maintenance_ = std::make_unique<LogMaintenance>(
      log->database_.get(), &log->state_, log->writer_.get(),
      std::map<Topic, absl::Duration>{{Topic::kCommand, log->options_.command_retention},
                                      {Topic::kReply, log->options_.reply_retention},
                                      {Topic::kDeadLetter, log->options_.dead_letter_retention}});
  return log;
}

EmbeddedLog::EmbeddedLog(EmbeddedLogOptions options, std::unique_ptr<LogDatabase> database)
    : options_(std::move(options)),
      database_(std::move(database)),
      membership_(&state_),
      space_(database_.get(), options_.min_free_bytes) {}

absl::StatusOr<uint64_t> EmbeddedLog::LoadBatchNumber() {
  const auto number = database_->GetOffset(kMeta, kBatchKey);
  if (!number.ok()) return number.status();
  return static_cast<uint64_t>(number->value_or(Offset{0}).value());
}

absl::Status EmbeddedLog::LoadDomain(const std::string& domain) {
  const auto count = LoadPartitionCount(domain);
  if (!count.ok()) return count.status();
  partition_counts_[domain] = *count;
  for (int32_t i = 0; i < *count; ++i) {
    if (absl::Status status = LoadPartition({domain, PartitionId{i}}); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> EmbeddedLog::LoadPartitionCount(const std::string& domain) {
  const std::string key = kDomainKey + domain;
  const auto value = database_->GetMeta(key);
  if (!value.ok()) return value.status();
  esd::v1::DomainRecord record;
  if (*value) {
    if (!record.ParseFromString(**value) || record.partitions() < 1) {
      return Garbled(*database_, key);
    }
    return record.partitions();
  }
  record.set_partitions(options_.partitions);
  const LogDatabase::Access access(*database_);
  rocksdb::WriteBatch batch;
  rocksdb::Status s = batch.Put(access.family(kMeta), key, record.SerializeAsString());
  if (s.ok()) s = database_->Write(access, &batch);
  if (!s.ok()) return database_->ToStatus("write to", s);
  return record.partitions();
}

// Nobody else has the log yet, so nothing is locked.
absl::Status EmbeddedLog::LoadPartition(const DomainPartition& partition) {
  PartitionLog& log = state_.partitions[partition];
  log.partition = partition;
  log.key = PartitionKey(partition);
  const auto committed = database_->GetOffset(kMeta, kPositionKey + log.key);
  if (!committed.ok()) return committed.status();
  log.committed = *committed;
  const auto owner = database_->GetMeta(kOwnerKey + log.key);
  if (!owner.ok()) return owner.status();
  if (*owner && !log.owner.emplace().ParseFromString(**owner)) {
    return Garbled(*database_, kOwnerKey);
  }
  for (const Topic topic : kAllTopics) {
    TopicLog& topic_log = log.of(topic);
    topic_log.partition = partition;
    topic_log.topic = topic;
    topic_log.key = TopicKey(partition, topic);
    if (absl::Status status = LoadTopic(&topic_log); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status EmbeddedLog::LoadTopic(TopicLog* log) {
  const auto begin = database_->GetOffset(kMeta, kBeginKey + log->key);
  if (!begin.ok()) return begin.status();
  const auto last = database_->LastOffset(FamilyOf(log->topic), log->key);
  if (!last.ok()) return last.status();
  log->begin = begin->value_or(Offset{0});
  log->end = *last ? std::max(Next(**last), log->begin) : log->begin;
  if (*begin) database_->begins().Set(log->key, **begin);
  return absl::OkStatus();
}

size_t EmbeddedLog::MaxRecordBytes(const std::string&, Topic topic) const {
  return embedded::MaxRecordBytes(topic);
}

std::string EmbeddedLog::TopicName(const std::string& domain, Topic topic) const {
  return esd::TopicName("", domain, topic);
}

std::string EmbeddedLog::SourceId() const {
  return absl::StrCat("embedded log ", database_->source_id());
}

absl::StatusOr<std::unique_ptr<WorkerLog>> EmbeddedLog::OpenWorker(int index) {
  auto worker = std::make_unique<EmbeddedWorkerLog>(
      database_.get(), &state_, writer_.get(),
      WriteRequest::Worker{index, 0, absl::StrCat(options_.instance_id, "-", index),
                           options_.instance_id, options_.address});
  if (absl::Status status = worker->Reopen(); !status.ok()) return status;
  return worker;
}

absl::StatusOr<OpenedPartition> EmbeddedLog::OpenPartition(const DomainPartition& partition,
                                                           std::stop_token stop) {
  if (stop.stop_requested()) return absl::CancelledError("the opening was cancelled");
  absl::ReaderMutexLock lock(&state_.mutex);
  if (!state_.trouble.ok()) return absl::UnavailableError(state_.trouble.message());
  const PartitionLog& log = state_.partitions.at(partition);
  OpenedPartition opened;
  opened.committed = log.committed;
  opened.command_begin = log.of(Topic::kCommand).begin;
  opened.snapshot_begin = log.of(Topic::kSnapshot).begin;
  opened.snapshot_end = log.of(Topic::kSnapshot).end;
  opened.reply_begin = log.of(Topic::kReply).begin;
  opened.reply_end = log.of(Topic::kReply).end;
  opened.event_begin = log.of(Topic::kEvent).begin;
  opened.event_end = log.of(Topic::kEvent).end;
  return opened;
}

absl::Status EmbeddedLog::Replay(const DomainPartition& partition, Topic topic, Offset from,
                                 Offset end, const ReplaySink& sink, std::stop_token stop) {
  const TopicLog& log = state_.partitions.at(partition).of(topic);
  if (absl::Status status = CheckRange(state_, log, from); !status.ok()) return status;
  while (from < end) {
    if (stop.stop_requested()) return absl::CancelledError("the replay was cancelled");
    RecordMemory memory;
    std::vector<InputRecord> records;
    PollBudget budget(kReplayLimits);
    Offset next;
    absl::Status status =
        ScanRecords(*database_, state_, log, from, end, &budget, &memory, &records, &next);
    if (status.ok()) status = sink(records, next);
    if (!status.ok()) return status;
    from = next;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<CommandAppender>> EmbeddedLog::OpenAppender() {
  return std::make_unique<EmbeddedAppender>(&state_, writer_.get(), &space_);
}

absl::StatusOr<std::unique_ptr<LogReader>> EmbeddedLog::OpenReader(const std::string& domain,
                                                                   Topic topic) {
  return std::make_unique<EmbeddedReader>(database_.get(), &state_, domain, topic);
}

absl::StatusOr<TopicBounds> EmbeddedLog::Bounds(const DomainPartition& partition, Topic topic) {
  absl::ReaderMutexLock lock(&state_.mutex);
  const TopicLog& log = state_.partitions.at(partition).of(topic);
  return TopicBounds{log.begin, log.end};
}

absl::Status EmbeddedLog::Truncate(const DomainPartition& partition, Topic topic, Offset begin) {
  auto request = std::make_shared<WriteRequest>();
  request->begins.push_back({&state_.partitions.at(partition).of(topic), begin});
  return writer_->Write(std::move(request)).why;
}

void EmbeddedLog::Maintain(absl::Time now) { maintenance_->RunOnce(now, {}); }

}  // namespace embedded

absl::StatusOr<std::unique_ptr<Log>> OpenEmbeddedLog(EmbeddedLogOptions options) {
  return embedded::EmbeddedLog::Open(std::move(options));
}

}  // namespace esd
