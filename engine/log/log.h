// The log under the engine: what it needs of Kafka, or of anything that stands in for it.
//
// A domain has five topics with the same number of partitions. The engine reads commands from one
// and writes the effects of a batch of them to the others, all or nothing, together with the
// position it has read to:
//
//                      committed position          end
//                             │                     │
//      commands  ─────────────┼─────────────────────┤        OpenPartition() tells the position,
//                (have effect)│ (have none yet)              Poll() reads from there,
//                             ▼                              Commit() moves it together with the
//                             records
//      events, snapshots, replies, dead letters, commands forwarded to other partitions
//
// Around it, any instance appends commands (CommandAppender) and reads events (LogReader), and
// Membership says who processes what.
//
// `engine/log/kafka` and `engine/log/embedded` implement it; tests/log/log_contract_test.cc says,
// by example, what an implementation must do.
#ifndef ESD_ENGINE_LOG_LOG_H_
#define ESD_ENGINE_LOG_LOG_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/cord.h>
#include <absl/time/time.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"

namespace esd {

// Whether an error of the log is worth another try: it may pass by itself.
inline bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// kResourceExhausted because the log's disk is full, which is told apart from too much at a time:
// sending more slowly is no help. `message` says what is.
inline constexpr char kLogFullPayload[] = "esd/log-full";
inline absl::Status LogFullError(std::string_view message) {
  absl::Status status = absl::ResourceExhaustedError({message.data(), message.size()});
  status.SetPayload(kLogFullPayload, absl::Cord());
  return status;
}
inline bool IsLogFull(const absl::Status& status) {
  return status.GetPayload(kLogFullPayload).has_value();
}

// What a domain's topics are for.
enum class Topic { kCommand, kEvent, kSnapshot, kReply, kDeadLetter };
inline constexpr std::array<Topic, 5> kAllTopics = {
    Topic::kCommand, Topic::kEvent, Topic::kSnapshot, Topic::kReply, Topic::kDeadLetter};

struct Header {
  std::string_view name;
  std::optional<std::string_view>
      value;  // nothing: a null value, which Kafka tells from an empty one
};

// A record as it is read. The views are valid as long as what the record came in.
struct InputRecord {
  Offset offset;
  // When the record was made (or appended, as the topic is configured), milliseconds since the Unix
  // epoch.
  int64_t timestamp_ms = 0;
  std::optional<std::string_view> key;    // nothing: the record has a null key
  std::optional<std::string_view> value;  // nothing: a tombstone
  std::vector<Header> headers;
};

// Records of one partition of one topic, in offset order.
struct RecordBatch {
  DomainPartition partition;
  std::vector<InputRecord> records;
};

// What WorkerLog::Poll() returns; owns the memory that the records' views refer to.
struct PolledRecords {
  std::vector<RecordBatch> batches;  // at most one per partition, none empty
  std::shared_ptr<void> memory;
};

// A record to be written to a topic of the domain of the part it stands in.
struct OutputRecord {
  struct OwnedHeader {
    std::string_view name;  // a constant, or a view that outlives the transaction
    std::optional<std::string> value;
  };

  Topic topic;
  PartitionId partition;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<OwnedHeader> headers;
};

// What a transaction says about who processes a partition.
enum class OwnershipMark {
  kNone,
  kClaim,    // this worker does, from now on: in the first transaction after a restore
  kRelease,  // nobody does any more: in the last transaction before the partition is handed over
};

// What a transaction does for one partition.
struct TransactionPart {
  DomainPartition partition;
  // Every command below it has had its effect when the transaction is committed.
  Offset next_command_offset;
  OwnershipMark ownership = OwnershipMark::kNone;
  std::vector<OutputRecord> records;
};

// One part per partition.
struct Transaction {
  std::vector<TransactionPart> parts;
};

enum class CommitOutcome {
  kCommitted,  // durable and visible, all of it
  kAborted,    // nothing happened; committing the same transaction again may succeed
  kFenced,     // nothing happened; this worker's identity was taken over or timed out: Reopen()
  kUnknown,  // may have happened or not: Reopen(), then compare CommittedOffset() with what was to
             // be committed
  kLost,  // nothing happened; partitions of the transaction aren't this instance's any more: leave
          // them out
};

struct CommitResult {
  CommitOutcome outcome = CommitOutcome::kUnknown;
  // Why it is not kCommitted, for the log.
  std::string reason;
  // With kCommitted, for each part in order: the offset behind the last record that was written to
  // the partition's event, snapshot and reply topic; nothing when none was.
  struct Written {
    std::optional<Offset> event_end;
    std::optional<Offset> snapshot_end;
    std::optional<Offset> reply_end;
  };
  std::vector<Written> written;
  // With kLost, which.
  std::vector<DomainPartition> lost;
};

// Bounds on what one Poll() returns.
struct PollLimits {
  size_t max_records = 10'000;
  size_t max_bytes = size_t{16} << 20;
};

// One worker's side of the log: reads its partitions' commands and commits their effects. All
// functions but Wake() are for the worker's thread.
class WorkerLog {
 public:
  virtual ~WorkerLog() = default;

