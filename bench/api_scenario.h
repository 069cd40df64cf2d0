// One run of the engine's gRPC API: reads, batches and single commands, each next to what it is
// compared with, on one broker and in turn.
#ifndef ESD_BENCH_API_SCENARIO_H_
#define ESD_BENCH_API_SCENARIO_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>
#include <vector>

#include "bench/contender_run.h"
#include "bench/report.h"

namespace esd::bench {

struct ApiScenarioOptions : RunOptions {
  std::string esd_bench;                       // path of this program: the null server
  int connections = 4;                         // of the client
  std::vector<int> reads_in_flight = {1, 64};  // GetSnapshot
  int64_t batches = 5'000;                     // BatchSubmitCommands
  int batch_size = 100;
  int batches_in_flight = 128;                          // 12,800 commands: the engine allows 20,000
  std::vector<int> submits_in_flight = {1, 64, 1'000};  // SubmitCommand
  absl::Duration call_time = absl::Seconds(10);  // of each number in flight and each contender
  absl::Duration call_warm_up_time = absl::Seconds(1);
};

// `engine` goes through the preloaded commands first, then serves the calls. All answers are
// checked, and what they said is read back. Returns a run of the engine and of each of the others.
// Errors: as RunScenario; kDataLoss for a wrong answer as well; that of a call that failed.
absl::StatusOr<std::vector<Run>> RunApiScenario(const ApiScenarioOptions& options,
                                                const Contender& engine);

}  // namespace esd::bench

#endif  // ESD_BENCH_API_SCENARIO_H_
