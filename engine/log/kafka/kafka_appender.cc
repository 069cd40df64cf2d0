#include "engine/log/kafka/kafka_appender.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <librdkafka/rdkafka.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

namespace esd::kafka {
namespace {

// The producer gives a command up after the first, and notices it within a second; `done` is called
// after the second whatever the producer does.
constexpr absl::Duration kMessageTimeout = absl::Seconds(8);
constexpr absl::Duration kAnswerTimeout = absl::Milliseconds(9'800);
// How long the thread waits for a delivery report, and so how late it notices anything else.
constexpr absl::Duration kReportWait = absl::Milliseconds(50);
// Bounds of the destructor: until what waits is sent, and until what is given up is reported.
constexpr absl::Duration kFlushTimeout = absl::Seconds(5);
constexpr absl::Duration kPurgeTimeout = absl::Seconds(1);
// Between two tries to make a producer.
constexpr absl::Duration kRenewRetry = absl::Milliseconds(500);

// Why the record was not written, or may not have been.
absl::Status DeliveryStatus(const rd_kafka_message_t& message, std::string_view what) {
  const absl::Status status = ToStatus(message.err, what);
  if (message.err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
    return absl::InvalidArgumentError(status.message());
  if (rd_kafka_message_status(&message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
    return absl::UnavailableError(status.message());
  return absl::UnknownError(
      absl::StrCat(status.message(), "; it may have been written all the same"));
}

absl::StatusCode CodeOfRefusal(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

std::string WriteTo(const std::string& topic, PartitionId partition) {
  return absl::StrCat("write to ", topic, "/", partition.value());
}

}  // namespace

struct KafkaAppender::Producer {
  // Before the client, so that it goes after the topics.
  Client client;
  std::map<std::string, TopicHandle> topics;  // by domain
};

Properties AppenderDefaults(const TopicTable& topics) {
  size_t smallest = kDefaultBatchBytes;
  for (const auto& [domain, facts] : topics.domains())
    smallest = std::min(smallest, facts.topics.at(Topic::kCommand).max_message_bytes);
  return {{"linger.ms", "0"},
          {"compression.type", "lz4"},
          // A topic's limit is on the batch: several commands that each fit must not be refused
          // together.
          {"batch.size", absl::StrCat(smallest)},
          // A command must not wait for the acknowledgement of the one before.
          {"socket.nagle.disable", "true"},
          // Beyond it Append() answers kResourceExhausted.
          {"queue.buffering.max.messages", "100000"},
          {"queue.buffering.max.kbytes", "131072"}};
}

Properties AppenderProperties(const TopicTable& topics) {
  size_t largest = 0;
  for (const auto& [domain, facts] : topics.domains())
    largest = std::max(largest, facts.topics.at(Topic::kCommand).max_message_bytes);
  return {{"enable.idempotence", "true"},
          {"acks", "all"},
          {"message.timeout.ms", absl::StrCat(Milliseconds(kMessageTimeout))},
          {"message.max.bytes", absl::StrCat(largest)}};
}

absl::StatusOr<std::unique_ptr<KafkaAppender>> KafkaAppender::Open(const TopicTable* topics,
                                                                   MakeProducerConf make_conf) {
  std::unique_ptr<KafkaAppender> appender(new KafkaAppender(topics, std::move(make_conf)));
  auto producer = appender->MakeProducer();
  if (!producer.ok()) return producer.status();
  appender->producer_ = *std::move(producer);
  {
    absl::MutexLock lock(&appender->mutex_);
    appender->accepting_ = appender->producer_.get();
  }
  appender->thread_ =
      std::jthread([self = appender.get()](std::stop_token stop) { self->Run(std::move(stop)); });
  return appender;
}

KafkaAppender::KafkaAppender(const TopicTable* topics, MakeProducerConf make_conf)
    : topics_(topics), make_conf_(std::move(make_conf)) {}

KafkaAppender::~KafkaAppender() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  Retire(kFlushTimeout);
}

absl::StatusOr<std::unique_ptr<KafkaAppender::Producer>> KafkaAppender::MakeProducer() const {
  absl::StatusOr<Conf> conf = make_conf_();
  if (!conf.ok()) return conf.status();
  rd_kafka_conf_set_dr_msg_cb(conf->get(), OnDelivery);
  absl::StatusOr<Client> client = kafka::MakeProducer(*std::move(conf));
  if (!client.ok()) return client.status();
  auto producer = std::make_unique<Producer>();
  producer->client = *std::move(client);
  for (const auto& [domain, facts] : topics_->domains()) {
    producer->topics[domain].reset(rd_kafka_topic_new(
        producer->client.get(), facts.topics.at(Topic::kCommand).name.c_str(), nullptr));
  }
  if (absl::Status status = FetchMetadata(producer->client.get()); !status.ok()) return status;
  return producer;
}

void KafkaAppender::Append(const std::string& domain, const OutputRecord& command, Done done) {
  const absl::Status status = Enqueue(domain, command, &done);
  if (!status.ok()) done(status);
}

absl::Status KafkaAppender::Enqueue(const std::string& domain, const OutputRecord& command,
                                    Done* done) {
  const TopicFacts& topic = topics_->of(domain).topics.at(Topic::kCommand);
  const std::string what = WriteTo(topic.name, command.partition);
  const void* key = command.key ? command.key->data() : nullptr;
  const size_t key_size = command.key ? command.key->size() : 0;
  const void* value = command.value ? command.value->data() : nullptr;
  const size_t value_size = command.value ? command.value->size() : 0;
  Headers headers = MakeHeaders(command.headers);

  absl::MutexLock lock(&mutex_);
  if (accepting_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("can't ", what, ": the producer is being opened anew; try again"));
  }
  waiting_.push_back(std::make_unique<Waiting>(Waiting{
      this, &topic.name, command.partition, absl::Now() + kAnswerTimeout, std::move(*done)}));
  const rd_kafka_resp_err_t error = rd_kafka_producev(
      accepting_->client.get(), RD_KAFKA_V_RKT(accepting_->topics.at(domain).get()),
      RD_KAFKA_V_PARTITION(command.partition.value()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE(const_cast<void*>(value), value_size),
      RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_OPAQUE(waiting_.back().get()), RD_KAFKA_V_END);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    headers.release();  // the producer owns them now
    return absl::OkStatus();
  }
  *done = std::move(waiting_.back()->done);
  waiting_.pop_back();
  return absl::Status(CodeOfRefusal(error), ToStatus(error, what).message());
}

void KafkaAppender::OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  auto& waiting = *static_cast<Waiting*>(message->_private);
  waiting.delivered = true;
  if (waiting.done == nullptr) return;  // answered after its deadline
  const Done done = std::exchange(waiting.done, nullptr);
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    done(DeliveryStatus(*message, WriteTo(*waiting.topic, waiting.partition)));
  } else if (message->offset < 0) {
    // A retry of which the broker only knows that it has it already.
    done(absl::UnknownError(absl::StrCat("the broker did not tell where in ", *waiting.topic, "/",
                                         waiting.partition.value(), " the command was written")));
  } else {
    done(Offset{message->offset});
  }
}

void KafkaAppender::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    ServeReports(kReportWait);
    if (ProducerFailed()) Renew(stop);
  }
}

