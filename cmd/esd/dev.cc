#include "cmd/esd/dev.h"

#include <absl/strings/str_cat.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>

#include "cmd/esd/command_line.h"
#include "cmd/esd/demo.h"
#include "cmd/esd/serve.h"
#include "engine/base/metrics.h"
#include "engine/server/http_server.h"
#include "engine/server/listen_address.h"

namespace esd::cmd {
namespace {

constexpr absl::Duration kReadyTimeout = absl::Seconds(60);

// A folder that goes with the object.
class TemporaryFolder {
 public:
  static absl::StatusOr<std::unique_ptr<TemporaryFolder>> Make() {
    std::error_code error;
    std::string path = std::filesystem::temp_directory_path(error) / "esd-dev.XXXXXX";
    if (error || mkdtemp(path.data()) == nullptr) {
      return absl::PermissionDeniedError(
          absl::StrCat("can't make a temporary folder ", path, ": ",
                       error ? error.message() : std::string(std::strerror(errno)),
                       "; set TMPDIR, or choose a folder with --data-dir"));
    }
    return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(std::move(path)));
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    if (error) {
      std::cerr << "esd: can't remove " << path_ << ": " << error.message()
                << "; remove it yourself\n";
    }
  }

  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

// Where this machine reaches what listens there.
std::string ReachedAt(const std::string& listened) {
  HostPort address = *ParseHostPort(listened);  // it was listened on
  if (IsWildcard(address)) address.host = "127.0.0.1";
  return ToString(address);
}

void PrintWhere(const Engine& engine, const std::string& folder, bool temporary) {
  std::cout << "esd " << BuildVersion() << ", without a broker: the data is in " << folder
            << (temporary ? ", until it ends\n\n" : "\n\n") << "  gRPC  " << engine.grpc_address()
            << "\n"
            << "  HTTP  http://" << engine.http_address() << "/metrics\n\n"
            << std::flush;
}

void PrintWhatToTry(const DevOptions& options, const std::string& program,
                    const std::string& address) {
  const std::string esd =
      address == "127.0.0.1:7070" ? program : absl::StrCat("ESD_ADDRESS=", address, " ", program);
  const auto& domains = options.serve.domains;
  std::cout << "Try, in another terminal:\n\n";
  if (std::find(domains.begin(), domains.end(), kDemoDomain) != domains.end()) {
    const std::string domain =
        domains.size() == 1 ? "" : absl::StrCat("--domain ", kDemoDomain, " ");
    std::cout << "  " << esd << " command send " << domain << "'" << kDemoCommand << "'\n"
              << "  " << esd << " aggregate get " << domain << kDemoCommandKey << "\n"
              << "  " << esd << " events tail " << domain << "--from beginning\n";
  } else {
    std::cout << "  " << esd << " partitions\n"
              << "  " << esd << " aggregate list --domain " << domains.front() << "\n"
              << "  " << esd << " events tail --from beginning --domain " << domains.front()
              << "\n";
  }
  std::cout << "\nCtrl-C ends it.\n" << std::flush;
}

}  // namespace

int Dev(const DevOptions& options, const std::string& program) {
  std::unique_ptr<TemporaryFolder> folder;
  ServeOptions serve = options.serve;
  if (serve.engine.data_dir.empty()) {
    auto made = TemporaryFolder::Make();
    if (!made.ok()) {
      std::cerr << "esd: " << made.status().message() << "\n";
      return kExitFailed;
    }
    folder = *std::move(made);
    serve.engine.data_dir = folder->path();
  }
  return Serve(serve, [&](Engine& engine) -> absl::Status {
    if (absl::Status status = engine.AwaitReady(kReadyTimeout); !status.ok()) return status;
    const std::string address = ReachedAt(engine.grpc_address());
    PrintWhere(engine, serve.engine.data_dir, folder != nullptr);
    if (options.demo) {
      if (absl::Status status = RunDemo(address, std::cout); !status.ok()) return status;
    }
    if (options.exit_after_demo) {
      engine.RequestStop();
    } else {
      PrintWhatToTry(options, program, address);
    }
    return absl::OkStatus();
  });
}

}  // namespace esd::cmd
