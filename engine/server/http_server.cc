#include "engine/server/http_server.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <httplib.h>
#include <netdb.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

namespace esd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kThreads = 4;
constexpr int kBacklog = 64;
// A scrape or a probe is one short request; who takes longer, or sends more, is not one of those we
// serve.
constexpr auto kConnectionTimeout = std::chrono::seconds(5);
constexpr size_t kMaxRequestBytes = size_t{64} << 10;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Waits until `fd` has one of `events`. False when `stop` became readable or `deadline` passed
// first.
bool WaitFor(int fd, short events, int stop, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd fds[] = {{fd, events, 0}, {stop, POLLIN, 0}};
    const int ready = poll(fds, 2, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (fds[1].revents != 0 && ready > 0) return false;
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// One connection as httplib sees it. httplib's own would not notice that the server stops, nor
// bound the whole of a request in time and size.
class ConnectionStream final : public httplib::Stream {
 public:
  ConnectionStream(int fd, int stop)
      : fd_(fd), stop_(stop), deadline_(Clock::now() + kConnectionTimeout) {}

  bool is_readable() const override {
    return next_ < end_ || WaitFor(fd_, POLLIN, stop_, deadline_);
  }
  bool is_writable() const override { return WaitFor(fd_, POLLOUT, stop_, deadline_); }

  // httplib reads headers byte by byte, hence the buffer.
  ssize_t read(char* data, size_t size) override {
    if (next_ == end_) {
      const ssize_t received = Receive();
      if (received <= 0) return received;
    }
    const size_t count = std::min(size, end_ - next_);
    std::memcpy(data, buffer_ + next_, count);
    next_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* data, size_t size) override {
    if (!is_writable()) return -1;
    return send(fd_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    get_remote_ip_and_port(ip, port);
  }
  socket_t socket() const override { return fd_; }

 private:
  ssize_t Receive() {
    if (received_ >= kMaxRequestBytes || !is_readable()) return -1;
    const ssize_t count = recv(fd_, buffer_, sizeof(buffer_), MSG_DONTWAIT);
    if (count <= 0) return count;
    received_ += static_cast<size_t>(count);
    next_ = 0;
    end_ = static_cast<size_t>(count);
    return count;
  }

  const int fd_;
  const int stop_;
  const Clock::time_point deadline_;
  char buffer_[4096];
  size_t next_ = 0;
  size_t end_ = 0;
  size_t received_ = 0;
};

// Parses requests and calls handlers; the sockets are ours.
class RequestProcessor final : public httplib::Server {
 public:
  explicit RequestProcessor(HttpServer::Handlers handlers) : handlers_(std::move(handlers)) {
    set_payload_max_length(kMaxRequestBytes);
    Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(handlers_.metrics(), "text/plain; version=0.0.4");
    });
    Get("/livez", [this](const httplib::Request&, httplib::Response& response) {
      Show(handlers_.live(), response);
    });
    Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      Show(handlers_.ready(), response);
    });
    set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty()) return;
      response.set_content(response.status == 404
                               ? "not found: there are /metrics, /livez and /readyz\n"
                               : "bad request\n",
                           "text/plain");
    });
  }

  // One request per connection: those who ask do so every few seconds, and a connection kept open
  // would hold a thread.
  void Serve(ConnectionStream& stream) {
    bool closed = false;
    process_request(stream, /*close_connection=*/true, closed, nullptr);
  }

 private:
  static void Show(const HttpServer::Health& health, httplib::Response& response) {
    response.status = health.ok ? 200 : 503;
    response.set_content(health.text + "\n", "text/plain");
    response.set_header("Cache-Control", "no-store");
  }

  const HttpServer::Handlers handlers_;
};

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

absl::StatusOr<AddressList> Resolve(const HostPort& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("can't listen on ", ToString(address),
                                                   ": the host is unknown (", gai_strerror(error),
                                                   "): give a name or address of this machine"));
  }
  return AddressList(found);
}

