// The embedded log with nothing around it but a loop: commands are appended, polled, and committed
// with an event and a snapshot each. What it is slower by than bare RocksDB is the log's own; what
// the engine is slower by than this is gRPC's and the engine's.
#ifndef ESD_BENCH_BARE_LOG_H_
#define ESD_BENCH_BARE_LOG_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/log/log.h"

namespace esd::bench {

// For one thread.
class BareLog {
 public:
  BareLog();
  ~BareLog();

  // Makes the log in `directory`, which must not exist, on the disk that the engine uses.
  absl::Status Open(const std::string& directory, int partitions, int64_t users);

  struct Figures {
    int64_t commands = 0;
    std::vector<double> transaction_times_ms;
  };
  // Keeps `in_flight` commands between their appending and their commit, for `time`.
  absl::StatusOr<Figures> Run(int in_flight, absl::Duration time);

 private:
  class Listener;

  absl::Status Begin();
  void Append();
  // Commits whatever waits; returns how many commands that was.
  absl::StatusOr<int64_t> CommitWaiting();

  int64_t users_ = 0;
  int partitions_ = 0;
  int64_t next_ = 0;
  std::atomic<int64_t> failed_appends_ = 0;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<WorkerLog> worker_;
  std::unique_ptr<CommandAppender> appender_;
};

}  // namespace esd::bench

#endif  // ESD_BENCH_BARE_LOG_H_
