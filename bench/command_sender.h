// Produces commands, as a client with Kafka's default partitioner would.
#ifndef ESD_BENCH_COMMAND_SENDER_H_
#define ESD_BENCH_COMMAND_SENDER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/kafka_clients.h"

namespace esd::bench {

// For one thread.
class CommandSender {
 public:
  // `linger`: how long librdkafka gathers commands; long for bulk, zero when latency is measured.
  static absl::StatusOr<std::unique_ptr<CommandSender>> Open(const KafkaTarget& target,
                                                             int64_t users, absl::Duration linger);

  // The commands [from, to), as fast as they go. Returns when the broker has them all.
  absl::Status SendAll(int64_t from, int64_t to, absl::Duration timeout);

  // The commands [from, to), evenly spaced at `rate` per second. Open loop: a command that is late
  // doesn't delay the plan of the next. Returns when the broker has them all; `scheduled_ns` gets
  // the time at which each was due.
  absl::Status SendAtRate(int64_t from, int64_t to, int rate, std::vector<int64_t>* scheduled_ns);

 private:
  CommandSender() = default;
  absl::Status Send(int64_t number);
  absl::Status Flush(absl::Duration timeout);

  int64_t users_ = 0;
  std::atomic<int64_t> failed_ = 0;  // deliveries
  Client producer_;
  TopicHandle topic_;
};

}  // namespace esd::bench

#endif  // ESD_BENCH_COMMAND_SENDER_H_
