// Whether the disk has room for more commands.
#ifndef ESD_ENGINE_LOG_EMBEDDED_FREE_SPACE_H_
#define ESD_ENGINE_LOG_EMBEDDED_FREE_SPACE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <cstdint>

#include "engine/log/embedded/log_database.h"

namespace esd::embedded {

// Any thread. The file system is asked now and then, not at each command.
class FreeSpace {
 public:
  FreeSpace(const LogDatabase* database, int64_t min_free_bytes)
      : database_(database), min_free_bytes_(min_free_bytes) {}

  // LogFullError() while there is less room than there must be.
  absl::Status Check();

 private:
  const LogDatabase* const database_;
  const int64_t min_free_bytes_;

  absl::Mutex mutex_;
  absl::Time checked_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_FREE_SPACE_H_
