#include "engine/log/kafka/kafka_admin.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <librdkafka/rdkafka.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/string_view.h"

namespace esd::kafka {
namespace {

// Calls to librdkafka wait this long at most, so that we see what it reports meanwhile.
constexpr absl::Duration kSlice = absl::Milliseconds(250);
// Between two looks at whether new topics are there.
constexpr absl::Duration kTopicPollInterval = absl::Milliseconds(50);

struct Deleter {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy(handle); }
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_AdminOptions_t* options) const {
    rd_kafka_AdminOptions_destroy(options);
  }
  void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
  void operator()(rd_kafka_ConfigResource_t* resource) const {
    rd_kafka_ConfigResource_destroy(resource);
  }
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(std::max(duration, absl::ZeroDuration())));
}

// librdkafka's own lines are for people who look for the cause of an error that we report anyway.
void Log(const rd_kafka_t*, int, const char* facility, const char* message) {
  spdlog::debug("librdkafka: {}: {}", facility, message);
}

// Errors that are the same however often we ask.
bool IsAuthenticationError(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
         code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
         code == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM;
}

bool IsAuthorizationError(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
         code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

bool IsConnectionError(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
      return true;
    default:
      return false;
  }
}

std::string LastLine(std::string_view reason) {
  return std::string(absl::StripAsciiWhitespace(ToAbsl(reason)));
}

}  // namespace

struct KafkaAdmin::Impl {
  Impl(std::string servers, absl::Duration call_timeout)
      : bootstrap_servers(std::move(servers)), timeout(call_timeout) {}

  // --- errors

  // Called by librdkafka from within Serve(), so on our caller's thread.
  static void OnError(rd_kafka_t*, int code, const char* reason, void* opaque) {
    auto* impl = static_cast<Impl*>(opaque);
    const auto error = static_cast<rd_kafka_resp_err_t>(code);
    spdlog::debug("librdkafka: {}: {}", rd_kafka_err2name(error), reason);
    if (IsAuthenticationError(error)) impl->refusal = LastLine(reason);
    // That all are down follows from what was said of each of them, and says less.
    if (error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) impl->last_error = LastLine(reason);
  }

  // Lets librdkafka report errors; an error if there is no point in waiting any longer.
  absl::Status Serve() {
    rd_kafka_poll(handle.get(), 0);
    if (refusal.empty()) return absl::OkStatus();
    return absl::UnauthenticatedError(
        absl::StrCat("the Kafka broker at ", bootstrap_servers,
                     " refused the credentials: check security.protocol and the sasl.* properties "
                     "given with --kafka or --kafka-config (",
                     refusal, ")"));
  }

  absl::Status Unreachable() const {
    return absl::UnavailableError(
        absl::StrCat("can't reach a Kafka broker at ", bootstrap_servers, " within ",
                     absl::FormatDuration(timeout), ": check --bootstrap-servers",
                     ", that the broker runs, and the security.* properties",
                     last_error.empty() ? "" : absl::StrCat(" (", last_error, ")")));
  }

  // `what`: "create topic x"; `detail`: the broker's or librdkafka's own words.
  absl::Status ToStatus(rd_kafka_resp_err_t code, std::string_view what, const char* detail) const {
    const std::string words =
        detail != nullptr && *detail != '\0' ? detail : rd_kafka_err2str(code);
    const std::string prefix = absl::StrCat("can't ", std::string(what), ": ");
    if (IsConnectionError(code)) return Unreachable();
    if (IsAuthenticationError(code)) {
      return absl::UnauthenticatedError(
          absl::StrCat(prefix, words, ": check the sasl.* properties"));
    }
    if (IsAuthorizationError(code)) {
      return absl::PermissionDeniedError(
          absl::StrCat(prefix,
                       "this client's user may not: give it the right in the cluster's ACLs, or "
                       "let an administrator do it (",
                       words, ")"));
    }
    switch (code) {
      case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
        return absl::InvalidArgumentError(absl::StrCat(
            prefix, "give a --replication-factor that the number of brokers allows (", words, ")"));
      case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
        return absl::InvalidArgumentError(
            absl::StrCat(prefix, "give another number of --partitions (", words, ")"));
      case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
      case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
      case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
      case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
        return absl::InvalidArgumentError(
            absl::StrCat(prefix, "the cluster doesn't accept it (", words, ")"));
      default:
        return absl::InternalError(absl::StrCat(prefix, words));
    }
  }

  // --- metadata

