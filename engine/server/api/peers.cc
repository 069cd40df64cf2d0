#include "engine/server/api/peers.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <limits>

#include "engine/base/string_view.h"
#include "engine/server/api/errors.h"

namespace esd::api {
namespace {

// Instances come and go with new addresses: those that went are forgotten with all others.
constexpr size_t kMaxPeers = 256;
constexpr absl::Duration kUnreachableRetry = absl::Milliseconds(500);

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  // What the caller may send and get, it may through another instance, too.
  arguments.SetMaxReceiveMessageSize(std::numeric_limits<int>::max());
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // In truth the time that one attempt may take, handshakes included: a busy peer needs some.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // A peer whose machine is gone is noticed within seconds.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3'000);
  // A connection of its own, whatever other channels there are in this process.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

}  // namespace

std::shared_ptr<Peer> Peers::At(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  const auto it = peers_.find(address);
  if (it != peers_.end()) return it->second;
  if (peers_.size() >= kMaxPeers) peers_.clear();
  auto peer = std::make_shared<Peer>();
  peer->channel = grpc::CreateCustomChannel(address, credentials_, Arguments());
  peer->commands = esd::v1::CommandService::NewStub(peer->channel);
  peer->queries = esd::v1::QueryService::NewStub(peer->channel);
  peer->admin = esd::v1::AdminService::NewStub(peer->channel);
  peers_[address] = peer;
  return peer;
}

bool IsForwarded(const grpc::CallbackServerContext& context) {
  return context.client_metadata().contains(kForwardedMetadata);
}

std::string MetadataOf(const grpc::CallbackServerContext& context, const char* name) {
  const auto it = context.client_metadata().find(name);
  return it == context.client_metadata().end() ? ""
                                               : std::string(it->second.data(), it->second.size());
}

std::unique_ptr<grpc::ClientContext> ForwardingContext(const grpc::CallbackServerContext& context) {
  auto forwarded = grpc::ClientContext::FromCallbackServerContext(context);
  forwarded->AddMetadata(kForwardedMetadata, "1");
  const std::string traceparent = MetadataOf(context, kTraceparentMetadata);
  if (!traceparent.empty()) forwarded->AddMetadata(kTraceparentMetadata, traceparent);
  return forwarded;
}

google::rpc::Status FromPeer(const grpc::Status& status, std::string_view address) {
  google::rpc::Status error = FromGrpc(status);
  if (error.details_size() > 0 || status.error_code() == grpc::StatusCode::CANCELLED ||
      status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return error;
  }
  return MakeError(
      absl::StatusCode::kUnavailable, "OWNER_UNREACHABLE",
      absl::StrCat("the instance at ", ToAbsl(address),
                   ", which owns the partition, can't be reached (", status.error_message(),
                   "): try again, and check --advertised-address if it stays so"),
      {.metadata = {{"address", std::string(address)}}, .retry_after = kUnreachableRetry});
}

}  // namespace esd::api
