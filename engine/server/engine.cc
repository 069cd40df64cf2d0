#include "engine/server/engine.h"

#include <absl/base/thread_annotations.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

#include "engine/base/metrics.h"
#include "engine/server/api/api.h"
#include "engine/server/api/api_server.h"
#include "engine/server/http_server.h"
#include "engine/server/listen_address.h"
#include "engine/server/open_log.h"
#include "engine/server/tls_credentials.h"
#include "engine/store/rocksdb_snapshot_store.h"
#include "engine/worker/domain_registry.h"
#include "engine/worker/history.h"
#include "engine/worker/worker_pool.h"

namespace esd {
namespace {

constexpr int kMostWorkersByDefault = 4;
// For commands that are under way when the engine is to stop, for the broker's answer behind the
// hand-over, and for calls that have not ended by then.
constexpr absl::Duration kInFlightTimeout = absl::Seconds(2);
constexpr absl::Duration kLeaveTimeout = absl::Seconds(3);
constexpr absl::Duration kCallsTimeout = absl::Seconds(1);
constexpr absl::Duration kHealthInterval = absl::Milliseconds(50);
constexpr int kReadyPollMs = 1;

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("can't make the data directory ", path, ": ",
                                                  error.message(),
                                                  "; choose another with --data-dir"));
}

}  // namespace

// Members in the order that they are made in, so that they are ended in the reverse one.
struct Engine::Impl {
  Impl(EngineOptions given, std::vector<std::unique_ptr<AggregateType>> types)
      : options(std::move(given)), wake_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    for (auto& type : types) {
      const std::string name = type->name();
      domains[name] = std::move(type);
    }
  }
  ~Impl() { close(wake_fd); }

  absl::Status StartApiServer();
  absl::Status OpenLog();
  absl::Status OpenStore();
  absl::Status StartApi();
  absl::Status StartWorkers();
  absl::Status StartHttp();
  absl::Status JoinGroup() { return log->membership().Join(pool.get()); }

  void Drain();

  void Fail(const absl::Status& status);
  HttpServer::Health Live() const;
  HttpServer::Health Ready() const;
  // Tells gRPC's health service what Ready() says, so that nobody hears two things at a time.
  HttpServer::Health TellHealth();
  // The same again and again.
  void WatchHealth();

  const EngineOptions options;
  const int wake_fd;  // written to when Wait() is to return
  DomainRegistry domains;
  Metrics metrics;
  std::string instance_id;
  std::string grpc_address;  // that is listened on, with the port that was picked
  std::string address;       // where other instances reach the API
  std::unique_ptr<TlsCredentials> tls;
  std::unique_ptr<api::ApiServer> api_server;
  std::unique_ptr<Log> log;
  std::unique_ptr<SnapshotStore> store;
  std::unique_ptr<History> history;
  std::unique_ptr<CommandAppender> appender;
  std::unique_ptr<api::Api> api;
  std::unique_ptr<WorkerPool> pool;
  std::unique_ptr<HttpServer> http;

  absl::Mutex telling;  // held while health is found out and told; before `mutex`
  mutable absl::Mutex mutex;
  absl::Status failure ABSL_GUARDED_BY(mutex);
  bool started ABSL_GUARDED_BY(mutex) = false;  // from the group's joining to its leaving
};

// Before the log is opened, because the log is told the address. Calls are answered later.
absl::Status Engine::Impl::StartApiServer() {
  auto credentials = TlsCredentials::Load(options.tls);
  if (!credentials.ok()) return credentials.status();
  tls = *std::move(credentials);
  auto server = api::ApiServer::Start({options.grpc_listen, tls->server()});
  if (!server.ok()) return server.status();
  api_server = *std::move(server);
  HostPort listened = *ParseHostPort(options.grpc_listen);  // it could be listened on
  listened.port = static_cast<uint16_t>(api_server->port());
  grpc_address = ToString(listened);
  address = AdvertisedAddress(options.advertised_address, options.grpc_listen, api_server->port());
  tls->ExpectName(ParseHostPort(address)->host);
  return absl::OkStatus();
}

