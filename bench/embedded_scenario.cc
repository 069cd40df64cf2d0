#include "bench/embedded_scenario.h"

#include <absl/strings/str_cat.h>
#include <httplib.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <utility>

#include "bench/api_client.h"
#include "bench/api_figures.h"
#include "bench/api_load.h"
#include "bench/bare_log.h"
#include "bench/bare_rocksdb.h"
#include "bench/child_process.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

// The contenders take turns, so that what the machine does besides meets both.
constexpr int kRounds = 4;
constexpr int kChecksInFlight = 64;
constexpr int kPartitions = 4;  // esd dev's own number

// `esd dev` with a data directory of its own.
class DevEngine {
 public:
  DevEngine(const EmbeddedScenarioOptions& options, std::string name)
      : options_(options), directory_(options.work_dir + "/" + std::move(name)) {
    std::filesystem::create_directories(directory_);
  }
  ~DevEngine() {
    process_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Returns the seconds from its start until every partition was served.
  absl::StatusOr<double> Start() {
    for (std::string* address : {&http_, &grpc_}) {
      const auto port = FreePort();
      if (!port.ok()) return port.status();
      *address = absl::StrCat("127.0.0.1:", *port);
    }
    const int64_t start_ns = NowNs();
    auto process =
        ChildProcess::Start({options_.esd, "dev", "--data-dir", directory_ + "/data", "--domain",
                             "security", "--workers", absl::StrCat(options_.workers),
                             "--http-listen", http_, "--grpc-listen", grpc_},
                            directory_ + "/esd.log");
    if (!process.ok()) return process.status();
    process_ = *std::move(process);
    httplib::Client client("http://" + http_);
    const auto ready = [&client] {
      const auto answer = client.Get("/readyz");
      return answer && answer->status == 200;
    };
    const absl::Status waited = WaitUntil("the start of esd dev", options_.timeout, ready,
                                          [this] { return process_->CheckRunning(); });
    if (!waited.ok()) return waited;
    return Seconds(NowNs() - start_ns);
  }

  absl::Status Stop() {
    process_->Terminate();
    return process_->WaitForEnd(options_.timeout);
  }
  void Kill() { process_.reset(); }

  absl::StatusOr<Channels> Connect(int count) const {
    return bench::Connect(grpc_, count, options_.timeout);
  }
  pid_t pid() const { return process_->pid(); }

 private:
  const EmbeddedScenarioOptions& options_;
  const std::string directory_;
  std::string http_, grpc_;
  std::unique_ptr<ChildProcess> process_;
};

absl::StatusOr<Measured> Measure(const CallSlots& slots, int64_t first_number,
                                 const LoadLimits& limits, pid_t pid) {
  const auto before = ReadCpuUse(pid, /*broker=*/0);
  if (!before.ok()) return before.status();
  auto load = RunLoad(slots, first_number, limits);
  if (!load.ok()) return load.status();
  const auto after = ReadCpuUse(pid, /*broker=*/0);
  if (!after.ok()) return after.status();
  return Measured{*std::move(load), *after - *before};
}

// Registers all users that are expected.
absl::Status RegisterUsers(const EmbeddedScenarioOptions& options, const Channels& channels,
                           ExpectedUsers* expected) {
  const int64_t batches = expected->size() / options.batch_size;
  const CallSlots slots =
      BatchSubmits(channels, options.batches_in_flight, 0, options.batch_size, expected);
  absl::Status status = RunLoad(slots, 0, {.calls = batches}).status();
  if (!status.ok() || expected->size() % options.batch_size == 0) return status;
  return RunLoad(Submits(channels, 1, expected), batches * options.batch_size,
                 {.calls = expected->size() % options.batch_size})
      .status();
}

absl::Status CheckUsers(const Channels& channels, const ExpectedUsers& expected) {
  const CallSlots reads = SnapshotChecks(channels, kChecksInFlight, Since::kAcknowledged, expected);
  return RunLoad(reads, 0, {.calls = expected.size()}).status();
}

// ---- commands per second ----

struct Runs {
  Run dev{"esd dev", {}};
  Run log{"its log alone", {}};
  Run bare{"bare RocksDB", {}};
};

class Throughput {
 public:
  explicit Throughput(const EmbeddedScenarioOptions& options)
      : options_(options), engine_(options, "throughput"), expected_(options.users) {}

