// What the services' methods have in common.
#ifndef ESD_ENGINE_SERVER_API_CALL_H_
#define ESD_ENGINE_SERVER_API_CALL_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "engine/server/api/errors.h"

namespace esd::api {

// A wait of a caller that set no deadline.
inline constexpr absl::Duration kDefaultWait = absl::Seconds(30);

// When a call that waits must answer: a little before the caller's deadline, so that the answer
// still arrives and can say how things stand. gRPC sends the time that is left, rounded up: to 100
// ms from 10 s on, to 1 s from 100 s on. So the deadline is later here by up to a hundredth.
inline absl::Time AnswerBy(const grpc::CallbackServerContext& context) {
  const absl::Time now = absl::Now();
  const absl::Time deadline = std::min(absl::FromChrono(context.deadline()), now + absl::Hours(24));
  if (context.deadline() == std::chrono::system_clock::time_point::max()) return now + kDefaultWait;
  const absl::Duration left = deadline - now;
  const absl::Duration margin =
      std::max(std::clamp(left / 10, absl::Milliseconds(5), absl::Milliseconds(100)), left / 50);
  return deadline - margin;
}

// A unary call that answers later. gRPC owns it.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // Answers; once.
  void Answer(const google::rpc::Status& error) { Finish(ToGrpc(error)); }
  void AnswerOk() { Finish(grpc::Status::OK); }

  // Called when the caller has gone or its deadline has passed, unless it was answered before; the
  // call must be answered all the same.
  void SetOnCancel(std::function<void()> on_cancel) {
    {
      absl::MutexLock lock(&mutex_);
      if (!cancelled_) {
        on_cancel_ = std::move(on_cancel);
        return;
      }
    }
    on_cancel();
  }

 private:
  void OnCancel() override {
    std::function<void()> on_cancel;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      on_cancel = std::move(on_cancel_);
    }
    if (on_cancel) on_cancel();
  }
  void OnDone() override { delete this; }

  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> on_cancel_ ABSL_GUARDED_BY(mutex_);
};

// For a call that is answered at once.
inline grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context,
                                           const google::rpc::Status& error = {}) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(error));
  return reactor;
}

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_CALL_H_
