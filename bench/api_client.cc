#include "bench/api_client.h"

#include <absl/strings/str_cat.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>

#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr auto kPollWait = std::chrono::milliseconds(100);

// The queue and the calls that are in flight on it.
class Load {
 public:
  Load(int64_t first_number, const LoadLimits& limits)
      : next_(first_number),
        end_(first_number + limits.calls),
        limits_(limits),
        stop_ns_(limits.time == absl::InfiniteDuration()
                     ? INT64_MAX
                     : start_ns_ + absl::ToInt64Nanoseconds(limits.time)) {}
  ~Load() {
    queue_.Shutdown();
    void* tag = nullptr;
    for (bool ok = false; queue_.Next(&tag, &ok);) {
    }
  }

  void StartIn(CallSlot* slot) {
    slot->started_ns = NowNs();
    if (!status_.ok() || next_ == end_ || slot->started_ns >= stop_ns_) return;
    slot->Start(next_++, limits_.call_timeout, &queue_);
    ++in_flight_;
  }

  absl::StatusOr<LoadFigures> Run(const CallSlots& slots) {
    for (const auto& slot : slots) StartIn(slot.get());
    while (in_flight_ > 0) {
      void* tag = nullptr;
      bool ok = false;
      // Each call has a deadline, so each ends.
      const auto got = queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kPollWait);
      if (got == grpc::CompletionQueue::GOT_EVENT) End(static_cast<CallSlot*>(tag));
      if (!Interrupted() || !status_.ok()) continue;
      status_ = absl::CancelledError("interrupted");
      for (const auto& slot : slots) slot->Cancel();
    }
    if (!status_.ok()) return status_;
    return std::move(figures_);
  }

 private:
  void End(CallSlot* slot) {
    --in_flight_;
    const int64_t now_ns = NowNs();
    ++figures_.calls;
    figures_.busy_ns = now_ns - start_ns_;
    figures_.times_ms.push_back(Seconds(now_ns - slot->started_ns) * 1e3);
    if (absl::Status status = slot->Check(); status_.ok()) status_ = status;
    StartIn(slot);
  }

  int64_t next_;
  const int64_t end_;
  const LoadLimits limits_;
  const int64_t start_ns_ = NowNs();
  const int64_t stop_ns_;
  int in_flight_ = 0;
  absl::Status status_;
  LoadFigures figures_;
  grpc::CompletionQueue queue_;
};

}  // namespace

absl::StatusOr<Channels> Connect(const std::string& address, int count, absl::Duration timeout) {
  Channels channels;
  for (int i = 0; i < count; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all share one connection
    channels.push_back(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
    channels.back()->GetState(/*try_to_connect=*/true);
  }
  const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
  for (const auto& channel : channels) {
    if (!channel->WaitForConnected(deadline)) {
      return absl::UnavailableError(
          absl::StrCat("no gRPC on ", address, " within ", absl::FormatDuration(timeout)));
    }
  }
  return channels;
}

absl::Status FromGrpc(const std::string& what, const grpc::Status& status) {
  std::string reason;
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      if (detail.UnpackTo(&info)) reason = absl::StrCat(info.reason(), ": ");
    }
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat(what, ": ", reason, status.error_message()));
}

double LoadFigures::CallsPerSecond() const { return static_cast<double>(calls) / Seconds(busy_ns); }

LoadFigures& LoadFigures::operator+=(const LoadFigures& other) {
  calls += other.calls;
  busy_ns += other.busy_ns;
  times_ms.insert(times_ms.end(), other.times_ms.begin(), other.times_ms.end());
  return *this;
}

absl::StatusOr<LoadFigures> RunLoad(const CallSlots& slots, int64_t first_number,
                                    const LoadLimits& limits) {
  return Load(first_number, limits).Run(slots);
}

}  // namespace esd::bench
