#include "tests/log/log_contract_language.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <set>
#include <utility>

#include "tests/log/log_contract_test.h"

namespace esd {

bool Eventually(const std::function<bool()>& condition) {
  for (const absl::Time deadline = absl::Now() + kContractDeadline; absl::Now() < deadline;) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return condition();
}

std::vector<TestRecord> Numbered(int from, int to) {
  std::vector<TestRecord> records;
  for (int i = from; i < to; ++i) {
    records.push_back({absl::StrCat("key", i), absl::StrCat(i), {}, {}, 0});
  }
  return records;
}

OutputRecord Output(Topic topic, PartitionId partition, std::string value) {
  return {topic, partition, "key", std::move(value), {}};
}

// A part that moves the position and writes a record each to the topics.
TransactionPart Part(const DomainPartition& partition, int64_t next, std::vector<Topic> topics,
                     const std::string& value) {
  TransactionPart part{partition, Offset{next}, OwnershipMark::kNone, {}};
  for (const Topic topic : topics) {
    part.records.push_back(Output(topic, partition.partition, value));
  }
  return part;
}

// Commits, however often it takes: what answers kAborted may succeed the next time.
CommitResult CommitAtLast(WorkerLog& worker, const Transaction& transaction) {
  const absl::Time deadline = absl::Now() + kContractDeadline;
  for (;;) {
    CommitResult result = worker.Commit(transaction);
    const bool reopen =
        result.outcome == CommitOutcome::kFenced || result.outcome == CommitOutcome::kUnknown;
    if (result.outcome == CommitOutcome::kCommitted || result.outcome == CommitOutcome::kLost ||
        absl::Now() > deadline) {
      return result;
    }
    if (reopen) {
      EXPECT_TRUE(worker.Reopen().ok());
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
}

testing::AssertionResult Committed(const CommitResult& result) {
  if (result.outcome == CommitOutcome::kCommitted) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "outcome " << static_cast<int>(result.outcome) << ": " << result.reason;
}

// Polls until `count` commands came, for each partition in the order that they came in.
std::map<DomainPartition, std::vector<TestRecord>> PollAll(WorkerLog& worker, size_t count,
                                                           const PollLimits& limits) {
  std::map<DomainPartition, std::vector<TestRecord>> commands;
  size_t got = 0;
  for (const absl::Time deadline = absl::Now() + kContractDeadline; got < count;) {
    const auto polled = worker.Poll(limits, absl::Seconds(1));
    if (absl::Now() > deadline) {
      ADD_FAILURE() << "only " << got << " of " << count << " commands came";
      break;
    }
    if (!polled.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(polled.status())) << polled.status();
      continue;
    }
    for (const RecordBatch& batch : polled->batches) {
      EXPECT_FALSE(batch.records.empty());
      for (const InputRecord& record : batch.records) {
        commands[batch.partition].push_back(TestRecord::Of(record));
        ++got;
      }
    }
  }
  return commands;
}

std::vector<std::string> ValuesOf(const std::vector<TestRecord>& records) {
  std::vector<std::string> values;
  for (const TestRecord& record : records) values.push_back(record.value.value_or("(null)"));
  return values;
}

OpenedPartition OpenOk(Log& log, const DomainPartition& partition) {
  const auto opened = log.OpenPartition(partition, {});
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.value_or(OpenedPartition{});
}

std::vector<TestRecord> ReplayOk(Log& log, const DomainPartition& partition, Topic topic,
                                 Offset from, Offset end) {
  std::vector<TestRecord> records;
  Offset before = from;
  const ReplaySink sink = [&](const std::vector<InputRecord>& batch, Offset next) {
    EXPECT_GE(next, before);
    EXPECT_LE(next, end);
    for (const InputRecord& record : batch) {
      EXPECT_GE(record.offset, before);
      EXPECT_LT(record.offset, next);
      records.push_back(TestRecord::Of(record));
    }
    before = next;
    return absl::OkStatus();
  };
  const absl::Status status = log.Replay(partition, topic, from, end, sink, {});
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(before, std::max(from, end));
  return records;
}

std::vector<TestRecord> Snapshots(Log& log, const DomainPartition& partition) {
  const OpenedPartition opened = OpenOk(log, partition);
  return ReplayOk(log, partition, Topic::kSnapshot, opened.snapshot_begin, opened.snapshot_end);
}

std::vector<TestRecord> Replies(Log& log, const DomainPartition& partition) {
  const OpenedPartition opened = OpenOk(log, partition);
  return ReplayOk(log, partition, Topic::kReply, opened.reply_begin, opened.reply_end);
}

// Commits `count` transactions of one snapshot each: positions and values 1, 2, …
void CommitSnapshots(WorkerLog& worker, const DomainPartition& partition, int count) {
  for (int i = 1; i <= count; ++i) {
    ASSERT_TRUE(Committed(
        CommitAtLast(worker, {{Part(partition, i, {Topic::kSnapshot}, absl::StrCat(i))}})));
  }
}

void CommitEvents(WorkerLog& worker, const DomainPartition& partition,
                  const std::vector<std::string>& values) {
  int64_t position = 0;
  for (const std::string& value : values) {
    ASSERT_TRUE(
        Committed(CommitAtLast(worker, {{Part(partition, ++position, {Topic::kEvent}, value)}})));
  }
}

std::string Noise(size_t size) {
  std::string noise(size, 'x');
  uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return noise;
}

TopicBounds BoundsOk(Log& log, const DomainPartition& partition, Topic topic) {
  absl::StatusOr<TopicBounds> bounds;
  EXPECT_TRUE(Eventually([&] {
    bounds = log.Bounds(partition, topic);
    return !absl::IsUnavailable(bounds.status());
  }));
  EXPECT_TRUE(bounds.ok()) << bounds.status();
  return bounds.value_or(TopicBounds{});
}

// --- readers

Reading::Reading(Log& log, Topic topic) {
  auto reader = log.OpenReader("alpha", topic);
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (reader.ok()) reader_ = *std::move(reader);
}

void Reading::Start(const DomainPartition& partition, int64_t from) {
  const absl::Status status = reader_->Start(partition.partition, Offset{from});
  EXPECT_TRUE(status.ok()) << status;
  next_[partition.partition] = Offset{from};
  records_[partition.partition].clear();
}

size_t Reading::Poll(const PollLimits& limits, absl::Duration wait) {
  const absl::Time begin = absl::Now();
  const auto polled = reader_->Poll(limits, wait);
  if (!polled.ok()) {
    EXPECT_TRUE(absl::IsUnavailable(polled.status())) << polled.status();
    return 0;
  }
  if (wait >= kPromptly && !polled->batches.empty()) {
    EXPECT_LT(absl::Now() - begin, kPromptly) << "what was there did not end the poll";
  }
  std::set<PartitionId> seen;
  size_t got = 0;
  for (const LogReader::Batch& batch : polled->batches) {
    EXPECT_TRUE(seen.insert(batch.partition).second) << "two batches of a partition";
    Take(batch);
    got += batch.records.size();
  }
  return got;
}

void Reading::Take(const LogReader::Batch& batch) {
  Offset& next = next_[batch.partition];
  for (const InputRecord& record : batch.records) {
    EXPECT_GE(record.offset, next);
    EXPECT_LT(record.offset, batch.next);
    next = Next(record.offset);
    records_[batch.partition].push_back(TestRecord::Of(record));
  }
  EXPECT_GE(batch.next, next);
  next = batch.next;
}

void Reading::AwaitOrFail(const std::function<bool()>& condition, const PollLimits& limits,
                          const std::string& what) {
  const absl::Time deadline = absl::Now() + kContractDeadline;
  while (!condition() && absl::Now() < deadline && !testing::Test::HasFailure()) Poll(limits);
  EXPECT_TRUE(condition()) << what << " did not come";
}

void Reading::AwaitRecords(const DomainPartition& partition, size_t count,
                           const PollLimits& limits) {
  AwaitOrFail([&] { return records(partition).size() >= count; }, limits,
              absl::StrCat(count, " records of ", ToString(partition)));
  EXPECT_EQ(records(partition).size(), count);
}

void Reading::AwaitNext(const DomainPartition& partition, Offset next) {
  AwaitOrFail([&] { return this->next(partition) >= next; }, {},
              absl::StrCat("offset ", next.value(), " of ", ToString(partition)));
}

absl::Status Reading::AwaitError() {
  absl::Status error;
  EXPECT_TRUE(Eventually([&] {
    error = reader_->Poll({}, absl::Seconds(1)).status();
    return !error.ok() && !absl::IsUnavailable(error);
  }));
  return error;
}

// --- appenders

Appending::Appending(Log& log) {
  auto appender = log.OpenAppender();
  EXPECT_TRUE(appender.ok()) << appender.status();
  if (appender.ok()) appender_ = *std::move(appender);
}

Appending::~Appending() { Close(); }

size_t Appending::Append(const DomainPartition& partition, std::string value,
                         std::vector<OutputRecord::OwnedHeader> headers) {
  OutputRecord command = Output(Topic::kCommand, partition.partition, std::move(value));
  command.headers = std::move(headers);
  return Append(partition.domain, std::move(command));
}

size_t Appending::Append(const std::string& domain, OutputRecord command) {
  size_t number = 0;
  {
    absl::MutexLock lock(&answers_->mutex);
    number = answers_->of.size();
    answers_->of.emplace_back();
  }
  appender_->Append(domain, command,
                    [answers = answers_, number](const absl::StatusOr<Offset>& answer) {
                      absl::MutexLock lock(&answers->mutex);
                      answers->of[number].push_back(answer);
                    });
  return number;
}

std::vector<absl::StatusOr<Offset>> Appending::Await() {
  {
    absl::MutexLock lock(&answers_->mutex);
    const auto answered = [&]() ABSL_SHARED_LOCKS_REQUIRED(answers_->mutex) {
      return std::none_of(answers_->of.begin(), answers_->of.end(),
                          [](const auto& answers) { return answers.empty(); });
    };
    EXPECT_TRUE(answers_->mutex.AwaitWithTimeout(absl::Condition(&answered), kContractDeadline))
        << "commands were not answered";
  }
  return Collect();
}

std::vector<absl::StatusOr<Offset>> Appending::Close() {
  appender_.reset();
  return Collect();
}

std::vector<absl::StatusOr<Offset>> Appending::Collect() {
  absl::MutexLock lock(&answers_->mutex);
  std::vector<absl::StatusOr<Offset>> collected;
  for (const auto& answers : answers_->of) {
    EXPECT_EQ(answers.size(), 1u) << "answers to command " << collected.size();
    collected.push_back(answers.empty() ? absl::InternalError("no answer") : answers.front());
  }
  return collected;
}

}  // namespace esd
