// A load generator and reader for the engine, beside a bare loop on the same broker. See README.md.
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <utility>

#include "bench/api_scenario.h"
#include "bench/bare_loop.h"
#include "bench/contenders.h"
#include "bench/embedded_scenario.h"
#include "bench/null_server.h"
#include "bench/report.h"
#include "bench/scenario.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr int kExitOk = 0, kExitFailed = 1, kExitUsage = 2;
constexpr int64_t kSmokeCommands = 20'000;
constexpr int64_t kWarmUpCommands = 100'000;
constexpr int64_t kSmokeBatches = 50;
constexpr int64_t kSmokeAggregates = 2'000;

struct Flags {
  ScenarioOptions scenario;
  ApiScenarioOptions api;
  EmbeddedScenarioOptions embedded;
  std::vector<int> rates = {200, 1'000};
  double seconds = 20, warm_up_seconds = 3, timeout_seconds = 180;
  double call_seconds = 10, call_warm_up_seconds = 1;
  int repeat = 1;
  int engine_workers = 0;
  std::string only;
  std::string output = "text";
  bool smoke = false;
  // What is measured.
  bool kafka = false, grpc = false, embedded_log = false;
  // Of the processes that a run starts: the bare loop and the null server.
  KafkaTarget bare_target;
  std::string http_listen;
  std::string grpc_listen, response_path;
};

// Of what works on a broker.
void AddBrokerOptions(CLI::App* app, Flags* flags) {
  ScenarioOptions& scenario = flags->scenario;
  app->add_option("--bootstrap-servers", scenario.bootstrap_servers, "The broker.")->required();
  app->add_option("--broker-pid", scenario.broker_pid, "Process of the broker, for its CPU time.");
  app->add_option("--commands", scenario.commands, "Commands that are preloaded.")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--partitions", scenario.partitions, "Partitions of each topic.")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
}

void AddCommonOptions(CLI::App* app, Flags* flags) {
  ScenarioOptions& scenario = flags->scenario;
  app->add_option("--esd", scenario.esd,
                  "The engine's binary; the one beside this one unless told.");
  app->add_option("--work-dir", scenario.work_dir,
                  "Folder for stores and logs; a temporary one unless told.");
  app->add_option("--users", scenario.users, "Users that they are for.")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--timeout", flags->timeout_seconds, "Seconds after which a step is given up.")
      ->check(CLI::Range(1.0, 3'600.0))
      ->capture_default_str();
  app->add_option("--workers", flags->engine_workers, "For esd serve; 0: its default.")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  app->add_option("--repeat", flags->repeat,
                  "Runs of each contender, in turn; the median is shown.")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app->add_option("-o,--output", flags->output, "Format of the output.")
      ->check(CLI::IsMember({"text", "json"}));
  app->add_flag("--smoke", flags->smoke,
                "Only see that every event arrives and every answer is right: 20,000 commands, "
                "then 2 s at 200/s; 0.4 s of each number of calls in flight.");
}

void AddKafkaOptions(CLI::App* app, Flags* flags) {
  app->add_option("--rate", flags->rates,
                  "Commands per second for the latency; several are measured in turn.")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app->add_option("--seconds", flags->seconds, "Time of each rate.")
      ->check(CLI::Range(0.1, 3'600.0))
      ->capture_default_str();
  app->add_option("--warm-up-seconds", flags->warm_up_seconds,
                  "Time before it that does not count.")
      ->check(CLI::Range(0.1, 3'600.0))
      ->capture_default_str();
  app->add_option("--only", flags->only, "Measure only this one, and without gRPC.")
      ->check(CLI::IsMember({"engine", "bare"}));
}

// Of what makes calls.
void AddCallOptions(CLI::App* app, Flags* flags) {
  ApiScenarioOptions& api = flags->api;
  app->add_option("--connections", api.connections, "Connections of the client.")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  app->add_option("--submits-in-flight", api.submits_in_flight,
                  "Calls of SubmitCommand at a time; several are measured in turn.")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app->add_option("--call-seconds", flags->call_seconds,
                  "Time of each number of calls in flight, for each contender.")
      ->check(CLI::Range(0.1, 3'600.0))
      ->capture_default_str();
  app->add_option("--call-warm-up-seconds", flags->call_warm_up_seconds,
                  "Time before it that does not count.")
      ->check(CLI::Range(0.1, 3'600.0))
      ->capture_default_str();
}

void AddEmbeddedOptions(CLI::App* app, Flags* flags) {
  app->add_option("--aggregates", flags->embedded.aggregates,
                  "Aggregates that a restart of esd dev finds.")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

void AddGrpcOptions(CLI::App* app, Flags* flags) {
  ApiScenarioOptions& api = flags->api;
  app->add_option("--reads-in-flight", api.reads_in_flight,
                  "Calls of GetSnapshot at a time; several are measured in turn.")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app->add_option("--batches", api.batches, "Calls of BatchSubmitCommands.")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app->add_option("--batch-size", api.batch_size, "Commands in each.")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  app->add_option("--batches-in-flight", api.batches_in_flight, "Batches at a time.")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
}

std::vector<Contender> ContendersOf(const Flags& flags) {
  const Contender engine = Engine(flags.scenario.esd, flags.engine_workers);
  if (flags.only == "engine") return {engine};
  if (flags.only == "bare") return {BareLoop()};
  return {engine, BareLoop()};
}

// A new broker is slow until its code is compiled: that must not count against whoever is first.
absl::Status WarmUpBroker(const ScenarioOptions& options, const Contender& contender) {
  ScenarioOptions warm_up = options;
  warm_up.measure_throughput = true;
  warm_up.commands = std::min(kWarmUpCommands, options.commands);
  warm_up.users = std::min(options.users, warm_up.commands);
  warm_up.rates.clear();
  return RunScenario(warm_up, contender).status();
}

void SayRun(const std::string& name, int number, const Flags& flags) {
  std::fprintf(stderr, "esd_bench: %s, run %d of %d\n", name.c_str(), number + 1, flags.repeat);
}

absl::Status Named(const std::string& name, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
}

absl::StatusOr<std::vector<Run>> RunAll(const Flags& flags) {
  const std::vector<Contender> contenders = ContendersOf(flags);
  const bool broker = flags.kafka || flags.grpc;
  if (broker && !flags.smoke) {
    if (absl::Status status = WarmUpBroker(flags.scenario, contenders.back()); !status.ok())
      return status;
  }
  std::vector<Run> runs;
  for (int i = 0; i < flags.repeat; ++i) {
    for (const Contender& contender : contenders) {
      if (!flags.kafka) continue;
      SayRun(contender.name, i, flags);
      auto run = RunScenario(flags.scenario, contender);
      if (!run.ok()) return Named(contender.name, run.status());
      runs.push_back(*std::move(run));
    }
    if (flags.grpc) {
      SayRun("gRPC", i, flags);
      auto more = RunApiScenario(flags.api, Engine(flags.scenario.esd, flags.engine_workers));
      if (!more.ok()) return Named("gRPC", more.status());
      std::move(more->begin(), more->end(), std::back_inserter(runs));
    }
    if (flags.embedded_log) {
      SayRun("embedded log", i, flags);
      auto more = RunEmbeddedScenario(flags.embedded);
      if (!more.ok()) return Named("embedded log", more.status());
      std::move(more->begin(), more->end(), std::back_inserter(runs));
    }
  }
  return runs;
}

Setup SetupOf(const Flags& flags) {
  const ScenarioOptions& scenario = flags.scenario;
  Setup setup = {{"cores, shared by all", absl::StrCat(sysconf(_SC_NPROCESSORS_ONLN))},
                 {"users", absl::StrCat(scenario.users)},
                 {"partitions", absl::StrCat(scenario.partitions)},
                 {"workers of the engine",
                  flags.engine_workers == 0 ? "default" : absl::StrCat(flags.engine_workers)},
                 {"runs of each", absl::StrCat(flags.repeat)}};
  if (scenario.measure_throughput || flags.grpc)
    setup.push_back({"preloaded commands", absl::StrCat(scenario.commands)});
  if (!scenario.rates.empty())
    setup.push_back({"seconds at each rate", absl::StrCat(flags.seconds)});
  if (flags.grpc || flags.embedded_log) {
    const ApiScenarioOptions& api = flags.api;
    setup.push_back({"connections", absl::StrCat(api.connections)});
    setup.push_back({"seconds of calls", absl::StrCat(flags.call_seconds)});
    if (flags.grpc)
      setup.push_back({"batches", absl::StrCat(api.batches, ", ", api.batches_in_flight,
                                               " in flight, ", api.batch_size, " commands each")});
  }
  return setup;
}

int Measure(Flags flags) {
  std::string made_dir;
  if (flags.scenario.work_dir.empty()) {
    made_dir = (std::filesystem::temp_directory_path() / "esd-bench-XXXXXX").string();
    if (mkdtemp(made_dir.data()) == nullptr) {
      std::fprintf(stderr, "esd_bench: can't make a folder like %s\n", made_dir.c_str());
      return kExitFailed;
    }
    flags.scenario.work_dir = flags.api.work_dir = flags.embedded.work_dir = made_dir;
  }
  const auto runs = RunAll(flags);
  if (!made_dir.empty()) std::filesystem::remove_all(made_dir);
  if (!runs.ok()) {
    std::fprintf(stderr, "esd_bench: %s\n", runs.status().ToString().c_str());
    return kExitFailed;
  }
  const Setup setup = SetupOf(flags);
  const std::string report =
      flags.output == "json" ? FormatJson(setup, *runs) : FormatTable(setup, *runs);
  std::fputs(report.c_str(), stdout);
  return kExitOk;
}

void CompleteEmbedded(const ApiScenarioOptions& api, Flags* flags) {
  EmbeddedScenarioOptions& embedded = flags->embedded;
  embedded.esd = api.esd;
  embedded.work_dir = api.work_dir;
  embedded.workers = flags->engine_workers;
  embedded.users = api.users;
  embedded.connections = api.connections;
  embedded.submits_in_flight = api.submits_in_flight;
  embedded.call_time = api.call_time;
  embedded.call_warm_up_time = api.call_warm_up_time;
  embedded.timeout = api.timeout;
  if (!flags->smoke) return;
  embedded.starts = 1;
  embedded.aggregates = kSmokeAggregates;
}

struct Wanted {
  bool throughput = false, latency = false, grpc = false, embedded = false;
};

void Complete(const Wanted& wanted, Flags* flags) {
  ScenarioOptions& scenario = flags->scenario;
  if (flags->smoke) {
    scenario.commands = kSmokeCommands;
    flags->rates = {200};
    flags->seconds = 2;
    flags->warm_up_seconds = 0.1;
    flags->timeout_seconds = 60;
    flags->call_seconds = 0.4;
    flags->call_warm_up_seconds = 0.1;
    flags->api.batches = kSmokeBatches;
  }
  scenario.commands = std::max(scenario.commands, scenario.users);
  if (scenario.esd.empty()) scenario.esd = OwnPath().substr(0, OwnPath().rfind('/')) + "/esd";
  flags->kafka = wanted.throughput || wanted.latency;
  flags->grpc = wanted.grpc && flags->only.empty();
  flags->embedded_log = wanted.embedded && flags->only.empty();
  scenario.measure_throughput = wanted.throughput;
  if (wanted.latency) scenario.rates = flags->rates;
  scenario.rate_time = absl::Seconds(flags->seconds);
  scenario.warm_up_time = absl::Seconds(flags->warm_up_seconds);
  scenario.timeout = absl::Seconds(flags->timeout_seconds);
  ApiScenarioOptions& api = flags->api;
  static_cast<RunOptions&>(api) = scenario;
  api.esd_bench = OwnPath();
  api.call_time = absl::Seconds(flags->call_seconds);
  api.call_warm_up_time = absl::Seconds(flags->call_warm_up_seconds);
  CompleteEmbedded(api, flags);
}

int ExitCodeOf(const std::string& name, const absl::Status& status) {
  if (status.ok()) return kExitOk;
  std::fprintf(stderr, "esd_bench: %s: %s\n", name.c_str(), status.ToString().c_str());
  return kExitFailed;
}

CLI::App* AddBareLoop(CLI::App* app, Flags* flags) {
  CLI::App* bare = app->add_subcommand("bare-loop", "The bare loop itself; the others start it.");
  bare->add_option("--bootstrap-servers", flags->bare_target.bootstrap_servers, "The broker.")
      ->required();
  bare->add_option("--topic-prefix", flags->bare_target.topic_prefix, "Before each topic's name.");
  bare->add_option("--group", flags->bare_target.group, "Consumer group.")->required();
  bare->add_option("--partitions", flags->bare_target.partitions, "Partitions of each topic.")
      ->required();
  bare->add_option("--http-listen", flags->http_listen, "Address of /metrics.")->required();
  return bare;
}

CLI::App* AddNullServer(CLI::App* app, Flags* flags) {
  CLI::App* null =
      app->add_subcommand("null-server", "The server that only answers; the others start it.");
  null->add_option("--grpc-listen", flags->grpc_listen, "Address of its API.")->required();
  null->add_option("--response", flags->response_path, "File with its answer, in binary form.")
      ->required();
  return null;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app(
      "Measures esd serve and, in the same run, what does the least that it can be compared with: "
      "a bare loop on Kafka, a gRPC server that only answers, RocksDB alone.");
  app.require_subcommand(1);
  CLI::App* all = app.add_subcommand("all", "All of what follows.");
  CLI::App* throughput =
      app.add_subcommand("throughput", "Commands per second through a preloaded topic.");
  CLI::App* latency = app.add_subcommand(
      "latency", "Time from sending a command to its visible event, at fixed rates.");
  CLI::App* grpc = app.add_subcommand(
      "grpc", "Calls per second and their times: GetSnapshot, BatchSubmitCommands, SubmitCommand.");
  CLI::App* embedded = app.add_subcommand(
      "embedded", "Without a broker: commands per second next to bare RocksDB, starts, restarts.");
  for (CLI::App* measuring : {all, throughput, latency, grpc, embedded})
    AddCommonOptions(measuring, &flags);
  for (CLI::App* measuring : {all, throughput, latency, grpc}) AddBrokerOptions(measuring, &flags);
  for (CLI::App* measuring : {all, throughput, latency}) AddKafkaOptions(measuring, &flags);
  for (CLI::App* measuring : {all, grpc, embedded}) AddCallOptions(measuring, &flags);
  for (CLI::App* measuring : {all, grpc}) AddGrpcOptions(measuring, &flags);
  for (CLI::App* measuring : {all, embedded}) AddEmbeddedOptions(measuring, &flags);
  CLI::App* bare = AddBareLoop(&app, &flags);
  CLI::App* null = AddNullServer(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  CatchInterrupts();
  if (bare->parsed())
    return ExitCodeOf("bare loop", RunBareLoop(flags.bare_target, flags.http_listen));
  if (null->parsed())
    return ExitCodeOf("null server", RunNullServer(flags.grpc_listen, flags.response_path));
  const auto wanted = [all](const CLI::App* app_of) { return all->parsed() || app_of->parsed(); };
  Complete({wanted(throughput), wanted(latency), wanted(grpc), wanted(embedded)}, &flags);
  return Measure(std::move(flags));
}

}  // namespace
}  // namespace esd::bench

int main(int argc, char** argv) { return esd::bench::Main(argc, argv); }
