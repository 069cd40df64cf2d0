#include "bench/kafka_clients.h"

#include <absl/strings/str_cat.h>
#include <librdkafka/rdkafka.h>

namespace esd::bench {
namespace {

constexpr int kMetadataTimeoutMs = 10'000;

absl::StatusOr<rd_kafka_conf_t*> MakeConf(const Properties& properties) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : properties) {
    char error[512];
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof(error)) !=
        RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      return absl::InvalidArgumentError(absl::StrCat(name, ": ", error));
    }
  }
  return conf;
}

absl::StatusOr<Client> MakeClient(rd_kafka_type_t type, rd_kafka_conf_t* conf) {
  char error[512];
  Client client(rd_kafka_new(type, conf, error, sizeof(error)));
  if (client != nullptr) return client;
  rd_kafka_conf_destroy(conf);
  return absl::InternalError(absl::StrCat("can't make a Kafka client: ", error));
}

}  // namespace

void KafkaDeleter::operator()(rd_kafka_s* client) const { rd_kafka_destroy(client); }
void KafkaDeleter::operator()(rd_kafka_error_s* error) const { rd_kafka_error_destroy(error); }
void KafkaDeleter::operator()(rd_kafka_queue_s* queue) const { rd_kafka_queue_destroy(queue); }
void KafkaDeleter::operator()(rd_kafka_topic_s* topic) const { rd_kafka_topic_destroy(topic); }
void KafkaDeleter::operator()(rd_kafka_topic_partition_list_s* list) const {
  rd_kafka_topic_partition_list_destroy(list);
}

absl::StatusOr<Client> MakeConsumer(const Properties& properties) {
  auto conf = MakeConf(properties);
  if (!conf.ok()) return conf.status();
  auto consumer = MakeClient(RD_KAFKA_CONSUMER, *conf);
  if (consumer.ok()) rd_kafka_poll_set_consumer(consumer->get());
  return consumer;
}

absl::StatusOr<Client> MakeProducer(const Properties& properties, DeliveryCallback on_delivery,
                                    void* opaque) {
  auto conf = MakeConf(properties);
  if (!conf.ok()) return conf.status();
  rd_kafka_conf_set_dr_msg_cb(*conf, on_delivery);
  rd_kafka_conf_set_opaque(*conf, opaque);
  return MakeClient(RD_KAFKA_PRODUCER, *conf);
}

absl::StatusOr<TopicHandle> OpenTopic(rd_kafka_s* client, const std::string& name) {
  TopicHandle topic(rd_kafka_topic_new(client, name.c_str(), nullptr));
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error =
      rd_kafka_metadata(client, /*all_topics=*/0, topic.get(), &metadata, kMetadataTimeoutMs);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return KafkaStatus(absl::StrCat("metadata of ", name), error);
  rd_kafka_metadata_destroy(metadata);
  return topic;
}

void TakeMessages(rd_kafka_queue_s* queue, size_t limit, absl::Duration wait,
                  std::vector<rd_kafka_message_s*>* messages) {
  // One call for all of them would wait until `limit` are there.
  messages->resize(limit);
  const int wait_ms = static_cast<int>(absl::ToInt64Milliseconds(wait));
  ssize_t taken = rd_kafka_consume_batch_queue(queue, wait_ms, messages->data(), 1);
  if (taken == 1 && limit > 1)
    taken += rd_kafka_consume_batch_queue(queue, 0, messages->data() + 1, limit - 1);
  messages->resize(taken > 0 ? static_cast<size_t>(taken) : 0);
}

void DestroyMessages(std::vector<rd_kafka_message_s*>* messages) {
  for (rd_kafka_message_t* message : *messages) rd_kafka_message_destroy(message);
  messages->clear();
}

absl::Status KafkaStatus(const std::string& what, int code) {
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(what, ": ", rd_kafka_err2str(error)));
}

absl::Status KafkaStatus(const std::string& what, const ClientError& error) {
  if (error == nullptr) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(what, ": ", rd_kafka_error_string(error.get())));
}

}  // namespace esd::bench
