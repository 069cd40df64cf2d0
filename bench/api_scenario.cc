#include "bench/api_scenario.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <memory>
#include <utility>

#include "bench/api_client.h"
#include "bench/api_figures.h"
#include "bench/api_load.h"
#include "bench/bare_transaction.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

// The contenders of the reads take turns, so that what the machine does besides meets both.
constexpr int kReadRounds = 4;
constexpr int kChecksInFlight = 64;
constexpr absl::Duration kReadyTimeout = absl::Seconds(30);
// More can't be submitted one by one: bounds what is kept of each command.
constexpr int64_t kMaxSubmitsPerSecond = 50'000;
constexpr int64_t kWarmUpBatches = 500;

int64_t MaxSubmits(absl::Duration time) {
  return static_cast<int64_t>(absl::ToDoubleSeconds(time) * kMaxSubmitsPerSecond);
}

int64_t WarmUpBatches(const ApiScenarioOptions& options) {
  return std::min(kWarmUpBatches, options.batches);
}

class ApiScenario {
 public:
  ApiScenario(const ApiScenarioOptions& options, const Contender& engine)
      : options_(options), engine_run_(options, engine), expected_(options.users) {
    engine_.contender = engine.name;
    null_.contender = "null server";
    preloaded_.contender = engine.name + ", preloaded";
    bare_.contender = "bare transaction";
  }

  // In this order.
  absl::Status Start();
  absl::Status MeasureReads();
  absl::Status MeasureBatches();
  absl::Status MeasureSubmits();
  std::vector<Run> Stop();

 private:
  // One of the two that answer GetSnapshot.
  struct ReadContender {
    CallSlots slots;
    pid_t pid;
    Run* run;
    Measured total = {};
  };

  int64_t MaxCommands() const;
  absl::Status ConnectToEngine();
  absl::Status AwaitServing();
  absl::Status StartNullServer();
  // Reads each user: its state must be what the commands so far have made of it.
  absl::Status CheckUsers(Since since);
  absl::Status MeasureReads(int in_flight);
  absl::Status ReadFor(absl::Duration time, ReadContender* contender);
  absl::StatusOr<Measured> SubmitBatches(int64_t batches);
  double PerSecondToLastEvent(int64_t first_command, int64_t start_ns) const;
  absl::Status MeasureSubmits(int in_flight);
  absl::StatusOr<Measured> SubmitFor(absl::Duration time, int in_flight);
  absl::Status RunBareTransactions();
  absl::StatusOr<Measured> Measure(const CallSlots& slots, int64_t first_number,
                                   const LoadLimits& limits, pid_t pid) const;

  const ApiScenarioOptions& options_;
  ContenderRun engine_run_;
  ExpectedUsers expected_;
  PreloadedFigures preloaded_figures_;
  Channels engine_channels_;
  esd::v1::GetSnapshotResponse null_response_;
  std::unique_ptr<ChildProcess> null_server_;
  Channels null_channels_;
  int64_t next_read_ = 0;
  BareTransactions bare_transactions_;
  Measured bare_total_;
  Run engine_, null_, preloaded_, bare_;
};

absl::Status ApiScenario::Start() {
  if (absl::Status status = engine_run_.MakeTopics(); !status.ok()) return status;
  if (absl::Status status = engine_run_.Preload(options_.commands); !status.ok()) return status;
  for (int64_t number = 0; number < options_.commands; ++number) expected_.Processed(number);
  if (absl::Status status = engine_run_.Start(MaxCommands()); !status.ok()) return status;
  const auto figures = engine_run_.MeasurePreloaded();
  if (!figures.ok()) return figures.status();
  preloaded_figures_ = *figures;
  if (absl::Status status = ConnectToEngine(); !status.ok()) return status;
  if (absl::Status status = AwaitServing(); !status.ok()) return status;
  return StartNullServer();
}

// What follows the preloaded ones.
int64_t ApiScenario::MaxCommands() const {
  const int64_t batches = options_.batches + WarmUpBatches(options_);
  const int64_t submits = MaxSubmits(options_.call_time) + MaxSubmits(options_.call_warm_up_time);
  return batches * options_.batch_size +
         submits * static_cast<int64_t>(options_.submits_in_flight.size());
}

absl::Status ApiScenario::ConnectToEngine() {
  auto channels = Connect(engine_run_.grpc_address(), options_.connections, kReadyTimeout);
  if (!channels.ok()) return channels.status();
  engine_channels_ = *std::move(channels);
  return absl::OkStatus();
}

// Events become visible a moment before the engine serves the partition of which they are the
// first.
absl::Status ApiScenario::AwaitServing() {
  absl::Status checked;
  const auto served = [this, &checked] {
    checked = CheckUsers(Since::kSeen);
    return !absl::IsUnavailable(checked);
  };
  absl::Status waited = WaitUntil("the engine's first answers", kReadyTimeout, served,
                                  [this] { return engine_run_.process().CheckRunning(); });
  return waited.ok() ? checked : waited;
}

