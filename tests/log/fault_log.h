// Wraps a log and gives, now and then, every other answer that log.h allows.
//
//   FaultLog log(cluster.OpenInstance("a"), seed);
//   log.SetRates(FaultRates::All(0.1));                 // at random
//   log.ScriptCommits({CommitFault::kUnknownDone});     // or as told, before chance has its turn
//   log.OnCommit([&](const Transaction& t) { … });      // looks on, before anything is committed
//
// The choices follow from the seed and the order of the calls; the seed is printed when
// rates are set.
#ifndef ESD_TESTS_LOG_FAULT_LOG_H_
#define ESD_TESTS_LOG_FAULT_LOG_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/log/log.h"

namespace esd {

enum class CommitFault {
  kNone,
  kAborted,         // nothing happened
  kNoRoom,          // neither: the disk is full
  kFenced,          // nothing happened; nothing is committed before Reopen()
  kUnknownDone,     // it is committed, and the answer got lost
  kUnknownNotDone,  // it isn't
  kLost,            // some of the partitions are gone: SetLose() makes it so
};

enum class AppendFault {
  kNone,
  kUnavailable,        // nothing was written
  kResourceExhausted,  // neither
  kUnknownDone,        // it is written, and the answer got lost
  kUnknownNotDone,     // it isn't
};

// How often each answer is given, from 0 (never) to 1.
struct FaultRates {
  double commit_aborted = 0;
  double commit_fenced = 0;
  double commit_unknown_done = 0;
  double commit_unknown_not_done = 0;
  double commit_lost = 0;
  double poll_unavailable = 0;
  double poll_empty = 0;
  double replay_unavailable = 0;
  double replay_deadline_exceeded = 0;
  double replay_partial = 0;  // hands some records over, then kUnavailable
  double open_unavailable = 0;
  double open_deadline_exceeded = 0;
  double reopen_unavailable = 0;
  double committed_offset_unavailable = 0;
  double append_unavailable = 0;
  double append_resource_exhausted = 0;
  double append_unknown_done = 0;
  double append_unknown_not_done = 0;
  double read_unavailable = 0;  // LogReader::Poll()
  double read_empty = 0;
  double bounds_unavailable = 0;
  double open_appender_unavailable = 0;
  double open_reader_unavailable = 0;

  static FaultRates All(double rate);
};

class FaultLog : public Log {
 public:
  // `print_seed`: unless whoever chose the seed says it.
  FaultLog(std::unique_ptr<Log> log, uint64_t seed, bool print_seed = true);

  FaultLog(const FaultLog&) = delete;
  FaultLog& operator=(const FaultLog&) = delete;

  // The following may be called from any thread.
  void SetRates(const FaultRates& rates);
  void ScriptCommits(std::deque<CommitFault> faults);
  // What shared() says; it is the log's own unless told.
  void SetShared(bool shared);
  // The next `count` calls answer kUnavailable.
  void FailReopens(int count);
  void FailOpens(int count);
  void FailReplays(int count);
  void FailCommittedOffsets(int count);
  void FailReads(int count);
  void FailBounds(int count);
  void FailOpenAppenders(int count);
  void FailOpenReaders(int count);
  void ScriptAppends(std::deque<AppendFault> faults);
  // Called before each Commit(), on the worker's thread.
  void OnCommit(std::function<void(const Transaction&)> hook);
  // Called in each Reopen(), on the worker's thread, before it does anything.
  void OnReopen(std::function<void()> hook);
  // Takes the partition from this instance; without it kLost is never given.
  void SetLose(std::function<void(const DomainPartition&)> lose);
  // The process dies: what is under way is committed or not, nothing else happens any more.
  void Sever();

  // How often each fault was given, by name: a campaign in which one never was proves nothing.
  std::map<std::string, int> given() const;
  // Calls so far.
  int commits() const { return Get(&Counters::commits); }
  int reopens() const { return Get(&Counters::reopens); }
  // Calls of Commit() between a kFenced or kUnknown and the Reopen() that should follow.
  int commits_while_closed() const { return Get(&Counters::commits_while_closed); }