  // Starts to read commands of the partition at `from`.
  virtual absl::Status Start(const DomainPartition& partition, Offset from) = 0;

  // Stops reading the partition: no later Poll() returns commands of it. Nothing happens when it
  // isn't read.
  virtual void Stop(const DomainPartition& partition) = 0;

  // Returns what is waiting, as soon as anything is; nothing after `wait` or Wake(). Errors:
  // kUnavailable while the log can't be reached (it goes on by itself, call again), anything else
  // means that a partition can't be read on.
  virtual absl::StatusOr<PolledRecords> Poll(const PollLimits& limits, absl::Duration wait) = 0;

  // Makes the transaction durable, all or nothing. Bounded in time.
  virtual CommitResult Commit(const Transaction& transaction) = 0;

  // Takes this worker's identity up again after kFenced or kUnknown: when it returns OK, whatever
  // Commit() left unfinished is either committed or aborted.
  virtual absl::Status Reopen() = 0;

  // The position that the last committed transaction set for the partition; nothing when there was
  // none.
  virtual absl::StatusOr<std::optional<Offset>> CommittedOffset(
      const DomainPartition& partition) = 0;

  // Commands behind the last one that Poll() returned, as far as known; for the lag metric.
  virtual std::optional<int64_t> Lag(const DomainPartition& partition) = 0;

  // Ends the Poll() that is under way, or the next one; a Reopen() that is under way returns soon,
  // with kUnavailable if it must. Any thread.
  virtual void Wake() = 0;
};

// What OpenPartition() found.
struct OpenedPartition {
  // The position that the last committed transaction set; nothing when there was none.
  std::optional<Offset> committed;
  // The first command that is still there: where to read when nothing is committed.
  Offset command_begin;
  // The changelogs' bounds as of now: what Replay() reads to, and the first offset that is still
  // there.
  Offset snapshot_begin, snapshot_end;
  Offset reply_begin, reply_end;
  // Likewise for the events, for whoever wants to read them from the beginning.
  Offset event_begin, event_end;
};

// What Replay() hands over: a few records at a time, in offset order. An error ends the replay.
using ReplaySink =
    std::function<absl::Status(const std::vector<InputRecord>& records, Offset next)>;

// Appends commands to the domains' command topics, as a producer outside does, and not within a
// transaction. All functions may be called from any thread.
class CommandAppender {
 public:
  // Where the command stands. Errors: kUnavailable and kResourceExhausted (too much waits to be
  // sent, or IsLogFull()) when nothing was written, nor will be; kInvalidArgument when it is larger
  // than the topic takes; kUnknown when it may have been written or not.
  using Done = std::function<void(absl::StatusOr<Offset>)>;

  // Commands that wait are answered first; bounded in time.
  virtual ~CommandAppender() = default;

  // Makes the command durable: on all replicas, once, and behind those that were appended to the
  // partition before. `done` is called exactly once, on a thread of the appender's own or within
  // this call, after 10 s at the latest; it must return soon. `command.topic` is kCommand; what it
  // refers to need not outlive the call.
  virtual void Append(const std::string& domain, const OutputRecord& command, Done done) = 0;
};

// First offset that is still there, and the offset behind the last committed record.
struct TopicBounds {
  Offset begin, end;
};

// Reads committed records of one topic of one domain from any positions on, and goes on as more are
// committed. For one thread, but for Wake().
class LogReader {
 public:
  struct Batch {
    PartitionId partition;
    std::vector<InputRecord> records;  // in offset order; may be empty
    // Where the partition is read on: behind the last record, and behind what holds no committed
    // record for readers (the end of a transaction) as far as that was passed.
    Offset next;
  };
  struct Polled {
    std::vector<Batch> batches;    // at most one per partition
    std::shared_ptr<void> memory;  // what the records' views refer to
  };

  virtual ~LogReader() = default;

  // Starts to read the partition at `from`; at another position when it is read already.
  virtual absl::Status Start(PartitionId partition, Offset from) = 0;

  // Stops reading the partition: no later Poll() returns records of it. Nothing happens when it
  // isn't read.
  virtual void Stop(PartitionId partition) = 0;

  // Returns what is there, or what partitions have come to without a record, as soon as anything
  // is; nothing after `wait` or Wake(). Errors: kUnavailable while the log can't be reached (it
  // goes on by itself, call again); kOutOfRange when a position isn't there (any more), for which
  // the whole reader must be given up.
  virtual absl::StatusOr<Polled> Poll(const PollLimits& limits, absl::Duration wait) = 0;

