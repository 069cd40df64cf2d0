#include "engine/server/api/errors.h"

#include <absl/strings/str_cat.h>
#include <google/rpc/error_details.pb.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "engine/base/string_view.h"
#include "engine/log/log.h"

namespace esd::api {
namespace {

constexpr absl::Duration kMovingRetry = absl::Milliseconds(200);
constexpr absl::Duration kLogRetry = absl::Milliseconds(500);
// Somebody has to make room first.
constexpr absl::Duration kFullLogRetry = absl::Seconds(5);
constexpr absl::Duration kBusyRetry = absl::Milliseconds(50);

}  // namespace

google::rpc::Status MakeError(absl::StatusCode code, std::string_view reason,
                              std::string_view message, const ErrorDetails& details) {
  google::rpc::Status error;
  error.set_code(static_cast<int>(code));
  error.set_message(std::string(message));
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(std::string(details.domain));
  info.mutable_metadata()->insert(details.metadata.begin(), details.metadata.end());
  error.add_details()->PackFrom(info);
  if (details.retry_after) {
    google::rpc::RetryInfo retry;
    const int64_t nanos = absl::ToInt64Nanoseconds(*details.retry_after);
    retry.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
    error.add_details()->PackFrom(retry);
  }
  return error;
}

google::rpc::Status Invalid(std::string_view reason, std::string_view message,
                            std::map<std::string, std::string> metadata) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason, message,
                   {.metadata = std::move(metadata)});
}

google::rpc::Status PartitionMoving(std::string_view partition) {
  return MakeError(
      absl::StatusCode::kUnavailable, "PARTITION_MOVING",
      absl::StrCat("partition ", ToAbsl(partition),
                   " has no owner that serves it at this moment: try again soon"),
      {.metadata = {{"partition", std::string(partition)}}, .retry_after = kMovingRetry});
}

google::rpc::Status Starting() {
  return MakeError(absl::StatusCode::kUnavailable, "STARTING",
                   "this instance has just been started: try again soon",
                   {.retry_after = kMovingRetry});
}

google::rpc::Status Draining() {
  return MakeError(absl::StatusCode::kUnavailable, "DRAINING",
                   "this instance is stopping: try again soon, or at another instance",
                   {.retry_after = kMovingRetry});
}

google::rpc::Status TooManyInFlight(std::string_view flag) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, "TOO_MANY_IN_FLIGHT",
      absl::StrCat(
          "too many calls are in flight, nothing was written: send fewer at once, or raise ",
          ToAbsl(flag)),
      {.metadata = {{"limit", std::string(flag)}}, .retry_after = kBusyRetry});
}

google::rpc::Status FromEngine(const absl::Status& status, std::string_view what) {
  spdlog::error("API: {}: {}", what, std::string(status.message()));
  if (MayPass(status)) {
    return MakeError(absl::StatusCode::kUnavailable, "LOG_UNAVAILABLE",
                     absl::StrCat(ToAbsl(what), ": ", status.message()),
                     {.retry_after = kMovingRetry});
  }
  return MakeError(absl::StatusCode::kInternal, "INTERNAL_ERROR",
                   absl::StrCat(ToAbsl(what), " failed; the instance's log says why"));
}

google::rpc::Status AppendFailed(const absl::Status& status) {
  const std::string message(status.message());
  if (IsLogFull(status)) {
    return MakeError(absl::StatusCode::kResourceExhausted, "LOG_FULL", message,
                     {.retry_after = kFullLogRetry});
  }
  if (absl::IsResourceExhausted(status)) return TooManyInFlight("the producer's queue");
  if (absl::IsInvalidArgument(status)) return Invalid("COMMAND_TOO_LARGE", message);
  spdlog::warn("API: a command could not be appended: {}", message);
  return MakeError(absl::StatusCode::kUnavailable, "LOG_UNAVAILABLE",
                   absl::StrCat("the command was not written: ", message),
                   {.retry_after = kLogRetry});
}

bool MayHaveBeenWritten(const absl::Status& status) {
  return !absl::IsResourceExhausted(status) && !absl::IsInvalidArgument(status) &&
         !absl::IsUnavailable(status);
}

grpc::Status ToGrpc(const google::rpc::Status& error) {
  if (error.code() == 0) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(error.code()), error.message(), error.SerializeAsString()};
}

google::rpc::Status FromGrpc(const grpc::Status& status) {
  google::rpc::Status error;
  if (!error.ParseFromString(status.error_details())) error.Clear();
  error.set_code(status.error_code());
  error.set_message(status.error_message());
  return error;
}

}  // namespace esd::api
