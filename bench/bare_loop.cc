#include "bench/bare_loop.h"

#include <absl/strings/str_cat.h>
#include <httplib.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr size_t kCommandsPerTransaction = 10'000;
constexpr absl::Duration kTakeWait = absl::Milliseconds(100);
constexpr int kTransactionTimeoutMs = 8'000;
// What the engine's snapshot of a user with names of this length has.
constexpr size_t kSnapshotBytes = 48;

struct Counts {
  std::atomic<int64_t> commands = 0;
  std::atomic<int64_t> transactions = 0;
};

class MetricsServer {
 public:
  explicit MetricsServer(const Counts* counts) {
    server_.Get("/metrics", [counts](const httplib::Request&, httplib::Response& response) {
      response.set_content(
          absl::StrCat("esd_transaction_commands_sum ", counts->commands.load(),
                       "\nesd_transaction_commands_count ", counts->transactions.load(), "\n"),
          "text/plain");
    });
  }
  ~MetricsServer() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address) {
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos ||
        !server_.bind_to_port(address.substr(0, colon).c_str(), std::atoi(&address[colon + 1]))) {
      return absl::UnavailableError("can't listen on " + address);
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    return absl::OkStatus();
  }

 private:
  httplib::Server server_;
  std::thread thread_;
};

class BareLoop {
 public:
  ~BareLoop();
  absl::Status Open(const KafkaTarget& target);
  absl::Status RunOnce();
  const Counts& counts() const { return counts_; }

 private:
  absl::Status OpenConsumer(const KafkaTarget& target);
  absl::Status OpenProducer(const KafkaTarget& target);
  absl::Status SendOffsets();
  absl::Status ProduceFor(const rd_kafka_message_t& command);
  absl::Status Produce(rd_kafka_topic_t* topic, const rd_kafka_message_t& command,
                       const void* value, size_t value_size);

  std::string command_topic_;
  Client consumer_;
  Queue queue_;
  Client producer_;
  TopicHandle events_;
  TopicHandle snapshots_;
  std::vector<int64_t> next_offsets_;  // by partition; -1: nothing taken
  std::vector<rd_kafka_message_t*> commands_;
  Counts counts_;
};

// Only to be there: without a callback each commit takes 10 ms longer. A failed delivery shows when
// the transaction is committed.
void OnDelivery(rd_kafka_t*, const rd_kafka_message_t*, void*) {}

BareLoop::~BareLoop() {
  DestroyMessages(&commands_);
  queue_.reset();
  if (consumer_ != nullptr) rd_kafka_consumer_close(consumer_.get());
}

absl::Status BareLoop::Open(const KafkaTarget& target) {
  command_topic_ = target.commands();
  next_offsets_.assign(static_cast<size_t>(target.partitions), -1);
  if (absl::Status status = OpenProducer(target); !status.ok()) return status;
  return OpenConsumer(target);
}

absl::Status BareLoop::OpenConsumer(const KafkaTarget& target) {
  auto consumer = MakeConsumer({{"bootstrap.servers", target.bootstrap_servers},
                                {"group.id", target.group},
                                {"isolation.level", "read_committed"},
                                {"auto.offset.reset", "earliest"},
                                {"enable.auto.commit", "false"},
                                {"enable.auto.offset.store", "false"},
                                {"partition.assignment.strategy", "cooperative-sticky"},
                                {"session.timeout.ms", "6000"},
                                {"fetch.wait.max.ms", "50"},
                                {"queued.min.messages", "10000000"},
                                {"queued.max.messages.kbytes", "65536"}});
  if (!consumer.ok()) return consumer.status();
  consumer_ = *std::move(consumer);
  queue_.reset(rd_kafka_queue_get_consumer(consumer_.get()));
  const PartitionList topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), command_topic_.c_str(), RD_KAFKA_PARTITION_UA);
  return KafkaStatus("join the group", rd_kafka_subscribe(consumer_.get(), topics.get()));
}

