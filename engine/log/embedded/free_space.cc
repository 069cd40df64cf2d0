#include "engine/log/embedded/free_space.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <string>

#include "engine/log/log.h"

namespace esd::embedded {
namespace {

constexpr absl::Duration kCheckInterval = absl::Milliseconds(100);
constexpr int64_t kMiB = int64_t{1} << 20;

}  // namespace

absl::Status FreeSpace::Check() {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  if (now - checked_ < kCheckInterval) return status_;
  checked_ = now;
  const int64_t free = database_->FreeBytes();
  const bool was_full = !status_.ok();
  status_ = absl::OkStatus();
  if (free < min_free_bytes_) {
    status_ = LogFullError(absl::StrCat("the disk of ", database_->directory(), " has ",
                                        free / kMiB, " MiB left, and commands are refused below ",
                                        min_free_bytes_ / kMiB, " MiB: free space there"));
    if (!was_full) spdlog::error("{}", std::string(status_.message()));
  } else if (was_full) {
    spdlog::info("the disk of {} has room again: commands are taken", database_->directory());
  }
  return status_;
}

}  // namespace esd::embedded
