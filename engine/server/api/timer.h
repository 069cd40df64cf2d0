// Calls functions when their time has come: the deadlines of all calls that wait, on one thread.
#ifndef ESD_ENGINE_SERVER_API_TIMER_H_
#define ESD_ENGINE_SERVER_API_TIMER_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>

namespace esd::api {

// Any thread.
class Timer {
 public:
  using Id = std::pair<absl::Time, int64_t>;

  Timer();
  // Functions whose time has not come are not called.
  ~Timer();

  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls `function` at `when` or a little later, on the timer's thread; it must return soon.
  Id At(absl::Time when, std::function<void()> function) ABSL_LOCKS_EXCLUDED(mutex_);

  // The function is not called, unless it is being called or has been.
  void Cancel(const Id& id) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run();

  absl::Mutex mutex_;
  std::map<Id, std::function<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  int64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_TIMER_H_