absl::Status BareLoop::OpenProducer(const KafkaTarget& target) {
  auto producer = MakeProducer({{"bootstrap.servers", target.bootstrap_servers},
                                {"transactional.id", target.group + "-bare"},
                                {"transaction.timeout.ms", "10000"},
                                {"linger.ms", "0"},
                                {"compression.type", "lz4"},
                                {"queue.buffering.max.messages", "1000000"},
                                {"queue.buffering.max.kbytes", "1048576"},
                                // The broker answers a commit before it has ended; see README.md.
                                {"retry.backoff.ms", "1"}},
                               OnDelivery, nullptr);
  if (!producer.ok()) return producer.status();
  producer_ = *std::move(producer);
  const ClientError error(rd_kafka_init_transactions(producer_.get(), kTransactionTimeoutMs));
  if (error != nullptr) return KafkaStatus("init transactions", error);
  for (auto& [topic, name] :
       {std::pair{&events_, target.events()}, {&snapshots_, target.snapshots()}}) {
    auto opened = OpenTopic(producer_.get(), name);
    if (!opened.ok()) return opened.status();
    *topic = *std::move(opened);
  }
  return absl::OkStatus();
}

absl::Status BareLoop::RunOnce() {
  TakeMessages(queue_.get(), kCommandsPerTransaction, kTakeWait, &commands_);
  if (commands_.empty()) return absl::OkStatus();

  const ClientError begun(rd_kafka_begin_transaction(producer_.get()));
  if (begun != nullptr) return KafkaStatus("begin", begun);
  for (const rd_kafka_message_t* command : commands_) {
    if (command->err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return KafkaStatus("read commands", command->err);
    next_offsets_[static_cast<size_t>(command->partition)] = command->offset + 1;
  }
  // Offsets first: the broker may still be busy with the previous transaction's end, and this
  // request is repeated after a millisecond, that for a new partition after 20.
  if (absl::Status status = SendOffsets(); !status.ok()) return status;
  for (const rd_kafka_message_t* command : commands_) {
    if (absl::Status status = ProduceFor(*command); !status.ok()) return status;
  }
  const ClientError committed(rd_kafka_commit_transaction(producer_.get(), kTransactionTimeoutMs));
  if (committed != nullptr) return KafkaStatus("commit", committed);

  counts_.commands += static_cast<int64_t>(commands_.size());
  ++counts_.transactions;
  DestroyMessages(&commands_);
  return absl::OkStatus();
}

absl::Status BareLoop::SendOffsets() {
  const PartitionList offsets(
      rd_kafka_topic_partition_list_new(static_cast<int>(next_offsets_.size())));
  for (size_t i = 0; i < next_offsets_.size(); ++i) {
    if (next_offsets_[i] < 0) continue;
    rd_kafka_topic_partition_list_add(offsets.get(), command_topic_.c_str(), static_cast<int>(i))
        ->offset = std::exchange(next_offsets_[i], -1);
  }
  rd_kafka_consumer_group_metadata_t* group = rd_kafka_consumer_group_metadata(consumer_.get());
  const ClientError error(rd_kafka_send_offsets_to_transaction(producer_.get(), offsets.get(),
                                                               group, kTransactionTimeoutMs));
  rd_kafka_consumer_group_metadata_destroy(group);
  return KafkaStatus("send offsets", error);
}

absl::Status BareLoop::ProduceFor(const rd_kafka_message_t& command) {
  // In place of decoding: look at the command once. It then serves as its own event, which has
  // about its size and needs its number.
  if (std::memchr(command.payload, '{', command.len) == nullptr)
    return absl::DataLossError("a command that is not JSON");
  absl::Status status = Produce(events_.get(), command, command.payload, command.len);
  if (!status.ok()) return status;
  static constexpr std::array<char, kSnapshotBytes> kSnapshot = {};
  return Produce(snapshots_.get(), command, kSnapshot.data(), kSnapshot.size());
}

absl::Status BareLoop::Produce(rd_kafka_topic_t* topic, const rd_kafka_message_t& command,
                               const void* value, size_t value_size) {
  const int result =
      rd_kafka_produce(topic, command.partition, RD_KAFKA_MSG_F_COPY, const_cast<void*>(value),
                       value_size, command.key, command.key_len, nullptr);
  // The queue holds many times the records of one transaction, so it is never full.
  return result == 0 ? absl::OkStatus() : KafkaStatus("produce", rd_kafka_last_error());
}

}  // namespace

absl::Status RunBareLoop(const KafkaTarget& target, const std::string& http_listen) {
  BareLoop loop;
  MetricsServer metrics(&loop.counts());
  if (absl::Status status = metrics.Listen(http_listen); !status.ok()) return status;
  if (absl::Status status = loop.Open(target); !status.ok()) return status;
  while (!Interrupted()) {
    if (absl::Status status = loop.RunOnce(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace esd::bench
