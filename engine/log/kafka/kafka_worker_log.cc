#include "engine/log/kafka/kafka_worker_log.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <librdkafka/rdkafka.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "engine/base/string_view.h"

namespace esd::kafka {
namespace {

// A commit is answered within it, or its outcome is unknown. Below the transaction timeout, so that
// in general it is this side that gives up first.
constexpr absl::Duration kCommitTimeout = absl::Seconds(5);
constexpr absl::Duration kAbortTimeout = absl::Seconds(5);
// The producer's queue is full: a transaction larger than librdkafka's buffer has to be sent
// meanwhile.
constexpr absl::Duration kProduceTimeout = absl::Seconds(8);

void OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  auto* end = static_cast<Offset*>(message->_private);
  if (end != nullptr && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
    *end = std::max(*end, Offset{message->offset + 1});
}

void OnClientError(rd_kafka_t*, int error, const char* reason, void* connection_failed) {
  spdlog::debug("librdkafka: {} ({})", reason,
                rd_kafka_err2name(static_cast<rd_kafka_resp_err_t>(error)));
  *static_cast<bool*>(connection_failed) = true;
}

// Where the end of what a part wrote to the topic is noted; null when it isn't.
std::optional<Offset>* EndOf(Topic topic, CommitResult::Written* written) {
  switch (topic) {
    case Topic::kEvent:
      return &written->event_end;
    case Topic::kSnapshot:
      return &written->snapshot_end;
    case Topic::kReply:
      return &written->reply_end;
    case Topic::kCommand:
    case Topic::kDeadLetter:
      break;
  }
  return nullptr;
}

}  // namespace

KafkaWorkerLog::KafkaWorkerLog(WorkerContext context)
    : context_(std::move(context)), queue_(rd_kafka_queue_new(context_.commands)) {}

KafkaWorkerLog::~KafkaWorkerLog() {
  while (!readings_.empty()) Stop(DomainPartition(readings_.begin()->first));
}

absl::Status KafkaWorkerLog::Start(const DomainPartition& partition, Offset from) {
  const std::string& name = context_.topics->NameOf(partition.domain, Topic::kCommand);
  TopicHandle topic(rd_kafka_topic_new(context_.commands, name.c_str(), nullptr));
  if (rd_kafka_consume_start_queue(topic.get(), partition.partition.value(), from.value(),
                                   queue_.get()) == -1) {
    return ToStatus(rd_kafka_last_error(),
                    absl::StrCat("read ", name, "/", partition.partition.value()));
  }
  readings_[partition] = Reading{std::move(topic), from};
  return absl::OkStatus();
}

void KafkaWorkerLog::Stop(const DomainPartition& partition) {
  const auto it = readings_.find(partition);
  if (it == readings_.end()) return;
  rd_kafka_consume_stop(it->second.topic.get(), partition.partition.value());
  const std::string_view topic = rd_kafka_topic_name(it->second.topic.get());
  std::erase_if(surplus_, [&](const Message& message) {
    return message->rkt != nullptr && rd_kafka_topic_name(message->rkt) == topic &&
           message->partition == partition.partition.value();
  });
  readings_.erase(it);
}

absl::StatusOr<PolledRecords> KafkaWorkerLog::Poll(const PollLimits& limits, absl::Duration wait) {
  if (!poll_error_.ok()) return std::exchange(poll_error_, absl::OkStatus());
  PolledRecords commands;
  poll_error_ = Collect(TakeBounded(queue_.get(), &surplus_, limits, wait), &commands);
  if (commands.batches.empty() && !poll_error_.ok())
    return std::exchange(poll_error_, absl::OkStatus());
  return commands;
}

absl::Status KafkaWorkerLog::Collect(std::vector<Message> messages, PolledRecords* commands) {
  absl::Status status;
  absl::flat_hash_map<std::pair<const rd_kafka_topic_t*, int32_t>, size_t> batch_of;
  for (const Message& message : messages) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const std::string topic =
          message->rkt == nullptr ? "the command topics" : rd_kafka_topic_name(message->rkt);
      status = ToStatus(message->err, absl::StrCat("read ", topic, "/", message->partition));
      if (!absl::IsUnavailable(status)) break;
      continue;
    }
    const auto [it, added] =
        batch_of.try_emplace({message->rkt, message->partition}, commands->batches.size());
    if (added) {
      const std::string& domain = context_.topics->DomainOf(rd_kafka_topic_name(message->rkt));
      commands->batches.push_back({{domain, PartitionId{message->partition}}, {}});
    }
    commands->batches[it->second].records.push_back(ToInputRecord(*message));
  }
  for (const RecordBatch& batch : commands->batches) {
    const auto reading = readings_.find(batch.partition);
    if (reading != readings_.end()) reading->second.next = Next(batch.records.back().offset);
  }
  commands->memory = std::make_shared<std::vector<Message>>(std::move(messages));
  return status;
}

