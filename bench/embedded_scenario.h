// The engine without a broker: how many commands it takes, next to bare RocksDB on the same disk,
// and how soon it serves.
#ifndef ESD_BENCH_EMBEDDED_SCENARIO_H_
#define ESD_BENCH_EMBEDDED_SCENARIO_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bench/report.h"

namespace esd::bench {

struct EmbeddedScenarioOptions {
  std::string esd;       // path of the binary
  std::string work_dir;  // for its data and logs; exists
  int workers = 0;       // 0: its default
  int64_t users = 10'000;
  int connections = 4;
  std::vector<int> submits_in_flight = {1, 64, 1'000};
  int batch_size = 100;
  int batches_in_flight = 64;
  absl::Duration call_time = absl::Seconds(10);  // of each number in flight and each contender
  absl::Duration call_warm_up_time = absl::Seconds(1);
  int starts = 5;                             // of `esd dev`
  int64_t aggregates = 1'000'000;             // that a restart finds
  absl::Duration timeout = absl::Minutes(3);  // of each step
};

// All answers are checked, and what they said is read back. Returns a run of `esd dev`, one of
// its log alone and one of bare RocksDB. Errors: as RunApiScenario.
absl::StatusOr<std::vector<Run>> RunEmbeddedScenario(const EmbeddedScenarioOptions& options);

}  // namespace esd::bench

#endif  // ESD_BENCH_EMBEDDED_SCENARIO_H_
