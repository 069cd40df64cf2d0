// librdkafka's handles with owners, how each kind of client is configured, and how its errors
// become ours. The rest of this folder builds on it; nothing outside includes it.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_CLIENT_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"
#include "engine/log/log.h"

// librdkafka's own types (rdkafka.h), which only .cc files include.
struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_consumer_group_metadata_s;
struct rd_kafka_error_s;
struct rd_kafka_headers_s;
struct rd_kafka_message_s;
struct rd_kafka_op_s;  // rd_kafka_event_t
struct rd_kafka_queue_s;
struct rd_kafka_topic_partition_list_s;
struct rd_kafka_topic_s;

namespace esd::kafka {

struct HandleDeleter {
  void operator()(rd_kafka_s* handle) const;
  void operator()(rd_kafka_conf_s* conf) const;
  void operator()(rd_kafka_consumer_group_metadata_s* metadata) const;
  void operator()(rd_kafka_error_s* error) const;
  void operator()(rd_kafka_headers_s* headers) const;
  void operator()(rd_kafka_message_s* message) const;
  void operator()(rd_kafka_op_s* event) const;
  void operator()(rd_kafka_queue_s* queue) const;
  void operator()(rd_kafka_topic_partition_list_s* list) const;
  void operator()(rd_kafka_topic_s* topic) const;
};
using Client = std::unique_ptr<rd_kafka_s, HandleDeleter>;
using Conf = std::unique_ptr<rd_kafka_conf_s, HandleDeleter>;
using GroupMetadata = std::unique_ptr<rd_kafka_consumer_group_metadata_s, HandleDeleter>;
using Error = std::unique_ptr<rd_kafka_error_s, HandleDeleter>;
using Headers = std::unique_ptr<rd_kafka_headers_s, HandleDeleter>;
using Event = std::unique_ptr<rd_kafka_op_s, HandleDeleter>;
using Message = std::unique_ptr<rd_kafka_message_s, HandleDeleter>;
using Queue = std::unique_ptr<rd_kafka_queue_s, HandleDeleter>;
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_s, HandleDeleter>;
using TopicHandle = std::unique_ptr<rd_kafka_topic_s, HandleDeleter>;

// How long calls to the broker may take; each is one attempt's bound, not a wish.
inline constexpr absl::Duration kRequestTimeout = absl::Seconds(5);
// Until a partition must have been opened or a producer (re)opened: longer than the transaction
// timeout and the broker's scan for expired transactions (10 s by default) together, the worst case
// of a hanging transaction.
inline constexpr absl::Duration kOpenTimeout = absl::Seconds(30);
// A replay that gets nothing for so long has met a transaction that never ends.
inline constexpr absl::Duration kReplayStallTimeout = absl::Seconds(30);

// librdkafka's default for batch.size.
inline constexpr size_t kDefaultBatchBytes = 1'000'000;

int Milliseconds(absl::Duration duration);

// A property of a client: name and value as in librdkafka's CONFIGURATION.md.
using Properties = std::map<std::string, std::string>;

// A configuration with logs going to spdlog. `defaults` can be overridden by `user`, `fixed` can't.
absl::StatusOr<Conf> MakeConf(const Properties& defaults, const Properties& user,
                              const Properties& fixed);

// Writes a line of librdkafka's log to ours: its log callback unless another is set.
void LogClientLine(const rd_kafka_s* client, int level, const char* facility, const char* text);

absl::StatusOr<Client> MakeConsumer(Conf conf);
absl::StatusOr<Client> MakeProducer(Conf conf);

// `code` is an rd_kafka_resp_err_t. kUnavailable for what may pass by itself (connections,
// timeouts, elections), kPermissionDenied for what the broker forbids, kNotFound for unknown topics
// and partitions, kOutOfRange for offsets, else kInternal. `what` says what was tried: "read
// security-command/3".
absl::Status ToStatus(int code, std::string_view what);

// Fills what waits in `queue`: waits up to `wait` for the first message, then takes what is there,
// at most `limit`. Ended early by rd_kafka_queue_yield().
std::vector<Message> TakeMessages(rd_kafka_queue_s* queue, size_t limit, absl::Duration wait);

// Takes what one Poll() may return: first `surplus`, then from `queue`; what was taken beyond the
// limits goes to `surplus`. The first message is returned however large it is.
std::vector<Message> TakeBounded(rd_kafka_queue_s* queue, std::deque<Message>* surplus,
                                 const PollLimits& limits, absl::Duration wait);

// Null when there are none.
Headers MakeHeaders(const std::vector<OutputRecord::OwnedHeader>& headers);

// Fetches the metadata of the topics that `client` has handles of: otherwise its first record for
// each would wait up to a second.
absl::Status FetchMetadata(rd_kafka_s* client);

// The views of the result live as long as `message`.
InputRecord ToInputRecord(const rd_kafka_message_s& message);

// First offset and end of a partition, as the isolation level of `client` sees the end: with
// read_committed, what stands behind an open transaction is left out.
// A passing error is tried again for kRequestTimeout.
struct Watermarks {
  Offset begin, end;
};
absl::StatusOr<Watermarks> QueryWatermarks(rd_kafka_s* client, const std::string& topic,
                                           PartitionId partition);

// Ends every transaction of the transactional id: aborts an open one, completes one that is being
// committed, and fences whoever holds the id. `producer` was made with that id by `make`; it is
// made again when the coordinator is still busy with the previous transaction, which is quicker
// than librdkafka's own retry after 500 ms.
template <typename MakeProducer>
absl::StatusOr<Client> InitTransactions(const MakeProducer& make, absl::Time deadline,
                                        const std::atomic<bool>* give_up);

// One attempt of the above: `retry` tells that another producer may succeed.
absl::Status TryInitTransactions(rd_kafka_s* producer, absl::Duration timeout, bool* retry);

// Implementation only below this line.

template <typename MakeProducer>
absl::StatusOr<Client> InitTransactions(const MakeProducer& make, absl::Time deadline,
                                        const std::atomic<bool>* give_up) {
  absl::Duration timeout = absl::Milliseconds(40);
  for (;;) {
    absl::StatusOr<Client> producer = make();
    if (!producer.ok()) return producer.status();
    bool retry = false;
    const absl::Status status = TryInitTransactions(producer->get(), timeout, &retry);
    if (status.ok()) return producer;
    if (!retry || absl::Now() >= deadline || *give_up) return status;
    timeout = std::min(2 * timeout, kRequestTimeout);
  }
}

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_CLIENT_H_
