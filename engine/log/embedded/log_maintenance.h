// Removes from the embedded log what nobody needs any more, in the background and in small steps:
// records that are older than their topic's retention, and snapshots that a later one of the same
// key stands for.
#ifndef ESD_ENGINE_LOG_EMBEDDED_LOG_MAINTENANCE_H_
#define ESD_ENGINE_LOG_EMBEDDED_LOG_MAINTENANCE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <map>
#include <stop_token>
#include <thread>

#include "engine/log/embedded/log_database.h"
#include "engine/log/embedded/log_state.h"
#include "engine/log/embedded/log_writer.h"
#include "engine/log/log.h"

namespace esd::embedded {

class LogMaintenance {
 public:
  // `retention`: of the topics whose records are removed after a time.
  LogMaintenance(LogDatabase* database, LogState* state, LogWriter* writer,
                 std::map<Topic, absl::Duration> retention);
  ~LogMaintenance();
  LogMaintenance(const LogMaintenance&) = delete;
  LogMaintenance& operator=(const LogMaintenance&) = delete;

  // Any thread. What fails is tried again the next time.
  void RunOnce(absl::Time now, const std::stop_token& stop);

 private:
  void Run(const std::stop_token& stop);

  // A step of each: whether there is more to do.
  //
  // Moves the topic's begin over records from before `cutoff`. Commands that have not been
  // processed stay.
  absl::StatusOr<bool> Expire(TopicLog* log, absl::Time cutoff);
  // Removes, of the records behind those that are compacted already, what each key's last one
  // stands for. `latest` has the last one of each key that is compacted, so a step costs what is
  // new, however large the topic is.
  absl::StatusOr<bool> Compact(TopicLog* log);

  LogDatabase* const database_;
  LogState* const state_;
  LogWriter* const writer_;
  const std::map<Topic, absl::Duration> retention_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Mutex running_;  // one RunOnce() at a time

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_LOG_MAINTENANCE_H_
