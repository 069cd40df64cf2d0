#include "engine/server/tls_credentials.h"

#include <absl/base/thread_annotations.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "engine/server/tls_files.h"

namespace esd {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

// Between two looks at the files. What has changed counts when it is the same at the next look: a
// key and a certificate are seldom written in one step.
constexpr absl::Duration kLookInterval = absl::Milliseconds(500);
// Between two looks of gRPC at what was taken over; whole seconds are its smallest unit.
constexpr unsigned kGrpcLookSeconds = 1;

// A file that gRPC can watch and nobody else can read: in memory, and replaced in one step.
class MemoryFile {
 public:
  MemoryFile() = default;
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }

  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // Whoever opens path() from now on reads `contents`; who has it open still reads the old ones.
  absl::Status Replace(const std::string& contents) {
    const int fd = memfd_create("esd-tls", MFD_CLOEXEC);
    if (fd < 0) return Failed("make a file in memory");
    if (absl::Status status = Write(fd, contents); !status.ok()) {
      close(fd);
      return status;
    }
    if (fd_ < 0) {
      fd_ = fd;
      return CheckReadable();
    }
    const bool replaced = dup3(fd, fd_, O_CLOEXEC) >= 0;
    absl::Status status = replaced ? absl::OkStatus() : Failed("replace a file in memory");
    close(fd);
    return status;
  }

  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

 private:
  static absl::Status Failed(const std::string& what) {
    return absl::ResourceExhaustedError(
        absl::StrCat("TLS: can't ", what, ": ", strerror(errno),
                     "; raise the limits of open files and memory (ulimit -n)"));
  }

  static absl::Status Write(int fd, const std::string& contents) {
    size_t written = 0;
    while (written < contents.size()) {
      const ssize_t n = write(fd, contents.data() + written, contents.size() - written);
      if (n < 0) return Failed("write a file in memory");
      written += static_cast<size_t>(n);
    }
    return absl::OkStatus();
  }

  absl::Status CheckReadable() const {
    if (access(path().c_str(), R_OK) == 0) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("TLS: can't read ", path(), ": ", strerror(errno), "; /proc must be mounted"));
  }

  int fd_ = -1;
};

}  // namespace

// gRPC's own watcher would take over whatever is in the files, and serves nobody while that is
// broken: it drops the old certificate before it tries the new one. So it watches copies, which
// only ever are what has passed our checks.
struct TlsCredentials::Impl {
  explicit Impl(TlsOptions given) : options(std::move(given)) {}
  ~Impl();

  absl::Status Start();
  absl::Status Use(const TlsMaterial& material);
  void Connect(const TlsMaterial& material);
  void Look();
  absl::Status TakeOver(const TlsFiles& files);
  void WarnOfTime();
  void WarnOfName();
  void Run();

  const TlsOptions options;

  // Of the constructing thread until `thread` runs, then of that one.
  MemoryFile key_and_chain;
  MemoryFile client_ca;
  MemoryFile peer_ca;
  TlsFiles in_use;
  TlsFiles seen;       // at the last look
  std::string failed;  // why the files could not be used, at the last look
  std::string said;    // the last of these that was logged
  std::string warned;  // the last ValidityWarning()

  // After the files that they watch.
  std::shared_ptr<grpc::ServerCredentials> server = grpc::InsecureServerCredentials();
  std::shared_ptr<grpc::ChannelCredentials> peer = grpc::InsecureChannelCredentials();

  absl::Mutex mutex;
  TlsMaterial used ABSL_GUARDED_BY(mutex);
  std::string expected_name ABSL_GUARDED_BY(mutex);
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::thread thread;
};

TlsCredentials::Impl::~Impl() {
  {
    absl::MutexLock lock(&mutex);
    stopping = true;
  }
  if (thread.joinable()) thread.join();
}

