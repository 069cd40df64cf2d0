// One run of one contender: the same commands, the same reader, the same broker for each.
#ifndef ESD_BENCH_SCENARIO_H_
#define ESD_BENCH_SCENARIO_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <vector>

#include "bench/contender_run.h"
#include "bench/report.h"

namespace esd::bench {

struct ScenarioOptions : RunOptions {
  bool measure_throughput = true;
  std::vector<int> rates;  // commands per second at which the latency is measured
  absl::Duration rate_time = absl::Seconds(20);
  absl::Duration warm_up_time = absl::Seconds(3);
};

// Makes topics of its own, fills them, starts the contender, measures, and ends it. Errors:
// kDataLoss for an event that is missing, twice or wrong, and whatever kept the run from its end.
absl::StatusOr<Run> RunScenario(const ScenarioOptions& options, const Contender& contender);

}  // namespace esd::bench

#endif  // ESD_BENCH_SCENARIO_H_
