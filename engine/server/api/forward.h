// How a unary call finds who answers it, and is sent on to the peer that does.
#ifndef ESD_ENGINE_SERVER_API_FORWARD_H_
#define ESD_ENGINE_SERVER_API_FORWARD_H_

#include <google/rpc/status.pb.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/server/api/api.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/peers.h"

namespace esd::api {

// The domain that a call names. `api` is null while the engine isn't running. Returns what the
// caller is told when `*domain` isn't filled.
inline std::optional<google::rpc::Status> FindDomain(const Api* api, const std::string& name,
                                                     DomainApi** domain) {
  if (api == nullptr) return Starting();
  google::rpc::Status error;
  *domain = api->domains.Find(name, &error);
  return *domain == nullptr ? std::optional(std::move(error)) : std::nullopt;
}

// The same for a call about one aggregate, whose key it checks.
template <typename Request>
std::optional<google::rpc::Status> FindAggregate(const Api* api, const Request& request,
                                                 DomainApi** domain) {
  if (auto wrong = FindDomain(api, request.domain(), domain)) return wrong;
  return CheckKey(request.aggregate_key());
}

// `call(peer, client_context, done)` starts the call; `done` wants its grpc::Status.
//
//   return Forward(api, route, context, [=](Peer& peer, auto* forwarded, auto done) {
//     peer.queries->async()->ListEvents(forwarded, request, response, std::move(done));
//   });
template <typename Call>
grpc::ServerUnaryReactor* Forward(Api* api, const Route& route,
                                  grpc::CallbackServerContext* context, const Call& call) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  std::shared_ptr<Peer> peer = api->peers.At(route.address);
  std::shared_ptr<grpc::ClientContext> forwarded = ForwardingContext(*context);
  // The peer and the context are in use until the answer is there.
  call(*peer, forwarded.get(),
       [reactor, address = route.address, peer, forwarded](const grpc::Status& status) {
         reactor->Finish(status.ok() ? status : ToGrpc(FromPeer(status, address)));
       });
  return reactor;
}

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_FORWARD_H_
