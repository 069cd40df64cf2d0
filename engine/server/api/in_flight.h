// How many commands are in flight, on the server and on each connection: more than the limits are
// refused before anything is written.
#ifndef ESD_ENGINE_SERVER_API_IN_FLIGHT_H_
#define ESD_ENGINE_SERVER_API_IN_FLIGHT_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <prometheus/gauge.h>

#include <string>
#include <string_view>

namespace esd::api {

inline constexpr std::string_view kServerLimitFlag = "--max-in-flight";
inline constexpr std::string_view kConnectionLimitFlag = "--max-in-flight-per-connection";

// Any thread.
class InFlight {
 public:
  // `gauge` shows the total, and outlives it.
  InFlight(int server_limit, int connection_limit, prometheus::Gauge* gauge)
      : server_limit_(server_limit), connection_limit_(connection_limit), gauge_(gauge) {}

  // Takes `count` places for the connection; all or none. Returns the flag of the limit that is in
  // the way, or an empty text. An empty `connection` stands for other instances: only the server's
  // limit holds for what they forward, they have counted their own connections.
  std::string_view Take(const std::string& connection, int count) ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveBack(const std::string& connection, int count) ABSL_LOCKS_EXCLUDED(mutex_);

  int total() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until nothing is in flight; false when that takes longer.
  bool AwaitNone(absl::Duration timeout) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const int server_limit_;
  const int connection_limit_;
  prometheus::Gauge* const gauge_;
  mutable absl::Mutex mutex_;
  int total_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, int> by_connection_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_IN_FLIGHT_H_
