// One worker's transactional producer and its side of the instance's command consumer.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_WORKER_LOG_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_WORKER_LOG_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/log/kafka/kafka_client.h"
#include "engine/log/kafka/kafka_membership.h"
#include "engine/log/kafka/ownership_table.h"
#include "engine/log/kafka/topic_table.h"
#include "engine/log/log.h"

namespace esd::kafka {

// What a worker shares with the rest of the instance; all of it outlives the worker.
struct WorkerContext {
  const TopicTable* topics;
  const KafkaMembership* membership;
  const OwnershipTable* ownership;
  rd_kafka_s* commands;  // consumer of the command topics, read_committed
  // Fetches the committed offset of a partition; see CommittedOffset().
  std::function<absl::StatusOr<std::optional<Offset>>(const DomainPartition&)> committed_offset;
  // Goes into the ownership records.
  std::string address;
  std::string instance;
  std::string transactional_id;
  // Makes the configuration of the producer, without callbacks.
  std::function<absl::StatusOr<Conf>()> producer_conf;
};

class KafkaWorkerLog : public WorkerLog {
 public:
  // Open() comes first.
  explicit KafkaWorkerLog(WorkerContext context);
  ~KafkaWorkerLog() override;

  // Takes the transactional id, for the first time or again: see Reopen(). Returns after `timeout`
  // and a few seconds.
  absl::Status Open(absl::Duration timeout);

  absl::Status Start(const DomainPartition& partition, Offset from) override;
  void Stop(const DomainPartition& partition) override;
  absl::StatusOr<PolledRecords> Poll(const PollLimits& limits, absl::Duration wait) override;
  CommitResult Commit(const Transaction& transaction) override;
  absl::Status Reopen() override { return Open(kRequestTimeout); }
  absl::StatusOr<std::optional<Offset>> CommittedOffset(const DomainPartition& partition) override;
  std::optional<int64_t> Lag(const DomainPartition& partition) override;
  void Wake() override;

 private:
  struct Reading {
    TopicHandle topic;
    Offset next;  // behind the last command that was polled
  };
  // Why a step of a transaction did not succeed; committed as long as every step did.
  struct Failure {
    CommitOutcome outcome;
    std::string reason;
  };
  using Step = std::optional<Failure>;

  // The steps of Commit(), in order.
  Step Begin();
  Step SendOffsets(const Transaction& transaction, const Generation& generation);
  Step Produce(const Transaction& transaction, std::vector<CommitResult::Written>* written);
  Step End();

  Step ProducePart(const TransactionPart& part, CommitResult::Written* written);
  Step ProduceOwnership(const TransactionPart& part);
  Step ProduceRecord(const std::string& topic, PartitionId partition, const OutputRecord& record,
                     Offset* end);
  // Classifies an error of a transactional call, and aborts the transaction when that is enough.
  Failure FailureOf(std::string_view step, const Error& error, CommitOutcome if_undecided);
  Failure AbortAfter(std::string reason, CommitOutcome if_undecided);

  absl::StatusOr<Client> MakeProducerClient();
  absl::Status PrefetchMetadata();
  rd_kafka_topic_s* TopicOf(const std::string& name);

  // Sorts polled messages into batches by partition.
  absl::Status Collect(std::vector<Message> messages, PolledRecords* commands);

  const WorkerContext context_;
  Client producer_;
  std::map<std::string, TopicHandle> producer_topics_;  // of producer_: cleared before it
  // The producer can begin a transaction; after a failure that no abort mends it must be made again
  // first.
  bool usable_ = false;
  // A connection failed since the producer was made: a delayed request may still be under way to
  // the broker and be taken for one of a later transaction (KAFKA-17754), so the producer must be
  // made again before it begins another.
  bool connection_failed_ = false;

  std::atomic<bool> woken_ = false;  // since Open() began
  Queue queue_;                      // the commands of every partition that is read
  absl::flat_hash_map<DomainPartition, Reading> readings_;
  std::deque<Message> surplus_;  // polled beyond the limits: the first of the next Poll()
  absl::Status poll_error_;      // found behind messages that were returned first
  absl::Time committed_at_ = absl::InfinitePast();  // the last commit
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_WORKER_LOG_H_
