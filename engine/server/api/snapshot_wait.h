// A GetSnapshot that waits for a version.
#ifndef ESD_ENGINE_SERVER_API_SNAPSHOT_WAIT_H_
#define ESD_ENGINE_SERVER_API_SNAPSHOT_WAIT_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <memory>
#include <optional>
#include <string>

#include "engine/server/api/api.h"
#include "engine/server/api/call.h"
#include "engine/server/api/domains.h"
#include "esd/v1/query_service.pb.h"

namespace esd::api {

// Answers `call` when the aggregate has the version, or by `deadline`. Any thread.
class SnapshotWait : public std::enable_shared_from_this<SnapshotWait> {
 public:
  SnapshotWait(Api* api, DomainApi* domain, const esd::v1::GetSnapshotRequest* request,
               esd::v1::GetSnapshotResponse* response, UnaryCall* call)
      : api_(api), domain_(domain), request_(request), response_(response), call_(call) {}

  void Start(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Looks whether the version is there.
  void Look() ABSL_LOCKS_EXCLUDED(mutex_);
  void Expire() ABSL_LOCKS_EXCLUDED(mutex_);
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);
  void Finish(const google::rpc::Status& error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Api* const api_;
  DomainApi* const domain_;
  // The call's, as long as it isn't answered.
  const esd::v1::GetSnapshotRequest* const request_;
  esd::v1::GetSnapshotResponse* const response_;
  UnaryCall* const call_;

  absl::Mutex mutex_;
  Version present_ ABSL_GUARDED_BY(mutex_) = kNoVersion;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<SnapshotWatchers::Id> watcher_ ABSL_GUARDED_BY(mutex_);
  std::optional<Timer::Id> timer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_SNAPSHOT_WAIT_H_
