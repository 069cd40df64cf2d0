#include "bench/scenario.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <httplib.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "bench/child_process.h"
#include "bench/command_sender.h"
#include "bench/event_reader.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr absl::Duration kTopicsTimeout = absl::Seconds(30);
constexpr absl::Duration kStopTimeout = absl::Seconds(15);
// Long enough to gather full batches, short beside a run.
constexpr absl::Duration kBulkLinger = absl::Milliseconds(20);

// Of what a contender has committed, from its /metrics.
struct TransactionTotals {
  double commands = 0;
  double transactions = 0;
};

double PerTransaction(const TransactionTotals& before, const TransactionTotals& after) {
  return (after.commands - before.commands) / (after.transactions - before.transactions);
}

// Nearest rank; `sorted` isn't empty.
double Percentile(const std::vector<double>& sorted, double percent) {
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(1.0, rank)) - 1];
}

// CPU seconds so far.
struct CpuUse {
  int64_t at_ns = 0;
  double contender_s = 0;
  double broker_s = 0;
  double machine_s = 0;
  double own_s = 0;

  // Cores that neither the contender nor the broker nor this program has used since: what the
  // machine had to do besides, which makes every other figure worse. Rounding of the clock's ticks
  // may bring it a little below zero.
  double OtherCoresSince(const CpuUse& before) const {
    const double used_s =
        (contender_s - before.contender_s) + (broker_s - before.broker_s) + (own_s - before.own_s);
    return (machine_s - before.machine_s - used_s) / Seconds(at_ns - before.at_ns);
  }
};

class Scenario {
 public:
  Scenario(const ScenarioOptions& options, const Contender& contender);
  ~Scenario() { std::filesystem::remove_all(directory_); }

  // In this order.
  absl::Status MakeTopics();
  absl::Status Preload();
  absl::Status Start();
  absl::Status MeasureThroughput();
  absl::Status MeasureLatency(int rate);
  absl::Status Stop();

  Run TakeRun() { return std::move(run_); }

 private:
  absl::Status WaitForEvents(const std::string& what);
  absl::Status SendAtRate(int rate, absl::Duration time, std::vector<int64_t>* scheduled_ns);
  absl::StatusOr<TransactionTotals> ReadTransactionTotals() const;
  absl::StatusOr<CpuUse> ReadCpuUse() const;
  // `first`: number of the command that was due at the first of the times.
  void AddLatencies(int rate, int64_t first, const std::vector<int64_t>& scheduled_ns);
  void AddOthers(const std::string& prefix, const std::string& label, const CpuUse& before,
                 const CpuUse& after);
  void Add(const std::string& id, const std::string& label, double value, int decimals,
           bool compared = true) {
    run_.figures.push_back({id, label, value, decimals, compared});
  }

  const ScenarioOptions& options_;
  const Contender& contender_;
  KafkaTarget target_;
  std::string directory_;
  int64_t sent_ = 0;  // the commands 0 … sent_-1
  int http_port_ = 0;
  int64_t started_ns_ = 0;
  CpuUse cpu_at_start_;
  std::unique_ptr<ChildProcess> process_;
  std::unique_ptr<EventReader> reader_;
  std::unique_ptr<CommandSender> sender_;
  Run run_;
};

Scenario::Scenario(const ScenarioOptions& options, const Contender& contender)
    : options_(options), contender_(contender) {
  static int count = 0;
  const std::string name = absl::StrCat("bench-", getpid(), "-", ++count);
  target_ = {options.bootstrap_servers, name + ".", name, options.partitions};
  directory_ = absl::StrCat(options.work_dir, "/", name);
  std::filesystem::create_directories(directory_);
  run_.contender = contender.name;
}

absl::Status Scenario::MakeTopics() {
  auto process = ChildProcess::Start(
      {options_.esd, "topics", "create", "--bootstrap-servers", target_.bootstrap_servers,
       "--domain", "security", "--topic-prefix", target_.topic_prefix, "--group", target_.group,
       "--partitions", absl::StrCat(target_.partitions)},
      directory_ + "/topics.log");
  return process.ok() ? (*process)->WaitForEnd(kTopicsTimeout) : process.status();
}

absl::Status Scenario::Preload() {
  auto bulk = CommandSender::Open(target_, options_.users, kBulkLinger);
  if (!bulk.ok()) return bulk.status();
  sent_ = options_.measure_throughput ? options_.commands : options_.users;
  return (*bulk)->SendAll(0, sent_, options_.timeout);
}