  bool shared() const override;
  int32_t PartitionCount(const std::string& domain) const override {
    return log_->PartitionCount(domain);
  }
  size_t MaxRecordBytes(const std::string& domain, Topic topic) const override {
    return log_->MaxRecordBytes(domain, topic);
  }
  std::string TopicName(const std::string& domain, Topic topic) const override {
    return log_->TopicName(domain, topic);
  }
  std::string SourceId() const override { return log_->SourceId(); }
  absl::StatusOr<std::unique_ptr<WorkerLog>> OpenWorker(int index) override;
  absl::StatusOr<OpenedPartition> OpenPartition(const DomainPartition& partition,
                                                std::stop_token stop) override;
  absl::Status Replay(const DomainPartition& partition, Topic topic, Offset from, Offset end,
                      const ReplaySink& sink, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<CommandAppender>> OpenAppender() override;
  absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(const std::string& domain,
                                                        Topic topic) override;
  absl::StatusOr<TopicBounds> Bounds(const DomainPartition& partition, Topic topic) override;
  Membership& membership() override { return log_->membership(); }

 private:
  friend class FaultAppender;
  friend class FaultReader;
  friend class FaultWorkerLog;

  template <typename Fault>
  struct Choice {
    Fault fault;
    double rate;
    const char* name;
  };

  struct Counters {
    int commits = 0;
    int reopens = 0;
    int commits_while_closed = 0;
  };

  int Get(int Counters::*counter) const;
  void Count(int Counters::*counter);
  // Whether the fault is due, by its rate; counts it.
  bool Due(double FaultRates::*rate, const char* name);
  // Whether one of `*left` scripted failures is due, or the fault is by its rate.
  bool FailureDue(int FaultLog::*left, double FaultRates::*rate, const char* name);
  CommitFault NextCommitFault();
  AppendFault NextAppendFault();
  // What the script says, or else chance; `kNone` when neither says anything.
  template <typename Fault>
  Fault NextFault(std::deque<Fault>* script, const std::vector<Choice<Fault>>& choices)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool severed() const;
  // Some of the transaction's partitions, at least one.
  std::vector<DomainPartition> Choose(const Transaction& transaction);
  absl::Status ReplayInPart(const DomainPartition& partition, Topic topic, Offset from, Offset end,
                            const ReplaySink& sink, std::stop_token stop);

  const std::unique_ptr<Log> log_;
  const uint64_t seed_;

  mutable absl::Mutex mutex_;
  bool seed_printed_ ABSL_GUARDED_BY(mutex_);
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  FaultRates rates_ ABSL_GUARDED_BY(mutex_);
  std::optional<bool> shared_ ABSL_GUARDED_BY(mutex_);
  std::deque<CommitFault> script_ ABSL_GUARDED_BY(mutex_);
  std::deque<AppendFault> append_script_ ABSL_GUARDED_BY(mutex_);
  int failing_reopens_ ABSL_GUARDED_BY(mutex_) = 0;
  int failing_opens_ ABSL_GUARDED_BY(mutex_) = 0;
  int failing_replays_ ABSL_GUARDED_BY(mutex_) = 0;
  int failing_committed_offsets_ ABSL_GUARDED_BY(mutex_) = 0;
  int failing_reads_ ABSL_GUARDED_BY(mutex_) = 0;
  int failing_bounds_ ABSL_GUARDED_BY(mutex_) = 0;
  int failing_open_appenders_ ABSL_GUARDED_BY(mutex_) = 0;
  int failing_open_readers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void(const Transaction&)> on_commit_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_reopen_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const DomainPartition&)> lose_ ABSL_GUARDED_BY(mutex_);
  bool severed_ ABSL_GUARDED_BY(mutex_) = false;
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> given_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_FAULT_LOG_H_
