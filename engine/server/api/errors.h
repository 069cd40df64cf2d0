// How the API says no: google.rpc.Status with ErrorInfo and, when another try may help, RetryInfo.
// The protos of the services list the reasons.
#ifndef ESD_ENGINE_SERVER_API_ERRORS_H_
#define ESD_ENGINE_SERVER_API_ERRORS_H_

#include <absl/status/status.h>
#include <absl/time/time.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace esd::api {

// ErrorInfo.domain of what the API itself says; rejections of a processed command have the esd
// domain's name.
inline constexpr std::string_view kEngine = "esd";

struct ErrorDetails {
  std::string_view domain = kEngine;
  std::map<std::string, std::string> metadata = {};
  std::optional<absl::Duration> retry_after = {};
};

google::rpc::Status MakeError(absl::StatusCode code, std::string_view reason,
                              std::string_view message, const ErrorDetails& details = {});

// INVALID_ARGUMENT: what the caller did wrong.
google::rpc::Status Invalid(std::string_view reason, std::string_view message,
                            std::map<std::string, std::string> metadata = {});

// Errors that several calls have. Another try may help.
google::rpc::Status PartitionMoving(std::string_view partition);
google::rpc::Status Starting();
google::rpc::Status Draining();
google::rpc::Status TooManyInFlight(std::string_view flag);

// An error of the engine below, as the caller is told: INTERNAL INTERNAL_ERROR, or UNAVAILABLE
// LOG_UNAVAILABLE for what may pass. The message goes to the log as well.
google::rpc::Status FromEngine(const absl::Status& status, std::string_view what);

// What the caller is told when CommandAppender failed and MayHaveBeenWritten() says no.
google::rpc::Status AppendFailed(const absl::Status& status);
bool MayHaveBeenWritten(const absl::Status& status);

// With the details in `grpc-status-details-bin`.
grpc::Status ToGrpc(const google::rpc::Status& error);

// The inverse. A status without details, as gRPC itself makes them, comes without.
google::rpc::Status FromGrpc(const grpc::Status& status);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_ERRORS_H_
