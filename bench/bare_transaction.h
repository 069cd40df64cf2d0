// A transactional producer with the engine's settings and nothing around it.
#ifndef ESD_BENCH_BARE_TRANSACTION_H_
#define ESD_BENCH_BARE_TRANSACTION_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "bench/kafka_clients.h"

struct rd_kafka_consumer_group_metadata_s;

namespace esd::bench {

// For one thread. An error ends its use.
class BareProducer {
 public:
  absl::Status Open(const KafkaTarget& target);

  // One transaction: in this order.
  absl::Status Begin();
  // `next_offsets`: of the commands, by partition; negative: nothing was taken. First, because the
  // broker may still be busy with the previous transaction's end, and this request is repeated
  // after a millisecond, that for a new partition after 20.
  absl::Status SendOffsets(const std::vector<int64_t>& next_offsets,
                           const rd_kafka_consumer_group_metadata_s* group);
  // `value` as an event, and a record of a snapshot's size.
  absl::Status Produce(int partition, std::string_view key, std::string_view value);
  absl::Status Commit();

 private:
  absl::Status ProduceTo(rd_kafka_topic_s* topic, int partition, std::string_view key,
                         std::string_view value);

  std::string command_topic_;
  Client producer_;
  TopicHandle events_;
  TopicHandle snapshots_;
};

// Transactions of one command each, one after the other. For one thread.
class BareTransactions {
 public:
  absl::Status Open(const KafkaTarget& target);

  // Commits as many as fit into `time`, at least one. Returns the milliseconds that each has taken
  // from its beginning to its commit.
  absl::StatusOr<std::vector<double>> Run(absl::Duration time);

 private:
  struct GroupDeleter {
    void operator()(rd_kafka_consumer_group_metadata_s* group) const;
  };

  absl::Status RunOne();

  BareProducer producer_;
  std::unique_ptr<rd_kafka_consumer_group_metadata_s, GroupDeleter> group_;
  int partitions_ = 0;
  int64_t next_ = 0;
};

}  // namespace esd::bench

#endif  // ESD_BENCH_BARE_TRANSACTION_H_
