#include "engine/log/kafka/kafka_client.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <librdkafka/rdkafka.h>
#include <spdlog/spdlog.h>
#include <syslog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/string_view.h"

namespace esd::kafka {
namespace {

// Between two questions to a partition whose leader isn't known yet.
constexpr absl::Duration kLeaderRetry = absl::Milliseconds(50);
constexpr size_t kMessagesPerTake = 512;

spdlog::level::level_enum LevelOf(int syslog_level) {
  if (syslog_level <= LOG_ERR) return spdlog::level::err;
  if (syslog_level == LOG_WARNING) return spdlog::level::warn;
  if (syslog_level <= LOG_INFO) return spdlog::level::info;
  return spdlog::level::debug;
}

absl::StatusOr<Client> MakeClient(rd_kafka_type_t type, Conf conf) {
  char error[512];
  Client client(rd_kafka_new(type, conf.get(), error, sizeof(error)));
  if (client == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("can't make a Kafka client: ", error, "; check --kafka and --kafka-config"));
  }
  conf.release();  // the client owns it now
  return client;
}

absl::StatusCode CodeOf(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
      return absl::StatusCode::kUnavailable;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return absl::StatusCode::kPermissionDenied;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return absl::StatusCode::kNotFound;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      return absl::StatusCode::kOutOfRange;
    default:
      return absl::StatusCode::kInternal;
  }
}

// What to do about errors that don't pass by themselves.
std::string_view AdviceOn(absl::StatusCode code) {
  if (code == absl::StatusCode::kNotFound) {
    return "; the topic was deleted or changed: make it again with `esd topics create`";
  }
  if (code == absl::StatusCode::kPermissionDenied) {
    return "; check this instance's credentials (--kafka-config) and the brokers' ACLs";
  }
  return "";
}

}  // namespace

void HandleDeleter::operator()(rd_kafka_s* handle) const {
  // A consumer that joined a group was closed by its owner; one that didn't has nothing to close.
  rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}
void HandleDeleter::operator()(rd_kafka_conf_s* conf) const { rd_kafka_conf_destroy(conf); }
void HandleDeleter::operator()(rd_kafka_consumer_group_metadata_s* metadata) const {
  rd_kafka_consumer_group_metadata_destroy(metadata);
}
void HandleDeleter::operator()(rd_kafka_error_s* error) const { rd_kafka_error_destroy(error); }
void HandleDeleter::operator()(rd_kafka_headers_s* headers) const {
  rd_kafka_headers_destroy(headers);
}
void HandleDeleter::operator()(rd_kafka_message_s* message) const {
  rd_kafka_message_destroy(message);
}
void HandleDeleter::operator()(rd_kafka_op_s* event) const { rd_kafka_event_destroy(event); }
void HandleDeleter::operator()(rd_kafka_queue_s* queue) const { rd_kafka_queue_destroy(queue); }
void HandleDeleter::operator()(rd_kafka_topic_partition_list_s* list) const {
  rd_kafka_topic_partition_list_destroy(list);
}
void HandleDeleter::operator()(rd_kafka_topic_s* topic) const { rd_kafka_topic_destroy(topic); }

void LogClientLine(const rd_kafka_s* client, int level, const char* facility, const char* text) {
  // A property for consumers that a producer is given too is no reason to warn: all clients share
  // the user's properties.
  if (std::string_view(facility) == "CONFWARN") level = LOG_DEBUG;
  spdlog::log(LevelOf(level), "librdkafka {} {}: {}",
              client == nullptr ? "" : rd_kafka_name(client), facility, text);
}

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::max<int64_t>(0, absl::ToInt64Milliseconds(duration)));
}

absl::StatusOr<Conf> MakeConf(const Properties& defaults, const Properties& user,
                              const Properties& fixed) {
  Conf conf(rd_kafka_conf_new());
  rd_kafka_conf_set_log_cb(conf.get(), LogClientLine);
  for (const Properties* properties : {&defaults, &user, &fixed}) {
    for (const auto& [name, value] : *properties) {
      char error[512];
      if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), error, sizeof(error)) !=
          RD_KAFKA_CONF_OK) {
        return absl::InvalidArgumentError(absl::StrCat("librdkafka refuses the property ", name,
                                                       ": ", error,
                                                       "; check --kafka and --kafka-config"));
      }
    }
  }
  return conf;
}

absl::StatusOr<Client> MakeConsumer(Conf conf) {
  return MakeClient(RD_KAFKA_CONSUMER, std::move(conf));
}
absl::StatusOr<Client> MakeProducer(Conf conf) {
  return MakeClient(RD_KAFKA_PRODUCER, std::move(conf));
}

absl::Status ToStatus(int code, std::string_view what) {
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  const std::string_view advice = AdviceOn(CodeOf(error));
  return absl::Status(CodeOf(error),
                      absl::StrCat("can't ", ToAbsl(what), ": ", rd_kafka_err2str(error), " (",
                                   rd_kafka_err2name(error), ")", ToAbsl(advice)));
}

