// From what the user wrote to what the engine takes.
#ifndef ESD_CMD_ESD_SERVE_OPTIONS_H_
#define ESD_CMD_ESD_SERVE_OPTIONS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "cmd/esd/options.h"
#include "engine/log/kafka/kafka_admin_topics.h"
#include "engine/log/kafka/kafka_properties.h"
#include "engine/server/engine.h"

namespace esd::cmd {

struct ServeOptions {
  EngineOptions engine;
  std::vector<std::string> domains;  // none twice
  std::string log_level;
};

struct DevOptions {
  ServeOptions serve;  // with the embedded log; without a data directory: in a temporary one
  bool demo = false;
  bool exit_after_demo = false;
};

// Names of the options of `esd serve` and `esd dev`, in the order of their help.
std::vector<std::string> ServeOptionNames();
std::vector<std::string> DevOptionNames();

// INVALID_ARGUMENT, naming the option, for the first value that can't be.
absl::StatusOr<ServeOptions> ParseServeOptions(const Settings& settings,
                                               const std::vector<std::string>& built_in_domains);

absl::StatusOr<DevOptions> ParseDevOptions(const Settings& settings,
                                           const std::vector<std::string>& built_in_domains);

// What every command that talks to Kafka needs.
struct KafkaOptions {
  std::string bootstrap_servers;
  kafka::KafkaProperties properties;
  kafka::TopicScope scope;
};
absl::StatusOr<KafkaOptions> ParseKafkaOptions(const Settings& settings,
                                               const std::vector<std::string>& built_in_domains);

// Number of partitions and replicas for topics to be made.
absl::Status ParseTopicCounts(const Settings& settings, int& partitions, int& replication_factor);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_SERVE_OPTIONS_H_
