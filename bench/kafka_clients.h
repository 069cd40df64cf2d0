// The little of librdkafka that the load generator, the reader and the bare loop share.
#ifndef ESD_BENCH_KAFKA_CLIENTS_H_
#define ESD_BENCH_KAFKA_CLIENTS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct rd_kafka_s;
struct rd_kafka_error_s;
struct rd_kafka_message_s;
struct rd_kafka_queue_s;
struct rd_kafka_topic_s;
struct rd_kafka_topic_partition_list_s;

namespace esd::bench {

// Which topics of which broker a run uses.
struct KafkaTarget {
  std::string bootstrap_servers;
  std::string topic_prefix;
  std::string group;
  int partitions = 0;

  std::string commands() const { return topic_prefix + "security-command"; }
  std::string events() const { return topic_prefix + "security-event"; }
  std::string snapshots() const { return topic_prefix + "security-snapshot"; }
};

struct KafkaDeleter {
  void operator()(rd_kafka_s* client) const;
  void operator()(rd_kafka_error_s* error) const;
  void operator()(rd_kafka_queue_s* queue) const;
  void operator()(rd_kafka_topic_s* topic) const;
  void operator()(rd_kafka_topic_partition_list_s* list) const;
};
using Client = std::unique_ptr<rd_kafka_s, KafkaDeleter>;
using ClientError = std::unique_ptr<rd_kafka_error_s, KafkaDeleter>;
using Queue = std::unique_ptr<rd_kafka_queue_s, KafkaDeleter>;
using TopicHandle = std::unique_ptr<rd_kafka_topic_s, KafkaDeleter>;
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_s, KafkaDeleter>;

using Properties = std::map<std::string, std::string>;
using DeliveryCallback = void (*)(rd_kafka_s*, const rd_kafka_message_s*, void* opaque);

absl::StatusOr<Client> MakeConsumer(const Properties& properties);
absl::StatusOr<Client> MakeProducer(const Properties& properties, DeliveryCallback on_delivery,
                                    void* opaque);

// A handle whose metadata is there, so that its first use doesn't wait for them.
absl::StatusOr<TopicHandle> OpenTopic(rd_kafka_s* client, const std::string& name);

// Up to `limit` messages: waits for the first one only. The caller destroys them.
void TakeMessages(rd_kafka_queue_s* queue, size_t limit, absl::Duration wait,
                  std::vector<rd_kafka_message_s*>* messages);
void DestroyMessages(std::vector<rd_kafka_message_s*>* messages);

// `code` is an rd_kafka_resp_err_t; OK for no error.
absl::Status KafkaStatus(const std::string& what, int code);
absl::Status KafkaStatus(const std::string& what, const ClientError& error);

}  // namespace esd::bench

#endif  // ESD_BENCH_KAFKA_CLIENTS_H_
