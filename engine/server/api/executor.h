// Threads for what takes too long for gRPC's own: reading many records, and answering many calls.
#ifndef ESD_ENGINE_SERVER_API_EXECUTOR_H_
#define ESD_ENGINE_SERVER_API_EXECUTOR_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

namespace esd::api {

// Any thread.
class Executor {
 public:
  // Runs up to `threads` tasks at a time.
  explicit Executor(int threads);
  // Runs what waits, then ends.
  ~Executor();

  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void Run(std::function<void()> task) ABSL_LOCKS_EXCLUDED(mutex_);

  // False, without running it, when `limit` tasks wait already.
  bool TryRun(size_t limit, std::function<void()> task) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void RunTasks();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::jthread> threads_;  // last: use everything above
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_EXECUTOR_H_
