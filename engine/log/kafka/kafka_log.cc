#include "engine/log/kafka/kafka_log.h"

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <librdkafka/rdkafka.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <utility>

#include "engine/log/kafka/kafka_admin.h"
#include "engine/log/kafka/kafka_appender.h"
#include "engine/log/kafka/kafka_client.h"
#include "engine/log/kafka/kafka_membership.h"
#include "engine/log/kafka/kafka_reader.h"
#include "engine/log/kafka/kafka_replayer.h"
#include "engine/log/kafka/kafka_worker_log.h"
#include "engine/log/kafka/ownership_follower.h"
#include "engine/log/kafka/ownership_table.h"
#include "engine/log/kafka/topic_table.h"
#include "engine/log/topic_names.h"

namespace esd::kafka {
namespace {

// What a topic takes when its configuration can't be read: the broker's default.
constexpr size_t kDefaultMaxMessageBytes = 1'048'588;
// What Kafka adds to a record on its way (batch header, varints); see the record batch format of
// the Kafka protocol.
constexpr size_t kBatchOverheadBytes = 512;

constexpr PartitionId kOwnershipPartition{0};

Properties Common(const KafkaLogOptions& options) {
  return {{"bootstrap.servers", options.bootstrap_servers},
          {"client.id", "esd-" + options.instance_id},
          // The default, 10 s, is longer than a session and than an append may take.
          {"reconnect.backoff.max.ms", "1000"}};
}

// Commands are read well ahead: at the default of 100,000 messages a full queue pauses fetching for
// a second.
Properties CommandConsumerProperties() {
  return {{"isolation.level", "read_committed"},
          {"auto.offset.reset", "error"},
          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"fetch.wait.max.ms", "50"},
          {"queued.min.messages", "10000000"},
          {"queued.max.messages.kbytes", "65536"}};
}

Properties ProducerDefaults() {
  return {{"linger.ms", "0"},
          {"compression.type", "lz4"},
          {"transaction.timeout.ms", "10000"},
          {"queue.buffering.max.messages", "1000000"},
          {"queue.buffering.max.kbytes", "1048576"},
          // The broker answers EndTxn before its markers are written, so a transaction begun at
          // once meets CONCURRENT_TRANSACTIONS: with the default of 100 ms the median commit takes
          // that long.
          {"retry.backoff.ms", "1"}};
}

class KafkaLog : public Log {
 public:
  explicit KafkaLog(KafkaLogOptions options) : options_(std::move(options)) {}

  // Steps of OpenKafkaLog(), in order.
  absl::Status ReadTopics();
  absl::Status OpenClients();
  absl::Status FixPartitionCounts();
  absl::Status FollowOwners();