absl::Status Scenario::Start() {
  const double seconds = absl::ToDoubleSeconds(options_.rate_time + options_.warm_up_time) + 1;
  int64_t capacity = sent_;
  for (const int rate : options_.rates) capacity += static_cast<int64_t>(seconds * rate);
  auto reader = EventReader::Start(target_, capacity);
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);

  const auto port = FreePort();
  if (!port.ok()) return port.status();
  http_port_ = *port;
  const auto cpu = ReadCpuUse();
  if (!cpu.ok()) return cpu.status();
  cpu_at_start_ = *cpu;
  started_ns_ = NowNs();
  auto process =
      ChildProcess::Start(contender_.command_line(target_, absl::StrCat("127.0.0.1:", http_port_),
                                                  directory_ + "/data"),
                          directory_ + "/log");
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  return WaitForEvents("the events of the preloaded commands");
}

absl::Status Scenario::MeasureThroughput() {
  const auto cpu = ReadCpuUse();
  if (!cpu.ok()) return cpu.status();
  const auto totals = ReadTransactionTotals();
  if (!totals.ok()) return totals.status();

  int64_t first_ns = reader_->arrival_ns(0), last_ns = first_ns;
  for (int64_t i = 0; i < sent_; ++i) {
    first_ns = std::min(first_ns, reader_->arrival_ns(i));
    last_ns = std::max(last_ns, reader_->arrival_ns(i));
  }
  const auto commands = static_cast<double>(sent_);
  const double millions = commands / 1e6;
  Add("commands_per_s", "commands/s, from first to last visible event",
      commands / Seconds(last_ns - first_ns), 0);
  Add("commands_per_s_from_start", "commands/s, from the start of the process",
      commands / Seconds(last_ns - started_ns_), 0);
  Add("first_event_s", "s, from the start of the process to the first event",
      Seconds(first_ns - started_ns_), 2);
  Add("cpu_s_per_million", "CPU s per million commands", cpu->contender_s / millions, 2);
  if (options_.broker_pid != 0) {
    Add("broker_cpu_s_per_million", "CPU s of the broker per million commands",
        (cpu->broker_s - cpu_at_start_.broker_s) / millions, 2);
  }
  Add("commands_per_transaction", "commands per transaction", PerTransaction({}, *totals), 0);
  AddOthers("", "", cpu_at_start_, *cpu);
  return absl::OkStatus();
}

absl::Status Scenario::MeasureLatency(int rate) {
  std::vector<int64_t> scheduled_ns;
  if (absl::Status status = SendAtRate(rate, options_.warm_up_time, &scheduled_ns); !status.ok())
    return status;
  const auto before = ReadTransactionTotals();
  if (!before.ok()) return before.status();
  const auto cpu_before = ReadCpuUse();
  if (!cpu_before.ok()) return cpu_before.status();
  const int64_t first = sent_;
  scheduled_ns.clear();
  if (absl::Status status = SendAtRate(rate, options_.rate_time, &scheduled_ns); !status.ok())
    return status;
  const auto after = ReadTransactionTotals();
  if (!after.ok()) return after.status();
  const auto cpu_after = ReadCpuUse();
  if (!cpu_after.ok()) return cpu_after.status();
  AddLatencies(rate, first, scheduled_ns);
  const std::string id = absl::StrCat("rate_", rate, "_");
  const std::string label = absl::StrCat("at ", rate, "/s: ");
  Add(id + "commands_per_transaction", label + "commands per transaction",
      PerTransaction(*before, *after), 1);
  AddOthers(id, label, *cpu_before, *cpu_after);
  return absl::OkStatus();
}

void Scenario::AddLatencies(int rate, int64_t first, const std::vector<int64_t>& scheduled_ns) {
  std::vector<double> latencies_ms;
  for (size_t i = 0; i < scheduled_ns.size(); ++i) {
    const int64_t arrived_ns = reader_->arrival_ns(first + static_cast<int64_t>(i));
    latencies_ms.push_back(Seconds(arrived_ns - scheduled_ns[i]) * 1e3);
  }
  std::sort(latencies_ms.begin(), latencies_ms.end());
  const std::string id = absl::StrCat("rate_", rate, "_");
  const std::string label = absl::StrCat("at ", rate, "/s: ");
  Add(id + "p50_ms", label + "p50 ms, from sending to visible event", Percentile(latencies_ms, 50),
      2);
  Add(id + "p95_ms", label + "p95 ms", Percentile(latencies_ms, 95), 2);
  Add(id + "p99_ms", label + "p99 ms", Percentile(latencies_ms, 99), 2);
  Add(id + "max_ms", label + "max ms", latencies_ms.back(), 2);
  Add(id + "sent", label + "commands sent", static_cast<double>(scheduled_ns.size()), 0, false);
  Add(id + "received", label + "events received", static_cast<double>(reader_->seen() - first), 0,
      false);
}