  // Topic -> number of partitions, or nothing while one has no leader. Asks for all topics because
  // asking for one makes it where the broker creates topics automatically.
  using Metadata = std::map<std::string, std::optional<int32_t>>;
  absl::StatusOr<Metadata> FetchMetadata(absl::Time deadline) {
    for (;;) {
      const rd_kafka_metadata_t* raw = nullptr;
      const absl::Duration left = std::max(deadline - absl::Now(), absl::Milliseconds(1));
      const auto code = rd_kafka_metadata(handle.get(), /*all_topics=*/1, nullptr, &raw,
                                          Milliseconds(std::min(left, kSlice)));
      const Owned<const rd_kafka_metadata_t> metadata(raw);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return Convert(*metadata);
      if (absl::Status status = Serve(); !status.ok()) return status;
      if (!IsConnectionError(code)) return ToStatus(code, "list the topics", nullptr);
      if (absl::Now() >= deadline) return Unreachable();
    }
  }

  static Metadata Convert(const rd_kafka_metadata_t& metadata) {
    Metadata topics;
    for (int t = 0; t < metadata.topic_cnt; ++t) {
      const rd_kafka_metadata_topic& topic = metadata.topics[t];
      if (topic.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || IsAuthorizationError(topic.err))
        continue;
      const bool led =
          topic.err == RD_KAFKA_RESP_ERR_NO_ERROR &&
          std::all_of(topic.partitions, topic.partitions + topic.partition_cnt,
                      [](const rd_kafka_metadata_partition& p) { return p.leader >= 0; });
      topics[topic.topic] =
          led && topic.partition_cnt > 0 ? std::optional(topic.partition_cnt) : std::nullopt;
    }
    return topics;
  }

  // The metadata as soon as each of the topics has leaders; those that it doesn't list are not
  // waited for unless `must_exist`.
  absl::StatusOr<Metadata> AwaitLeaders(const std::vector<std::string>& names, bool must_exist,
                                        absl::Time deadline) {
    for (;;) {
      auto metadata = FetchMetadata(deadline);
      if (!metadata.ok()) return metadata.status();
      std::string waiting_for;
      for (const std::string& name : names) {
        const auto topic = metadata->find(name);
        if (topic == metadata->end() ? must_exist : !topic->second) waiting_for = name;
      }
      if (waiting_for.empty()) return metadata;
      if (absl::Now() + kTopicPollInterval >= deadline) {
        return absl::UnavailableError(absl::StrCat(
            "topic ", waiting_for, " has no leader for each partition after ",
            absl::FormatDuration(timeout), ": check that all brokers run, then try again"));
      }
      absl::SleepFor(kTopicPollInterval);
    }
  }

  // --- requests of the admin API

  Owned<rd_kafka_AdminOptions_t> MakeOptions(rd_kafka_admin_op_t operation,
                                             absl::Time deadline) const {
    Owned<rd_kafka_AdminOptions_t> options(rd_kafka_AdminOptions_new(handle.get(), operation));
    char error[256];
    const int left_ms = std::max(Milliseconds(deadline - absl::Now()), 1);
    rd_kafka_AdminOptions_set_request_timeout(options.get(), left_ms, error, sizeof(error));
    if (operation == RD_KAFKA_ADMIN_OP_CREATETOPICS) {
      rd_kafka_AdminOptions_set_operation_timeout(options.get(), left_ms, error, sizeof(error));
    }
    return options;
  }