  int32_t PartitionCount(const std::string& domain) const override {
    return topics_->of(domain).partitions;
  }
  size_t MaxRecordBytes(const std::string& domain, Topic topic) const override {
    return topics_->of(domain).topics.at(topic).max_record_bytes;
  }
  std::string TopicName(const std::string& domain, Topic topic) const override {
    return topics_->NameOf(domain, topic);
  }
  std::string SourceId() const override {
    return absl::StrCat("kafka cluster ", cluster_id_, ", group ", options_.group,
                        ", topic prefix '", options_.topic_prefix, "'");
  }
  absl::StatusOr<std::unique_ptr<WorkerLog>> OpenWorker(int index) override;
  absl::StatusOr<OpenedPartition> OpenPartition(const DomainPartition& partition,
                                                std::stop_token stop) override;
  absl::Status Replay(const DomainPartition& partition, Topic topic, Offset from, Offset end,
                      const ReplaySink& sink, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<CommandAppender>> OpenAppender() override;
  absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(const std::string& domain,
                                                        Topic topic) override;
  absl::StatusOr<TopicBounds> Bounds(const DomainPartition& partition, Topic topic) override;
  Membership& membership() override { return *membership_; }

 private:
  absl::StatusOr<Client> MakeReader(Properties properties) const;
  absl::StatusOr<std::unique_ptr<KafkaReader>> MakeTopicReader(const std::string& topic) const;
  absl::StatusOr<rd_kafka_t*> EventReplayer();
  absl::StatusOr<Conf> ProducerConf(const std::string& transactional_id) const;
  absl::Status Fence(const std::string& transactional_id, const std::stop_token& stop);
  absl::Status WriteDomainRecord(const std::string& domain);
  absl::StatusOr<std::optional<Offset>> CommittedOffset(const DomainPartition& partition);
  std::string TransactionalId(int index) const;

  const KafkaLogOptions options_;
  std::string cluster_id_;
  std::unique_ptr<TopicTable> topics_;
  size_t largest_message_ = 0;
  size_t smallest_message_ = kDefaultBatchBytes;  // or that

  Client commands_;     // read by the workers
  Client replayer_;     // reads committed records to the end
  Client uncommitted_;  // sees what open transactions have written
  std::unique_ptr<OwnershipTable> ownership_;

  absl::Mutex mutex_;
  // Of the events alone: reading them all takes long, and must not slow restores down. Made when it
  // is needed.
  Client event_replayer_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> own_ids_
      ABSL_GUARDED_BY(mutex_);  // of open workers: nothing to fence

  std::unique_ptr<OwnershipFollower> owners_;
  std::unique_ptr<KafkaMembership> membership_;  // last: leaves the group while all else is there
};

absl::Status KafkaLog::ReadTopics() {
  auto admin = KafkaAdmin::Open(options_.bootstrap_servers, options_.properties);
  if (!admin.ok()) return admin.status();
  auto cluster_id = (*admin)->ClusterId();
  if (!cluster_id.ok()) return cluster_id.status();
  cluster_id_ = *std::move(cluster_id);

  const TopicScope scope{options_.domains, options_.topic_prefix, options_.group};
  auto infos = (*admin)->DescribeTopics(AllTopicNames(scope));
  if (!infos.ok()) return infos.status();
  const auto counts = CheckTopicInfos(scope, *infos);
  if (!counts.ok()) return counts.status();

  std::map<std::string, DomainTopics> domains;
  for (const auto& [domain, partitions] : *counts) {
    DomainTopics& facts = domains[domain];
    facts.partitions = partitions;
    for (const Topic topic : kAllTopics) {
      const std::string name = esd::TopicName(options_.topic_prefix, domain, topic);
      const TopicInfo& info = infos->at(name);
      const auto limit =
          static_cast<size_t>(info.max_message_bytes.value_or(kDefaultMaxMessageBytes));
      facts.topics[topic] = {name, info.partitions, limit,
                             limit - std::min(limit, kBatchOverheadBytes)};
      largest_message_ = std::max(largest_message_, limit);
      smallest_message_ = std::min(smallest_message_, limit);
    }
  }
  topics_ = std::make_unique<TopicTable>(std::move(domains),
                                         OwnershipTopicName(options_.topic_prefix, options_.group));
  return absl::OkStatus();
}

absl::StatusOr<Client> KafkaLog::MakeReader(Properties properties) const {
  // A group is needed to ask for its offsets; this client doesn't join it.
  properties["group.id"] = options_.group;
  auto conf = MakeConf(Common(options_), options_.properties, properties);
  if (!conf.ok()) return conf.status();
  return MakeConsumer(*std::move(conf));
}

absl::Status KafkaLog::OpenClients() {
  Properties uncommitted = ReplayProperties();
  uncommitted["isolation.level"] = "read_uncommitted";
  for (auto& [client, properties] : {std::pair{&commands_, CommandConsumerProperties()},
                                     std::pair{&replayer_, ReplayProperties()},
                                     std::pair{&uncommitted_, std::move(uncommitted)}}) {
    auto made = MakeReader(properties);
    if (!made.ok()) return made.status();
    *client = *std::move(made);
  }
  ownership_ = std::make_unique<OwnershipTable>(topics_->ownership_topic(), replayer_.get(),
                                                uncommitted_.get());

  Properties defaults = Common(options_);
  defaults["session.timeout.ms"] = "6000";
  // librdkafka looks about once a second whether one is due. The lease counts from the heartbeat
  // before the last, and should bear it that a few fail.
  defaults["heartbeat.interval.ms"] = "500";
  Properties fixed = {{"group.id", options_.group},
                      {"partition.assignment.strategy", "cooperative-sticky"},
                      {"enable.auto.commit", "false"},
                      {"enable.auto.offset.store", "false"}};
  if (options_.static_membership) fixed["group.instance.id"] = options_.instance_id;
  auto conf = MakeConf(defaults, options_.properties, fixed);
  if (!conf.ok()) return conf.status();
  owners_ = std::make_unique<OwnershipFollower>();
  membership_ = std::make_unique<KafkaMembership>(topics_.get(), owners_.get());
  if (absl::Status status = membership_->PrepareConf(conf->get()); !status.ok()) return status;
  auto member = MakeConsumer(*std::move(conf));
  if (!member.ok()) return member.status();
  membership_->SetConsumer(*std::move(member));
  return absl::OkStatus();
}

absl::Status KafkaLog::FixPartitionCounts() {
  if (absl::Status status = ownership_->Refresh({}); !status.ok()) return status;
  for (const auto& [domain, facts] : topics_->domains()) {
    const auto record = ownership_->FindDomain(domain);
    if (!record) {
      if (absl::Status status = WriteDomainRecord(domain); !status.ok()) return status;
    } else if (record->partitions() != facts.partitions) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the topics of domain ", domain, " have ", facts.partitions, " partitions, but had ",
          record->partitions(),
          " when the domain began: the number decides which partition an aggregate lives in and "
          "can't be changed; make "
          "topics with ",
          record->partitions(), " partitions, or begin anew with another --topic-prefix"));
    }
  }
  return absl::OkStatus();
}