absl::Status ApiScenario::CheckUsers(Since since) {
  const CallSlots reads = SnapshotChecks(engine_channels_, kChecksInFlight, since, expected_);
  return RunLoad(reads, 0, {.calls = options_.users}).status();
}

absl::Status ApiScenario::StartNullServer() {
  auto response = ReadOne(engine_channels_);
  if (!response.ok()) return response.status();
  null_response_ = *std::move(response);
  const std::string response_path = engine_run_.directory() + "/response";
  std::ofstream(response_path, std::ios::binary) << null_response_.SerializeAsString();
  const auto port = FreePort();
  if (!port.ok()) return port.status();
  const std::string address = absl::StrCat("127.0.0.1:", *port);
  auto process = ChildProcess::Start(
      {options_.esd_bench, "null-server", "--grpc-listen", address, "--response", response_path},
      engine_run_.directory() + "/null-server.log");
  if (!process.ok()) return process.status();
  null_server_ = *std::move(process);
  auto channels = Connect(address, options_.connections, kReadyTimeout);
  if (!channels.ok()) {
    const absl::Status running = null_server_->CheckRunning();
    return running.ok() ? channels.status() : running;
  }
  null_channels_ = *std::move(channels);
  return absl::OkStatus();
}

absl::StatusOr<Measured> ApiScenario::Measure(const CallSlots& slots, int64_t first_number,
                                              const LoadLimits& limits, pid_t pid) const {
  const auto before = ReadCpuUse(pid, options_.broker_pid);
  if (!before.ok()) return before.status();
  auto load = RunLoad(slots, first_number, limits);
  if (!load.ok()) return load.status();
  const auto after = ReadCpuUse(pid, options_.broker_pid);
  if (!after.ok()) return after.status();
  return Measured{*std::move(load), *after - *before};
}

// ---- GetSnapshot ----

absl::Status ApiScenario::MeasureReads() {
  for (const int in_flight : options_.reads_in_flight) {
    if (absl::Status status = MeasureReads(in_flight); !status.ok()) return status;
  }
  null_channels_.clear();
  null_server_->Terminate();
  return null_server_->WaitForEnd(kReadyTimeout);
}

absl::Status ApiScenario::MeasureReads(int in_flight) {
  ReadContender engine{SnapshotReads(engine_channels_, in_flight, expected_),
                       engine_run_.process().pid(), &engine_};
  ReadContender null{NullReads(null_channels_, in_flight, options_.users, null_response_),
                     null_server_->pid(), &null_};
  for (ReadContender* contender : {&engine, &null}) {
    absl::Status status = ReadFor(options_.call_warm_up_time, contender);
    if (!status.ok()) return status;
    contender->total = {};
  }
  for (int round = 0; round < kReadRounds; ++round) {
    for (ReadContender* contender : {&engine, &null}) {
      absl::Status status = ReadFor(options_.call_time / kReadRounds, contender);
      if (!status.ok()) return status;
    }
  }
  for (const ReadContender* contender : {&engine, &null})
    AddReads(in_flight, contender->total, contender->run);
  return absl::OkStatus();
}

absl::Status ApiScenario::ReadFor(absl::Duration time, ReadContender* contender) {
  const auto measured = Measure(
      contender->slots, next_read_,
      {.calls = std::numeric_limits<int64_t>::max() - next_read_, .time = time}, contender->pid);
  if (!measured.ok()) return measured.status();
  next_read_ += measured->load.calls;
  contender->total += *measured;
  return absl::OkStatus();
}

// ---- BatchSubmitCommands ----

absl::Status ApiScenario::MeasureBatches() {
  const auto warm_up = SubmitBatches(WarmUpBatches(options_));
  if (!warm_up.ok()) return warm_up.status();
  const auto before = engine_run_.ReadTransactionTotals();
  if (!before.ok()) return before.status();
  const int64_t first_command = engine_run_.sent();
  const int64_t start_ns = NowNs();
  const auto measured = SubmitBatches(options_.batches);
  if (!measured.ok()) return measured.status();
  const auto after = engine_run_.ReadTransactionTotals();
  if (!after.ok()) return after.status();

  const double answered_per_s = measured->load.CallsPerSecond() * options_.batch_size;
  AddBatches(options_.batch_size,
             {static_cast<double>(engine_run_.sent() - first_command), answered_per_s,
              PerSecondToLastEvent(first_command, start_ns),
              CommandsPerTransaction(*before, *after), measured->cpu},
             &engine_);
  AddBatches(options_.batch_size,
             {static_cast<double>(options_.commands), preloaded_figures_.commands_per_s,
              preloaded_figures_.commands_per_s, preloaded_figures_.commands_per_transaction,
              preloaded_figures_.cpu},
             &preloaded_);
  AddBatchTimes(options_.batch_size, measured->load.times_ms, &engine_);
  return CheckUsers(Since::kAcknowledged);
}

