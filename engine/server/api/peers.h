// Other instances, to which calls are forwarded.
#ifndef ESD_ENGINE_SERVER_API_PEERS_H_
#define ESD_ENGINE_SERVER_API_PEERS_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_context.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "esd/v1/admin_service.grpc.pb.h"
#include "esd/v1/command_service.grpc.pb.h"
#include "esd/v1/query_service.grpc.pb.h"

namespace esd::api {

// Metadata of a forwarded call: it is answered here or not at all, so that no call goes in circles.
inline constexpr char kForwardedMetadata[] = "esd-forwarded";
inline constexpr char kTraceparentMetadata[] = "traceparent";

struct Peer {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<esd::v1::CommandService::Stub> commands;
  std::unique_ptr<esd::v1::QueryService::Stub> queries;
  std::unique_ptr<esd::v1::AdminService::Stub> admin;
};

// Any thread.
class Peers {
 public:
  explicit Peers(std::shared_ptr<grpc::ChannelCredentials> credentials)
      : credentials_(std::move(credentials)) {}

  // The instance at `host:port`. Its connection is made when it is used first, and kept.
  std::shared_ptr<Peer> At(const std::string& address) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);
};

bool IsForwarded(const grpc::CallbackServerContext& context);

// The value of a caller's metadata; empty when there is none.
std::string MetadataOf(const grpc::CallbackServerContext& context, const char* name);

// The context of a forwarded call: with the caller's deadline, cancelled with it.
std::unique_ptr<grpc::ClientContext> ForwardingContext(const grpc::CallbackServerContext& context);

// What the caller is told when a peer's answer to a query is an error. Those that gRPC made itself
// become UNAVAILABLE OWNER_UNREACHABLE.
google::rpc::Status FromPeer(const grpc::Status& status, std::string_view address);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_PEERS_H_
