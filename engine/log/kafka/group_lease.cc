#include "engine/log/kafka/group_lease.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace esd::kafka {

absl::Duration TimeSinceBoot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

void GroupLease::OnSent(Request request) {
  absl::MutexLock lock(&mutex_);
  switch (request) {
    case Request::kJoinGroup:
      // What was answered before may be the reason to join again.
      heard_.reset();
      synced_.reset();
      join_answered_ = false;
      break;
    case Request::kSyncGroup:
      sync_since_ = answered_at_;
      break;
    case Request::kHeartbeat:
      // It would have joined again instead.
      TakeHeard();
      heartbeat_since_ = answered_at_;
      break;
  }
}

void GroupLease::OnAnswer(Request request, bool arrived, absl::Duration now) {
  absl::MutexLock lock(&mutex_);
  answered_at_ = now;
  if (request == Request::kHeartbeat) {
    const auto since = std::exchange(heartbeat_since_, std::nullopt);
    if (arrived && since) heard_ = Heard{++last_answer_, *since};
  } else if (request == Request::kSyncGroup) {
    const auto since = std::exchange(sync_since_, std::nullopt);
    if (arrived && since) synced_ = since;
  } else {
    join_answered_ = arrived;
  }
}

void GroupLease::OnHeartbeatError() {
  absl::MutexLock lock(&mutex_);
  heard_.reset();
}

void GroupLease::OnAssigned() {
  absl::MutexLock lock(&mutex_);
  member_ = true;
  ever_assigned_ = true;
  if (synced_) Extend(*synced_);
  synced_.reset();
}

std::optional<GroupLease::Answer> GroupLease::unconfirmed() const {
  absl::MutexLock lock(&mutex_);
  if (!heard_) return std::nullopt;
  return heard_->answer;
}

void GroupLease::Confirm(Answer answer) {
  absl::MutexLock lock(&mutex_);
  if (heard_ && heard_->answer == answer) TakeHeard();
}

bool GroupLease::AwaitsFirstAssignment() const {
  absl::MutexLock lock(&mutex_);
  return join_answered_ && !ever_assigned_;
}

void GroupLease::End() {
  absl::MutexLock lock(&mutex_);
  member_ = false;
  heard_.reset();
  synced_.reset();
  end_ns_ = 0;
}

void GroupLease::TakeHeard() {
  if (heard_ && member_) Extend(heard_->since);
  heard_.reset();
}

void GroupLease::Extend(absl::Duration since) {
  end_ns_ = std::max(end_ns_.load(), absl::ToInt64Nanoseconds(since + session_timeout_));
}

}  // namespace esd::kafka
