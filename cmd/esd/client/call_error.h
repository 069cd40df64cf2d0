// How a call failed, and what whoever made it should do next.
#ifndef ESD_CMD_ESD_CLIENT_CALL_ERROR_H_
#define ESD_CMD_ESD_CLIENT_CALL_ERROR_H_

#include <absl/status/status.h>
#include <absl/time/time.h>
#include <grpcpp/support/status.h>

#include <map>
#include <string>

#include "google/rpc/status.pb.h"

namespace esd::cmd {

struct CallError {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string message;
  // ErrorInfo's; the reason is empty when the error didn't come from esd.
  std::string reason;
  std::string domain;
  std::map<std::string, std::string> metadata;
  // RetryInfo's; zero without one.
  absl::Duration retry_delay;
  // No connection came about: the server has seen nothing of the call.
  bool not_sent = false;

  // The server says that nothing was written or read, and that another try may do better.
  bool Refused() const;
  // A command may have been written or not.
  bool OutcomeUnknown() const;
  // The domain's no, or the engine's to a command that it has processed.
  bool Rejection() const { return !reason.empty() && domain != "esd"; }
};

// `status` must not be OK.
CallError FromGrpc(const grpc::Status& status);
CallError FromRpc(const google::rpc::Status& status);

// Of a call that was given up here, without an answer.
CallError NoAnswer(absl::Duration waited);

// `NOT_FOUND USER_NOT_FOUND`: what programs go by.
std::string CodeAndReason(const CallError& error);

// For people, in one line without control characters: what went wrong at `address`, and what to do.
std::string Describe(const CallError& error, const std::string& address, bool tls);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_CALL_ERROR_H_
