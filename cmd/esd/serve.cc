#include "cmd/esd/serve.h"

#include <absl/synchronization/mutex.h>
#include <google/protobuf/stubs/logging.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cmd/esd/command_line.h"
#include "cmd/esd/domains.h"
#include "engine/base/logging.h"
#include "engine/base/metrics.h"
#include "engine/server/engine.h"

namespace esd::cmd {
namespace {

// For the signal handler; both are lock-free, so it may use them.
std::atomic<Engine*> running_engine = nullptr;
std::atomic<bool> stop_requested = false;
static_assert(std::atomic<Engine*>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void OnStopSignal(int) {
  const int saved_errno = errno;
  // Who asks twice doesn't want to wait for the drain. The log's transactions make that safe.
  if (stop_requested.exchange(true)) _exit(kExitFailed);
  if (Engine* engine = running_engine.load(); engine != nullptr) engine->RequestStop();
  errno = saved_errno;
}

// Handles the signals as long as it lives.
class StopSignals {
 public:
  explicit StopSignals(Engine* engine) {
    running_engine = engine;
    struct sigaction action = {};
    action.sa_handler = OnStopSignal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    // A peer that has closed its connection is an error of that connection only.
    signal(SIGPIPE, SIG_IGN);
  }
  ~StopSignals() { running_engine = nullptr; }

  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
};

std::vector<std::unique_ptr<AggregateType>> DomainsNamed(const std::vector<std::string>& names) {
  std::vector<std::unique_ptr<AggregateType>> chosen;
  for (auto& domain : BuiltInDomains()) {
    if (std::find(names.begin(), names.end(), domain->name()) != names.end())
      chosen.push_back(std::move(domain));
  }
  return chosen;
}

// What protobuf has to say about bad input stands in our own error for it, too.
void LogProtobuf(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  spdlog::debug("protobuf: {}", message);
}

// Ends the process when a drain takes too long, as it does when no broker answers. Supervisors kill
// after 10 s or more; it is no different from a kill here: what isn't committed is processed by the
// next owner.
class DrainDeadline {
 public:
  explicit DrainDeadline(int exit_code)
      : thread_([exit_code](std::stop_token stop) {
          std::mutex mutex;
          std::condition_variable_any ended;
          std::unique_lock lock(mutex);
          ended.wait_for(lock, stop, kLongestDrain, [] { return false; });
          if (stop.stop_requested()) return;
          spdlog::warn(
              "the partitions could not be handed over in {} s; ending without it: nothing is "
              "lost, the next owner takes "
              "over when the session times out",
              kLongestDrain.count());
          spdlog::shutdown();
          _exit(exit_code);
        }) {}

 private:
  static constexpr std::chrono::seconds kLongestDrain{9};
  std::jthread thread_;
};

int Fail(const absl::Status& status) {
  spdlog::error("{}", std::string(status.message()));
  return kExitFailed;
}

// What it works on.
std::string Describe(const EngineOptions& options) {
  if (options.log == LogKind::kEmbedded) return "embedded log in " + options.data_dir;
  return "Kafka at " + options.bootstrap_servers + ", group " + options.group;
}

}  // namespace

int Serve(const ServeOptions& options, const std::function<absl::Status(Engine&)>& when_started) {
  if (absl::Status status = SetUpLogging(options.log_level); !status.ok()) return Fail(status);
  google::protobuf::SetLogHandler(LogProtobuf);
  // Debian's Abseil looks for lock cycles at every lock, in a graph of all of the process. That is
  // for tests.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Engine engine(options.engine, DomainsNamed(options.domains));
  const StopSignals signals(&engine);
  if (absl::Status status = engine.Start(); !status.ok()) return Fail(status);
  spdlog::info("esd {} serves: gRPC on {}, HTTP on {}, {}", BuildVersion(), engine.grpc_address(),
               engine.http_address(), Describe(options.engine));
  absl::Status ended = when_started(engine);
  // Who was interrupted wasn't the cause.
  if (ended.ok() || absl::IsCancelled(ended)) ended = engine.Wait();
  if (ended.ok()) {
    spdlog::info("stopping: partitions are handed over");
  } else {
    spdlog::error("stopping: {}", std::string(ended.message()));
  }
  const DrainDeadline deadline(ended.ok() ? kExitOk : kExitFailed);
  const absl::Status stopped = engine.Stop();
  if (!stopped.ok()) return Fail(stopped);
  if (!ended.ok()) return kExitFailed;
  spdlog::info("stopped");
  return kExitOk;
}

}  // namespace esd::cmd
