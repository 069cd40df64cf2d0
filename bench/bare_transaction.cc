#include "bench/bare_transaction.h"

#include <librdkafka/rdkafka.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "bench/waiting.h"
#include "bench/workload.h"

namespace esd::bench {
namespace {

constexpr int kTransactionTimeoutMs = 8'000;
// What the engine's snapshot of a user with names of this length has.
constexpr size_t kSnapshotBytes = 48;
constexpr int64_t kUsers = 10'000;

// Only to be there: without a callback each commit takes 10 ms longer. A failed delivery shows when
// the transaction is committed.
void OnDelivery(rd_kafka_t*, const rd_kafka_message_t*, void*) {}

}  // namespace

absl::Status BareProducer::Open(const KafkaTarget& target) {
  command_topic_ = target.commands();
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

absl::Status BareProducer::Begin() {
  return KafkaStatus("begin", ClientError(rd_kafka_begin_transaction(producer_.get())));
}

absl::Status BareProducer::SendOffsets(const std::vector<int64_t>& next_offsets,
                                       const rd_kafka_consumer_group_metadata_t* group) {
  const PartitionList offsets(
      rd_kafka_topic_partition_list_new(static_cast<int>(next_offsets.size())));
  for (size_t i = 0; i < next_offsets.size(); ++i) {
    if (next_offsets[i] < 0) continue;
    rd_kafka_topic_partition_list_add(offsets.get(), command_topic_.c_str(), static_cast<int>(i))
        ->offset = next_offsets[i];
  }
  return KafkaStatus("send offsets",
                     ClientError(rd_kafka_send_offsets_to_transaction(
                         producer_.get(), offsets.get(), group, kTransactionTimeoutMs)));
}

absl::Status BareProducer::Produce(int partition, std::string_view key, std::string_view value) {
  absl::Status status = ProduceTo(events_.get(), partition, key, value);
  if (!status.ok()) return status;
  static constexpr std::array<char, kSnapshotBytes> kSnapshot = {};
  return ProduceTo(snapshots_.get(), partition, key, {kSnapshot.data(), kSnapshot.size()});
}

absl::Status BareProducer::ProduceTo(rd_kafka_topic_t* topic, int partition, std::string_view key,
                                     std::string_view value) {
  const int result =
      rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                       value.size(), key.data(), key.size(), nullptr);
  // The queue holds many times the records of one transaction, so it is never full.
  return result == 0 ? absl::OkStatus() : KafkaStatus("produce", rd_kafka_last_error());
}

absl::Status BareProducer::Commit() {
  return KafkaStatus(
      "commit", ClientError(rd_kafka_commit_transaction(producer_.get(), kTransactionTimeoutMs)));
}

void BareTransactions::GroupDeleter::operator()(rd_kafka_consumer_group_metadata_t* group) const {
  rd_kafka_consumer_group_metadata_destroy(group);
}

absl::Status BareTransactions::Open(const KafkaTarget& target) {
  partitions_ = target.partitions;
  // A group without members: its coordinator takes the offsets all the same.
  group_.reset(rd_kafka_consumer_group_metadata_new(target.group.c_str()));
  return producer_.Open(target);
}

absl::StatusOr<std::vector<double>> BareTransactions::Run(absl::Duration time) {
  std::vector<double> times_ms;
  int64_t begun_ns = NowNs();
  const int64_t end_ns = begun_ns + absl::ToInt64Nanoseconds(time);
  do {
    if (Interrupted()) return absl::CancelledError("interrupted");
    if (absl::Status status = RunOne(); !status.ok()) return status;
    const int64_t now_ns = NowNs();
    times_ms.push_back(Seconds(now_ns - begun_ns) * 1e3);
    begun_ns = now_ns;
  } while (begun_ns < end_ns);
  return times_ms;
}

absl::Status BareTransactions::RunOne() {
  const BenchCommand command = MakeCommand(next_, kUsers);
  const auto partition = static_cast<size_t>(next_ % partitions_);
  std::vector<int64_t> next_offsets(static_cast<size_t>(partitions_), -1);
  next_offsets[partition] = ++next_;
  if (absl::Status status = producer_.Begin(); !status.ok()) return status;
  absl::Status status = producer_.SendOffsets(next_offsets, group_.get());
  if (!status.ok()) return status;
  status = producer_.Produce(static_cast<int>(partition), command.key, command.value);
  return status.ok() ? producer_.Commit() : status;
}

}  // namespace esd::bench
