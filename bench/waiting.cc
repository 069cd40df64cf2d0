#include "bench/waiting.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <signal.h>

#include <atomic>
#include <chrono>

namespace esd::bench {
namespace {

// Short beside what is measured over seconds, long beside what a look costs.
constexpr absl::Duration kPause = absl::Milliseconds(2);

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = true; };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() { return interrupted; }

int64_t NowNs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

absl::Status WaitUntil(const std::string& what, absl::Duration timeout,
                       const std::function<bool()>& done,
                       const std::function<absl::Status()>& check) {
  const int64_t deadline_ns = NowNs() + absl::ToInt64Nanoseconds(timeout);
  while (!done()) {
    if (Interrupted()) return absl::CancelledError("interrupted");
    if (absl::Status status = check(); !status.ok()) return status;
    if (NowNs() > deadline_ns) {
      return absl::DeadlineExceededError(
          absl::StrCat(what, " took longer than ", absl::FormatDuration(timeout)));
    }
    absl::SleepFor(kPause);
  }
  return absl::OkStatus();
}

}  // namespace esd::bench
