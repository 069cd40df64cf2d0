#include "cmd/esd/serve_options.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "engine/base/logging.h"
#include "engine/log/kafka/topic_names.h"
#include "engine/server/http_server.h"

namespace esd::cmd {
namespace {

constexpr int kMaxWorkers = 64;
constexpr int kMaxPartitions = 10'000;
constexpr int kMaxReplicationFactor = 100;

// The characters that Kafka allows in the names of topics, for everything that becomes part of one.
absl::Status CheckName(const Settings& settings, const std::string& option, bool may_be_empty) {
  const std::string& value = settings.Get(option).value();
  const auto legal = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  };
  if (value.empty() && !may_be_empty) return settings.Invalid(option, "must not be empty");
  if (!std::all_of(value.begin(), value.end(), legal)) {
    return settings.Invalid(
        option, absl::StrCat("'", value, "' may only have letters, digits, '.', '_' and '-'"));
  }
  return absl::OkStatus();
}

// `[PROTOCOL://]host[:port],…` as librdkafka takes it.
absl::Status CheckBootstrapServers(const Settings& settings) {
  const std::string& servers = settings.Get("bootstrap-servers").value();
  if (servers.empty()) {
    return absl::InvalidArgumentError(
        "--bootstrap-servers is missing: give the host:port of a Kafka broker, or set "
        "ESD_BOOTSTRAP_SERVERS");
  }
  for (const std::string& server : std::vector<std::string>(absl::StrSplit(servers, ','))) {
    const size_t scheme = server.find("://");
    const std::string address = scheme == std::string::npos ? server : server.substr(scheme + 3);
    const bool has_port = address.find(':') != std::string::npos &&
                          !(address.front() == '[' && address.back() == ']');
    const auto parsed = ParseHostPort(has_port ? address : address + ":9092");
    if (!parsed.ok() || parsed->port == 0) {
      return settings.Invalid(
          "bootstrap-servers",
          absl::StrCat("'", server, "' is no address: write host:port, several with commas"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ParseDomains(const Settings& settings,
                                                      const std::vector<std::string>& built_in) {
  const std::vector<std::string>& names = settings.Get("domain").values;
  if (!settings.IsGiven("domain") || names.empty()) return built_in;
  std::vector<std::string> domains;
  for (const std::string& name : names) {
    if (std::find(built_in.begin(), built_in.end(), name) == built_in.end()) {
      return settings.Invalid("domain", absl::StrCat("there is no domain '", name, "'; built in: ",
                                                     absl::StrJoin(built_in, ", ")));
    }
    if (std::find(domains.begin(), domains.end(), name) == domains.end()) domains.push_back(name);
  }
  return domains;
}

absl::Status CheckTopicNames(const Settings& settings, const kafka::TopicScope& scope) {
  for (const std::string& name : kafka::AllTopicNames(scope)) {
    if (name.size() > kafka::kMaxTopicNameBytes) {
      return settings.Invalid(
          settings.IsGiven("topic-prefix") ? "topic-prefix" : "group",
          absl::StrCat("is too long: the topic ", name, " would have more than ",
                       kafka::kMaxTopicNameBytes, " characters"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckListen(const Settings& settings, const std::string& option) {
  const auto parsed = ParseHostPort(settings.Get(option).value());
  return parsed.ok() ? absl::OkStatus()
                     : settings.Invalid(option, std::string(parsed.status().message()));
}

absl::Status CheckServe(const Settings& settings) {
  if (absl::Status status = CheckName(settings, "instance-id", /*may_be_empty=*/true); !status.ok())
    return status;
  if (settings.Get("data-dir").value().empty())
    return settings.Invalid("data-dir", "must not be empty");
  if (absl::Status status = CheckListen(settings, "http-listen"); !status.ok()) return status;
  if (absl::Status status = CheckListen(settings, "grpc-listen"); !status.ok()) return status;
  const absl::Status level = CheckLogLevel(settings.Get("log-level").value());
  return level.ok() ? level : settings.Invalid("log-level", std::string(level.message()));
}

}  // namespace

std::vector<std::string> ServeOptionNames() {
  return {"bootstrap-servers",
          "domain",
          "group",
          "instance-id",
          "topic-prefix",
          "kafka",
          "kafka-config",
          "data-dir",
          "workers",
          "http-listen",
          "grpc-listen",
          "create-topics",
          "partitions",
          "replication-factor",
          "log-level",
          "config"};
}

absl::StatusOr<KafkaOptions> ParseKafkaOptions(const Settings& settings,
                                               const std::vector<std::string>& built_in_domains) {
  if (absl::Status status = CheckBootstrapServers(settings); !status.ok()) return status;
  if (absl::Status status = CheckName(settings, "group", /*may_be_empty=*/false); !status.ok())
    return status;
  if (absl::Status status = CheckName(settings, "topic-prefix", /*may_be_empty=*/true);
      !status.ok())
    return status;
  auto domains = ParseDomains(settings, built_in_domains);
  if (!domains.ok()) return domains.status();
  KafkaOptions options;
  options.bootstrap_servers = settings.Get("bootstrap-servers").value();
  options.scope = {*std::move(domains), settings.Get("topic-prefix").value(),
                   settings.Get("group").value()};
  if (absl::Status status = CheckTopicNames(settings, options.scope); !status.ok()) return status;
  const auto properties = ResolveKafka(settings);
  if (!properties.ok()) return properties.status();
  for (const auto& [key, property] : *properties) options.properties[key] = property.value;
  if (absl::Status status = kafka::CheckKafkaProperties(options.properties); !status.ok())
    return status;
  return options;
}

absl::Status ParseTopicCounts(const Settings& settings, int& partitions, int& replication_factor) {
  const auto n = settings.Number("partitions", 1, kMaxPartitions);
  if (!n.ok()) return n.status();
  const auto r = settings.Number("replication-factor", 1, kMaxReplicationFactor);
  if (!r.ok()) return r.status();
  partitions = *n;
  replication_factor = *r;
  return absl::OkStatus();
}

absl::StatusOr<ServeOptions> ParseServeOptions(const Settings& settings,
                                               const std::vector<std::string>& built_in_domains) {
  auto kafka = ParseKafkaOptions(settings, built_in_domains);
  if (!kafka.ok()) return kafka.status();
  if (absl::Status status = CheckServe(settings); !status.ok()) return status;
  const auto workers = settings.Number("workers", 0, kMaxWorkers);
  if (!workers.ok()) return workers.status();
  const auto create_topics = settings.Switch("create-topics");
  if (!create_topics.ok()) return create_topics.status();
  ServeOptions options;
  if (absl::Status status = ParseTopicCounts(settings, options.engine.create_partitions,
                                             options.engine.create_replication_factor);
      !status.ok()) {
    return status;
  }
  options.domains = std::move(kafka->scope.domains);
  options.log_level = settings.Get("log-level").value();
  options.engine.bootstrap_servers = std::move(kafka->bootstrap_servers);
  options.engine.kafka_properties = std::move(kafka->properties);
  options.engine.group = std::move(kafka->scope.group);
  options.engine.topic_prefix = std::move(kafka->scope.prefix);
  options.engine.instance_id = settings.Get("instance-id").value();
  options.engine.data_dir = settings.Get("data-dir").value();
  options.engine.workers = *workers;
  options.engine.http_listen = settings.Get("http-listen").value();
  options.engine.grpc_listen = settings.Get("grpc-listen").value();
  options.engine.create_topics = *create_topics;
  return options;
}

}  // namespace esd::cmd