absl::Status KafkaLog::FollowOwners() {
  const auto [records, next] = ownership_->Committed();
  for (const auto& [key, value] : records) owners_->Apply(key, value);
  const auto open =
      [this](std::optional<Offset> from) -> absl::StatusOr<std::unique_ptr<LogReader>> {
    auto reader = MakeTopicReader(topics_->ownership_topic());
    if (!reader.ok()) return reader.status();
    if (!from) {
      const auto bounds =
          QueryWatermarks(replayer_.get(), topics_->ownership_topic(), kOwnershipPartition);
      if (!bounds.ok()) return bounds.status();
      from = bounds->begin;
    }
    if (absl::Status status = (*reader)->Start(kOwnershipPartition, *from); !status.ok())
      return status;
    return reader;
  };
  return owners_->Start(open, next);
}

// Several instances may do so at the same time: they write the same.
absl::Status KafkaLog::WriteDomainRecord(const std::string& domain) {
  auto conf = MakeConf(Common(options_), options_.properties, {{"enable.idempotence", "true"}});
  if (!conf.ok()) return conf.status();
  rd_kafka_resp_err_t delivered = RD_KAFKA_RESP_ERR__TIMED_OUT;
  rd_kafka_conf_set_opaque(conf->get(), &delivered);
  rd_kafka_conf_set_dr_msg_cb(conf->get(),
                              [](rd_kafka_t*, const rd_kafka_message_t* message, void* result) {
                                *static_cast<rd_kafka_resp_err_t*>(result) = message->err;
                              });
  auto producer = MakeProducer(*std::move(conf));
  if (!producer.ok()) return producer.status();
  esd::v1::DomainRecord record;
  record.set_partitions(topics_->of(domain).partitions);
  const std::string value = record.SerializeAsString();
  const std::string what = absl::StrCat("write to ", topics_->ownership_topic());
  const rd_kafka_resp_err_t error = rd_kafka_producev(
      producer->get(), RD_KAFKA_V_TOPIC(topics_->ownership_topic().c_str()),
      RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_KEY(domain.data(), domain.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()), RD_KAFKA_V_END);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ToStatus(error, what);
  rd_kafka_flush(producer->get(), Milliseconds(kRequestTimeout));
  return ToStatus(delivered, what);
}