absl::Status Engine::Impl::OpenLog() {
  std::vector<std::string> names;
  for (const auto& [name, type] : domains) names.push_back(name);
  auto opened = esd::OpenLog(options, names, address);
  if (!opened.ok()) return opened.status();
  log = std::move(opened->log);
  instance_id = std::move(opened->instance_id);
  return absl::OkStatus();
}

absl::Status Engine::Impl::OpenStore() {
  RocksdbStoreOptions rocksdb;
  rocksdb.directory = options.data_dir;
  rocksdb.source_id = log->SourceId();
  auto opened = OpenRocksdbStore(rocksdb);
  if (!opened.ok()) return opened.status();
  if (!opened->wiped_because.empty()) {
    spdlog::warn("the local store was wiped and is rebuilt from the changelog: {}",
                 opened->wiped_because);
  }
  store = std::move(opened->store);
  if (!options.history) return store->DropHistory();
  history = std::make_unique<History>(log.get(), store.get(), &metrics,
                                      [this](const absl::Status& error) { Fail(error); });
  return absl::OkStatus();
}

absl::Status Engine::Impl::StartApi() {
  auto opened = log->OpenAppender();
  if (!opened.ok()) return opened.status();
  appender = *std::move(opened);
  const api::Backend backend{log.get(),
                             appender.get(),
                             store.get(),
                             history.get(),
                             &domains,
                             &metrics,
                             instance_id,
                             address,
                             options.max_in_flight,
                             options.max_in_flight_per_connection};
  api = std::make_unique<api::Api>(backend, tls->peer());
  api_server->Serve(api.get());
  return absl::OkStatus();
}

absl::Status Engine::Impl::StartWorkers() {
  int partitions = 0;
  for (const auto& [name, type] : domains) partitions += log->PartitionCount(name);
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int wanted = options.workers > 0 ? options.workers : std::min(cores, kMostWorkersByDefault);
  WorkerEnvironment environment{log.get(),
                                store.get(),
                                &domains,
                                &metrics,
                                [this](const absl::Status& error) { Fail(error); },
                                {},
                                api.get(),
                                history.get()};
  auto started_pool = WorkerPool::Start(std::min(wanted, partitions), environment);
  if (!started_pool.ok()) return started_pool.status();
  pool = *std::move(started_pool);
  api->SetWorkers(pool.get());
  return absl::OkStatus();
}

absl::Status Engine::Impl::StartHttp() {
  HttpServer::Handlers handlers;
  handlers.metrics = [this] { return metrics.Serialize(); };
  handlers.live = [this] { return Live(); };
  handlers.ready = [this] { return TellHealth(); };
  auto server = HttpServer::Start(options.http_listen, std::move(handlers));
  if (!server.ok()) return server.status();
  http = *std::move(server);
  return absl::OkStatus();
}

void Engine::Impl::Fail(const absl::Status& error) {
  // What a broken disk holds can't be told apart from what it should: the next start rebuilds it.
  if (absl::IsDataLoss(error)) {
    if (absl::Status status = MarkStoreForRebuild(options.data_dir); !status.ok()) {
      spdlog::error(
          "the store is broken and could not be marked for a rebuild ({}): delete {} before the "
          "next start",
          std::string(status.message()), options.data_dir);
    }
  }
  {
    absl::MutexLock lock(&mutex);
    if (failure.ok()) failure = error;
  }
  eventfd_write(wake_fd, 1);
}

HttpServer::Health Engine::Impl::Live() const {
  absl::MutexLock lock(&mutex);
  return failure.ok()
             ? HttpServer::Health{true, "live\n"}
             : HttpServer::Health{false, absl::StrCat("failed: ", failure.message(), "\n")};
}

