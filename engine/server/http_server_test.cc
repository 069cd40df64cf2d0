#include "engine/server/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace esd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A server whose readiness the test sets.
class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = HttpServer::Start("127.0.0.1:0", Handlers());
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }

  HttpServer::Handlers Handlers() {
    return {.metrics = [] { return std::string("esd_build_info 1\n"); },
            .live =
                [] {
                  return HttpServer::Health{true, "alive"};
                },
            .ready =
                [this] {
                  return ready_ ? HttpServer::Health{true, "ready"}
                                : HttpServer::Health{false, "restoring security/3"};
                }};
  }

  uint16_t Port() const { return ParseHostPort(server_->address())->port; }

  // Connects; the caller closes.
  int Connect() const {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(Port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  // Sends the bytes and reads until the server closes.
  std::string Exchange(const std::string& request) const {
    const int fd = Connect();
    EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    shutdown(fd, SHUT_WR);
    std::string response;
    char buffer[1024];
    for (ssize_t n = 0; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;)
      response.append(buffer, static_cast<size_t>(n));
    close(fd);
    return response;
  }

  httplib::Result Get(const std::string& path) const {
    return httplib::Client("127.0.0.1", Port()).Get(path);
  }

  std::atomic<bool> ready_ = true;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, MetricsAreServedInPrometheusTextFormat) {
  const auto response = Get("/metrics");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->get_header_value("Content-Type"), "text/plain; version=0.0.4");
  EXPECT_EQ(response->body, "esd_build_info 1\n");
}

TEST_F(HttpServerTest, AnInstanceThatIsNotReadyAnswers503AndSaysWhy) {
  ready_ = false;
  const auto response = Get("/readyz");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 503);
  EXPECT_EQ(response->body, "restoring security/3\n");
  ready_ = true;
  EXPECT_EQ(Get("/readyz")->status, 200);
  EXPECT_EQ(Get("/livez")->body, "alive\n");
}

TEST_F(HttpServerTest, OtherPathsAndOtherMethodsAreNotFound) {
  const auto response = Get("/");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_THAT(response->body, HasSubstr("/metrics"));
  EXPECT_EQ(httplib::Client("127.0.0.1", Port()).Post("/metrics", "x", "text/plain")->status, 404);
}

TEST_F(HttpServerTest, AnswersAPlainRequestOverARawSocketAndCloses) {
  const std::string response = Exchange("GET /livez HTTP/1.0\r\n\r\n");
  EXPECT_THAT(response, StartsWith("HTTP/1."));
  EXPECT_THAT(response, HasSubstr(" 200 "));
  EXPECT_THAT(response, HasSubstr("alive"));
}

TEST_F(HttpServerTest, GarbageAndTooMuchAreRefusedAndTheNextRequestIsServed) {
  Exchange(std::string(1'000, 'x') + "\r\n\r\n");
  std::string huge = "GET /livez HTTP/1.1\r\n";
  for (int i = 0; i < 100; ++i) huge += "X-Header: " + std::string(1'000, 'x') + "\r\n";
  EXPECT_THAT(Exchange(huge + "\r\n"), testing::Not(HasSubstr("alive")));
  EXPECT_THAT(Exchange("POST /livez HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nabc"),
              testing::Not(HasSubstr(" 200 ")));
  EXPECT_EQ(Get("/livez")->status, 200);
}

TEST_F(HttpServerTest, StopsAtOnceWhileConnectionsAreIdleOrHalfWayThroughARequest) {
  const int idle = Connect();
  const int half = Connect();
  ASSERT_EQ(send(half, "GET /li", 7, MSG_NOSIGNAL), 7);
  // The answer shows that the server took the two connections before: it accepts in order.
  ASSERT_EQ(Get("/livez")->status, 200);
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
  close(idle);
  close(half);
}

TEST_F(HttpServerTest, ServesManyAtOnce) {
  std::vector<std::thread> clients;
  std::atomic<int> served = 0;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      for (int n = 0; n < 10; ++n) {
        const auto response = Get("/metrics");
        if (response && response->status == 200) ++served;
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(served, 160);
}

TEST_F(HttpServerTest, APortInUseIsReportedAtOnceWithTheFix) {
  const auto second = HttpServer::Start(server_->address(), Handlers());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(second.status().message(),
            "can't listen on " + server_->address() +
                ": the port is in use: stop what listens there, or choose another port (0 "
                "picks a free one)");
}

TEST_F(HttpServerTest, APortIsFreeAgainAsSoonAsItsServerIsGone) {
  const std::string address = server_->address();
  ASSERT_EQ(Get("/livez")->status, 200);
  server_.reset();
  EXPECT_TRUE(HttpServer::Start(address, Handlers()).ok());
}

TEST_F(HttpServerTest, AHostThatIsNotOursIsReported) {
  EXPECT_EQ(HttpServer::Start("192.0.2.1:0", Handlers()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(HttpServer::Start("no.such.host.invalid:0", Handlers()).status().message()),
      HasSubstr("the host is unknown"));
}

TEST(ParseHostPortTest, ReadsNamesAddressesAndIpv6InBrackets) {
  const auto parsed = ParseHostPort("[::1]:7071");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->host, "::1");
  EXPECT_EQ(parsed->port, 7071);
  EXPECT_EQ(ToString(*parsed), "[::1]:7071");
  EXPECT_EQ(ToString(*ParseHostPort("localhost:0")), "localhost:0");
  EXPECT_EQ(ToString(*ParseHostPort("0.0.0.0:65535")), "0.0.0.0:65535");
}

TEST(ParseHostPortTest, RefusesAnythingElse) {
  for (const char* text :
       {"", ":", "host", "host:", ":80", "host:x", "host:-1", "host:+1", "host:65536", "::1:80",
        "[::1]", "[]:80", "[host]:80", "ho st:80", "host: 80", "[::1:80"}) {
    EXPECT_EQ(ParseHostPort(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace esd
