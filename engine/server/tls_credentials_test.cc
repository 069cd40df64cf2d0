#include "engine/server/tls_credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "engine/server/test_certificates.h"

namespace esd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::chrono::seconds kDeadline{20};

// One call of grpc.health.v1.Health/Check.
grpc::Status CallOn(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  grpc::CompletionQueue queue;
  const grpc::Slice empty;
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

// On a connection of its own.
std::shared_ptr<grpc::Channel> Connect(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

// What a client trusts and, if it has one, shows.
std::shared_ptr<grpc::ChannelCredentials> ClientOf(
    const TestCa& ca, const std::optional<TestCertificate>& own = std::nullopt) {
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = ca.pem();
  if (own) {
    ssl.pem_cert_chain = own->cert;
    ssl.pem_private_key = own->key;
  }
  return grpc::SslCredentials(ssl);
}

bool IsRefused(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE;
}

// Keeps what is logged.
class LogKeeper final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    text_.append(message.payload.data(), message.payload.size()).append("\n");
  }
  void flush_() override {}

  std::string text_;
};

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

// A server with the health service on a port of its own, from files in a folder of its own.
class TlsCredentialsTest : public testing::Test {
 protected:
  TlsCredentialsTest() {
    folder_ = testing::TempDir() + "/esd_tls_test_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    old_logger_ = spdlog::default_logger();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("", log_));
  }

  ~TlsCredentialsTest() override {
    Stop();
    spdlog::set_default_logger(old_logger_);
    std::filesystem::remove_all(folder_);
  }

  // Replaces a file in one step, as a careful operator does.
  std::string File(const std::string& name, const std::string& contents) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path + ".new") << contents;
    std::filesystem::rename(path + ".new", path);
    return path;
  }

  void Write(const TestCertificate& own) {
    options_.cert_file = File("cert", own.cert);
    options_.key_file = File("key", own.key);
  }

  void Serve() {
    auto loaded = TlsCredentials::Load(options_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    tls_ = *std::move(loaded);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", tls_->server(), &port);
    no_methods_ = std::make_unique<grpc::CallbackGenericService>();
    builder.RegisterCallbackGenericService(no_methods_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    address_ = "127.0.0.1:" + std::to_string(port);
  }

  void ServeMutually() {
    Write(ca_.Issue());
    options_.client_ca_file = File("clients", ca_.pem());
    Serve();
  }

  void Stop() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
    tls_.reset();
  }

  // A call on a connection of its own.
  grpc::Status Call(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    return CallOn(Connect(address_, credentials));
  }

  // For longer than it takes until new files are taken over.
  bool IsServedAllTheTime(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
    while (std::chrono::steady_clock::now() < end) {
      if (!Call(credentials).ok()) return false;
    }
    return true;
  }

  bool EventuallyLogs(const std::string& text) {
    return Eventually([&] { return log_->text().find(text) != std::string::npos; });
  }

  const TestCa ca_{"ca"};
  const TestCa foreign_ca_{"foreign"};
  TlsOptions options_;
  std::unique_ptr<TlsCredentials> tls_;
  std::string address_;
  std::shared_ptr<LogKeeper> log_ = std::make_shared<LogKeeper>();

 private:
  std::string folder_;
  std::shared_ptr<spdlog::logger> old_logger_;
  // gRPC wants a service besides the health check.
  std::unique_ptr<grpc::CallbackGenericService> no_methods_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(TlsCredentialsTest, WithoutFilesThereIsNoTls) {
  Serve();
  EXPECT_TRUE(Call(grpc::InsecureChannelCredentials()).ok());
  EXPECT_TRUE(Call(tls_->peer()).ok());
}

TEST_F(TlsCredentialsTest, AClientThatTrustsTheCaIsServedAndAPlainOneRefused) {
  Write(ca_.Issue());
  Serve();
  const grpc::Status served = Call(ClientOf(ca_));
  EXPECT_TRUE(served.ok()) << served.error_message();
  EXPECT_TRUE(IsRefused(Call(grpc::InsecureChannelCredentials())));
}

TEST_F(TlsCredentialsTest, AClientThatTrustsAnotherCaIsNotFooled) {
  Write(foreign_ca_.Issue());
  Serve();
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_))));
}

