// Sees what a consumer of the events sees: committed events only, and when each becomes visible.
#ifndef ESD_BENCH_EVENT_READER_H_
#define ESD_BENCH_EVENT_READER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "bench/kafka_clients.h"

namespace esd::bench {

// Reads all partitions of the event topic from their beginning, on a thread of its own.
class EventReader {
 public:
  // For commands with the numbers 0 … capacity-1.
  static absl::StatusOr<std::unique_ptr<EventReader>> Start(const KafkaTarget& target,
                                                            int64_t capacity);
  ~EventReader();

  // Number of commands whose event is visible. Any thread.
  int64_t seen() const { return seen_.load(std::memory_order_acquire); }

  // kDataLoss for an event that no command asked for or that came twice, kUnavailable when the
  // topic can't be read. Any thread.
  absl::Status status() const;

  // When the event of the command became visible (NowNs); 0 if it hasn't. Only for commands that a
  // value of seen() has covered, that is when all up to this one were seen.
  int64_t arrival_ns(int64_t number) const { return arrivals_ns_[static_cast<size_t>(number)]; }

 private:
  explicit EventReader(int64_t capacity) : arrivals_ns_(static_cast<size_t>(capacity)) {}
  void Run();
  absl::Status Take(const rd_kafka_message_s& message, int64_t now_ns, int64_t* added);

  Client consumer_;
  Queue queue_;
  std::vector<int64_t> arrivals_ns_;  // an element is written once, before seen_ counts it
  std::atomic<int64_t> seen_ = 0;
  std::atomic<bool> stop_ = false;
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace esd::bench

#endif  // ESD_BENCH_EVENT_READER_H_