void KafkaAppender::ServeReports(absl::Duration wait) {
  if (producer_ != nullptr) rd_kafka_poll(producer_->client.get(), Milliseconds(wait));
  AnswerUntil(absl::Now());
}

bool KafkaAppender::ProducerFailed() const {
  return producer_ == nullptr || rd_kafka_fatal_error(producer_->client.get(), nullptr, 0) != 0;
}

// An idempotent producer that lost count of what the broker has is good for nothing any more. The
// new one begins only when the old one's requests are settled: otherwise a command could overtake
// one that was appended before it.
void KafkaAppender::Renew(const std::stop_token& stop) {
  if (producer_ != nullptr) {
    char reason[512] = "";
    rd_kafka_fatal_error(producer_->client.get(), reason, sizeof(reason));
    spdlog::warn("the producer of commands failed and is opened anew: {}", reason);
  }
  Retire(kMessageTimeout);
  if (stop.stop_requested()) return;
  absl::StatusOr<std::unique_ptr<Producer>> producer = MakeProducer();
  if (!producer.ok()) {
    spdlog::warn("the producer of commands can't be opened, trying again: {}",
                 std::string(producer.status().message()));
    absl::SleepFor(kRenewRetry);
    return;
  }
  producer_ = *std::move(producer);
  absl::MutexLock lock(&mutex_);
  accepting_ = producer_.get();
}

// Lets the producer finish what it has, for `timeout` at most, answers the rest and closes it.
void KafkaAppender::Retire(absl::Duration timeout) {
  {
    absl::MutexLock lock(&mutex_);
    accepting_ = nullptr;
  }
  if (producer_ == nullptr) return;
  rd_kafka_t* const client = producer_->client.get();
  const absl::Time settled_by = absl::Now() + timeout;
  while (rd_kafka_outq_len(client) > 0 && absl::Now() < settled_by) ServeReports(kReportWait);
  rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  const absl::Time purged_by = absl::Now() + kPurgeTimeout;
  while (rd_kafka_outq_len(client) > 0 && absl::Now() < purged_by) ServeReports(kReportWait);
  producer_.reset();
  AnswerUntil(absl::InfiniteFuture());
  absl::MutexLock lock(&mutex_);
  waiting_.clear();  // also what was never reported
}

// Answers whatever waits longer than it may.
void KafkaAppender::AnswerUntil(absl::Time deadline) {
  std::vector<std::pair<Done, absl::Status>> overdue;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& waiting : waiting_) {
      if (waiting->deadline > deadline) break;
      if (waiting->done == nullptr) continue;
      overdue.emplace_back(
          std::exchange(waiting->done, nullptr),
          absl::UnknownError(absl::StrCat(
              "can't ", WriteTo(*waiting->topic, waiting->partition),
              " in time: no broker answered; the command may have been written all the same")));
    }
    while (!waiting_.empty() && waiting_.front()->delivered) waiting_.pop_front();
  }
  for (const auto& [done, status] : overdue) done(status);
}

}  // namespace esd::kafka
