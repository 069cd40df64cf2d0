// A load generator and reader for the engine, beside a bare loop on the same broker. See README.md.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bench/bare_loop.h"
#include "bench/report.h"
#include "bench/scenario.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr int kExitOk = 0, kExitFailed = 1, kExitUsage = 2;
constexpr int64_t kSmokeCommands = 20'000;
constexpr int64_t kWarmUpCommands = 100'000;

struct Flags {
  ScenarioOptions scenario;
  std::vector<int> rates = {200, 1'000};
  double seconds = 20, warm_up_seconds = 3, timeout_seconds = 180;
  int repeat = 1;
  int engine_workers = 0;
  std::string only;
  std::string output = "text";
  bool smoke = false;
  // Of the bare loop's own process.
  KafkaTarget bare_target;
  std::string http_listen;
};

std::string OwnPath() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

void AddMeasuringOptions(CLI::App* app, Flags* flags) {
  ScenarioOptions& scenario = flags->scenario;
  app->add_option("--bootstrap-servers", scenario.bootstrap_servers, "The broker.")->required();
  app->add_option("--esd", scenario.esd,
                  "The engine's binary; the one beside this one unless told.");
  app->add_option("--broker-pid", scenario.broker_pid, "Process of the broker, for its CPU time.");
  app->add_option("--work-dir", scenario.work_dir,
                  "Folder for stores and logs; a temporary one unless told.");
  app->add_option("--commands", scenario.commands, "Commands that are preloaded.")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--users", scenario.users, "Users that they are for.")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--partitions", scenario.partitions, "Partitions of each topic.")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
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
  app->add_option("--only", flags->only, "Measure only this one.")
      ->check(CLI::IsMember({"engine", "bare"}));
  app->add_option("-o,--output", flags->output, "Format of the output.")
      ->check(CLI::IsMember({"text", "json"}));
  app->add_flag("--smoke", flags->smoke,
                "Only see that every event arrives: 20,000 commands, then 2 s at 200/s.");
}