TEST_F(TlsCredentialsTest, ClientsNeedACertificateOfTheirCa) {
  ServeMutually();
  const grpc::Status served = Call(ClientOf(ca_, ca_.Issue()));
  EXPECT_TRUE(served.ok()) << served.error_message();
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_)))) << "without a certificate";
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_, foreign_ca_.Issue())))) << "of a foreign CA";
  TestCertificateOptions expired;
  expired.not_after = absl::Now() - absl::Minutes(1);
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_, ca_.Issue(expired))))) << "expired";
  TestCertificateOptions early;
  early.not_before = absl::Now() + absl::Minutes(10);
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_, ca_.Issue(early))))) << "not valid yet";
  EXPECT_TRUE(IsRefused(Call(grpc::InsecureChannelCredentials()))) << "plain";
}

TEST_F(TlsCredentialsTest, InstancesWithTheSameFilesReachEachOther) {
  ServeMutually();
  const grpc::Status status = Call(tls_->peer());
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(TlsCredentialsTest, APeerThatIsSomebodyElseIsNotTrusted) {
  Write(ca_.Issue());
  options_.peer_ca_file = File("peers", ca_.pem());
  Serve();
  EXPECT_TRUE(Call(tls_->peer()).ok());
  Stop();
  options_.peer_ca_file = File("peers", foreign_ca_.pem());
  Serve();
  EXPECT_TRUE(IsRefused(Call(tls_->peer()))) << "a certificate of another CA";
  Stop();
  TestCertificateOptions elsewhere;
  elsewhere.alt_names = "DNS:elsewhere.example.com,IP:127.0.0.2";
  Write(ca_.Issue(elsewhere));
  options_.peer_ca_file = File("peers", ca_.pem());
  Serve();
  EXPECT_TRUE(IsRefused(Call(tls_->peer()))) << "a certificate for another host";
}

TEST_F(TlsCredentialsTest, WithoutACaOfTheirOwnPeersMustHaveOneThatTheSystemTrusts) {
  Write(ca_.Issue());
  Serve();
  EXPECT_TRUE(IsRefused(Call(tls_->peer())));
}

TEST_F(TlsCredentialsTest, ReplacedFilesCountForNewConnectionsAndOpenOnesStay) {
  Write(ca_.Issue());
  Serve();
  const auto open = Connect(address_, ClientOf(ca_));
  ASSERT_TRUE(CallOn(open).ok());
  ASSERT_TRUE(IsRefused(Call(ClientOf(foreign_ca_))));
  Write(foreign_ca_.Issue());
  EXPECT_TRUE(Eventually([&] { return Call(ClientOf(foreign_ca_)).ok(); }));
  EXPECT_TRUE(CallOn(open).ok());
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_))));
  EXPECT_THAT(log_->text(), HasSubstr("the TLS files have changed; new connections use them"));
}

TEST_F(TlsCredentialsTest, AReplacedClientCaShutsOutThoseOfTheOldOne) {
  ServeMutually();
  ASSERT_TRUE(Call(ClientOf(ca_, ca_.Issue())).ok());
  File("clients", foreign_ca_.pem());
  EXPECT_TRUE(Eventually([&] { return Call(ClientOf(ca_, foreign_ca_.Issue())).ok(); }));
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_, ca_.Issue()))));
}

