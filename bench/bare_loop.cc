#include "bench/bare_loop.h"

#include <absl/strings/str_cat.h>
#include <httplib.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/bare_transaction.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr size_t kCommandsPerTransaction = 10'000;
constexpr absl::Duration kTakeWait = absl::Milliseconds(100);

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
  absl::Status SendOffsets();
  absl::Status ProduceFor(const rd_kafka_message_t& command);

  std::string command_topic_;
  Client consumer_;
  Queue queue_;
  BareProducer producer_;
  std::vector<int64_t> next_offsets_;  // by partition; -1: nothing taken
  std::vector<rd_kafka_message_t*> commands_;
  Counts counts_;
};

BareLoop::~BareLoop() {
  DestroyMessages(&commands_);
  queue_.reset();
  if (consumer_ != nullptr) rd_kafka_consumer_close(consumer_.get());
}

absl::Status BareLoop::Open(const KafkaTarget& target) {
  command_topic_ = target.commands();
  next_offsets_.assign(static_cast<size_t>(target.partitions), -1);
  if (absl::Status status = producer_.Open(target); !status.ok()) return status;
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

absl::Status BareLoop::RunOnce() {
  TakeMessages(queue_.get(), kCommandsPerTransaction, kTakeWait, &commands_);
  if (commands_.empty()) return absl::OkStatus();

  if (absl::Status status = producer_.Begin(); !status.ok()) return status;
  for (const rd_kafka_message_t* command : commands_) {
    if (command->err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return KafkaStatus("read commands", command->err);
    next_offsets_[static_cast<size_t>(command->partition)] = command->offset + 1;
  }
  if (absl::Status status = SendOffsets(); !status.ok()) return status;
  for (const rd_kafka_message_t* command : commands_) {
    if (absl::Status status = ProduceFor(*command); !status.ok()) return status;
  }
  if (absl::Status status = producer_.Commit(); !status.ok()) return status;

  counts_.commands += static_cast<int64_t>(commands_.size());
  ++counts_.transactions;
  DestroyMessages(&commands_);
  return absl::OkStatus();
}

absl::Status BareLoop::SendOffsets() {
  rd_kafka_consumer_group_metadata_t* group = rd_kafka_consumer_group_metadata(consumer_.get());
  absl::Status status = producer_.SendOffsets(next_offsets_, group);
  rd_kafka_consumer_group_metadata_destroy(group);
  std::fill(next_offsets_.begin(), next_offsets_.end(), -1);
  return status;
}

absl::Status BareLoop::ProduceFor(const rd_kafka_message_t& command) {
  const std::string_view key(static_cast<const char*>(command.key), command.key_len);
  const std::string_view value(static_cast<const char*>(command.payload), command.len);
  // In place of decoding: look at the command once. It then serves as its own event, which has
  // about its size and needs its number.
  if (value.find('{') == std::string_view::npos)
    return absl::DataLossError("a command that is not JSON");
  return producer_.Produce(command.partition, key, value);
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