std::vector<Contender> ContendersOf(const Flags& flags) {
  Contender engine{"engine", [flags](const KafkaTarget& target, const std::string& http_listen,
                                     const std::string& data_dir) {
                     return std::vector<std::string>{flags.scenario.esd,
                                                     "serve",
                                                     "--bootstrap-servers",
                                                     target.bootstrap_servers,
                                                     "--domain",
                                                     "security",
                                                     "--topic-prefix",
                                                     target.topic_prefix,
                                                     "--group",
                                                     target.group,
                                                     "--data-dir",
                                                     data_dir,
                                                     "--workers",
                                                     absl::StrCat(flags.engine_workers),
                                                     "--http-listen",
                                                     http_listen,
                                                     "--grpc-listen",
                                                     "127.0.0.1:0"};
                   }};
  Contender bare{"bare loop",
                 [](const KafkaTarget& target, const std::string& http_listen, const std::string&) {
                   return std::vector<std::string>{OwnPath(),
                                                   "bare-loop",
                                                   "--bootstrap-servers",
                                                   target.bootstrap_servers,
                                                   "--topic-prefix",
                                                   target.topic_prefix,
                                                   "--group",
                                                   target.group,
                                                   "--partitions",
                                                   absl::StrCat(target.partitions),
                                                   "--http-listen",
                                                   http_listen};
                 }};
  if (flags.only == "engine") return {engine};
  if (flags.only == "bare") return {bare};
  return {engine, bare};
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

absl::StatusOr<std::vector<Run>> RunAll(const Flags& flags) {
  const std::vector<Contender> contenders = ContendersOf(flags);
  if (!flags.smoke) {
    if (absl::Status status = WarmUpBroker(flags.scenario, contenders.back()); !status.ok())
      return status;
  }
  std::vector<Run> runs;
  for (int i = 0; i < flags.repeat; ++i) {
    for (const Contender& contender : contenders) {
      std::fprintf(stderr, "esd_bench: %s, run %d of %d\n", contender.name.c_str(), i + 1,
                   flags.repeat);
      auto run = RunScenario(flags.scenario, contender);
      if (!run.ok()) {
        const absl::Status& status = run.status();
        return absl::Status(status.code(), absl::StrCat(contender.name, ": ", status.message()));
      }
      runs.push_back(*std::move(run));
    }
  }
  return runs;
}

Setup SetupOf(const Flags& flags) {
  const ScenarioOptions& scenario = flags.scenario;
  Setup setup = {{"cores, shared with the broker", absl::StrCat(sysconf(_SC_NPROCESSORS_ONLN))},
                 {"users", absl::StrCat(scenario.users)},
                 {"partitions", absl::StrCat(scenario.partitions)},
                 {"workers of the engine",
                  flags.engine_workers == 0 ? "default" : absl::StrCat(flags.engine_workers)},
                 {"runs of each", absl::StrCat(flags.repeat)}};
  if (scenario.measure_throughput)
    setup.push_back({"preloaded commands", absl::StrCat(scenario.commands)});
  if (!scenario.rates.empty())
    setup.push_back({"seconds at each rate", absl::StrCat(flags.seconds)});
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
    flags.scenario.work_dir = made_dir;
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

void Complete(bool throughput, bool latency, Flags* flags) {
  ScenarioOptions& scenario = flags->scenario;
  if (flags->smoke) {
    scenario.commands = kSmokeCommands;
    flags->rates = {200};
    flags->seconds = 2;
    flags->warm_up_seconds = 0.1;
    flags->timeout_seconds = 60;
  }
  scenario.commands = std::max(scenario.commands, scenario.users);
  if (scenario.esd.empty()) scenario.esd = OwnPath().substr(0, OwnPath().rfind('/')) + "/esd";
  scenario.measure_throughput = throughput;
  if (latency) scenario.rates = flags->rates;
  scenario.rate_time = absl::Seconds(flags->seconds);
  scenario.warm_up_time = absl::Seconds(flags->warm_up_seconds);
  scenario.timeout = absl::Seconds(flags->timeout_seconds);
}

int Bare(const Flags& flags) {
  const absl::Status status = RunBareLoop(flags.bare_target, flags.http_listen);
  if (status.ok()) return kExitOk;
  std::fprintf(stderr, "esd_bench: bare loop: %s\n", status.ToString().c_str());
  return kExitFailed;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app(
      "Measures esd serve and, in the same run, a bare loop that does the least any engine on "
      "Kafka must do.");
  app.require_subcommand(1);
  CLI::App* all = app.add_subcommand("all", "Throughput, then latency.");
  CLI::App* throughput =
      app.add_subcommand("throughput", "Commands per second through a preloaded topic.");
  CLI::App* latency = app.add_subcommand(
      "latency", "Time from sending a command to its visible event, at fixed rates.");
  CLI::App* bare = app.add_subcommand("bare-loop", "The bare loop itself; the others start it.");
  for (CLI::App* measuring : {all, throughput, latency}) AddMeasuringOptions(measuring, &flags);
  bare->add_option("--bootstrap-servers", flags.bare_target.bootstrap_servers, "The broker.")
      ->required();
  bare->add_option("--topic-prefix", flags.bare_target.topic_prefix, "Before each topic's name.");
  bare->add_option("--group", flags.bare_target.group, "Consumer group.")->required();
  bare->add_option("--partitions", flags.bare_target.partitions, "Partitions of each topic.")
      ->required();
  bare->add_option("--http-listen", flags.http_listen, "Address of /metrics.")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  CatchInterrupts();
  if (bare->parsed()) return Bare(flags);
  Complete(!latency->parsed(), !throughput->parsed(), &flags);
  return Measure(std::move(flags));
}

}  // namespace
}  // namespace esd::bench

int main(int argc, char** argv) { return esd::bench::Main(argc, argv); }