TEST_F(TlsCredentialsTest, OurCallsToOthersShowTheReplacedCertificate) {
  ServeMutually();
  TlsOptions caller = options_;
  const TestCertificate foreign = foreign_ca_.Issue();
  caller.cert_file = File("caller-cert", foreign.cert);
  caller.key_file = File("caller-key", foreign.key);
  const auto tls = TlsCredentials::Load(caller);
  ASSERT_TRUE(tls.ok()) << tls.status();
  const auto credentials = (*tls)->peer();
  ASSERT_TRUE(IsRefused(Call(credentials)));
  const TestCertificate known = ca_.Issue();
  File("caller-cert", known.cert);
  File("caller-key", known.key);
  EXPECT_TRUE(Eventually([&] { return Call(credentials).ok(); }));
}

TEST_F(TlsCredentialsTest, FilesThatDoNotFitLeaveTheOldOnesInUse) {
  ServeMutually();
  const auto client = ClientOf(ca_, ca_.Issue());
  File("key", ca_.Issue().key);
  EXPECT_TRUE(EventuallyLogs("is not the key of the first certificate"));
  EXPECT_TRUE(IsServedAllTheTime(client));
  EXPECT_TRUE(Call(tls_->peer()).ok());
  File("cert", "half a certi");
  EXPECT_TRUE(EventuallyLogs("has no certificate"));
  EXPECT_TRUE(IsServedAllTheTime(client));
}

TEST_F(TlsCredentialsTest, FilesThatAreGoneLeaveTheOldOnesInUseUntilTheyAreBack) {
  ServeMutually();
  std::filesystem::remove(options_.client_ca_file);
  EXPECT_TRUE(EventuallyLogs("can't be read: No such file"));
  EXPECT_TRUE(IsServedAllTheTime(ClientOf(ca_, ca_.Issue())));
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_)))) << "nobody is let in meanwhile";
  File("clients", foreign_ca_.pem());
  EXPECT_TRUE(Eventually([&] { return Call(ClientOf(ca_, foreign_ca_.Issue())).ok(); }));
}

TEST_F(TlsCredentialsTest, WhatCanNotBeUsedIsSaidOnce) {
  Write(ca_.Issue());
  Serve();
  File("key", ca_.Issue().key);
  ASSERT_TRUE(EventuallyLogs("can't be used"));
  const std::string first = log_->text();
  EXPECT_TRUE(IsServedAllTheTime(ClientOf(ca_)));
  EXPECT_EQ(log_->text(), first);
}

TEST_F(TlsCredentialsTest, FilesThatAreWrongAtTheStartAreAnError) {
  options_ = {"/no/cert", "/no/key", "", ""};
  const absl::Status missing = TlsCredentials::Load(options_).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("--tls-cert: /no/cert can't be read"));
  Write(ca_.Issue());
  File("key", ca_.Issue().key);
  EXPECT_EQ(TlsCredentials::Load(options_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TlsCredentialsTest, ACertificateThatDoesNotNameTheExpectedHostIsWarnedAbout) {
  Write(ca_.Issue());
  Serve();
  tls_->ExpectName("127.0.0.1");
  EXPECT_THAT(log_->text(), Not(HasSubstr("does not name")));
  TestCertificateOptions elsewhere;
  elsewhere.alt_names = "DNS:elsewhere.example.com";
  Write(ca_.Issue(elsewhere));
  EXPECT_TRUE(EventuallyLogs("does not name 127.0.0.1"));
}

TEST_F(TlsCredentialsTest, AnExpiredCertificateIsServedWithAWarning) {
  TestCertificateOptions expired;
  expired.not_after = absl::Now() - absl::Minutes(1);
  Write(ca_.Issue(expired));
  Serve();
  EXPECT_THAT(log_->text(), AllOf(HasSubstr("--tls-cert"), HasSubstr("expired at")));
  EXPECT_TRUE(IsRefused(Call(ClientOf(ca_))));
  Write(ca_.Issue());
  EXPECT_TRUE(Eventually([&] { return Call(ClientOf(ca_)).ok(); }));
}

}  // namespace
}  // namespace esd
