#include "engine/log/kafka/kafka_properties.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <librdkafka/rdkafka.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "engine/base/string_view.h"

namespace esd::kafka {
namespace {

// Debian's absl::string_view is a type of its own.
std::string Trimmed(std::string_view text) {
  return std::string(absl::StripAsciiWhitespace(ToAbsl(text)));
}

struct ControlledProperty {
  const char* key;
  const char* instead;
};

constexpr char kFixed[] = "it is fixed, because processing exactly once depends on it";

constexpr ControlledProperty kControlledProperties[] = {
    {"bootstrap.servers", "use --bootstrap-servers"},
    {"metadata.broker.list", "use --bootstrap-servers"},
    {"group.id", "use --group"},
    {"group.instance.id", "use --instance-id"},
    {"transactional.id", "it is made from --group, --instance-id and the worker's number"},
    {"isolation.level", kFixed},
    {"enable.auto.commit", kFixed},
    {"auto.commit.enable", kFixed},
    {"enable.auto.offset.store", kFixed},
    {"auto.offset.reset", kFixed},
    {"offset.store.method", kFixed},
    {"partition.assignment.strategy", kFixed},
    {"partitioner",
     "it is fixed: an aggregate's partition follows from its key as in Kafka's Java clients"},
    {"enable.idempotence", kFixed},
    {"enable.gapless.guarantee", kFixed},
    {"acks", kFixed},
    {"request.required.acks", kFixed},
    {"allow.auto.create.topics", "it is fixed: use --create-topics, or `esd topics create`"},
};

absl::Status CheckNotControlled(const std::string& key) {
  for (const ControlledProperty& property : kControlledProperties) {
    if (key == property.key) {
      return absl::InvalidArgumentError(
          absl::StrCat("the Kafka property ", key, " can't be set: ", property.instead));
    }
  }
  return absl::OkStatus();
}

absl::Status FileError(const std::string& path, int error) {
  const std::string message = absl::StrCat("can't read ", path, ": ", std::strerror(error));
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::NotFoundError(message);
}

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};

}  // namespace

absl::StatusOr<std::pair<std::string, std::string>> ParseKafkaProperty(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return absl::InvalidArgumentError("a Kafka property is written key=value");
  std::string key = Trimmed(text.substr(0, equals));
  if (key.empty())
    return absl::InvalidArgumentError(
        "a Kafka property is written key=value, and the key is missing");
  return std::pair(std::move(key), Trimmed(text.substr(equals + 1)));
}

absl::StatusOr<KafkaProperties> LoadKafkaProperties(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  if (!file) return FileError(path, errno);
  KafkaProperties properties;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string text = Trimmed(line);
    if (text.empty() || text[0] == '#') continue;
    auto property = ParseKafkaProperty(text);
    if (!property.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": ", property.status().message()));
    }
    if (!properties.insert(*property).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": ", property->first, " stands there twice"));
    }
  }
  // A directory opens, and fails when it is read.
  if (file.bad()) return FileError(path, errno);
  return properties;
}

bool IsSecret(std::string_view key) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(key));
  for (const char* part : {"password", "secret", "sasl.jaas", "ssl.key.pem", "ssl_key", "token",
                           "sasl.oauthbearer.config"}) {
    // The one of the URL at which a token is fetched.
    if (absl::StrContains(lower, part) && lower != "sasl.oauthbearer.token.endpoint.url")
      return true;
  }
  return false;
}

absl::Status CheckKafkaProperties(const KafkaProperties& properties) {
  const std::unique_ptr<rd_kafka_conf_t, ConfDeleter> conf(rd_kafka_conf_new());
  for (const auto& [key, value] : properties) {
    if (absl::Status status = CheckNotControlled(key); !status.ok()) return status;
    char message[512] = "";
    const auto result =
        rd_kafka_conf_set(conf.get(), key.c_str(), value.c_str(), message, sizeof(message));
    if (result == RD_KAFKA_CONF_OK) continue;
    // librdkafka repeats the value in some of its messages.
    const bool hide = IsSecret(key) && result != RD_KAFKA_CONF_UNKNOWN;
    return absl::InvalidArgumentError(
        absl::StrCat("the Kafka property ", key,
                     " is refused: ", hide ? "its value is not valid (and not shown)" : message));
  }
  return absl::OkStatus();
}

}  // namespace esd::kafka
