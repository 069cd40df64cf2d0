// A call's commands on their way: checked, sent where they belong, waited for, and answered all
// together.
#ifndef ESD_ENGINE_SERVER_API_SUBMISSION_H_
#define ESD_ENGINE_SERVER_API_SUBMISSION_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <google/protobuf/repeated_field.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/server/api/api.h"
#include "engine/server/api/command_request.h"
#include "esd/v1/command_service.pb.h"

namespace esd::api {

// Any thread.
class Submission : public std::enable_shared_from_this<Submission> {
 public:
  using Requests = google::protobuf::RepeatedPtrField<esd::v1::SubmitCommandRequest>;
  using Results = google::protobuf::RepeatedPtrField<esd::v1::CommandResult>;
  // Called once, on any thread, with a result for each request.
  using Done = std::function<void(Results)>;

  // `context` and `requests` are the call's, and valid until `done` is called.
  Submission(Api* api, const grpc::CallbackServerContext& context, const Requests& requests,
             Done done);

  // Begins. When the call as a whole is refused, what the caller is told: `done` is not called
  // then.
  std::optional<google::rpc::Status> Start();

  // The caller has gone: what has no answer yet gets none.
  void Cancel() { GiveUp(absl::StatusCode::kCancelled); }

 private:
  struct Item {
    PreparedCommand command;  // its record goes with the append
    std::string key;
    std::optional<CommandWaiters::Id> waiter;
    std::optional<Offset> offset;
    bool answered = false;
  };

  void Route();
  void Append(int index);
  void Forward(const std::string& address, const std::vector<int>& indexes);

  void OnAppended(int index, const absl::StatusOr<Offset>& offset);
  void OnProcessed(int index, const std::optional<ProcessedCommand>& processed);

  // Answers, with OUTCOME_UNKNOWN, whatever waits for a worker.
  void GiveUp(absl::StatusCode code);
  void Answer(int index, esd::v1::CommandResult result) ABSL_LOCKS_EXCLUDED(mutex_);
  void Fail(int index, google::rpc::Status error);
  google::rpc::Status UnknownOutcome(int index, absl::StatusCode code) ABSL_LOCKS_EXCLUDED(mutex_);
  // One of the answers that Finish() waits for is there.
  void Release() ABSL_LOCKS_EXCLUDED(mutex_);

  Api* const api_;
  const grpc::CallbackServerContext& context_;
  const Requests& requests_;
  const std::string connection_;  // see InFlight::Take()
  std::optional<Timer::Id> timer_;

  absl::Mutex mutex_;
  std::vector<Item> items_ ABSL_GUARDED_BY(mutex_);
  Results results_ ABSL_GUARDED_BY(mutex_);
  int missing_ ABSL_GUARDED_BY(mutex_);
  Done done_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_SUBMISSION_H_
