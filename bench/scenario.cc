#include "bench/scenario.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "bench/command_sender.h"
#include "bench/waiting.h"

namespace esd::bench {
namespace {

class Scenario {
 public:
  Scenario(const ScenarioOptions& options, const Contender& contender)
      : options_(options), contender_run_(options, contender) {
    run_.contender = contender.name;
  }

  // In this order.
  absl::Status Start();
  absl::Status MeasureThroughput();
  absl::Status MeasureLatency(int rate);
  Run Stop();

 private:
  absl::Status SendAtRate(int rate, absl::Duration time, std::vector<int64_t>* scheduled_ns);
  // `first`: number of the command that was due at the first of the times.
  void AddLatencies(int rate, int64_t first, const std::vector<int64_t>& scheduled_ns);

  const ScenarioOptions& options_;
  ContenderRun contender_run_;
  std::unique_ptr<CommandSender> sender_;
  Run run_;
};

absl::Status Scenario::Start() {
  if (absl::Status status = contender_run_.MakeTopics(); !status.ok()) return status;
  const int64_t commands = options_.measure_throughput ? options_.commands : options_.users;
  if (absl::Status status = contender_run_.Preload(commands); !status.ok()) return status;
  const double seconds = absl::ToDoubleSeconds(options_.rate_time + options_.warm_up_time) + 1;
  int64_t more = 0;
  for (const int rate : options_.rates) more += static_cast<int64_t>(seconds * rate);
  return contender_run_.Start(more);
}

absl::Status Scenario::MeasureThroughput() {
  const auto figures = contender_run_.MeasurePreloaded();
  if (!figures.ok()) return figures.status();
  AddPreloadedFigures(*figures, options_, &run_);
  return absl::OkStatus();
}

absl::Status Scenario::MeasureLatency(int rate) {
  std::vector<int64_t> scheduled_ns;
  if (absl::Status status = SendAtRate(rate, options_.warm_up_time, &scheduled_ns); !status.ok())
    return status;
  const auto before = contender_run_.ReadTransactionTotals();
  if (!before.ok()) return before.status();
  const auto cpu_before = contender_run_.ReadCpuUse();
  if (!cpu_before.ok()) return cpu_before.status();
  const int64_t first = contender_run_.sent();
  scheduled_ns.clear();
  if (absl::Status status = SendAtRate(rate, options_.rate_time, &scheduled_ns); !status.ok())
    return status;
  const auto after = contender_run_.ReadTransactionTotals();
  if (!after.ok()) return after.status();
  const auto cpu_after = contender_run_.ReadCpuUse();
  if (!cpu_after.ok()) return cpu_after.status();
  AddLatencies(rate, first, scheduled_ns);
  const std::string id = absl::StrCat("rate_", rate, "_");
  const std::string label = absl::StrCat("at ", rate, "/s: ");
  run_.Add(id + "commands_per_transaction", label + "commands per transaction",
           CommandsPerTransaction(*before, *after), 1);
  AddOtherCores(id, label, *cpu_after - *cpu_before, &run_);
  return absl::OkStatus();
}

void Scenario::AddLatencies(int rate, int64_t first, const std::vector<int64_t>& scheduled_ns) {
  const EventReader& reader = contender_run_.reader();
  std::vector<double> latencies_ms;
  for (size_t i = 0; i < scheduled_ns.size(); ++i) {
    const int64_t arrived_ns = reader.arrival_ns(first + static_cast<int64_t>(i));
    latencies_ms.push_back(Seconds(arrived_ns - scheduled_ns[i]) * 1e3);
  }
  std::sort(latencies_ms.begin(), latencies_ms.end());
  const std::string id = absl::StrCat("rate_", rate, "_");
  const std::string label = absl::StrCat("at ", rate, "/s: ");
  run_.Add(id + "p50_ms", label + "p50 ms, from sending to visible event",
           Percentile(latencies_ms, 50), 2);
  run_.Add(id + "p95_ms", label + "p95 ms", Percentile(latencies_ms, 95), 2);
  run_.Add(id + "p99_ms", label + "p99 ms", Percentile(latencies_ms, 99), 2);
  run_.Add(id + "max_ms", label + "max ms", latencies_ms.back(), 2);
  run_.Add(id + "sent", label + "commands sent", static_cast<double>(scheduled_ns.size()), 0,
           false);
  run_.Add(id + "received", label + "events received", static_cast<double>(reader.seen() - first),
           0, false);
}

Run Scenario::Stop() {
  contender_run_.Stop();
  return std::move(run_);
}

absl::Status Scenario::SendAtRate(int rate, absl::Duration time,
                                  std::vector<int64_t>* scheduled_ns) {
  if (sender_ == nullptr) {
    auto sender =
        CommandSender::Open(contender_run_.target(), options_.users, absl::ZeroDuration());
    if (!sender.ok()) return sender.status();
    sender_ = *std::move(sender);
  }
  const int64_t from = contender_run_.sent();
  contender_run_.AddSent(static_cast<int64_t>(absl::ToDoubleSeconds(time) * rate));
  absl::Status status = sender_->SendAtRate(from, contender_run_.sent(), rate, scheduled_ns);
  if (!status.ok()) return status;
  return contender_run_.WaitForEvents(absl::StrCat("the events of the commands at ", rate, "/s"));
}

}  // namespace

absl::StatusOr<Run> RunScenario(const ScenarioOptions& options, const Contender& contender) {
  Scenario scenario(options, contender);
  if (absl::Status status = scenario.Start(); !status.ok()) return status;
  if (options.measure_throughput) {
    if (absl::Status status = scenario.MeasureThroughput(); !status.ok()) return status;
  }
  for (const int rate : options.rates) {
    if (absl::Status status = scenario.MeasureLatency(rate); !status.ok()) return status;
  }
  return scenario.Stop();
}

}  // namespace esd::bench
