// Waiting with a deadline, and the wish to stop early.
#ifndef ESD_BENCH_WAITING_H_
#define ESD_BENCH_WAITING_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <string>

namespace esd::bench {

// From now on SIGINT and SIGTERM only make Interrupted() true, so that every caller can clean up.
void CatchInterrupts();
bool Interrupted();

// Of a clock that is never set; only differences mean something, and only within this process.
int64_t NowNs();
inline double Seconds(int64_t ns) { return static_cast<double>(ns) / 1e9; }

// Returns OK as soon as `done` holds. Errors: that of `check` (asked now and then: is there still
// hope?), kDeadlineExceeded naming `what`, kCancelled when interrupted.
absl::Status WaitUntil(const std::string& what, absl::Duration timeout,
                       const std::function<bool()>& done,
                       const std::function<absl::Status()>& check);

}  // namespace esd::bench

#endif  // ESD_BENCH_WAITING_H_
