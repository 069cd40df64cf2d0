// What the engine exists for: turns the commands of one partition, one after the other, into
// events, snapshots, replies, dead letters and forwarded commands. Nothing here talks to a broker
// or starts a thread; the only I/O is reading the store.
#ifndef ESD_ENGINE_WORKER_PARTITION_PROCESSOR_H_
#define ESD_ENGINE_WORKER_PARTITION_PROCESSOR_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/aggregate/aggregate_type.h"
#include "engine/aggregate/codec.h"
#include "engine/base/effect.h"
#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/store/pending_writes.h"
#include "engine/store/snapshot_store.h"
#include "engine/worker/command.h"

namespace esd {

// What became of a command, for metrics and for whoever waits for it.
struct CommandResult {
  Offset offset;
  int64_t timestamp_ms = 0;  // of the command's record
  Effect effect = Effect::kAccepted;
  std::string_view type;  // `RegisterUserCommand`; empty when it could not be decoded
  std::string reason;     // of a rejection or a dead letter
  // The rest is only there when somebody waits for the command.
  std::string_view request_id;  // see kRequestIdHeader; a view of the command's record
  // The reply's value, whether or not it is written; of a dead letter its message.
  std::string reply;
  // The command that the reply is about: of a duplicate the first one; nothing when that isn't
  // known.
  std::optional<Offset> answered_offset;
};

// The largest records that the domain's topics take, in bytes, and the largest command that is
// processed.
struct RecordLimits {
  size_t event = 1'000'000;
  size_t snapshot = 1'000'000;
  size_t reply = 1'000'000;
  size_t command_value = size_t{1} << 20;
};

struct ProcessorOptions {
  DomainPartition partition;
  int32_t partition_count = 1;
  // `security-command`: the topic that the commands come from.
  std::string command_topic;
  RecordLimits limits;
};

// What a batch of commands comes to. The part is written to the log; when that is committed, the
// outcomes and the part's snapshots go to the store.
struct ProcessedBatch {
  TransactionPart part;
  std::vector<StoreUpdate::Outcome> outcomes;
  std::vector<CommandResult> results;
};

// For one thread. Everything it is given outlives it.
class PartitionProcessor {
 public:
  PartitionProcessor(ProcessorOptions options, const AggregateType* type, Codec* codec,
                     const SnapshotStore* store);

  // Adds the effect of `record`, the next command of the partition, to the batch. `now` is the time
  // of the batch. Bad input is an effect too (a rejection, a dead letter), never an error: errors
  // are the store's.
  absl::Status Process(const InputRecord& record, absl::Time now);

  // Ends the batch: everything since the last call. Views in its headers are valid as long as the
  // records that were processed. The next batch must not be begun before this one is committed and
  // in the store.
  ProcessedBatch Finish();

  const DomainPartition& partition() const { return options_.partition; }

 private:
  // What an accepted command comes to, complete but not staged yet.
  struct Decision {
    std::vector<std::string_view> event_types;
    std::vector<std::string> events;  // JSON envelopes
    Aggregate after;                  // without state when there is no event
    std::string reply;                // empty: neither due nor waited for
    bool reply_is_due = false;        // it is written, and not only told to whoever waits
  };

  // Stages of Process(), in order. The errors of Decide() and Evolve() are rejections.
  absl::StatusOr<const esd::v1::StoredOutcome*> Deduplicate(const Command& command);
  absl::StatusOr<std::vector<std::unique_ptr<google::protobuf::Message>>> Decide(
      const Command& command, const Aggregate& before) const;
  absl::StatusOr<Decision> Evolve(
      const Command& command, const Aggregate& before,
      const std::vector<std::unique_ptr<google::protobuf::Message>>& events);
  void Stage(const Command& command, Decision decision);

  void StageRejection(const Command& command, const absl::Status& reason, Version version);
  void StageRepetition(const Command& command, const esd::v1::StoredOutcome& earlier);
  void StageReuse(const Command& command, Version version);
  void StageDeadLetter(const InputRecord& record, const absl::Status& reason);
  void StageForward(const Command& command, PartitionId home);

  absl::Status CheckSizes(const Command& command, const Decision& decision) const;
  void StageEvent(const Command& command, std::string_view type, std::string event, size_t index,
                  Version version);
  void StageReply(const Command& command, std::string reply, bool is_outcome);
  // Adds the result of a command that `reply` answers.
  void AddResult(const Command& command, Effect effect, std::string reason, std::string_view reply,
                 std::optional<Offset> answered_offset);
  std::string PositionOf(const InputRecord& record) const;  // `<partition>:<offset>`
  void SetTime(absl::Time now);

  const ProcessorOptions options_;
  const std::string event_source_;
  const AggregateType* const type_;
  Codec* const codec_;
  CommandDecoder decoder_;
  PendingWrites pending_;

  absl::Time now_;
  std::string now_text_;  // RFC 3339
  ProcessedBatch batch_;
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_PARTITION_PROCESSOR_H_