absl::Status ListenError(const HostPort& address, int error) {
  const std::string what = absl::StrCat("can't listen on ", ToString(address), ": ");
  switch (error) {
    case EADDRINUSE:
      return absl::FailedPreconditionError(
          absl::StrCat(what,
                       "the port is in use: stop what listens there, or choose another port (0 "
                       "picks a free one)"));
    case EACCES:
      return absl::FailedPreconditionError(
          absl::StrCat(what, "this user may not use the port: choose one above 1023"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(absl::StrCat(
          what, "the address is not of this machine: give one that is, or 0.0.0.0 for all"));
    default:
      return absl::FailedPreconditionError(absl::StrCat(what, std::strerror(error)));
  }
}

// A listening socket on one of the addresses that the name stands for.
absl::StatusOr<FileDescriptor> Listen(const HostPort& address) {
  auto addresses = Resolve(address);
  if (!addresses.ok()) return addresses.status();
  int error = 0;
  for (const addrinfo* a = addresses->get(); a != nullptr; a = a->ai_next) {
    FileDescriptor fd(
        socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol));
    // A restart must not wait for the connections of its predecessor to be forgotten. Not
    // SO_REUSEPORT: two instances would share the port, and a probe would reach either.
    const int yes = 1;
    if (fd.valid() && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
        bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && listen(fd.get(), kBacklog) == 0) {
      return fd;
    }
    error = errno;
  }
  return ListenError(address, error);
}

uint16_t PortOf(const FileDescriptor& listener) {
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const auto invalid = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(text),
                     "' is no address: write host:port, as in 127.0.0.1:7071 or [::1]:7071"));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return invalid();
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) return invalid();
  } else if (host.find(':') != std::string_view::npos) {
    return invalid();  // an IPv6 address without brackets: where its port starts is anybody's guess
  }
  const bool digits =
      !port_text.empty() && port_text.find_first_not_of("0123456789") == std::string_view::npos;
  int port = 0;
  if (host.empty() || host.find_first_of("[] ") != std::string_view::npos || !digits ||
      !absl::SimpleAtoi(std::string(port_text), &port) || port > 65'535) {
    return invalid();
  }
  return HostPort{std::string(host), static_cast<uint16_t>(port)};
}

std::string ToString(const HostPort& address) {
  if (address.host.find(':') != std::string::npos)
    return absl::StrCat("[", address.host, "]:", address.port);
  return absl::StrCat(address.host, ":", address.port);
}

struct HttpServer::Impl {
  Impl(FileDescriptor listening, FileDescriptor stop_event, std::string bound_to, Handlers handlers)
      : listener(std::move(listening)),
        stop(std::move(stop_event)),
        address(std::move(bound_to)),
        processor(std::move(handlers)) {
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([this] { Run(); });
  }

  ~Impl() {
    const uint64_t one = 1;
    // Can't fail: the counter of an eventfd is full only after 2^64 - 2.
    if (write(stop.get(), &one, sizeof(one)) != sizeof(one)) std::abort();
    for (auto& thread : threads) thread.join();
  }

  void Run() {
    for (;;) {
      pollfd fds[] = {{listener.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
      poll(fds, 2, -1);
      if (fds[1].revents != 0) return;
      // Another thread may have been quicker; then there is nothing to accept, and we wait again.
      const FileDescriptor connection(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection.valid()) {
        ConnectionStream stream(connection.get(), stop.get());
        processor.Serve(stream);
        shutdown(connection.get(), SHUT_WR);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        spdlog::warn("can't accept an HTTP connection: {}", std::strerror(errno));
        // The connection stays in the queue, so the next poll() returns at once.
        WaitFor(stop.get(), POLLIN, stop.get(), Clock::now() + std::chrono::milliseconds(100));
      }
    }
  }

  const FileDescriptor listener;
  const FileDescriptor stop;  // readable as soon as the server is to stop
  const std::string address;
  RequestProcessor processor;
  std::vector<std::thread> threads;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(std::string_view listen,
                                                              Handlers handlers) {
  auto address = ParseHostPort(listen);
  if (!address.ok()) return address.status();
  auto listener = Listen(*address);
  if (!listener.ok()) return listener.status();
  address->port = PortOf(*listener);
  FileDescriptor stop(eventfd(0, EFD_CLOEXEC));
  if (!stop.valid())
    return absl::ResourceExhaustedError(
        absl::StrCat("can't make an eventfd: ", std::strerror(errno)));
  return std::unique_ptr<HttpServer>(new HttpServer(std::make_unique<Impl>(
      *std::move(listener), std::move(stop), ToString(*address), std::move(handlers))));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

const std::string& HttpServer::address() const { return impl_->address; }

}  // namespace esd