CommitResult KafkaWorkerLog::Commit(const Transaction& transaction) {
  const std::shared_ptr<const Generation> generation = context_.membership->current();
  CommitResult result{CommitOutcome::kCommitted, "", {}, {}};
  for (const TransactionPart& part : transaction.parts) {
    if (generation == nullptr || !generation->partitions.contains(part.partition))
      result.lost.push_back(part.partition);
  }
  if (!result.lost.empty()) {
    result.outcome = CommitOutcome::kLost;
    result.reason = ToString(result.lost.front()) + " isn't assigned to this instance any more";
    return result;
  }
  result.written.resize(transaction.parts.size());
  // Offsets first: AddOffsetsToTxn repeats quickly when the broker is still busy with the previous
  // transaction's markers, while AddPartitionsToTxn would wait for 20 ms.
  Step failure = Begin();
  if (!failure) failure = SendOffsets(transaction, *generation);
  if (!failure) failure = Produce(transaction, &result.written);
  if (!failure) failure = End();
  if (failure) return {failure->outcome, std::move(failure->reason), {}, {}};
  committed_at_ = absl::Now();
  return result;
}

KafkaWorkerLog::Step KafkaWorkerLog::Begin() {
  if (!usable_) return Failure{CommitOutcome::kFenced, "the producer isn't open"};
  rd_kafka_poll(producer_.get(), 0);  // lets OnClientError run
  if (connection_failed_) return Failure{CommitOutcome::kFenced, "a connection to a broker failed"};
  const Error error(rd_kafka_begin_transaction(producer_.get()));
  if (error == nullptr) return std::nullopt;
  return FailureOf("begin", error, CommitOutcome::kFenced);
}

KafkaWorkerLog::Step KafkaWorkerLog::SendOffsets(const Transaction& transaction,
                                                 const Generation& generation) {
  const PartitionList offsets(
      rd_kafka_topic_partition_list_new(static_cast<int>(transaction.parts.size())));
  for (const TransactionPart& part : transaction.parts) {
    const std::string& topic = context_.topics->NameOf(part.partition.domain, Topic::kCommand);
    rd_kafka_topic_partition_list_add(offsets.get(), topic.c_str(),
                                      part.partition.partition.value())
        ->offset = part.next_command_offset.value();
  }
  const Error error(rd_kafka_send_offsets_to_transaction(
      producer_.get(), offsets.get(), generation.metadata.get(), Milliseconds(kRequestTimeout)));
  if (error == nullptr) return std::nullopt;
  return FailureOf("send offsets", error, CommitOutcome::kFenced);
}

KafkaWorkerLog::Step KafkaWorkerLog::Produce(const Transaction& transaction,
                                             std::vector<CommitResult::Written>* written) {
  for (size_t i = 0; i < transaction.parts.size(); ++i) {
    if (Step failure = ProducePart(transaction.parts[i], &(*written)[i])) return failure;
  }
  return std::nullopt;
}

