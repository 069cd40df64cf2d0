#include "engine/server/api/timer.h"

#include <absl/time/clock.h>

namespace esd::api {

Timer::Timer() : thread_([this] { Run(); }) {}

Timer::~Timer() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

Timer::Id Timer::At(absl::Time when, std::function<void()> function) {
  absl::MutexLock lock(&mutex_);
  const Id id{when, ++last_};
  waiting_.emplace(id, std::move(function));
  return id;
}

void Timer::Cancel(const Id& id) {
  std::function<void()> ended;  // may own what waits for the lock
  absl::MutexLock lock(&mutex_);
  const auto it = waiting_.find(id);
  if (it == waiting_.end()) return;
  ended = std::move(it->second);
  waiting_.erase(it);
}

void Timer::Run() {
  absl::MutexLock lock(&mutex_);
  while (!stopping_) {
    const absl::Time next =
        waiting_.empty() ? absl::InfiniteFuture() : waiting_.begin()->first.first;
    if (absl::Now() < next) {
      const auto changed = [this, next]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || (!waiting_.empty() && waiting_.begin()->first.first < next);
      };
      mutex_.AwaitWithDeadline(absl::Condition(&changed), next);
      continue;
    }
    std::function<void()> function = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    mutex_.Unlock();
    function();
    function = nullptr;
    mutex_.Lock();
  }
}

}  // namespace esd::api
