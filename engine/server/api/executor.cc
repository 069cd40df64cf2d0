#include "engine/server/api/executor.h"

#include <utility>

namespace esd::api {

Executor::Executor(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { RunTasks(); });
}

Executor::~Executor() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

void Executor::Run(std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
}

bool Executor::TryRun(size_t limit, std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  if (tasks_.size() >= limit) return false;
  tasks_.push_back(std::move(task));
  return true;
}

void Executor::RunTasks() {
  for (;;) {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !tasks_.empty();
      };
      mutex_.Await(absl::Condition(&has_work));
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace esd::api