  // The answer to the request whose answer goes to `queue`.
  absl::StatusOr<Owned<rd_kafka_event_t>> AwaitAnswer(rd_kafka_queue_t* queue,
                                                      std::string_view what, absl::Time deadline) {
    // The request has this deadline too; its answer that it timed out says more than ours.
    const absl::Time give_up = deadline + absl::Milliseconds(500);
    while (absl::Now() < give_up) {
      Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue, Milliseconds(kSlice)));
      if (absl::Status status = Serve(); !status.ok()) return status;
      if (event == nullptr) continue;
      const auto code = rd_kafka_event_error(event.get());
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return ToStatus(code, what, rd_kafka_event_error_string(event.get()));
      return event;
    }
    return Unreachable();
  }

  // Fills in max.message.bytes of the topics that exist.
  absl::Status DescribeConfigs(TopicInfos& infos, absl::Time deadline) {
    std::vector<Owned<rd_kafka_ConfigResource_t>> owned;
    std::vector<rd_kafka_ConfigResource_t*> resources;
    for (const auto& [name, info] : infos) {
      if (!info.exists) continue;
      owned.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
      resources.push_back(owned.back().get());
    }
    if (resources.empty()) return absl::OkStatus();
    const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(handle.get()));
    const auto options = MakeOptions(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, deadline);
    rd_kafka_DescribeConfigs(handle.get(), resources.data(), resources.size(), options.get(),
                             queue.get());
    auto event = AwaitAnswer(queue.get(), "read the configuration of topics", deadline);
    if (absl::IsPermissionDenied(event.status())) return absl::OkStatus();
    if (!event.ok()) return event.status();
    size_t count = 0;
    const auto* const* described = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event->get()), &count);
    for (size_t i = 0; i < count; ++i) {
      if (absl::Status status = ReadConfigs(*described[i], infos); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadConfigs(const rd_kafka_ConfigResource_t& resource, TopicInfos& infos) const {
    const std::string name = rd_kafka_ConfigResource_name(&resource);
    const auto code = rd_kafka_ConfigResource_error(&resource);
    if (IsAuthorizationError(code)) return absl::OkStatus();
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return ToStatus(code, absl::StrCat("read the configuration of topic ", name),
                      rd_kafka_ConfigResource_error_string(&resource));
    }
    size_t count = 0;
    const auto* const* entries = rd_kafka_ConfigResource_configs(&resource, &count);
    for (size_t i = 0; i < count; ++i) {
      const char* value = rd_kafka_ConfigEntry_value(entries[i]);
      int64_t bytes = 0;
      if (std::string_view(rd_kafka_ConfigEntry_name(entries[i])) == "max.message.bytes" &&
          value != nullptr && absl::SimpleAtoi(value, &bytes)) {
        infos[name].max_message_bytes = bytes;
      }
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<Owned<rd_kafka_NewTopic_t>> MakeNewTopic(const TopicSpec& spec) {
    char error[256] = "";
    Owned<rd_kafka_NewTopic_t> topic(rd_kafka_NewTopic_new(
        spec.name.c_str(), spec.partitions, spec.replication_factor, error, sizeof(error)));
    if (topic == nullptr)
      return absl::InvalidArgumentError(
          absl::StrCat("can't create topic ", spec.name, ": ", error));
    for (const auto& [key, value] : spec.configs)
      rd_kafka_NewTopic_set_config(topic.get(), key.c_str(), value.c_str());
    return topic;
  }

  absl::StatusOr<std::vector<std::string>> Create(const std::vector<TopicSpec>& specs,
                                                  absl::Time deadline) {
    std::vector<Owned<rd_kafka_NewTopic_t>> owned;
    std::vector<rd_kafka_NewTopic_t*> topics;
    for (const TopicSpec& spec : specs) {
      auto topic = MakeNewTopic(spec);
      if (!topic.ok()) return topic.status();
      topics.push_back(topic->get());
      owned.push_back(*std::move(topic));
    }
    const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(handle.get()));
    const auto options = MakeOptions(RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline);
    rd_kafka_CreateTopics(handle.get(), topics.data(), topics.size(), options.get(), queue.get());
    auto event = AwaitAnswer(queue.get(), "create topics", deadline);
    if (!event.ok()) return event.status();
    size_t count = 0;
    const auto* const* results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event->get()), &count);
    std::vector<std::string> created;
    for (size_t i = 0; i < count; ++i) {
      const std::string name = rd_kafka_topic_result_name(results[i]);
      const auto code = rd_kafka_topic_result_error(results[i]);
      if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return ToStatus(code, absl::StrCat("create topic ", name),
                        rd_kafka_topic_result_error_string(results[i]));
      }
      created.push_back(name);
    }
    return created;
  }

  const std::string bootstrap_servers;
  const absl::Duration timeout;
  std::string refusal;     // why the broker doesn't accept us
  std::string last_error;  // of the connection
  Owned<rd_kafka_t> handle;
};