KafkaWorkerLog::Step KafkaWorkerLog::ProducePart(const TransactionPart& part,
                                                 CommitResult::Written* written) {
  if (part.ownership != OwnershipMark::kNone) {
    if (Step failure = ProduceOwnership(part)) return failure;
  }
  for (const OutputRecord& record : part.records) {
    // Delivery reports tell where the changelogs end; they are served in End() at the latest.
    std::optional<Offset>* const end = EndOf(record.topic, written);
    if (end != nullptr && !*end) *end = Offset{0};
    const TopicFacts& topic = context_.topics->of(part.partition.domain).topics.at(record.topic);
    const PartitionId partition{record.partition.value() % topic.partitions};
    if (Step failure =
            ProduceRecord(topic.name, partition, record, end != nullptr ? &**end : nullptr))
      return failure;
  }
  return std::nullopt;
}

KafkaWorkerLog::Step KafkaWorkerLog::ProduceOwnership(const TransactionPart& part) {
  const auto previous = context_.ownership->Find(part.partition);
  const bool same_owner = previous && previous->transactional_id() == context_.transactional_id;
  esd::v1::OwnershipRecord owner;
  owner.set_address(context_.address);
  owner.set_instance(context_.instance);
  owner.set_transactional_id(context_.transactional_id);
  owner.set_generation(previous ? previous->generation() + (same_owner ? 0 : 1) : 0);
  owner.set_released(part.ownership == OwnershipMark::kRelease);
  OutputRecord record;
  record.key = ToString(part.partition);
  record.value = owner.SerializeAsString();
  return ProduceRecord(context_.topics->ownership_topic(), PartitionId{0}, record, nullptr);
}

KafkaWorkerLog::Step KafkaWorkerLog::ProduceRecord(const std::string& topic, PartitionId partition,
                                                   const OutputRecord& record, Offset* end) {
  const absl::Time deadline = absl::Now() + kProduceTimeout;
  const void* key = record.key ? record.key->data() : nullptr;
  const size_t key_size = record.key ? record.key->size() : 0;
  const void* value = record.value ? record.value->data() : nullptr;
  const size_t value_size = record.value ? record.value->size() : 0;
  Headers headers = MakeHeaders(record.headers);
  for (;;) {
    const rd_kafka_resp_err_t error = rd_kafka_producev(
        producer_.get(), RD_KAFKA_V_RKT(TopicOf(topic)), RD_KAFKA_V_PARTITION(partition.value()),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_size),
        RD_KAFKA_V_VALUE(const_cast<void*>(value), value_size), RD_KAFKA_V_HEADERS(headers.get()),
        RD_KAFKA_V_OPAQUE(end), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      headers.release();  // librdkafka owns them now
      return std::nullopt;
    }
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL && absl::Now() < deadline) {
      rd_kafka_poll(producer_.get(), 10);
      continue;
    }
    // An error behind the transaction (fenced, a failed delivery) shows here too; the abort finds
    // out.
    return AbortAfter(
        absl::StrCat("produce to ", topic, "/", partition.value(), ": ", rd_kafka_err2str(error)),
        CommitOutcome::kFenced);
  }
}

KafkaWorkerLog::Step KafkaWorkerLog::End() {
  const absl::Time deadline = absl::Now() + kCommitTimeout;
  for (;;) {
    const Error error(
        rd_kafka_commit_transaction(producer_.get(), Milliseconds(deadline - absl::Now())));
    if (error == nullptr) return std::nullopt;
    // Only calling commit again resumes a commit that is pending.
    if (rd_kafka_error_is_retriable(error.get()) && absl::Now() < deadline) continue;
    return FailureOf("commit", error, CommitOutcome::kUnknown);
  }
}

