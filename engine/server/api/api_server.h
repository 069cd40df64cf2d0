// The gRPC server: the port, its limits and credentials, reflection, health, and the services.
//
//   auto server = ApiServer::Start({.listen = "127.0.0.1:7070", .credentials = …});
//   … open the log with (*server)->port() in the address …
//   (*server)->Serve(&api);              // until now calls are told to try again
//   (*server)->SetServing(true);         // health
//   (*server)->Drain(); … (*server)->Stop();
#ifndef ESD_ENGINE_SERVER_API_API_SERVER_H_
#define ESD_ENGINE_SERVER_API_API_SERVER_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

namespace esd::api {

class Api;

struct ApiServerOptions {
  std::string listen;  // `host:port`; port 0 picks a free one
  std::shared_ptr<grpc::ServerCredentials> credentials;
};

class ApiServer {
 public:
  // FAILED_PRECONDITION when the address can't be listened on.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const ApiServerOptions& options);
  ~ApiServer();

  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  int port() const;

  // Answers calls with `api`, which must live until Stop() has returned.
  void Serve(Api* api);

  // What grpc.health.v1 says of CommandService, QueryService and the server as a whole ("");
  // AdminService is SERVING as soon as Serve() was called. Any thread; nothing once Stop() was
  // called.
  void SetServing(bool serving);

  // Ends every call: those that are open after `grace` are cancelled. Returns when none is left.
  void Stop(absl::Duration grace);

 private:
  struct Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_API_SERVER_H_
