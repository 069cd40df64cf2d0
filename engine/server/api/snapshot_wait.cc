#include "engine/server/api/snapshot_wait.h"

#include "engine/server/api/snapshot_reads.h"

namespace esd::api {

void SnapshotWait::Start(absl::Time deadline) {
  const std::weak_ptr<SnapshotWait> weak = weak_from_this();
  {
    absl::MutexLock lock(&mutex_);
    // The watcher keeps this alive until the end; it comes before the first look, so that no change
    // is missed.
    watcher_ =
        api_->snapshots.Add(domain_->HomeOf(request_->aggregate_key()), request_->aggregate_key(),
                            [self = shared_from_this()] { self->Look(); });
    timer_ = api_->timer.At(deadline, [weak] {
      if (const auto self = weak.lock()) self->Expire();
    });
  }
  call_->SetOnCancel([weak] {
    if (const auto self = weak.lock()) self->Cancel();
  });
  Look();
}

void SnapshotWait::Look() {
  absl::MutexLock lock(&mutex_);
  if (finished_) return;
  esd::v1::Snapshot snapshot;
  const auto failed = ReadSnapshot(*api_, *domain_, request_->aggregate_key(),
                                   request_->payload_format(), &snapshot);
  if (failed && failed->code() == static_cast<int>(absl::StatusCode::kNotFound)) return;
  if (failed) return Finish(*failed);
  present_ = Version{snapshot.version()};
  if (snapshot.version() < request_->min_version()) return;
  *response_->mutable_snapshot() = std::move(snapshot);
  Finish({});
}

void SnapshotWait::Expire() {
  absl::MutexLock lock(&mutex_);
  if (!finished_) Finish(VersionNotReached(absl::StatusCode::kDeadlineExceeded, present_));
}

void SnapshotWait::Cancel() {
  absl::MutexLock lock(&mutex_);
  if (!finished_) Finish(VersionNotReached(absl::StatusCode::kCancelled, present_));
}

void SnapshotWait::Finish(const google::rpc::Status& error) {
  finished_ = true;
  api_->snapshots.Remove(*watcher_);
  api_->timer.Cancel(*timer_);
  call_->Answer(error);
}

}  // namespace esd::api
