// HTTP for machines that watch an instance: /metrics, /livez, /readyz. Everything else is gRPC's
// business.
//
//   auto server = HttpServer::Start("127.0.0.1:7071", {.metrics = …, .live = …, .ready = …});
//   spdlog::info("HTTP on {}", (*server)->address());
#ifndef ESD_ENGINE_SERVER_HTTP_SERVER_H_
#define ESD_ENGINE_SERVER_HTTP_SERVER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace esd {

struct HostPort {
  std::string host;  // a name or an address; of IPv6 without its brackets
  uint16_t port = 0;
};

// Reads `host:port`; an IPv6 address stands in brackets: `[::1]:7071`. INVALID_ARGUMENT for
// anything else.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

// `host:port`, with brackets around an IPv6 address.
std::string ToString(const HostPort& address);

// Serves until it is destroyed. Requests are handled on a few threads of its own.
class HttpServer {
 public:
  struct Health {
    bool ok = false;
    std::string text;  // shown to whoever asks: when not ok, why
  };

  // Called on the server's threads, several at once, until the destructor returns; they must return
  // soon and not throw.
  struct Handlers {
    std::function<std::string()> metrics;  // GET /metrics: Prometheus' text format 0.0.4
    std::function<Health()> live;          // GET /livez: 200 when ok, else 503
    std::function<Health()> ready;         // GET /readyz: likewise
  };

  // Listens on `host:port`; port 0 picks a free one. When it returns, connections are accepted.
  // INVALID_ARGUMENT for an address that can't be parsed or is not of this machine,
  // FAILED_PRECONDITION for a port in use or not allowed.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(std::string_view listen,
                                                           Handlers handlers);

  // Ends at once whatever connections are open, also those that are idle, and returns when no
  // handler runs.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // `host:port` with the port that was picked.
  const std::string& address() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_HTTP_SERVER_H_
