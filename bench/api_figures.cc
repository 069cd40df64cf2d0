#include "bench/api_figures.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "bench/contender_run.h"

namespace esd::bench {
namespace {

// What the figures of one load begin with.
struct Prefix {
  std::string id;
  std::string label;
};

Prefix OfReads(int in_flight) {
  return {absl::StrCat("get_snapshot_", in_flight, "_"),
          absl::StrCat("GetSnapshot, ", in_flight, " in flight: ")};
}
Prefix OfSubmits(int in_flight) {
  return {absl::StrCat("submit_", in_flight, "_"),
          absl::StrCat("SubmitCommand, ", in_flight, " in flight: ")};
}
Prefix OfBatches(int batch_size) {
  return {"batch_", absl::StrCat("batches of ", batch_size, ": ")};
}

void AddTimes(const Prefix& prefix, std::vector<double> times_ms, bool compared, Run* run) {
  std::sort(times_ms.begin(), times_ms.end());
  for (const int percent : {50, 99}) {
    run->Add(absl::StrCat(prefix.id, "p", percent, "_ms"),
             absl::StrCat(prefix.label, "p", percent, " ms"), Percentile(times_ms, percent), 2,
             compared);
  }
}

// CPU seconds of contender, broker and this program for each million.
void AddCpu(const Prefix& prefix, const CpuUse& cpu, double count, bool with_broker, Run* run) {
  run->Add(prefix.id + "cpu_s_per_million", prefix.label + "CPU s per million",
           cpu.contender_s / count * 1e6, 2);
  if (with_broker && cpu.broker_s > 0) {
    run->Add(prefix.id + "broker_cpu_s_per_million", prefix.label + "the broker's",
             cpu.broker_s / count * 1e6, 2);
  }
  if (cpu.own_s > 0)
    run->Add(prefix.id + "client_cpu_s_per_million", prefix.label + "the client's",
             cpu.own_s / count * 1e6, 2);
}

void AddEmbedded(const Prefix& prefix, const Measured& measured, double per_call, Run* run) {
  const double commands = static_cast<double>(measured.load.calls) * per_call;
  run->Add(prefix.id + "commands_per_s", prefix.label + "commands/s",
           measured.load.CallsPerSecond() * per_call, 0);
  AddTimes(prefix, measured.load.times_ms, /*compared=*/true, run);
  AddCpu(prefix, measured.cpu, commands, /*with_broker=*/false, run);
  AddOtherCores(prefix.id, prefix.label, measured.cpu, run);
}

}  // namespace

void AddReads(int in_flight, const Measured& measured, Run* run) {
  const Prefix prefix = OfReads(in_flight);
  run->Add(prefix.id + "calls_per_s", prefix.label + "calls/s", measured.load.CallsPerSecond(), 0);
  AddTimes(prefix, measured.load.times_ms, /*compared=*/true, run);
  AddCpu(prefix, measured.cpu, static_cast<double>(measured.load.calls), /*with_broker=*/false,
         run);
  AddOtherCores(prefix.id, prefix.label, measured.cpu, run);
}

void AddBatches(int batch_size, const ThroughputFigures& figures, Run* run) {
  const Prefix prefix = OfBatches(batch_size);
  run->Add(prefix.id + "commands_per_s", prefix.label + "commands/s, to the last answer",
           figures.answered_per_s, 0);
  run->Add(prefix.id + "visible_per_s", prefix.label + "commands/s, to the last event",
           figures.visible_per_s, 0);
  AddCpu(prefix, figures.cpu, figures.commands, /*with_broker=*/true, run);
  run->Add(prefix.id + "commands_per_transaction", prefix.label + "commands per transaction",
           figures.commands_per_transaction, 0);
  AddOtherCores(prefix.id, prefix.label, figures.cpu, run);
}

void AddBatchTimes(int batch_size, const std::vector<double>& times_ms, Run* run) {
  AddTimes(OfBatches(batch_size), times_ms, /*compared=*/false, run);
}

void AddSubmits(int in_flight, const Measured& measured, double commands_per_transaction,
                Run* run) {
  const Prefix prefix = OfSubmits(in_flight);
  AddTimes(prefix, measured.load.times_ms, /*compared=*/true, run);
  run->Add(prefix.id + "commands_per_s", prefix.label + "commands/s",
           measured.load.CallsPerSecond(), 0);
  run->Add(prefix.id + "commands_per_transaction", prefix.label + "commands/transaction",
           commands_per_transaction, 1);
  AddCpu(prefix, measured.cpu, static_cast<double>(measured.load.calls), /*with_broker=*/true, run);
  AddOtherCores(prefix.id, prefix.label, measured.cpu, run);
}

void AddEmbeddedSubmits(int in_flight, const Measured& measured, double per_call, Run* run) {
  AddEmbedded(OfSubmits(in_flight), measured, per_call, run);
}

void AddEmbeddedBatches(int batch_size, int in_flight, const Measured& measured, double per_call,
                        Run* run) {
  const Prefix batches = OfBatches(batch_size);
  AddEmbedded(
      {batches.id, absl::StrCat("batches of ", batch_size, ", ", in_flight, " in flight: ")},
      measured, per_call, run);
}

void AddEmbeddedLog(int in_flight, const Measured& measured, double per_transaction, Run* run) {
  AddEmbedded({absl::StrCat("log_", in_flight, "_"),
               absl::StrCat("log alone, ", in_flight, " in flight: ")},
              measured, per_transaction, run);
}

}  // namespace esd::bench
