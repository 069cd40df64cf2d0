#include "cmd/esd/serve_options.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "engine/base/logging.h"
#include "engine/log/topic_names.h"
#include "engine/server/http_server.h"
#include "engine/server/listen_address.h"

namespace esd::cmd {
namespace {

constexpr int kMaxWorkers = 64;
constexpr int kMaxPartitions = 10'000;
constexpr int kMaxReplicationFactor = 100;
constexpr int kMaxInFlight = 1'000'000;

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
    if (name.size() > kMaxTopicNameBytes) {
      return settings.Invalid(
          settings.IsGiven("topic-prefix") ? "topic-prefix" : "group",
          absl::StrCat("is too long: the topic ", name, " would have more than ",
                       kMaxTopicNameBytes, " characters"));
    }
  }
  return absl::OkStatus();
}

// `option` makes sense only beside `other`.
absl::Status CheckNeeds(const Settings& settings, const std::string& option,
                        const std::string& other) {
  if (!settings.IsGiven(option) || settings.IsGiven(other)) return absl::OkStatus();
  return settings.Invalid(option, absl::StrCat("needs --", other, ", too"));
}

absl::StatusOr<TlsOptions> ParseTls(const Settings& settings) {
  for (const char* option : {"tls-cert", "tls-key", "tls-client-ca", "tls-peer-ca"}) {
    if (settings.IsGiven(option) && settings.Get(option).value().empty())
      return settings.Invalid(option, "must not be empty: name a file, or leave it out");
  }
  for (const auto& [option, other] : {std::pair("tls-cert", "tls-key"),
                                      {"tls-key", "tls-cert"},
                                      {"tls-client-ca", "tls-cert"},
                                      {"tls-peer-ca", "tls-cert"}}) {
    if (absl::Status status = CheckNeeds(settings, option, other); !status.ok()) return status;
  }
  return TlsOptions{settings.Get("tls-cert").value(), settings.Get("tls-key").value(),
                    settings.Get("tls-client-ca").value(), settings.Get("tls-peer-ca").value()};
}

// Nothing is served in the clear to other machines unless somebody has said so.
absl::Status CheckExposure(const Settings& settings, const TlsOptions& tls) {
  const auto insecure = settings.Switch("insecure");
  if (!insecure.ok()) return insecure.status();
  const std::string& address = settings.Get("grpc-listen").value();
  const auto listen = ParseHostPort(address);
  if (!listen.ok()) return settings.Invalid("grpc-listen", std::string(listen.status().message()));
  if (IsLoopback(*listen) || tls.enabled() || *insecure) return absl::OkStatus();
  return settings.Invalid(
      "grpc-listen",
      absl::StrCat(address,
                   " is open to other machines: give --tls-cert and --tls-key, or "
                   "--insecure if all who reach it may send commands and read everything"));
}

absl::Status CheckAdvertised(const Settings& settings) {
  const std::string& address = settings.Get("advertised-address").value();
  if (!settings.IsGiven("advertised-address")) return absl::OkStatus();
  const auto parsed = ParseHostPort(address);
  if (!parsed.ok())
    return settings.Invalid("advertised-address", std::string(parsed.status().message()));
  if (!IsWildcard(*parsed)) return absl::OkStatus();
  return settings.Invalid("advertised-address",
                          absl::StrCat("nobody can connect to ", address,
                                       ": give a name or an address of this machine"));
}

// What the gRPC API is served with.
absl::Status ParseApi(const Settings& settings, EngineOptions& engine) {
  auto tls = ParseTls(settings);
  if (!tls.ok()) return tls.status();
  if (absl::Status status = CheckExposure(settings, *tls); !status.ok()) return status;
  if (absl::Status status = CheckAdvertised(settings); !status.ok()) return status;
  const auto in_flight = settings.Number("max-in-flight", 1, kMaxInFlight);
  if (!in_flight.ok()) return in_flight.status();
  const auto per_connection = settings.Number("max-in-flight-per-connection", 1, kMaxInFlight);
  if (!per_connection.ok()) return per_connection.status();
  engine.grpc_listen = settings.Get("grpc-listen").value();
  engine.tls = *std::move(tls);
  engine.advertised_address = settings.Get("advertised-address").value();
  engine.max_in_flight = *in_flight;
  engine.max_in_flight_per_connection = *per_connection;
  return absl::OkStatus();
}

// What every engine is started with, whatever its log.
absl::Status ParseEngine(const Settings& settings, ServeOptions& options) {
  const auto http = ParseHostPort(settings.Get("http-listen").value());
  if (!http.ok()) return settings.Invalid("http-listen", std::string(http.status().message()));
  const absl::Status level = CheckLogLevel(settings.Get("log-level").value());
  if (!level.ok()) return settings.Invalid("log-level", std::string(level.message()));
  const auto workers = settings.Number("workers", 0, kMaxWorkers);
  if (!workers.ok()) return workers.status();
  const auto history = settings.Switch("history");
  if (!history.ok()) {
    return settings.Invalid(
        "history", absl::StrCat("must be on or off, not '", settings.Get("history").value(), "'"));
  }
  options.log_level = settings.Get("log-level").value();
  options.engine.workers = *workers;
  options.engine.history = *history;
  options.engine.http_listen = settings.Get("http-listen").value();
  return ParseApi(settings, options.engine);
}

