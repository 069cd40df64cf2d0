#include "bench/contender_run.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <httplib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <utility>

#include "bench/command_sender.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr absl::Duration kTopicsTimeout = absl::Seconds(30);
constexpr absl::Duration kStopTimeout = absl::Seconds(15);
// Long enough to gather full batches, short beside a run.
constexpr absl::Duration kBulkLinger = absl::Milliseconds(20);

}  // namespace

double CommandsPerTransaction(const TransactionTotals& before, const TransactionTotals& after) {
  return (after.commands - before.commands) / (after.transactions - before.transactions);
}

ContenderRun::ContenderRun(const RunOptions& options, const Contender& contender)
    : options_(options), contender_(contender) {
  static int count = 0;
  const std::string name = absl::StrCat("bench-", getpid(), "-", ++count);
  target_ = {options.bootstrap_servers, name + ".", name, options.partitions};
  directory_ = absl::StrCat(options.work_dir, "/", name);
  std::filesystem::create_directories(directory_);
}

ContenderRun::~ContenderRun() { std::filesystem::remove_all(directory_); }

absl::Status ContenderRun::MakeTopics() { return MakeTopics(target_); }

absl::StatusOr<KafkaTarget> ContenderRun::MakeMoreTopics(const std::string& name) {
  KafkaTarget target = target_;
  target.group += "-" + name;
  target.topic_prefix = target.group + ".";
  if (absl::Status status = MakeTopics(target); !status.ok()) return status;
  return target;
}

absl::Status ContenderRun::MakeTopics(const KafkaTarget& target) {
  auto process = ChildProcess::Start(
      {options_.esd, "topics", "create", "--bootstrap-servers", target.bootstrap_servers,
       "--domain", "security", "--topic-prefix", target.topic_prefix, "--group", target.group,
       "--partitions", absl::StrCat(target.partitions)},
      directory_ + "/topics.log");
  return process.ok() ? (*process)->WaitForEnd(kTopicsTimeout) : process.status();
}

absl::Status ContenderRun::Preload(int64_t commands) {
  auto bulk = CommandSender::Open(target_, options_.users, kBulkLinger);
  if (!bulk.ok()) return bulk.status();
  sent_ = commands;
  return (*bulk)->SendAll(0, sent_, options_.timeout);
}

absl::Status ContenderRun::Start(int64_t more) {
  auto reader = EventReader::Start(target_, sent_ + more);
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);

  for (std::string* address : {&listen_.http, &listen_.grpc}) {
    const auto port = FreePort();
    if (!port.ok()) return port.status();
    *address = absl::StrCat("127.0.0.1:", *port);
  }
  const auto cpu = ReadCpuUse();
  if (!cpu.ok()) return cpu.status();
  cpu_at_start_ = *cpu;
  started_ns_ = NowNs();
  auto process = ChildProcess::Start(
      contender_.command_line(target_, listen_, directory_ + "/data"), directory_ + "/log");
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  return WaitForEvents("the events of the preloaded commands");
}

absl::StatusOr<PreloadedFigures> ContenderRun::MeasurePreloaded() const {
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
  return PreloadedFigures{
      commands / Seconds(last_ns - first_ns), commands / Seconds(last_ns - started_ns_),
      Seconds(first_ns - started_ns_), CommandsPerTransaction({}, *totals), *cpu - cpu_at_start_};
}

void ContenderRun::Stop() {
  process_->Terminate();
  // The figures stand; that it doesn't end well is worth a word, not their loss.
  const absl::Status ended = process_->WaitForEnd(kStopTimeout);
  if (!ended.ok()) std::fprintf(stderr, "esd_bench: %s\n", ended.ToString().c_str());
}

absl::Status ContenderRun::WaitForEvents(const std::string& what) {
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

absl::StatusOr<CpuUse> ContenderRun::ReadCpuUse() const {
  return bench::ReadCpuUse(process_ == nullptr ? 0 : process_->pid(), options_.broker_pid);
}

absl::StatusOr<TransactionTotals> ContenderRun::ReadTransactionTotals() const {
  httplib::Client client("http://" + listen_.http);
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

void AddPreloadedFigures(const PreloadedFigures& figures, const RunOptions& options, Run* run) {
  const double millions = static_cast<double>(options.commands) / 1e6;
  run->Add("commands_per_s", "commands/s, from first to last visible event", figures.commands_per_s,
           0);
  run->Add("commands_per_s_from_start", "commands/s, from the start of the process",
           figures.commands_per_s_from_start, 0);
  run->Add("first_event_s", "s, from the start of the process to the first event",
           figures.first_event_s, 2);
  run->Add("cpu_s_per_million", "CPU s per million commands", figures.cpu.contender_s / millions,
           2);
  if (options.broker_pid != 0) {
    run->Add("broker_cpu_s_per_million", "CPU s of the broker per million commands",
             figures.cpu.broker_s / millions, 2);
  }
  run->Add("commands_per_transaction", "commands per transaction", figures.commands_per_transaction,
           0);
  AddOtherCores("", "", figures.cpu, run);
}

void AddOtherCores(const std::string& id_prefix, const std::string& label_prefix,
                   const CpuUse& meanwhile, Run* run) {
  run->Add(id_prefix + "other_cores", label_prefix + "cores used by others meanwhile",
           meanwhile.OtherCores(), 2, /*compared=*/false);
}

}  // namespace esd::bench
