#include "cmd/esd/client/client.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "engine/base/string_view.h"
#include "engine/server/http_server.h"

namespace esd::cmd {
namespace {

constexpr absl::Duration kLongestTimeout = absl::Hours(24);
constexpr absl::Duration kShortestPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

absl::Status ReadFile(const Settings& settings, const std::string& option, std::string* contents) {
  const std::string& path = settings.Get(option).value();
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return settings.Invalid(option, absl::StrCat("can't read ", path));
  *contents = text.str();
  return absl::OkStatus();
}

absl::Status ReadTls(const Settings& settings, ConnectionOptions* options) {
  const auto tls = settings.Switch("tls");
  if (!tls.ok()) return tls.status();
  for (const auto& [option, contents] :
       {std::pair{"tls-ca", &options->ca}, std::pair{"tls-client-cert", &options->client_cert},
        std::pair{"tls-client-key", &options->client_key}}) {
    if (absl::Status status = ReadFile(settings, option, contents); !status.ok()) return status;
  }
  if (options->client_cert.empty() != options->client_key.empty()) {
    return absl::InvalidArgumentError(
        "--tls-client-cert and --tls-client-key belong together: give both");
  }
  options->tls = *tls || !options->ca.empty() || !options->client_cert.empty();
  return absl::OkStatus();
}

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const ConnectionOptions& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = options.ca;
  tls.pem_cert_chain = options.client_cert;
  tls.pem_private_key = options.client_key;
  return grpc::SslCredentials(tls);
}

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(std::numeric_limits<int>::max());
  // A restarted engine is found again soon, not after gRPC's minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);  // the time for one attempt, in truth
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // The address is taken as it is: a proxy for the web doesn't reach an engine.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

std::optional<CallError> ResultOf(const grpc::Status& status) {
  if (status.ok()) return std::nullopt;
  return FromGrpc(status);
}

}  // namespace

absl::StatusOr<ConnectionOptions> ParseConnectionOptions(const Settings& settings) {
  ConnectionOptions options;
  options.address = settings.Get("address").value();
  if (const auto parsed = ParseHostPort(options.address); !parsed.ok())
    return settings.Invalid("address", std::string(parsed.status().message()));
  const std::string& timeout = settings.Get("timeout").value();
  if (!absl::ParseDuration(timeout, &options.timeout) || options.timeout <= absl::ZeroDuration() ||
      options.timeout > kLongestTimeout) {
    return settings.Invalid(
        "timeout",
        absl::StrCat("must be a time of up to 24h, as in 500ms, 10s or 2m, not '", timeout, "'"));
  }
  if (absl::Status status = ReadTls(settings, &options); !status.ok()) return status;
  return options;
}

Client::Client(const ConnectionOptions& options)
    : options_(options),
      channel_(grpc::CreateCustomChannel(options.address, CredentialsOf(options), Arguments())),
      commands_(esd::v1::CommandService::NewStub(channel_)),
      queries_(esd::v1::QueryService::NewStub(channel_)),
      admin_(esd::v1::AdminService::NewStub(channel_)) {}

std::optional<CallError> Client::Once(absl::Time deadline, const Call& call) const {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  return ResultOf(call(&context));
}

std::optional<CallError> Client::Try(absl::Time deadline, const Call& call) const {
  while (true) {
    auto error = Once(deadline, call);
    // Where nothing listens, waiting is for whoever started us to decide.
    if (!error || error->not_sent || !error->Refused()) return error;
    const absl::Duration pause = std::clamp(error->retry_delay, kShortestPause, kLongestPause);
    if (absl::Now() + pause >= deadline) return error;
    absl::SleepFor(pause);
  }
}

}  // namespace esd::cmd
