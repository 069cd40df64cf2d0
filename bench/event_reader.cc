#include "bench/event_reader.h"

#include <absl/strings/str_cat.h>
#include <librdkafka/rdkafka.h>

#include <string_view>

#include "bench/waiting.h"
#include "bench/workload.h"

namespace esd::bench {
namespace {

constexpr size_t kMessagesPerTake = 2000;
constexpr absl::Duration kTakeWait = absl::Milliseconds(100);

std::string PositionOf(const rd_kafka_message_t& message) {
  return absl::StrCat("partition ", message.partition, ", offset ", message.offset);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventReader>> EventReader::Start(const KafkaTarget& target,
                                                                int64_t capacity) {
  auto consumer = MakeConsumer({{"bootstrap.servers", target.bootstrap_servers},
                                {"group.id", target.group + "-reader"},
                                {"isolation.level", "read_committed"},
                                {"enable.auto.commit", "false"},
                                {"enable.auto.offset.store", "false"},
                                {"auto.offset.reset", "error"},
                                {"fetch.wait.max.ms", "50"},
                                // A queue that is full by its number pauses fetching for a second.
                                {"queued.min.messages", "10000000"},
                                {"queued.max.messages.kbytes", "65536"}});
  if (!consumer.ok()) return consumer.status();
  std::unique_ptr<EventReader> reader(new EventReader(capacity));
  reader->consumer_ = *std::move(consumer);
  // Without its metadata the assignment would wait for up to a second.
  auto topic = OpenTopic(reader->consumer_.get(), target.events());
  if (!topic.ok()) return topic.status();
  const PartitionList list(rd_kafka_topic_partition_list_new(target.partitions));
  for (int i = 0; i < target.partitions; ++i) {
    rd_kafka_topic_partition_list_add(list.get(), target.events().c_str(), i)->offset = 0;
  }
  const absl::Status assigned =
      KafkaStatus("read " + target.events(), rd_kafka_assign(reader->consumer_.get(), list.get()));
  if (!assigned.ok()) return assigned;
  reader->queue_.reset(rd_kafka_queue_get_consumer(reader->consumer_.get()));
  reader->thread_ = std::thread([raw = reader.get()] { raw->Run(); });
  return reader;
}

EventReader::~EventReader() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

absl::Status EventReader::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

void EventReader::Run() {
  std::vector<rd_kafka_message_t*> messages;
  absl::Status status;
  while (!stop_ && status.ok()) {
    TakeMessages(queue_.get(), kMessagesPerTake, kTakeWait, &messages);
    const int64_t now_ns = NowNs();
    int64_t added = 0;
    for (const rd_kafka_message_t* message : messages) {
      status = Take(*message, now_ns, &added);
      if (!status.ok()) break;
    }
    DestroyMessages(&messages);
    seen_.fetch_add(added, std::memory_order_release);
  }
  absl::MutexLock lock(&mutex_);
  status_ = status;
}

absl::Status EventReader::Take(const rd_kafka_message_s& message, int64_t now_ns, int64_t* added) {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) return absl::OkStatus();
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return KafkaStatus("read events", message.err);
  const std::string_view value(static_cast<const char*>(message.payload), message.len);
  const int64_t number = NumberIn(value);
  if (number < 0 || static_cast<size_t>(number) >= arrivals_ns_.size())
    return absl::DataLossError("an event that nobody asked for: " + PositionOf(message));
  int64_t& arrival_ns = arrivals_ns_[static_cast<size_t>(number)];
  if (arrival_ns != 0) {
    return absl::DataLossError(
        absl::StrCat("a second event of command ", number, ": ", PositionOf(message)));
  }
  arrival_ns = now_ns;
  ++*added;
  return absl::OkStatus();
}

}  // namespace esd::bench
