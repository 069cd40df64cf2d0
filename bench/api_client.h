// A client of the gRPC API that keeps a number of calls in flight and uses little CPU: one thread,
// which reads one completion queue.
#ifndef ESD_BENCH_API_CLIENT_H_
#define ESD_BENCH_API_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_unary_call.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace esd::bench {

using Channels = std::vector<std::shared_ptr<grpc::Channel>>;

// `count` connections to a server, none of them shared. Returns when all are made.
absl::StatusOr<Channels> Connect(const std::string& address, int count, absl::Duration timeout);

// gRPC's status, with the reason of its google.rpc.ErrorInfo.
absl::Status FromGrpc(const std::string& what, const grpc::Status& status);

// A place for one call at a time; used again and again.
class CallSlot {
 public:
  virtual ~CallSlot() = default;
  // Starts the call with this number; `queue` gets the slot as its tag when the call has ended.
  virtual void Start(int64_t number, absl::Duration timeout, grpc::CompletionQueue* queue) = 0;
  // What became of it: an error when the call failed or was answered wrongly.
  virtual absl::Status Check() = 0;
  virtual void Cancel() = 0;

  int64_t started_ns = 0;  // for the loop
};

template <typename Request, typename Response>
class UnaryCallSlot final : public CallSlot {
 public:
  struct Kind {
    std::string name;  // for messages
    std::function<std::unique_ptr<grpc::ClientAsyncResponseReader<Response>>(
        grpc::ClientContext*, const Request&, grpc::CompletionQueue*)>
        start;
    std::function<void(int64_t number, Request*)> fill;
    std::function<absl::Status(int64_t number, const Response&)> check;
  };

  explicit UnaryCallSlot(Kind kind) : kind_(std::move(kind)) {}

  void Start(int64_t number, absl::Duration timeout, grpc::CompletionQueue* queue) override {
    number_ = number;
    kind_.fill(number, &request_);
    reader_.reset();
    context_.emplace();
    context_->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
    reader_ = kind_.start(&*context_, request_, queue);
    reader_->Finish(&response_, &status_, static_cast<CallSlot*>(this));
  }

  absl::Status Check() override {
    if (!status_.ok()) return FromGrpc(kind_.name, status_);
    return kind_.check(number_, response_);
  }

  void Cancel() override {
    if (context_) context_->TryCancel();
  }

 private:
  const Kind kind_;
  int64_t number_ = 0;
  Request request_;
  Response response_;
  grpc::Status status_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
};

using CallSlots = std::vector<std::unique_ptr<CallSlot>>;

// When to start no more calls.
struct LoadLimits {
  int64_t calls = 0;
  absl::Duration time = absl::InfiniteDuration();
  absl::Duration call_timeout = absl::Seconds(30);
};

struct LoadFigures {
  int64_t calls = 0;
  int64_t busy_ns = 0;           // from the start of the first call to the end of the last one
  std::vector<double> times_ms;  // of each call, as they ended

  double CallsPerSecond() const;
  LoadFigures& operator+=(const LoadFigures& other);
};

// Keeps a call in flight in each slot, numbered first_number, first_number + 1, …; the next one of
// a slot starts when its last one has ended well. Returns when all have ended. Errors: that of the
// first call that wasn't answered rightly, kCancelled when interrupted.
absl::StatusOr<LoadFigures> RunLoad(const CallSlots& slots, int64_t first_number,
                                    const LoadLimits& limits);

}  // namespace esd::bench

#endif  // ESD_BENCH_API_CLIENT_H_