absl::StatusOr<std::unique_ptr<KafkaReader>> KafkaLog::MakeTopicReader(
    const std::string& topic) const {
  absl::StatusOr<Client> client = MakeReader(ReaderProperties());
  if (!client.ok()) return client.status();
  auto reader = std::make_unique<KafkaReader>(*std::move(client), topic);
  // Otherwise the first Start() waits up to a second for it.
  if (absl::Status status = reader->FetchTopicMetadata(); !status.ok()) return status;
  return reader;
}

absl::StatusOr<std::unique_ptr<LogReader>> KafkaLog::OpenReader(const std::string& domain,
                                                                Topic topic) {
  return MakeTopicReader(topics_->NameOf(domain, topic));
}

absl::StatusOr<std::unique_ptr<CommandAppender>> KafkaLog::OpenAppender() {
  return KafkaAppender::Open(topics_.get(), [this] {
    Properties defaults = Common(options_);
    defaults.merge(AppenderDefaults(*topics_));
    return MakeConf(defaults, options_.properties, AppenderProperties(*topics_));
  });
}

absl::StatusOr<TopicBounds> KafkaLog::Bounds(const DomainPartition& partition, Topic topic) {
  const TopicFacts& facts = topics_->of(partition.domain).topics.at(topic);
  if (partition.partition.value() >= facts.partitions) return TopicBounds{};
  // Of a client that reads committed records.
  const auto watermarks = QueryWatermarks(replayer_.get(), facts.name, partition.partition);
  if (!watermarks.ok()) return watermarks.status();
  return TopicBounds{watermarks->begin, watermarks->end};
}

absl::Status KafkaLog::Replay(const DomainPartition& partition, Topic topic, Offset from,
                              Offset end, const ReplaySink& sink, std::stop_token stop) {
  rd_kafka_t* client = replayer_.get();
  if (topic == Topic::kEvent) {
    const auto events = EventReplayer();
    if (!events.ok()) return events.status();
    client = *events;
  }
  return kafka::Replay(client, topics_->NameOf(partition.domain, topic), partition.partition, from,
                       end, sink, std::move(stop));
}

absl::StatusOr<rd_kafka_t*> KafkaLog::EventReplayer() {
  absl::MutexLock lock(&mutex_);
  if (event_replayer_ == nullptr) {
    Properties properties = ReplayProperties();
    properties["queued.max.messages.kbytes"] = "32768";  // of each replay that runs
    auto made = MakeReader(properties);
    if (!made.ok()) return made.status();
    event_replayer_ = *std::move(made);
  }
  return event_replayer_.get();
}

std::string KafkaLog::TransactionalId(int index) const {
  return absl::StrCat(options_.topic_prefix, options_.group, "-", options_.instance_id, "-", index);
}

absl::StatusOr<Conf> KafkaLog::ProducerConf(const std::string& transactional_id) const {
  Properties defaults = Common(options_);
  defaults.merge(ProducerDefaults());
  // A topic's limit is on the batch: records that each fit must not be refused together.
  defaults["batch.size"] = absl::StrCat(smallest_message_);
  return MakeConf(
      defaults, options_.properties,
      {{"transactional.id", transactional_id},
       {"message.max.bytes", absl::StrCat(std::max(largest_message_, kDefaultMaxMessageBytes))}});
}

