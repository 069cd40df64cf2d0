#include "engine/server/api/in_flight.h"

namespace esd::api {

std::string_view InFlight::Take(const std::string& connection, int count) {
  absl::MutexLock lock(&mutex_);
  if (total_ + count > server_limit_) return kServerLimitFlag;
  if (!connection.empty()) {
    const auto it = by_connection_.find(connection);
    const int present = it == by_connection_.end() ? 0 : it->second;
    if (present + count > connection_limit_) return kConnectionLimitFlag;
    by_connection_[connection] = present + count;
  }
  total_ += count;
  gauge_->Increment(count);
  return {};
}

void InFlight::GiveBack(const std::string& connection, int count) {
  absl::MutexLock lock(&mutex_);
  total_ -= count;
  gauge_->Decrement(count);
  if (connection.empty()) return;
  const auto it = by_connection_.find(connection);
  it->second -= count;
  if (it->second == 0) by_connection_.erase(it);
}

int InFlight::total() const {
  absl::MutexLock lock(&mutex_);
  return total_;
}

bool InFlight::AwaitNone(absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return total_ == 0; };
  return mutex_.AwaitWithTimeout(absl::Condition(&none), timeout);
}

}  // namespace esd::api