  // Ends the Poll() that is under way, or the next one. Any thread.
  virtual void Wake() = 0;
};

// Called when partitions come and go; on one thread, one call at a time.
class MembershipListener {
 public:
  virtual ~MembershipListener() = default;

  // This instance is now to process them. Must return soon.
  virtual void OnAssigned(const std::vector<DomainPartition>& partitions) = 0;

  // They are to be handed over: returns when their last transaction has ended and nothing uses them
  // any more.
  virtual void OnRevoked(const std::vector<DomainPartition>& partitions) = 0;

  // They are gone already: what is not committed will not be. Returns when nothing uses them any
  // more.
  virtual void OnLost(const std::vector<DomainPartition>& partitions) = 0;

  // The membership can't go on (the error says what to do); no other call follows but those for
  // what is owned.
  virtual void OnFailed(const absl::Status& error) = 0;
};

// Who processes a partition.
struct PartitionOwner {
  std::string instance;
  // Where its API is reached, `host:port`; empty when it serves none.
  std::string address;
  // Increases with each change of owner.
  int64_t generation = 0;
};

// Which partitions this instance processes, given and taken while it runs, and who processes the
// others.
class Membership {
 public:
  virtual ~Membership() = default;

  // Joins: from now on `listener` is called, on a thread of the membership's own. Once.
  virtual absl::Status Join(MembershipListener* listener) = 0;

  // Leaves: OnRevoked() for all partitions, then nothing more. Waits for the log's answer for
  // `timeout` at most.
  virtual void Leave(absl::Duration timeout) = 0;

  // Whether this instance is a member now, be it without a partition. Any thread.
  virtual bool joined() const = 0;

  // Whether nobody else can own this instance's partitions at this moment: its group has heard from
  // it, and said so, less than a session timeout ago. False for a process that slept through the
  // timeout, from its first instruction on. Any thread, quick.
  virtual bool HoldsLease() const = 0;

  // Who claimed the partition last and has not released it, be it this instance; nothing when
  // nobody has. As far as known: a change is seen a moment later. Any thread, quick.
  virtual std::optional<PartitionOwner> OwnerOf(const DomainPartition& partition) const = 0;
};

// An instance's connection to the log. All functions may be called from any thread.
class Log {
 public:
  virtual ~Log() = default;

  // Number of partitions of the domain's topics; the domain is one that the log was opened for.
  virtual int32_t PartitionCount(const std::string& domain) const = 0;

  // The largest record (key, value and headers) that the topic takes, in bytes.
  virtual size_t MaxRecordBytes(const std::string& domain, Topic topic) const = 0;

  // `security-command`: the topic's name to people; also the `ce_source` of its domain's events.
  virtual std::string TopicName(const std::string& domain, Topic topic) const = 0;

  // Tells this log from another: the store of one is of no use with the other.
  virtual std::string SourceId() const = 0;

  // Worker `index` of this instance: 0, 1, … When it returns, nothing that an earlier holder of the
  // identity left unfinished can be committed any more. The worker must be gone before the log.
  virtual absl::StatusOr<std::unique_ptr<WorkerLog>> OpenWorker(int index) = 0;

  // Makes sure that no other owner's transaction for the partition is open, or will be committed,
  // then tells where it stands. Called when the partition was assigned and before anything of it is
  // read. kCancelled when `stop` was requested; kUnavailable and kDeadlineExceeded are worth
  // another try.
  virtual absl::StatusOr<OpenedPartition> OpenPartition(const DomainPartition& partition,
                                                        std::stop_token stop) = 0;

  // Reads committed records of a topic from `from` up to `end`. Several replays may run at the same
  // time, of different partitions or topics. Errors as for OpenPartition(), those of `sink`, and
  // kOutOfRange when `from` is no longer or not yet there.
  virtual absl::Status Replay(const DomainPartition& partition, Topic topic, Offset from,
                              Offset end, const ReplaySink& sink, std::stop_token stop) = 0;

  // Opens an appender for all domains; it must be gone before the log.
  virtual absl::StatusOr<std::unique_ptr<CommandAppender>> OpenAppender() = 0;

  // Opens a reader of one topic; it must be gone before the log. A reader costs threads and
  // connections: share them.
  virtual absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(const std::string& domain,
                                                                Topic topic) = 0;

  // The topic's bounds as of now; 0 and 0 of a partition that it doesn't have, as dead letters'
  // may. Errors: kUnavailable.
  virtual absl::StatusOr<TopicBounds> Bounds(const DomainPartition& partition, Topic topic) = 0;

  virtual Membership& membership() = 0;
};

}  // namespace esd

#endif  // ESD_ENGINE_LOG_LOG_H_