absl::Status Scenario::Stop() {
  process_->Terminate();
  // The figures stand; that it doesn't end well is worth a word, not their loss.
  const absl::Status ended = process_->WaitForEnd(kStopTimeout);
  if (!ended.ok()) std::fprintf(stderr, "esd_bench: %s\n", ended.ToString().c_str());
  return absl::OkStatus();
}

absl::Status Scenario::WaitForEvents(const std::string& what) {
  absl::Status status = WaitUntil(
      what, options_.timeout, [this] { return reader_->seen() == sent_; },
      [this] {
        absl::Status read = reader_->status();
        return read.ok() ? process_->CheckRunning() : read;
      });
  if (!absl::IsDeadlineExceeded(status)) return status;
  return absl::DataLossError(absl::StrCat(status.message(), ": ", sent_, " commands were sent, ",
                                          reader_->seen(), " events came; the log of ",
                                          contender_.name, " ends with:\n", process_->EndOfLog()));
}

absl::Status Scenario::SendAtRate(int rate, absl::Duration time,
                                  std::vector<int64_t>* scheduled_ns) {
  if (sender_ == nullptr) {
    auto sender = CommandSender::Open(target_, options_.users, absl::ZeroDuration());
    if (!sender.ok()) return sender.status();
    sender_ = *std::move(sender);
  }
  const int64_t from = sent_;
  sent_ += static_cast<int64_t>(absl::ToDoubleSeconds(time) * rate);
  absl::Status status = sender_->SendAtRate(from, sent_, rate, scheduled_ns);
  return status.ok() ? WaitForEvents(absl::StrCat("the events of the commands at ", rate, "/s"))
                     : status;
}

absl::StatusOr<CpuUse> Scenario::ReadCpuUse() const {
  CpuUse use;
  use.at_ns = NowNs();
  absl::StatusOr<double> read = MachineCpuSeconds();
  if (!read.ok()) return read.status();
  use.machine_s = *read;
  const pid_t contender = process_ == nullptr ? 0 : process_->pid();
  for (const auto& [pid, cpu_s] : {std::pair{contender, &use.contender_s},
                                   {options_.broker_pid, &use.broker_s},
                                   {getpid(), &use.own_s}}) {
    if (pid == 0) continue;  // not started, or unknown
    read = CpuSeconds(pid);
    if (!read.ok()) return read.status();
    *cpu_s = *read;
  }
  return use;
}

void Scenario::AddOthers(const std::string& prefix, const std::string& label, const CpuUse& before,
                         const CpuUse& after) {
  Add(prefix + "other_cores", label + "cores used by others meanwhile",
      std::max(0.0, after.OtherCoresSince(before)), 2, /*compared=*/false);
}

absl::StatusOr<TransactionTotals> Scenario::ReadTransactionTotals() const {
  httplib::Client client("127.0.0.1", http_port_);
  client.set_read_timeout(5, 0);
  const httplib::Result result = client.Get("/metrics");
  if (!result || result->status != 200)
    return absl::UnavailableError(contender_.name + " doesn't serve /metrics");
  TransactionTotals totals;
  std::istringstream lines(result->body);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    double value = 0;
    if (!absl::SimpleAtod(line.substr(space + 1), &value)) continue;
    if (line.substr(0, space) == "esd_transaction_commands_sum") totals.commands = value;
    if (line.substr(0, space) == "esd_transaction_commands_count") totals.transactions = value;
  }
  return totals;
}

}  // namespace

absl::StatusOr<Run> RunScenario(const ScenarioOptions& options, const Contender& contender) {
  Scenario scenario(options, contender);
  for (const auto step : {&Scenario::MakeTopics, &Scenario::Preload, &Scenario::Start}) {
    if (absl::Status status = (scenario.*step)(); !status.ok()) return status;
  }
  if (options.measure_throughput) {
    if (absl::Status status = scenario.MeasureThroughput(); !status.ok()) return status;
  }
  for (const int rate : options.rates) {
    if (absl::Status status = scenario.MeasureLatency(rate); !status.ok()) return status;
  }
  if (absl::Status status = scenario.Stop(); !status.ok()) return status;
  return scenario.TakeRun();
}

}  // namespace esd::bench