std::vector<Message> TakeMessages(rd_kafka_queue_s* queue, size_t limit, absl::Duration wait) {
  // One call with a timeout would wait for `limit` messages: so wait for the first only.
  std::vector<rd_kafka_message_t*> raw(limit);
  ssize_t taken = rd_kafka_consume_batch_queue(queue, Milliseconds(wait), raw.data(), 1);
  if (taken == 1 && limit > 1)
    taken += rd_kafka_consume_batch_queue(queue, 0, raw.data() + 1, limit - 1);
  std::vector<Message> messages;
  messages.reserve(static_cast<size_t>(std::max<ssize_t>(0, taken)));
  for (ssize_t i = 0; i < taken; ++i) messages.emplace_back(raw[static_cast<size_t>(i)]);
  return messages;
}

std::vector<Message> TakeBounded(rd_kafka_queue_s* queue, std::deque<Message>* surplus,
                                 const PollLimits& limits, absl::Duration wait) {
  std::vector<Message> messages;
  size_t bytes = 0;
  while (messages.size() < limits.max_records && bytes < limits.max_bytes) {
    if (surplus->empty()) {
      std::vector<Message> taken =
          TakeMessages(queue, kMessagesPerTake, messages.empty() ? wait : absl::ZeroDuration());
      if (taken.empty()) break;
      std::move(taken.begin(), taken.end(), std::back_inserter(*surplus));
    }
    const size_t size = surplus->front()->len + surplus->front()->key_len;
    if (!messages.empty() && bytes + size > limits.max_bytes) break;
    bytes += size;
    messages.push_back(std::move(surplus->front()));
    surplus->pop_front();
  }
  return messages;
}

Headers MakeHeaders(const std::vector<OutputRecord::OwnedHeader>& headers) {
  if (headers.empty()) return nullptr;
  Headers made(rd_kafka_headers_new(headers.size()));
  for (const OutputRecord::OwnedHeader& header : headers) {
    const char* value = header.value ? header.value->data() : nullptr;
    const size_t size = header.value ? header.value->size() : 0;
    rd_kafka_header_add(made.get(), header.name.data(), static_cast<ssize_t>(header.name.size()),
                        value, static_cast<ssize_t>(size));
  }
  return made;
}

absl::Status FetchMetadata(rd_kafka_s* client) {
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_metadata(client, /*all_topics=*/0, nullptr, &metadata,
                                                      Milliseconds(kRequestTimeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ToStatus(error, "read the topics' metadata");
  rd_kafka_metadata_destroy(metadata);
  return absl::OkStatus();
}

InputRecord ToInputRecord(const rd_kafka_message_s& message) {
  InputRecord record;
  record.offset = Offset{message.offset};
  record.timestamp_ms = std::max<int64_t>(0, rd_kafka_message_timestamp(&message, nullptr));
  if (message.key != nullptr)
    record.key.emplace(static_cast<const char*>(message.key), message.key_len);
  if (message.payload != nullptr)
    record.value.emplace(static_cast<const char*>(message.payload), message.len);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name;
    const void* value;
    size_t size;
    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      Header& header = record.headers.emplace_back(Header{name, std::nullopt});
      if (value != nullptr) header.value.emplace(static_cast<const char*>(value), size);
    }
  }
  return record;
}

absl::StatusOr<Watermarks> QueryWatermarks(rd_kafka_s* client, const std::string& topic,
                                           PartitionId partition) {
  const std::string what = absl::StrCat("read the bounds of ", topic, "/", partition.value());
  const absl::Time deadline = absl::Now() + kRequestTimeout;
  for (;;) {
    int64_t begin = 0;
    int64_t end = 0;
    const rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(client, topic.c_str(), partition.value(), &begin, &end,
                                         Milliseconds(deadline - absl::Now()));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return Watermarks{Offset{begin}, Offset{end}};
    const absl::Status status = ToStatus(error, what);
    // A topic that was just made, or whose leader just moved: the client has asked for news.
    if (!absl::IsUnavailable(status) || absl::Now() + kLeaderRetry >= deadline) return status;
    absl::SleepFor(kLeaderRetry);
  }
}

absl::Status TryInitTransactions(rd_kafka_s* producer, absl::Duration timeout, bool* retry) {
  const Error error(rd_kafka_init_transactions(producer, Milliseconds(timeout)));
  if (error == nullptr) return absl::OkStatus();
  *retry = rd_kafka_error_is_retriable(error.get()) != 0;
  return absl::Status(
      CodeOf(rd_kafka_error_code(error.get())),
      absl::StrCat("can't open the transactional producer: ", rd_kafka_error_string(error.get())));
}

}  // namespace esd::kafka
