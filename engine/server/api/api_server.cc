#include "engine/server/api/api_server.h"

#include <absl/base/thread_annotations.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <utility>

#include "engine/server/api/admin_service.h"
#include "engine/server/api/api.h"
#include "engine/server/api/command_service.h"
#include "engine/server/api/query_service.h"

namespace esd::api {
namespace {

// A batch of a thousand commands fits if they aren't all huge; a single command above 1 MiB arrives
// and so can be told why it is refused.
constexpr int kMaxRequestBytes = 16 << 20;
constexpr int kMaxMetadataBytes = 16 << 10;

void SetLimits(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // A client may ask every 10 s whether the connection lives, also while it has no call; who asks
  // far more often is sent away.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  // A client that has gone without a word is noticed, and its calls with it.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  // Two servers on one port would share out the connections in silence.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// gRPC writes a line of its own to stderr for each client that isn't let in. Anybody can cause
// them, so they are for those who look for a reason.
void LogGrpc(gpr_log_func_args* line) {
  spdlog::debug("gRPC {}:{}: {}", line->file, line->line, line->message);
}

}  // namespace

struct ApiServer::Impl {
  std::atomic<Api*> api = nullptr;
  CommandService commands{&api};
  QueryService queries{&api};
  AdminService admin{&api};
  int port = 0;
  absl::Mutex health_mutex;
  bool health_ended ABSL_GUARDED_BY(health_mutex) = false;
  std::optional<bool> serving ABSL_GUARDED_BY(health_mutex);
  std::unique_ptr<grpc::Server> server;  // last: uses the services
};

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const ApiServerOptions& options) {
  // Process-wide, and the latter two only for servers that are built afterwards.
  gpr_set_log_function(LogGrpc);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  auto impl = std::make_unique<Impl>();
  grpc::ServerBuilder builder;
  SetLimits(&builder);
  builder.AddListeningPort(options.listen, options.credentials, &impl->port);
  builder.RegisterService(&impl->commands);
  builder.RegisterService(&impl->queries);
  builder.RegisterService(&impl->admin);
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || impl->port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("can't serve gRPC on ", options.listen,
                     ": is the port in use, or the address not this machine's? choose another "
                     "with --grpc-listen"));
  }
  std::unique_ptr<ApiServer> server(new ApiServer(std::move(impl)));
  server->SetServing(false);
  server->impl_->server->GetHealthCheckService()->SetServingStatus(
      esd::v1::AdminService::service_full_name(), false);
  return server;
}

ApiServer::ApiServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ApiServer::~ApiServer() { Stop(absl::ZeroDuration()); }

int ApiServer::port() const { return impl_->port; }

void ApiServer::Serve(Api* api) {
  impl_->api = api;
  impl_->server->GetHealthCheckService()->SetServingStatus(
      esd::v1::AdminService::service_full_name(), true);
}

void ApiServer::SetServing(bool serving) {
  absl::MutexLock lock(&impl_->health_mutex);
  // Who watches the health is told of each call, also when it says nothing new.
  if (impl_->health_ended || impl_->serving == serving) return;
  impl_->serving = serving;
  grpc::HealthCheckServiceInterface* health = impl_->server->GetHealthCheckService();
  health->SetServingStatus("", serving);
  health->SetServingStatus(esd::v1::CommandService::service_full_name(), serving);
  health->SetServingStatus(esd::v1::QueryService::service_full_name(), serving);
}

void ApiServer::Stop(absl::Duration grace) {
  {
    absl::MutexLock lock(&impl_->health_mutex);
    if (std::exchange(impl_->health_ended, true)) return;
    impl_->server->GetHealthCheckService()->Shutdown();  // all NOT_SERVING, for good
  }
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  impl_->server->Wait();
  impl_->server.reset();  // waits for calls that are being answered
}

}  // namespace esd::api