absl::StatusOr<std::unique_ptr<WorkerLog>> KafkaLog::OpenWorker(int index) {
  const std::string id = TransactionalId(index);
  WorkerContext context{
      topics_.get(),
      membership_.get(),
      ownership_.get(),
      commands_.get(),
      [this](const DomainPartition& partition) { return CommittedOffset(partition); },
      options_.address,
      options_.instance_id,
      id,
      [this, id] { return ProducerConf(id); }};
  auto worker = std::make_unique<KafkaWorkerLog>(std::move(context));
  if (absl::Status status = worker->Open(kOpenTimeout); !status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  own_ids_.insert(id);
  return worker;
}

absl::StatusOr<OpenedPartition> KafkaLog::OpenPartition(const DomainPartition& partition,
                                                        std::stop_token stop) {
  // In this order: nothing that is read below may change after it was read.
  if (absl::Status status = ownership_->Refresh(stop); !status.ok()) return status;
  for (const std::string& id : ownership_->Suspects(partition)) {
    if (absl::Status status = Fence(id, stop); !status.ok()) return status;
  }
  const auto committed = CommittedOffset(partition);
  if (!committed.ok()) return committed.status();

  std::map<Topic, Watermarks> bounds;
  for (const Topic topic : {Topic::kCommand, Topic::kSnapshot, Topic::kReply, Topic::kEvent}) {
    // The end as of now, open transactions included: the last stable offset may lag behind the last
    // committed transaction (KAFKA-10167).
    const auto watermarks = QueryWatermarks(
        uncommitted_.get(), topics_->NameOf(partition.domain, topic), partition.partition);
    if (!watermarks.ok()) return watermarks.status();
    bounds[topic] = *watermarks;
  }
  if (*committed && **committed > bounds[Topic::kCommand].end) {
    return absl::FailedPreconditionError(
        absl::StrCat("the group ", options_.group, " is at offset ", (*committed)->value(),
                     ", but ", topics_->NameOf(partition.domain, Topic::kCommand), "/",
                     partition.partition.value(), " ends at ", bounds[Topic::kCommand].end.value(),
                     ": the topic was deleted and made again; delete all topics of the domain and "
                     "the group's offsets to begin anew"));
  }
  return OpenedPartition{*committed,
                         bounds[Topic::kCommand].begin,
                         bounds[Topic::kSnapshot].begin,
                         bounds[Topic::kSnapshot].end,
                         bounds[Topic::kReply].begin,
                         bounds[Topic::kReply].end,
                         bounds[Topic::kEvent].begin,
                         bounds[Topic::kEvent].end};
}

// Takes the id from whoever holds it, and lets it go: the holder's open transaction is aborted, and
// it can't commit another one before it has opened its producer again and been told what it owns.
absl::Status KafkaLog::Fence(const std::string& transactional_id, const std::stop_token& stop) {
  {
    absl::MutexLock lock(&mutex_);
    if (own_ids_.contains(transactional_id)) return absl::OkStatus();
  }
  spdlog::info("fencing the previous owner's transactional id {}", transactional_id);
  const auto make = [&]() -> absl::StatusOr<Client> {
    auto conf = ProducerConf(transactional_id);
    if (!conf.ok()) return conf.status();
    return MakeProducer(*std::move(conf));
  };
  std::atomic<bool> give_up = false;
  const std::stop_callback on_stop(stop, [&give_up] { give_up = true; });
  if (auto fenced = InitTransactions(make, absl::Now() + kOpenTimeout, &give_up); !fenced.ok())
    return fenced.status();
  ownership_->MarkFenced(transactional_id);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Offset>> KafkaLog::CommittedOffset(const DomainPartition& partition) {
  const std::string& topic = topics_->NameOf(partition.domain, Topic::kCommand);
  const std::string what =
      absl::StrCat("read the group's offset of ", topic, "/", partition.partition.value());
  const absl::Time deadline = absl::Now() + kOpenTimeout;
  // Unstable while a transaction with offsets for the partition is open or being completed.
  absl::Status status;
  do {
    const PartitionList list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition.partition.value());
    rd_kafka_resp_err_t error =
        rd_kafka_committed(commands_.get(), list.get(), Milliseconds(kRequestTimeout));
    const rd_kafka_topic_partition_t& answer = list->elems[0];
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) error = answer.err;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (answer.offset == RD_KAFKA_OFFSET_INVALID) return std::nullopt;
      return Offset{answer.offset};
    }
    status = ToStatus(error, what);
  } while (absl::IsUnavailable(status) && absl::Now() < deadline);
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Log>> OpenKafkaLog(KafkaLogOptions options) {
  if (absl::Status status = CheckKafkaProperties(options.properties); !status.ok()) return status;
  auto log = std::make_unique<KafkaLog>(std::move(options));
  for (const auto step : {&KafkaLog::ReadTopics, &KafkaLog::OpenClients,
                          &KafkaLog::FixPartitionCounts, &KafkaLog::FollowOwners}) {
    if (absl::Status status = (log.get()->*step)(); !status.ok()) return status;
  }
  return log;
}

}  // namespace esd::kafka
