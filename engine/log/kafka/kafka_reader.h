// Reads committed records of a topic, from any positions on.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_READER_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_READER_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/statusor.h>

#include <deque>
#include <string>
#include <vector>

#include "engine/log/kafka/kafka_client.h"
#include "engine/log/log.h"

namespace esd::kafka {

// What the consumer given to a KafkaReader is to be configured with: it reports the end of a
// partition (so that the reader passes the ends of transactions), reports instead of jumps when an
// offset isn't there, and holds a bounded amount of what was not polled yet.
Properties ReaderProperties();

class KafkaReader : public LogReader {
 public:
  // `consumer` is the reader's own.
  KafkaReader(Client consumer, std::string topic);
  ~KafkaReader() override;

  // Fetches what the first Start() would otherwise wait for, up to a second.
  absl::Status FetchTopicMetadata() { return FetchMetadata(consumer_.get()); }

  absl::Status Start(PartitionId partition, Offset from) override;
  void Stop(PartitionId partition) override;
  absl::StatusOr<Polled> Poll(const PollLimits& limits, absl::Duration wait) override;
  void Wake() override;

 private:
  // Sorts polled messages into batches by partition.
  absl::Status Collect(std::vector<Message> messages, Polled* polled) const;

  const Client consumer_;
  const std::string topic_name_;
  const TopicHandle topic_;
  const Queue queue_;  // the records of every partition that is read
  absl::flat_hash_set<PartitionId> reading_;
  std::deque<Message> surplus_;  // polled beyond the limits: the first of the next Poll()
  absl::Status poll_error_;      // found behind messages that were returned first
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_READER_H_