absl::StatusOr<Measured> ApiScenario::SubmitBatches(int64_t batches) {
  const CallSlots slots = BatchSubmits(engine_channels_, options_.batches_in_flight,
                                       engine_run_.sent(), options_.batch_size, &expected_);
  auto measured = Measure(slots, 0, {.calls = batches}, engine_run_.process().pid());
  if (!measured.ok()) return measured.status();
  engine_run_.AddSent(batches * options_.batch_size);
  absl::Status seen = engine_run_.WaitForEvents("the events of the batches");
  if (!seen.ok()) return seen;
  return measured;
}

double ApiScenario::PerSecondToLastEvent(int64_t first_command, int64_t start_ns) const {
  int64_t last_ns = start_ns;
  for (int64_t number = first_command; number < engine_run_.sent(); ++number)
    last_ns = std::max(last_ns, engine_run_.reader().arrival_ns(number));
  return static_cast<double>(engine_run_.sent() - first_command) / Seconds(last_ns - start_ns);
}

// ---- SubmitCommand ----

absl::Status ApiScenario::MeasureSubmits() {
  const auto target = engine_run_.MakeMoreTopics("bare");
  if (!target.ok()) return target.status();
  if (absl::Status status = bare_transactions_.Open(*target); !status.ok()) return status;
  // Half of them before and half after, so that what the machine does besides meets both.
  if (absl::Status status = RunBareTransactions(); !status.ok()) return status;
  for (const int in_flight : options_.submits_in_flight) {
    if (absl::Status status = MeasureSubmits(in_flight); !status.ok()) return status;
  }
  if (absl::Status status = RunBareTransactions(); !status.ok()) return status;
  for (const int in_flight : options_.submits_in_flight)
    AddSubmits(in_flight, bare_total_, /*commands_per_transaction=*/1, &bare_);
  return CheckUsers(Since::kAcknowledged);
}

absl::Status ApiScenario::MeasureSubmits(int in_flight) {
  const auto warm_up = SubmitFor(options_.call_warm_up_time, in_flight);
  if (!warm_up.ok()) return warm_up.status();
  const auto before = engine_run_.ReadTransactionTotals();
  if (!before.ok()) return before.status();
  const auto measured = SubmitFor(options_.call_time, in_flight);
  if (!measured.ok()) return measured.status();
  const auto after = engine_run_.ReadTransactionTotals();
  if (!after.ok()) return after.status();
  AddSubmits(in_flight, *measured, CommandsPerTransaction(*before, *after), &engine_);
  return absl::OkStatus();
}

absl::StatusOr<Measured> ApiScenario::SubmitFor(absl::Duration time, int in_flight) {
  const CallSlots slots = Submits(engine_channels_, in_flight, &expected_);
  auto measured = Measure(slots, engine_run_.sent(), {.calls = MaxSubmits(time), .time = time},
                          engine_run_.process().pid());
  if (!measured.ok()) return measured.status();
  engine_run_.AddSent(measured->load.calls);
  absl::Status seen =
      engine_run_.WaitForEvents(absl::StrCat("the events of commands, ", in_flight, " in flight"));
  if (!seen.ok()) return seen;
  return measured;
}

absl::Status ApiScenario::RunBareTransactions() {
  const auto warm_up = bare_transactions_.Run(options_.call_warm_up_time);
  if (!warm_up.ok()) return warm_up.status();
  const auto before = ReadCpuUse(/*contender=*/0, options_.broker_pid);
  if (!before.ok()) return before.status();
  auto times_ms = bare_transactions_.Run(options_.call_time / 2);
  if (!times_ms.ok()) return times_ms.status();
  const auto after = ReadCpuUse(/*contender=*/0, options_.broker_pid);
  if (!after.ok()) return after.status();
  Measured measured{
      {static_cast<int64_t>(times_ms->size()), after->at_ns - before->at_ns, *std::move(times_ms)},
      *after - *before};
  // It runs in this process.
  measured.cpu.contender_s = std::exchange(measured.cpu.own_s, 0);
  bare_total_ += measured;
  return absl::OkStatus();
}

std::vector<Run> ApiScenario::Stop() {
  engine_channels_.clear();
  engine_run_.Stop();
  return {std::move(engine_), std::move(null_), std::move(preloaded_), std::move(bare_)};
}

}  // namespace

absl::StatusOr<std::vector<Run>> RunApiScenario(const ApiScenarioOptions& options,
                                                const Contender& engine) {
  ApiScenario scenario(options, engine);
  for (const auto step : {&ApiScenario::Start, &ApiScenario::MeasureReads,
                          &ApiScenario::MeasureBatches, &ApiScenario::MeasureSubmits}) {
    if (absl::Status status = (scenario.*step)(); !status.ok()) return status;
  }
  return scenario.Stop();
}

}  // namespace esd::bench
