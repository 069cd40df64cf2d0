// A VerifySnapshots of a partition that this instance owns.
#ifndef ESD_ENGINE_SERVER_API_SNAPSHOT_VERIFICATION_H_
#define ESD_ENGINE_SERVER_API_SNAPSHOT_VERIFICATION_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/server_context.h>

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/server/api/api.h"
#include "engine/server/api/call.h"
#include "engine/server/api/domains.h"
#include "engine/server/api/snapshot_comparison.h"
#include "engine/server/api/topic_scan.h"
#include "engine/worker/repair.h"
#include "esd/v1/admin_service.pb.h"

namespace esd::api {

// Its work is done on a thread of its own, see Api::verifications. See snapshot_comparison.h for
// why the answer is right while commands are processed.
class SnapshotVerification : public std::enable_shared_from_this<SnapshotVerification> {
 public:
  // `request` and `response` are valid until `call` is answered.
  SnapshotVerification(Api* api, DomainApi* domain, const esd::v1::VerifySnapshotsRequest* request,
                       esd::v1::VerifySnapshotsResponse* response, UnaryCall* call);

  // Begins; the call is answered then, at once when it is refused.
  void Start(const grpc::CallbackServerContext& context);

 private:
  using Error = std::optional<google::rpc::Status>;

  struct Listed {
    DifferingAggregate differing;
    std::optional<esd::v1::StoredSnapshot> in_store;
    std::optional<esd::v1::StoredSnapshot> in_changelog;
    bool repaired = false;
  };

  // Ends the work soon: the call is answered with the first reason.
  void Stop(const google::rpc::Status& reason) ABSL_LOCKS_EXCLUDED(mutex_);
  void Run();

  // The work, on its thread. Each returns what the caller is told when it can't go on.
  Error Verify();
  Error Compare(SnapshotComparison* comparison);
  Error ReadChangelog(Offset begin, const TopicScan::Sink& sink);
  Error ReadStore(SnapshotComparison* comparison);
  Error FoldEvents(Offset end, SnapshotComparison* comparison);
  Error FillDifferences();
  // Finds the states in the changelog that differ.
  Error FindInChangelog();

  absl::Status OnDifference(DifferingAggregate differing);
  void List(const DifferingAggregate& differing);
  absl::Status RepairCollected();
  // Asks the partition's worker, and waits for its answer or Stop().
  absl::StatusOr<RepairResult> AskWorker(std::vector<SnapshotRepair> repairs)
      ABSL_LOCKS_EXCLUDED(mutex_);

  void Describe(const Listed& listed, const SnapshotFault& fault,
                const std::optional<esd::v1::StoredSnapshot>& found,
                esd::v1::SnapshotDifference* difference) const;
  void WriteState(const std::string& bytes, esd::v1::Payload* payload) const;
  // What the caller is told of a failed read.
  google::rpc::Status FromScan(const absl::Status& status, Topic topic);
  google::rpc::Status EventsMissing(std::string_view what) const;
  bool stopped() const { return stop_.stop_requested(); }

  Api* const api_;
  DomainApi* const domain_;
  const esd::v1::VerifySnapshotsRequest* const request_;
  esd::v1::VerifySnapshotsResponse* const response_;
  UnaryCall* const call_;
  const DomainPartition partition_;
  Timer::Id timer_;
  std::stop_source stop_;

  // For the thread that does the work.
  std::map<std::string, Listed> listed_;  // the first ones
  size_t max_listed_ = 0;
  Offset changelog_end_;
  std::vector<SnapshotRepair> repairs_;  // to be done
  size_t repair_bytes_ = 0;

  absl::Mutex mutex_;
  std::optional<google::rpc::Status> stop_reason_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::StatusOr<RepairResult>> worker_answer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_SNAPSHOT_VERIFICATION_H_
