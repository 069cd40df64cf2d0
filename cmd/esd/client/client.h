// A connection to a running engine. Every call has a deadline, and is made again where the server
// says that this may help.
#ifndef ESD_CMD_ESD_CLIENT_CLIENT_H_
#define ESD_CMD_ESD_CLIENT_CLIENT_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cmd/esd/client/call_error.h"
#include "cmd/esd/options.h"
#include "esd/v1/admin_service.grpc.pb.h"
#include "esd/v1/command_service.grpc.pb.h"
#include "esd/v1/query_service.grpc.pb.h"

namespace esd::cmd {

struct ConnectionOptions {
  std::string address;
  absl::Duration timeout;
  bool tls = false;
  // PEM; empty: the system's CAs, no certificate.
  std::string ca;
  std::string client_cert;
  std::string client_key;
};

// INVALID_ARGUMENT, naming the option, for a value that can't be and a file that can't be read.
absl::StatusOr<ConnectionOptions> ParseConnectionOptions(const Settings& settings);

class Client {
 public:
  // Connects with the first call.
  explicit Client(const ConnectionOptions& options);

  // When a call that begins now must have ended.
  absl::Time Deadline() const { return absl::Now() + options_.timeout; }

  // Makes the call, and makes it again for as long as the server answers that it can't be served
  // yet. Nothing when it succeeded. For reads, and what may be done twice.
  using Call = std::function<grpc::Status(grpc::ClientContext*)>;
  std::optional<CallError> Try(absl::Time deadline, const Call& call) const;
  std::optional<CallError> Try(const Call& call) const { return Try(Deadline(), call); }
  // Makes it once.
  std::optional<CallError> Once(absl::Time deadline, const Call& call) const;

  // One line for people about a failure.
  std::string Describe(const CallError& error) const {
    return cmd::Describe(error, options_.address, options_.tls);
  }

  esd::v1::CommandService::Stub& commands() const { return *commands_; }
  esd::v1::QueryService::Stub& queries() const { return *queries_; }
  esd::v1::AdminService::Stub& admin() const { return *admin_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const ConnectionOptions& options() const { return options_; }

 private:
  const ConnectionOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<esd::v1::CommandService::Stub> commands_;
  const std::unique_ptr<esd::v1::QueryService::Stub> queries_;
  const std::unique_ptr<esd::v1::AdminService::Stub> admin_;
};

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_CLIENT_H_