absl::Status TlsCredentials::Impl::Start() {
  if (!options.enabled()) return absl::OkStatus();
  auto files = ReadTlsFiles(options);
  if (!files.ok()) return files.status();
  auto material = CheckTlsFiles(options, *files);
  if (!material.ok()) return material.status();
  if (absl::Status status = Use(*material); !status.ok()) return status;
  in_use = seen = *std::move(files);
  Connect(*material);
  thread = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status TlsCredentials::Impl::Use(const TlsMaterial& material) {
  // First what decides whom to trust: should a later one fail, nobody is let in who was shut out.
  for (const auto& [file, contents] :
       {std::pair(&client_ca, &material.client_ca), std::pair(&peer_ca, &material.peer_ca),
        std::pair(&key_and_chain, &material.key_and_chain)}) {
    if (absl::Status status = file->Replace(*contents); !status.ok()) return status;
  }
  for (const std::string& warning : material.warnings) spdlog::warn("{}", warning);
  {
    absl::MutexLock lock(&mutex);
    used = material;
  }
  WarnOfTime();
  WarnOfName();
  return absl::OkStatus();
}

void TlsCredentials::Impl::Connect(const TlsMaterial& material) {
  const std::string identity = key_and_chain.path();
  const bool ask_clients = !material.client_ca.empty();
  grpc::experimental::TlsServerCredentialsOptions server_options(
      std::make_shared<FileWatcherCertificateProvider>(
          identity, identity, ask_clients ? client_ca.path() : "", kGrpcLookSeconds));
  server_options.watch_identity_key_cert_pairs();
  if (ask_clients) {
    server_options.watch_root_certs();
    server_options.set_cert_request_type(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  server = grpc::experimental::TlsServerCredentials(server_options);

  const bool own_roots = !material.peer_ca.empty();
  grpc::experimental::TlsChannelCredentialsOptions peer_options;
  peer_options.set_certificate_provider(std::make_shared<FileWatcherCertificateProvider>(
      identity, identity, own_roots ? peer_ca.path() : "", kGrpcLookSeconds));
  peer_options.watch_identity_key_cert_pairs();
  if (own_roots) peer_options.watch_root_certs();
  peer = grpc::experimental::TlsCredentials(peer_options);
}

void TlsCredentials::Impl::Look() {
  const auto files = ReadTlsFiles(options);
  const absl::Status status = files.ok() ? TakeOver(*files) : files.status();
  const std::string why(status.message());
  // At the second look, because files that are replaced are gone for a moment; and only once.
  if (!status.ok() && why == failed && why != said) {
    spdlog::error("the TLS files can't be used, so the last good ones stay in use: {}", why);
    said = why;
  }
  if (status.ok()) said.clear();
  failed = why;
  WarnOfTime();
}

absl::Status TlsCredentials::Impl::TakeOver(const TlsFiles& files) {
  const bool settled = files == seen;
  seen = files;
  if (!settled || files == in_use) return absl::OkStatus();
  const auto material = CheckTlsFiles(options, files);
  if (!material.ok()) return material.status();
  if (absl::Status status = Use(*material); !status.ok()) return status;
  in_use = files;
  spdlog::info("the TLS files have changed; new connections use them");
  return absl::OkStatus();
}

// At every look, since a certificate expires without being touched; said when it is news.
void TlsCredentials::Impl::WarnOfTime() {
  std::string warning;
  {
    absl::MutexLock lock(&mutex);
    warning = ValidityWarning(options, used, absl::Now());
  }
  if (warning != warned && !warning.empty()) spdlog::warn("{}", warning);
  warned = std::move(warning);
}

void TlsCredentials::Impl::WarnOfName() {
  std::string warning;
  {
    absl::MutexLock lock(&mutex);
    if (!expected_name.empty()) warning = NameWarning(options, used, expected_name);
  }
  if (!warning.empty()) spdlog::warn("{}", warning);
}

void TlsCredentials::Impl::Run() {
  absl::MutexLock lock(&mutex);
  while (!mutex.AwaitWithTimeout(absl::Condition(&stopping), kLookInterval)) {
    mutex.Unlock();
    Look();
    mutex.Lock();
  }
}

TlsCredentials::TlsCredentials(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TlsCredentials::~TlsCredentials() = default;

absl::StatusOr<std::unique_ptr<TlsCredentials>> TlsCredentials::Load(const TlsOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  if (absl::Status status = impl->Start(); !status.ok()) return status;
  return std::unique_ptr<TlsCredentials>(new TlsCredentials(std::move(impl)));
}

std::shared_ptr<grpc::ServerCredentials> TlsCredentials::server() const { return impl_->server; }

std::shared_ptr<grpc::ChannelCredentials> TlsCredentials::peer() const { return impl_->peer; }

void TlsCredentials::ExpectName(const std::string& host) {
  if (!impl_->options.enabled()) return;
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->expected_name = host;
  }
  impl_->WarnOfName();
}

}  // namespace esd
