#include "engine/server/open_log.h"

#include <absl/random/random.h>
#include <absl/strings/str_cat.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "engine/log/embedded/embedded_log.h"
#include "engine/log/kafka/kafka_admin.h"
#include "engine/log/kafka/kafka_log.h"

namespace esd {
namespace {

// The instance's name when none is given: made once and kept beside the store, because
// transactional ids are made of it and a restart must find its own.
absl::StatusOr<std::string> ReadOrMakeInstanceId(const std::filesystem::path& path) {
  std::string id;
  if (std::ifstream in(path); in >> id) return id;
  absl::BitGen random;
  id = absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
  std::ofstream out(path, std::ios::trunc);
  out << id << '\n' << std::flush;
  if (!out) {
    return absl::PermissionDeniedError(absl::StrCat(
        "can't write ", path.string(), ": make --data-dir writable or choose another"));
  }
  return id;
}

absl::Status MakeTopics(const EngineOptions& options, const kafka::KafkaLogOptions& kafka) {
  auto admin = kafka::KafkaAdmin::Open(options.bootstrap_servers, options.kafka_properties);
  if (!admin.ok()) return admin.status();
  return kafka::EnsureTopics(**admin, {kafka.domains, kafka.topic_prefix, kafka.group},
                             options.create_partitions, options.create_replication_factor)
      .status();
}

absl::StatusOr<std::unique_ptr<Log>> OpenKafka(const EngineOptions& options,
                                               const std::vector<std::string>& domains,
                                               const std::string& address,
                                               const std::string& instance_id) {
  kafka::KafkaLogOptions kafka;
  kafka.bootstrap_servers = options.bootstrap_servers;
  kafka.properties = options.kafka_properties;
  kafka.group = options.group;
  kafka.topic_prefix = options.topic_prefix;
  kafka.domains = domains;
  kafka.static_membership = !options.instance_id.empty();
  kafka.instance_id = instance_id;
  kafka.address = address;
  if (options.create_topics) {
    if (absl::Status status = MakeTopics(options, kafka); !status.ok()) return status;
  }
  return kafka::OpenKafkaLog(std::move(kafka));
}

absl::StatusOr<std::unique_ptr<Log>> OpenEmbedded(const EngineOptions& options,
                                                  const std::vector<std::string>& domains,
                                                  const std::string& address,
                                                  const std::string& instance_id) {
  EmbeddedLogOptions embedded;
  embedded.directory = std::filesystem::path(options.data_dir) / "log";
  embedded.domains = domains;
  embedded.partitions = options.create_partitions;
  embedded.instance_id = instance_id;
  embedded.address = address;
  return OpenEmbeddedLog(std::move(embedded));
}

}  // namespace

absl::StatusOr<OpenedLog> OpenLog(const EngineOptions& options,
                                  const std::vector<std::string>& domains,
                                  const std::string& address) {
  std::string instance_id = options.instance_id;
  if (instance_id.empty()) {
    auto id = ReadOrMakeInstanceId(std::filesystem::path(options.data_dir) / "instance-id");
    if (!id.ok()) return id.status();
    instance_id = *std::move(id);
  }
  const auto open = options.log == LogKind::kKafka ? OpenKafka : OpenEmbedded;
  auto log = open(options, domains, address, instance_id);
  if (!log.ok()) return log.status();
  return OpenedLog{*std::move(log), std::move(instance_id)};
}

}  // namespace esd