  absl::Status Run(Runs* runs) {
    if (absl::Status status = Start(); !status.ok()) return status;
    for (const int in_flight : options_.submits_in_flight) {
      absl::Status status = MeasureAll(
          in_flight, in_flight, [&] { return Submits(channels_, in_flight, &expected_); }, 1, runs);
      if (!status.ok()) return status;
    }
    const auto batches = [this] {
      return BatchSubmits(channels_, options_.batches_in_flight, next_, options_.batch_size,
                          &expected_);
    };
    absl::Status status = MeasureAll(kAsBatches, options_.batch_size * options_.batches_in_flight,
                                     batches, options_.batch_size, runs);
    if (!status.ok()) return status;
    status = CheckUsers(channels_, expected_);
    if (!status.ok()) return status;
    channels_.clear();
    return engine_.Stop();
  }

 private:
  static constexpr int kAsBatches = 0;

  absl::Status Start() {
    if (const auto started = engine_.Start(); !started.ok()) return started.status();
    auto channels = engine_.Connect(options_.connections);
    if (!channels.ok()) return channels.status();
    channels_ = *std::move(channels);
    next_ = options_.users;
    if (absl::Status status = RegisterUsers(options_, channels_, &expected_); !status.ok())
      return status;
    const absl::Status opened =
        log_.Open(options_.work_dir + "/bare-log", kPartitions, options_.users);
    return opened.ok() ? bare_.Open(options_.work_dir + "/bare-rocksdb", options_.users) : opened;
  }

  // All in turn. `per_call`: commands of one call.
  absl::Status MeasureAll(int submits, int in_flight, const std::function<CallSlots()>& make_slots,
                          int per_call, Runs* runs) {
    Measured engine_total, log_total, bare_total;
    int64_t log_commands = 0;
    for (int round = -1; round < kRounds; ++round) {
      const bool counts = round >= 0;  // the first one warms up
      const absl::Duration time =
          counts ? options_.call_time / kRounds : options_.call_warm_up_time;
      const auto engine = RunEngine(make_slots(), per_call, time);
      if (!engine.ok()) return engine.status();
      int64_t commands = 0;
      const auto log = RunLog(in_flight, time, &commands);
      if (!log.ok()) return log.status();
      const auto alone = RunBare(in_flight, time);
      if (!alone.ok()) return alone.status();
      if (!counts) continue;
      engine_total += *engine;
      log_total += *log;
      log_commands += commands;
      bare_total += *alone;
    }
    Add(submits, engine_total, per_call, &runs->dev);
    Add(submits, bare_total, in_flight, &runs->bare);
    // Once more, because only figures of two are compared.
    AddEmbeddedLog(in_flight, log_total,
                   static_cast<double>(log_commands) / static_cast<double>(log_total.load.calls),
                   &runs->log);
    AddEmbeddedLog(in_flight, bare_total, in_flight, &runs->bare);
    return absl::OkStatus();
  }

  absl::StatusOr<Measured> RunEngine(const CallSlots& slots, int per_call, absl::Duration time) {
    // The calls of batches are numbered from 0, behind the commands so far.
    const int64_t first = per_call == 1 ? next_ : 0;
    auto measured =
        Measure(slots, first, {.calls = std::numeric_limits<int64_t>::max() - first, .time = time},
                engine_.pid());
    if (measured.ok()) next_ += measured->load.calls * per_call;
    return measured;
  }

  // The others run in this process.
  absl::StatusOr<Measured> RunHere(
      const std::function<absl::StatusOr<std::vector<double>>()>& run) const {
    const auto before = ReadCpuUse(/*contender=*/0, /*broker=*/0);
    if (!before.ok()) return before.status();
    auto times_ms = run();
    if (!times_ms.ok()) return times_ms.status();
    const auto after = ReadCpuUse(/*contender=*/0, /*broker=*/0);
    if (!after.ok()) return after.status();
    Measured measured{{static_cast<int64_t>(times_ms->size()), after->at_ns - before->at_ns,
                       *std::move(times_ms)},
                      *after - *before};
    measured.cpu.contender_s = std::exchange(measured.cpu.own_s, 0);
    return measured;
  }