HttpServer::Health Engine::Impl::Ready() const {
  {
    absl::MutexLock lock(&mutex);
    if (!failure.ok()) return {false, absl::StrCat("failed: ", failure.message(), "\n")};
    if (!started) return {false, "starting or draining\n"};
  }
  if (!log->membership().joined()) return {false, "waiting for the consumer group\n"};
  const int restoring = pool->restoring();
  if (restoring > 0) return {false, absl::StrCat("restoring ", restoring, " partitions\n")};
  return {true, "ready\n"};
}

HttpServer::Health Engine::Impl::TellHealth() {
  absl::MutexLock lock(&telling);
  HttpServer::Health ready = Ready();
  api_server->SetServing(ready.ok);
  return ready;
}

void Engine::Impl::WatchHealth() {
  {
    absl::MutexLock lock(&mutex);
    if (!started) return;
  }
  TellHealth();
  api->timer.At(absl::Now() + kHealthInterval, [this] { WatchHealth(); });
}

// Commands that were begun are answered, if that is soon.
void Engine::Impl::Drain() {
  if (api == nullptr) return;
  // WatchHealth() has seen that it is to end: from here on it would look at what is gone.
  absl::Notification passed;
  api->timer.At(absl::InfinitePast(), [&passed] { passed.Notify(); });
  passed.WaitForNotification();
  api->Drain();
  TellHealth();  // that it ends
  if (!api->in_flight.AwaitNone(kInFlightTimeout)) {
    spdlog::warn(
        "{} commands are under way and will be answered as unknown: their callers can "
        "submit them again with the same command_id",
        api->in_flight.total());
  }
}

Engine::Engine(EngineOptions options, std::vector<std::unique_ptr<AggregateType>> domains)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(domains))) {}

Engine::~Engine() { Stop().IgnoreError(); }

absl::Status Engine::Start() {
  if (absl::Status status = MakeFolder(impl_->options.data_dir); !status.ok()) return status;
  for (const auto step : {&Impl::StartApiServer, &Impl::OpenLog, &Impl::OpenStore, &Impl::StartApi,
                          &Impl::StartWorkers, &Impl::StartHttp, &Impl::JoinGroup}) {
    if (absl::Status status = (impl_.get()->*step)(); !status.ok()) return status;
  }
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->started = true;
  }
  impl_->WatchHealth();
  return absl::OkStatus();
}

absl::Status Engine::AwaitReady(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  HttpServer::Health ready = impl_->TellHealth();
  while (!ready.ok && absl::Now() < deadline) {
    pollfd waiting{impl_->wake_fd, POLLIN, 0};
    if (poll(&waiting, 1, kReadyPollMs) == 1) return absl::CancelledError("it is to stop");
    ready = impl_->TellHealth();
  }
  if (ready.ok) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat("not ready after ", absl::FormatDuration(timeout),
                                                  ": ",
                                                  absl::StripTrailingAsciiWhitespace(ready.text)));
}

absl::Status Engine::Wait() {
  pollfd waiting{impl_->wake_fd, POLLIN, 0};
  while (poll(&waiting, 1, -1) != 1) {
  }
  absl::MutexLock lock(&impl_->mutex);
  return impl_->failure;
}

void Engine::RequestStop() { eventfd_write(impl_->wake_fd, 1); }

absl::Status Engine::Stop() {
  {
    absl::MutexLock lock(&impl_->mutex);
    impl_->started = false;
  }
  impl_->Drain();
  if (impl_->log != nullptr) impl_->log->membership().Leave(kLeaveTimeout);
  if (impl_->api_server != nullptr) impl_->api_server->Stop(kCallsTimeout);
  impl_->http.reset();
  impl_->pool.reset();
  impl_->api.reset();
  impl_->appender.reset();
  impl_->api_server.reset();
  impl_->history.reset();
  impl_->store.reset();
  impl_->log.reset();
  absl::MutexLock lock(&impl_->mutex);
  return impl_->failure;
}

std::string Engine::grpc_address() const {
  return impl_->api_server == nullptr ? "" : impl_->grpc_address;
}

std::string Engine::http_address() const {
  return impl_->http == nullptr ? "" : impl_->http->address();
}

}  // namespace esd