// `if_undecided`: what it means when the broker may have heard of the wish to commit, or not.
KafkaWorkerLog::Failure KafkaWorkerLog::FailureOf(std::string_view step, const Error& error,
                                                  CommitOutcome if_undecided) {
  std::string reason = absl::StrCat(ToAbsl(step), ": ", rd_kafka_error_string(error.get()), " (",
                                    rd_kafka_error_name(error.get()), ")");
  // _FENCED first: it can be flagged abortable, and no abort succeeds then. After a time-out inside
  // a transaction the producer can't be trusted any more, either.
  const bool fenced = rd_kafka_error_code(error.get()) == RD_KAFKA_RESP_ERR__FENCED ||
                      rd_kafka_error_is_fatal(error.get());
  if (!fenced && rd_kafka_error_txn_requires_abort(error.get()))
    return AbortAfter(std::move(reason), if_undecided);
  usable_ = false;
  return {if_undecided, std::move(reason)};
}

KafkaWorkerLog::Failure KafkaWorkerLog::AbortAfter(std::string reason, CommitOutcome if_undecided) {
  const Error error(rd_kafka_abort_transaction(producer_.get(), Milliseconds(kAbortTimeout)));
  if (error == nullptr) return {CommitOutcome::kAborted, std::move(reason)};
  usable_ = false;
  return {if_undecided, absl::StrCat(reason, "; abort: ", rd_kafka_error_string(error.get()))};
}

absl::StatusOr<Client> KafkaWorkerLog::MakeProducerClient() {
  absl::StatusOr<Conf> conf = context_.producer_conf();
  if (!conf.ok()) return conf.status();
  // Without a delivery report callback each commit takes 10 ms longer.
  rd_kafka_conf_set_dr_msg_cb(conf->get(), OnDelivery);
  rd_kafka_conf_set_error_cb(conf->get(), OnClientError);
  rd_kafka_conf_set_opaque(conf->get(), &connection_failed_);
  return MakeProducer(*std::move(conf));
}

absl::Status KafkaWorkerLog::Open(absl::Duration timeout) {
  usable_ = false;
  woken_ = false;
  producer_topics_.clear();
  if (producer_ != nullptr) {
    // Nothing of the old transaction is wanted; without this the destructor would wait for its
    // delivery.
    rd_kafka_purge(producer_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    producer_.reset();
  }
  auto producer =
      InitTransactions([this] { return MakeProducerClient(); }, absl::Now() + timeout, &woken_);
  if (!producer.ok()) return producer.status();
  producer_ = *std::move(producer);
  connection_failed_ = false;
  if (absl::Status status = PrefetchMetadata(); !status.ok()) return status;
  usable_ = true;
  return absl::OkStatus();
}

// Otherwise the first record for each topic would wait up to a second for the topic's metadata.
absl::Status KafkaWorkerLog::PrefetchMetadata() {
  TopicOf(context_.topics->ownership_topic());
  for (const auto& [domain, facts] : context_.topics->domains()) {
    for (const auto& [topic, unused] : facts.topics)
      TopicOf(context_.topics->NameOf(domain, topic));
  }
  return FetchMetadata(producer_.get());
}

rd_kafka_topic_s* KafkaWorkerLog::TopicOf(const std::string& name) {
  TopicHandle& topic = producer_topics_[name];
  if (topic == nullptr) topic.reset(rd_kafka_topic_new(producer_.get(), name.c_str(), nullptr));
  return topic.get();
}

absl::StatusOr<std::optional<Offset>> KafkaWorkerLog::CommittedOffset(
    const DomainPartition& partition) {
  return context_.committed_offset(partition);
}

std::optional<int64_t> KafkaWorkerLog::Lag(const DomainPartition& partition) {
  const auto reading = readings_.find(partition);
  if (reading == readings_.end()) return std::nullopt;
  int64_t begin = 0;
  int64_t end = 0;
  const rd_kafka_resp_err_t error = rd_kafka_get_watermark_offsets(
      context_.commands, rd_kafka_topic_name(reading->second.topic.get()),
      partition.partition.value(), &begin, &end);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR || end < 0) return std::nullopt;
  return std::max<int64_t>(0, end - reading->second.next.value());
}

void KafkaWorkerLog::Wake() {
  woken_ = true;
  rd_kafka_queue_yield(queue_.get());
}

}  // namespace esd::kafka
