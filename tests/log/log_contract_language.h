// The small language that the tests of log_contract_*_test.cc are written in.
#ifndef ESD_TESTS_LOG_LOG_CONTRACT_LANGUAGE_H_
#define ESD_TESTS_LOG_LOG_CONTRACT_LANGUAGE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/log/log.h"
#include "tests/log/test_record.h"

namespace esd {

inline const DomainPartition kAlpha0{"alpha", PartitionId{0}};
inline const DomainPartition kAlpha1{"alpha", PartitionId{1}};
inline const DomainPartition kBeta0{"beta", PartitionId{0}};
inline const DomainPartition kBeta1{"beta", PartitionId{1}};
inline constexpr size_t kAllPartitionCount = 4;

// Whatever is said to come at once comes within much less.
inline constexpr absl::Duration kPromptly = absl::Seconds(10);

// Whether it comes true before the deadline of all waiting.
bool Eventually(const std::function<bool()>& condition);

// --- records

// Values `from` to `to` - 1.
std::vector<TestRecord> Numbered(int from, int to);

// So many bytes that can't be compressed.
std::string Noise(size_t size);

std::vector<std::string> ValuesOf(const std::vector<TestRecord>& records);

// --- a worker

OutputRecord Output(Topic topic, PartitionId partition, std::string value);

// A part that moves the position and writes a record each to the topics.
TransactionPart Part(const DomainPartition& partition, int64_t next, std::vector<Topic> topics = {},
                     const std::string& value = "value");

// Commits, however often it takes: what answers kAborted may succeed the next time.
CommitResult CommitAtLast(WorkerLog& worker, const Transaction& transaction);

testing::AssertionResult Committed(const CommitResult& result);

// Commits `count` transactions of one snapshot each: positions and values 1, 2, …
void CommitSnapshots(WorkerLog& worker, const DomainPartition& partition, int count);

// Commits a transaction for each of `values`, with one event.
void CommitEvents(WorkerLog& worker, const DomainPartition& partition,
                  const std::vector<std::string>& values);

// Polls until `count` commands came, for each partition in the order that they came in.
std::map<DomainPartition, std::vector<TestRecord>> PollAll(WorkerLog& worker, size_t count,
                                                           const PollLimits& limits = {});

// --- a partition's topics

OpenedPartition OpenOk(Log& log, const DomainPartition& partition);
TopicBounds BoundsOk(Log& log, const DomainPartition& partition, Topic topic);
std::vector<TestRecord> ReplayOk(Log& log, const DomainPartition& partition, Topic topic,
                                 Offset from, Offset end);
std::vector<TestRecord> Snapshots(Log& log, const DomainPartition& partition);
std::vector<TestRecord> Replies(Log& log, const DomainPartition& partition);

// --- readers and appenders

// A reader of a topic of `alpha`, and what came of it. It fails the test when what comes breaks the
// contract: records that aren't between the position before and `next`, or not in order.
class Reading {
 public:
  Reading(Log& log, Topic topic);

  LogReader& reader() { return *reader_; }

  void Start(const DomainPartition& partition, int64_t from);
  void Stop(const DomainPartition& partition) { reader_->Stop(partition.partition); }

  // Polls once; kUnavailable is no failure. Returns how many records came.
  size_t Poll(const PollLimits& limits = {}, absl::Duration wait = kPromptly);

  // Polls until so many records of the partition came since its last Start().
  void AwaitRecords(const DomainPartition& partition, size_t count, const PollLimits& limits = {});
  // Polls until the partition is read on at `next` or behind.
  void AwaitNext(const DomainPartition& partition, Offset next);
  // Polls until an error comes that isn't kUnavailable.
  absl::Status AwaitError();

  // Since the last Start().
  const std::vector<TestRecord>& records(const DomainPartition& partition) {
    return records_[partition.partition];
  }
  std::vector<std::string> values(const DomainPartition& partition) {
    return ValuesOf(records(partition));
  }
  Offset next(const DomainPartition& partition) { return next_[partition.partition]; }

 private:
  void AwaitOrFail(const std::function<bool()>& condition, const PollLimits& limits,
                   const std::string& what);
  void Take(const LogReader::Batch& batch);

  std::unique_ptr<LogReader> reader_;
  std::map<PartitionId, std::vector<TestRecord>> records_;
  std::map<PartitionId, Offset> next_;
};

// An appender, and the answers that came. It fails the test when a command has another number of
// answers than one in the end.
class Appending {
 public:
  explicit Appending(Log& log);
  ~Appending();

  // Any thread. Returns the command's number.
  size_t Append(const DomainPartition& partition, std::string value,
                std::vector<OutputRecord::OwnedHeader> headers = {});
  size_t Append(const std::string& domain, OutputRecord command);

  // Waits until all have been answered; answers in the order of the numbers.
  std::vector<absl::StatusOr<Offset>> Await();
  // Destroys the appender, by which all must have been answered.
  std::vector<absl::StatusOr<Offset>> Close();

 private:
  // Outlives the appender, so that an answer that comes too late is noticed and harmless.
  struct Answers {
    absl::Mutex mutex;
    std::vector<std::vector<absl::StatusOr<Offset>>> of ABSL_GUARDED_BY(mutex);
  };

  std::vector<absl::StatusOr<Offset>> Collect();

  const std::shared_ptr<Answers> answers_ = std::make_shared<Answers>();
  std::unique_ptr<CommandAppender> appender_;
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_LOG_CONTRACT_LANGUAGE_H_
