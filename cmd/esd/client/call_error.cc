#include "cmd/esd/client/call_error.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <utility>

#include "cmd/esd/client/printable.h"
#include "google/rpc/error_details.pb.h"

namespace esd::cmd {
namespace {

void ReadDetails(const google::rpc::Status& status, CallError& error) {
  for (const google::protobuf::Any& detail : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      error.reason = info.reason();
      error.domain = info.domain();
      for (const auto& [key, value] : info.metadata()) error.metadata[key] = value;
    } else if (detail.UnpackTo(&retry)) {
      error.retry_delay = absl::Seconds(retry.retry_delay().seconds()) +
                          absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
}

std::string Metadata(const CallError& error, const std::string& key) {
  const auto found = error.metadata.find(key);
  return found == error.metadata.end() ? "" : found->second;
}

// Why there is no connection. The texts are gRPC's and OpenSSL's.
std::string WhyNotConnected(const std::string& message, const std::string& address, bool tls) {
  const auto has = [&](const char* text) { return absl::StrContains(message, text); };
  if (has("wrong version number") || has("WRONG_VERSION_NUMBER")) {
    return absl::StrCat("the server at ", address,
                        " doesn't talk TLS: leave out --tls, --tls-ca and --tls-client-cert");
  }
  if (has("certificate verify failed") || has("CERTIFICATE_VERIFY_FAILED") ||
      has("Hostname Verification") || has("Peer name")) {
    return absl::StrCat("the certificate of the server at ", address,
                        " can't be trusted: name its CA with --tls-ca, and reach it by a name that "
                        "stands in the certificate");
  }
  if (has("Connection refused")) {
    return absl::StrCat("nothing listens at ", address,
                        ": is esd running? `esd dev` starts one, --address or ESD_ADDRESS names "
                        "another");
  }
  if (has("DNS resolution failed")) {
    return absl::StrCat("the name in ", address,
                        " isn't known: check --address (ESD_ADDRESS), it is HOST:PORT");
  }
  if (tls) {
    return absl::StrCat("no TLS connection to ", address,
                        ": check --tls-ca, and --tls-client-cert if the server wants one (",
                        message, ")");
  }
  return absl::StrCat("no connection to ", address,
                      ": check --address, and add --tls if the server has a certificate (", message,
                      ")");
}

std::string Next(const CallError& error) {
  if (error.reason == "UNKNOWN_DOMAIN") return "name one of them with --domain";
  if (error.reason == "AGGREGATE_NOT_FOUND") return "`esd aggregate list` shows which there are";
  if (error.reason == "DEAD_LETTER_NOT_FOUND")
    return "`esd dead-letters list` shows which there are";
  if (error.reason == "VERSION_MISMATCH") {
    const std::string version = Metadata(error, "version");
    return absl::StrCat(
        version.empty() ? "it has no event yet" : absl::StrCat("it is at version ", version),
        ": read it with `esd aggregate get`, and decide anew");
  }
  if (error.reason == "COMMAND_ID_REUSED") return "give the command an --id of its own";
  if (error.reason == "VERIFY_RUNNING") return "try again when it is done";
  if (error.OutcomeUnknown()) {
    return "send it again with the same id, or read the aggregate to see whether it had its effect";
  }
  if (error.code == absl::StatusCode::kUnimplemented)
    return "is it an esd, and of this version? `esd version` shows this one's";
  if (error.code == absl::StatusCode::kDeadlineExceeded)
    return "raise --timeout, or see `esd partitions` for what is wrong";
  if (error.code == absl::StatusCode::kUnavailable)
    return "try again; `esd partitions` shows what is served";
  return "";
}

}  // namespace

bool CallError::Refused() const {
  if (not_sent) return true;
  return (code == absl::StatusCode::kUnavailable && !reason.empty() &&
          reason != "OUTCOME_UNKNOWN") ||
         reason == "TOO_MANY_IN_FLIGHT";
}

bool CallError::OutcomeUnknown() const {
  if (reason == "OUTCOME_UNKNOWN") return true;
  // Not esd's own words: the connection broke, or nobody answered in time.
  return reason.empty() && !not_sent &&
         (code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded ||
          code == absl::StatusCode::kCancelled || code == absl::StatusCode::kUnknown ||
          code == absl::StatusCode::kInternal);
}

CallError FromRpc(const google::rpc::Status& status) {
  CallError error;
  error.code = static_cast<absl::StatusCode>(status.code());
  error.message = status.message();
  ReadDetails(status, error);
  return error;
}

CallError FromGrpc(const grpc::Status& status) {
  CallError error;
  error.code = static_cast<absl::StatusCode>(status.error_code());
  error.message = status.error_message();
  google::rpc::Status details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details()))
    ReadDetails(details, error);
  // So gRPC fails a call for which it had no connection. All its other errors of this code are of a
  // connection that broke.
  error.not_sent = error.code == absl::StatusCode::kUnavailable && error.reason.empty() &&
                   (absl::StartsWith(error.message, "failed to connect to all addresses") ||
                    absl::StartsWith(error.message, "DNS resolution failed"));
  return error;
}

CallError NoAnswer(absl::Duration waited) {
  CallError error;
  error.code = absl::StatusCode::kDeadlineExceeded;
  error.message = absl::StrCat("no answer within ", absl::FormatDuration(waited));
  return error;
}

std::string CodeAndReason(const CallError& error) {
  const std::string code = absl::StatusCodeToString(error.code);
  return error.reason.empty() ? code : absl::StrCat(code, " ", error.reason);
}

std::string Describe(const CallError& error, const std::string& address, bool tls) {
  if (error.not_sent) return Printable(WhyNotConnected(error.message, address, tls));
  std::string text = absl::StrCat(CodeAndReason(error), ": ", error.message);
  const std::string next = Next(error);
  if (!next.empty()) absl::StrAppend(&text, error.message.empty() ? "" : "; ", next);
  return Printable(text);
}

}  // namespace esd::cmd
