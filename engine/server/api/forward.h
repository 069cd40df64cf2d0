// Sends a unary call on to the peer that can answer it.
#ifndef ESD_ENGINE_SERVER_API_FORWARD_H_
#define ESD_ENGINE_SERVER_API_FORWARD_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/server/api/api.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/peers.h"

namespace esd::api {

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
  call(*peer, forwarded.get(), [=](const grpc::Status& status) {
    reactor->Finish(status.ok() ? status : ToGrpc(FromPeer(status, route.address)));
    (void)peer;  // both are in use until here
    (void)forwarded;
  });
  return reactor;
}

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_FORWARD_H_
