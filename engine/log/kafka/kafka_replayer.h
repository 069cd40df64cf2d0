// Reads a stretch of a topic from beginning to end, committed records only: changelogs at restore,
// the ownership topic.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_REPLAYER_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_REPLAYER_H_

#include <absl/status/status.h>

#include <stop_token>
#include <string>

#include "engine/log/kafka/kafka_client.h"
#include "engine/log/log.h"

namespace esd::kafka {

// What the consumer given to Replay() is to be configured with: it reports the end of a partition,
// reports instead of jumps when an offset isn't there, and doesn't wait for data at the end.
Properties ReplayProperties();

// Hands the records [from, end) of the partition to `sink`. Several calls may share a consumer if
// they read different partitions. Errors as for Log::Replay().
absl::Status Replay(rd_kafka_s* consumer, const std::string& topic, PartitionId partition,
                    Offset from, Offset end, const ReplaySink& sink, std::stop_token stop);

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_REPLAYER_H_