absl::StatusOr<LogKind> ParseLog(const Settings& settings) {
  const std::string& log = settings.Get("log").value();
  if (log == "kafka") return LogKind::kKafka;
  if (log == "embedded") return LogKind::kEmbedded;
  return settings.Invalid("log", absl::StrCat("must be kafka or embedded, not '", log, "'"));
}

absl::Status ParseKafkaLog(const Settings& settings,
                           const std::vector<std::string>& built_in_domains,
                           ServeOptions& options) {
  auto kafka = ParseKafkaOptions(settings, built_in_domains);
  if (!kafka.ok()) return kafka.status();
  const auto create_topics = settings.Switch("create-topics");
  if (!create_topics.ok()) return create_topics.status();
  options.domains = std::move(kafka->scope.domains);
  options.engine.bootstrap_servers = std::move(kafka->bootstrap_servers);
  options.engine.kafka_properties = std::move(kafka->properties);
  options.engine.group = std::move(kafka->scope.group);
  options.engine.topic_prefix = std::move(kafka->scope.prefix);
  options.engine.create_topics = *create_topics;
  return ParseTopicCounts(settings, options.engine.create_partitions,
                          options.engine.create_replication_factor);
}

absl::Status ParsePartitions(const Settings& settings, ServeOptions& options) {
  const auto partitions = settings.Number("partitions", 1, kMaxPartitions);
  if (!partitions.ok()) return partitions.status();
  options.engine.create_partitions = *partitions;
  return absl::OkStatus();
}

absl::Status ParseEmbeddedLog(const Settings& settings,
                              const std::vector<std::string>& built_in_domains,
                              ServeOptions& options) {
  // A variable or a file may be meant for other instances, too; what was typed is a mistake.
  for (const char* option : {"bootstrap-servers", "group", "topic-prefix", "kafka", "kafka-config",
                             "create-topics", "replication-factor"}) {
    if (settings.Get(option).origin == Origin::kFlag)
      return settings.Invalid(option, "has no meaning with --log embedded: leave it out");
  }
  if (!settings.IsGiven("data-dir")) {
    return absl::InvalidArgumentError(
        "--data-dir is missing: with --log embedded it holds the data, so choose where");
  }
  auto domains = ParseDomains(settings, built_in_domains);
  if (!domains.ok()) return domains.status();
  options.domains = *std::move(domains);
  return ParsePartitions(settings, options);
}

// What every engine has, whatever its log.
std::vector<std::string> EngineOptionNames() {
  return {"workers",
          "history",
          "http-listen",
          "grpc-listen",
          "advertised-address",
          "tls-cert",
          "tls-key",
          "tls-client-ca",
          "tls-peer-ca",
          "insecure",
          "max-in-flight",
          "max-in-flight-per-connection",
          "log-level",
          "config"};
}

void Append(const std::vector<std::string>& more, std::vector<std::string>& names) {
  names.insert(names.end(), more.begin(), more.end());
}

}  // namespace

std::vector<std::string> ServeOptionNames() {
  std::vector<std::string> names = {"log",           "bootstrap-servers", "domain",
                                    "group",         "instance-id",       "topic-prefix",
                                    "kafka",         "kafka-config",      "data-dir",
                                    "create-topics", "partitions",        "replication-factor"};
  Append(EngineOptionNames(), names);
  return names;
}

std::vector<std::string> DevOptionNames() {
  std::vector<std::string> names = {"data-dir", "demo", "exit-after-demo", "domain", "partitions"};
  Append(EngineOptionNames(), names);
  return names;
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
  ServeOptions options;
  const auto log = ParseLog(settings);
  if (!log.ok()) return log.status();
  const auto parse_log = *log == LogKind::kKafka ? ParseKafkaLog : ParseEmbeddedLog;
  if (absl::Status status = parse_log(settings, built_in_domains, options); !status.ok())
    return status;
  if (absl::Status status = CheckName(settings, "instance-id", /*may_be_empty=*/true); !status.ok())
    return status;
  if (absl::Status status = ParseEngine(settings, options); !status.ok()) return status;
  if (settings.Get("data-dir").value().empty())
    return settings.Invalid("data-dir", "must not be empty");
  options.engine.log = *log;
  options.engine.instance_id = settings.Get("instance-id").value();
  options.engine.data_dir = settings.Get("data-dir").value();
  return options;
}

absl::StatusOr<DevOptions> ParseDevOptions(const Settings& settings,
                                           const std::vector<std::string>& built_in_domains) {
  DevOptions options;
  auto domains = ParseDomains(settings, built_in_domains);
  if (!domains.ok()) return domains.status();
  options.serve.domains = *std::move(domains);
  if (absl::Status status = ParsePartitions(settings, options.serve); !status.ok()) return status;
  if (absl::Status status = ParseEngine(settings, options.serve); !status.ok()) return status;
  const auto demo = settings.Switch("demo");
  if (!demo.ok()) return demo.status();
  const auto exit_after_demo = settings.Switch("exit-after-demo");
  if (!exit_after_demo.ok()) return exit_after_demo.status();
  if (*exit_after_demo && !*demo) return settings.Invalid("exit-after-demo", "needs --demo, too");
  if (*demo && options.serve.engine.tls.enabled())
    return settings.Invalid("demo", "doesn't speak TLS: leave out --tls-cert");
  options.serve.engine.log = LogKind::kEmbedded;
  if (settings.IsGiven("data-dir"))
    options.serve.engine.data_dir = settings.Get("data-dir").value();
  options.demo = *demo;
  options.exit_after_demo = *exit_after_demo;
  return options;
}

}  // namespace esd::cmd
