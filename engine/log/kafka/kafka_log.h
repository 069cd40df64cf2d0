// The log on Apache Kafka.
//
// Exactly-once comes from one transaction per batch: records, and the offsets they stem from, sent
// with the generation of the consumer group that owns the partitions. Zombies are stopped twice: by
// the generation (a member that the group has moved on from can't commit offsets) and by
// transactional ids that are fixed per instance and worker (a restarted instance ends its own
// dangling transaction at once, and whoever takes a partition over ends the previous owner's by
// name; the ownership topic says which it is).
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_LOG_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_LOG_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/log/kafka/kafka_properties.h"
#include "engine/log/log.h"

namespace esd::kafka {

struct KafkaLogOptions {
  std::string bootstrap_servers;
  KafkaProperties properties;  // for every client; those that the engine controls are refused
  std::string group = "esd";
  std::string topic_prefix;
  std::vector<std::string> domains;
  // Names this instance among all that ever shared the group: transactional ids are made of it. Two
  // processes must not run with the same at the same time.
  std::string instance_id;
  // The instance keeps its place in the group over a restart, for as long as the session timeout.
  bool static_membership = false;
  // Where others reach this instance, for the ownership topic.
  std::string address;
};

// Connects, checks the topics, and fixes the number of partitions of domains that are new to the
// group. Errors are one sentence that names the fix: kFailedPrecondition for topics that are
// missing or don't fit, kUnavailable when no broker answers.
absl::StatusOr<std::unique_ptr<Log>> OpenKafkaLog(KafkaLogOptions options);

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_LOG_H_
