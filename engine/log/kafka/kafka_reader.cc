#include "engine/log/kafka/kafka_reader.h"

#include <absl/strings/str_cat.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace esd::kafka {

Properties ReaderProperties() {
  return {{"isolation.level", "read_committed"},
          {"enable.partition.eof", "true"},
          {"auto.offset.reset", "error"},
          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"fetch.wait.max.ms", "50"},
          // A reader that is slower than the brokers holds the first and one answer of the second.
          // A full queue pauses fetching for up to a second, so less would make it slower still.
          {"queued.max.messages.kbytes", "16384"},
          {"fetch.max.bytes", "8388608"},
          {"queued.min.messages", "10000000"}};
}

KafkaReader::KafkaReader(Client consumer, std::string topic)
    : consumer_(std::move(consumer)),
      topic_name_(std::move(topic)),
      topic_(rd_kafka_topic_new(consumer_.get(), topic_name_.c_str(), nullptr)),
      queue_(rd_kafka_queue_new(consumer_.get())) {}

KafkaReader::~KafkaReader() {
  while (!reading_.empty()) Stop(PartitionId(*reading_.begin()));
}

absl::Status KafkaReader::Start(PartitionId partition, Offset from) {
  Stop(partition);
  if (rd_kafka_consume_start_queue(topic_.get(), partition.value(), from.value(), queue_.get()) ==
      -1) {
    return ToStatus(rd_kafka_last_error(),
                    absl::StrCat("read ", topic_name_, "/", partition.value()));
  }
  reading_.insert(partition);
  return absl::OkStatus();
}

void KafkaReader::Stop(PartitionId partition) {
  if (reading_.erase(partition) == 0) return;
  // What waits in the queue is outdated by it; librdkafka drops that.
  rd_kafka_consume_stop(topic_.get(), partition.value());
  std::erase_if(surplus_, [&](const Message& message) {
    return message->rkt != nullptr && message->partition == partition.value();
  });
}

absl::StatusOr<LogReader::Polled> KafkaReader::Poll(const PollLimits& limits, absl::Duration wait) {
  if (!poll_error_.ok()) return std::exchange(poll_error_, absl::OkStatus());
  Polled polled;
  poll_error_ = Collect(TakeBounded(queue_.get(), &surplus_, limits, wait), &polled);
  if (polled.batches.empty() && !poll_error_.ok())
    return std::exchange(poll_error_, absl::OkStatus());
  return polled;
}

absl::Status KafkaReader::Collect(std::vector<Message> messages, Polled* polled) const {
  absl::Status status;
  absl::flat_hash_map<int32_t, size_t> batch_of;
  for (const Message& message : messages) {
    const bool end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && !end) {
      status = ToStatus(message->err, absl::StrCat("read ", topic_name_, "/", message->partition));
      if (!absl::IsUnavailable(status)) break;
      continue;
    }
    const auto [it, added] = batch_of.try_emplace(message->partition, polled->batches.size());
    if (added) polled->batches.push_back({PartitionId{message->partition}, {}, Offset{0}});
    Batch& batch = polled->batches[it->second];
    batch.next = Offset{end ? message->offset : message->offset + 1};
    if (!end) batch.records.push_back(ToInputRecord(*message));
  }
  polled->memory = std::make_shared<std::vector<Message>>(std::move(messages));
  return status;
}

void KafkaReader::Wake() { rd_kafka_queue_yield(queue_.get()); }

}  // namespace esd::kafka
