#include "bench/null_server.h"

#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <fstream>
#include <memory>

#include "bench/waiting.h"
#include "esd/v1/query_service.grpc.pb.h"

namespace esd::bench {
namespace {

constexpr absl::Duration kStopGrace = absl::Seconds(1);
constexpr absl::Duration kPause = absl::Milliseconds(50);  // between looks whether to end

class NullQueries final : public esd::v1::QueryService::CallbackService {
 public:
  explicit NullQueries(const esd::v1::GetSnapshotResponse& response) : response_(response) {}

 private:
  grpc::ServerUnaryReactor* GetSnapshot(grpc::CallbackServerContext* context,
                                        const esd::v1::GetSnapshotRequest*,
                                        esd::v1::GetSnapshotResponse* response) override {
    *response = response_;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  const esd::v1::GetSnapshotResponse response_;
};

// As in engine/server/api/api_server.cc.
void SetLimits(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(16 << 20);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 << 10);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

absl::Status RunNullServer(const std::string& grpc_listen, const std::string& response_path) {
  std::ifstream file(response_path, std::ios::binary);
  esd::v1::GetSnapshotResponse response;
  if (!file || !response.ParseFromIstream(&file))
    return absl::InvalidArgumentError("no response in " + response_path);
  NullQueries queries(response);
  grpc::ServerBuilder builder;
  SetLimits(&builder);
  int port = 0;
  builder.AddListeningPort(grpc_listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&queries);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0)
    return absl::UnavailableError("can't listen on " + grpc_listen);
  while (!Interrupted()) absl::SleepFor(kPause);
  server->Shutdown(absl::ToChronoTime(absl::Now() + kStopGrace));
  server->Wait();
  return absl::OkStatus();
}

}  // namespace esd::bench