  absl::StatusOr<Measured> RunLog(int in_flight, absl::Duration time, int64_t* commands) {
    return RunHere([&]() -> absl::StatusOr<std::vector<double>> {
      auto figures = log_.Run(in_flight, time);
      if (!figures.ok()) return figures.status();
      *commands = figures->commands;
      return std::move(figures->transaction_times_ms);
    });
  }

  absl::StatusOr<Measured> RunBare(int in_flight, absl::Duration time) {
    return RunHere([&] { return bare_.Run(in_flight, time); });
  }

  void Add(int submits, const Measured& measured, double per_call, bench::Run* run) const {
    if (submits == kAsBatches) {
      AddEmbeddedBatches(options_.batch_size, options_.batches_in_flight, measured, per_call, run);
    } else {
      AddEmbeddedSubmits(submits, measured, per_call, run);
    }
  }

  const EmbeddedScenarioOptions& options_;
  DevEngine engine_;
  BareLog log_;
  BareRocksdb bare_;
  ExpectedUsers expected_;
  Channels channels_;
  int64_t next_ = 0;  // number of the next command
};

// ---- starts ----

absl::Status MeasureStarts(const EmbeddedScenarioOptions& options, Run* run) {
  std::vector<double> seconds;
  for (int i = 0; i < options.starts; ++i) {
    DevEngine engine(options, absl::StrCat("start-", i));
    const auto started = engine.Start();
    if (!started.ok()) return started.status();
    seconds.push_back(*started);
    if (absl::Status status = engine.Stop(); !status.ok()) return status;
  }
  std::sort(seconds.begin(), seconds.end());
  run->Add("start_ms",
           absl::StrCat("start of esd dev to serving, median of ", options.starts, ", ms"),
           Percentile(seconds, 50) * 1e3, 0, /*compared=*/false);
  return absl::OkStatus();
}

absl::Status MeasureRestarts(const EmbeddedScenarioOptions& options, Run* run) {
  DevEngine engine(options, "restart");
  if (const auto started = engine.Start(); !started.ok()) return started.status();
  ExpectedUsers expected(options.aggregates);
  {
    const auto channels = engine.Connect(options.connections);
    if (!channels.ok()) return channels.status();
    if (absl::Status status = RegisterUsers(options, *channels, &expected); !status.ok())
      return status;
  }
  engine.Kill();
  const auto after_kill = engine.Start();
  if (!after_kill.ok()) return after_kill.status();
  if (absl::Status status = engine.Stop(); !status.ok()) return status;
  const auto after_stop = engine.Start();
  if (!after_stop.ok()) return after_stop.status();
  const auto channels = engine.Connect(options.connections);
  if (!channels.ok()) return channels.status();
  if (absl::Status status = CheckUsers(*channels, expected); !status.ok()) return status;
  const std::string what = absl::StrCat("restart with ", options.aggregates, " aggregates, ");
  run->Add("restart_after_stop_ms", what + "after a stop, ms", *after_stop * 1e3, 0, false);
  run->Add("restart_after_kill_ms", what + "after kill -9, ms", *after_kill * 1e3, 0, false);
  return engine.Stop();
}

}  // namespace

absl::StatusOr<std::vector<Run>> RunEmbeddedScenario(const EmbeddedScenarioOptions& options) {
  Runs runs;
  if (absl::Status status = Throughput(options).Run(&runs); !status.ok()) return status;
  if (absl::Status status = MeasureStarts(options, &runs.dev); !status.ok()) return status;
  if (absl::Status status = MeasureRestarts(options, &runs.dev); !status.ok()) return status;
  return std::vector<Run>{std::move(runs.dev), std::move(runs.log), std::move(runs.bare)};
}

}  // namespace esd::bench