KafkaAdmin::KafkaAdmin(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

KafkaAdmin::~KafkaAdmin() = default;

absl::StatusOr<std::unique_ptr<KafkaAdmin>> KafkaAdmin::Open(const std::string& bootstrap_servers,
                                                             const KafkaProperties& properties,
                                                             absl::Duration timeout) {
  if (absl::Status status = CheckKafkaProperties(properties); !status.ok()) return status;
  auto impl = std::make_unique<Impl>(bootstrap_servers, timeout);
  Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  char error[512] = "";
  for (const auto& [key, value] : properties) {
    rd_kafka_conf_set(conf.get(), key.c_str(), value.c_str(), error, sizeof(error));
  }
  if (rd_kafka_conf_set(conf.get(), "bootstrap.servers", bootstrap_servers.c_str(), error,
                        sizeof(error)) != RD_KAFKA_CONF_OK) {
    return absl::InvalidArgumentError(absl::StrCat("--bootstrap-servers is not valid: ", error));
  }
  rd_kafka_conf_set_opaque(conf.get(), impl.get());
  rd_kafka_conf_set_error_cb(conf.get(), Impl::OnError);
  rd_kafka_conf_set_log_cb(conf.get(), Log);
  impl->handle.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), error, sizeof(error)));
  if (impl->handle == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("can't make a Kafka client: ", error));
  }
  // The handle owns it now.
  static_cast<void>(conf.release());
  return std::unique_ptr<KafkaAdmin>(new KafkaAdmin(std::move(impl)));
}

absl::StatusOr<std::string> KafkaAdmin::ClusterId() {
  const absl::Time deadline = absl::Now() + impl_->timeout;
  for (;;) {
    char* raw = rd_kafka_clusterid(impl_->handle.get(), Milliseconds(kSlice));
    if (raw != nullptr) {
      const std::string id(raw);
      rd_kafka_mem_free(impl_->handle.get(), raw);
      return id;
    }
    if (absl::Status status = impl_->Serve(); !status.ok()) return status;
    if (absl::Now() >= deadline) return impl_->Unreachable();
  }
}

absl::StatusOr<TopicInfos> KafkaAdmin::DescribeTopics(const std::vector<std::string>& names) {
  const absl::Time deadline = absl::Now() + impl_->timeout;
  const auto metadata = impl_->AwaitLeaders(names, /*must_exist=*/false, deadline);
  if (!metadata.ok()) return metadata.status();
  TopicInfos infos;
  for (const std::string& name : names) {
    TopicInfo& info = infos[name];
    const auto topic = metadata->find(name);
    if (topic == metadata->end()) continue;
    info.exists = true;
    info.partitions = *topic->second;
  }
  if (absl::Status status = impl_->DescribeConfigs(infos, deadline); !status.ok()) return status;
  return infos;
}

absl::StatusOr<std::vector<std::string>> KafkaAdmin::CreateTopics(
    const std::vector<TopicSpec>& specs) {
  if (specs.empty()) return std::vector<std::string>();
  const absl::Time deadline = absl::Now() + impl_->timeout;
  auto created = impl_->Create(specs, deadline);
  if (!created.ok()) return created.status();
  std::vector<std::string> names;
  for (const TopicSpec& spec : specs) names.push_back(spec.name);
  const auto metadata = impl_->AwaitLeaders(names, /*must_exist=*/true, deadline);
  if (!metadata.ok()) return metadata.status();
  return created;
}

absl::StatusOr<std::map<std::string, int32_t>> CheckTopics(KafkaAdmin& admin,
                                                           const TopicScope& scope) {
  const auto infos = admin.DescribeTopics(AllTopicNames(scope));
  if (!infos.ok()) return infos.status();
  return CheckTopicInfos(scope, *infos);
}

absl::StatusOr<std::vector<EnsuredTopic>> EnsureTopics(KafkaAdmin& admin, const TopicScope& scope,
                                                       int32_t partitions,
                                                       int32_t replication_factor) {
  const std::vector<TopicSpec> specs = AllTopicSpecs(scope, partitions, replication_factor);
  const std::vector<std::string> names = AllTopicNames(scope);
  const std::vector<std::string> exempt = TopicsOfAnyPartitionCount(scope);
  auto infos = admin.DescribeTopics(names);
  if (!infos.ok()) return infos.status();
  const auto missing = MissingTopics(specs, *infos, exempt);
  if (!missing.ok()) return missing.status();
  const auto created = admin.CreateTopics(*missing);
  if (!created.ok()) return created.status();
  // Somebody else may have made one meanwhile, with another number of partitions.
  infos = admin.DescribeTopics(names);
  if (!infos.ok()) return infos.status();
  if (const auto still = MissingTopics(specs, *infos, exempt); !still.ok()) return still.status();
  std::vector<EnsuredTopic> ensured;
  for (const std::string& name : names) {
    ensured.push_back({name, (*infos)[name].partitions,
                       std::find(created->begin(), created->end(), name) != created->end()});
  }
  return ensured;
}

}  // namespace esd::kafka
