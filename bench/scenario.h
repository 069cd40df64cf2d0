// One run of one contender: the same commands, the same reader, the same broker for each.
#ifndef ESD_BENCH_SCENARIO_H_
#define ESD_BENCH_SCENARIO_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/kafka_clients.h"
#include "bench/report.h"

namespace esd::bench {

struct ScenarioOptions {
  std::string bootstrap_servers;
  std::string esd;       // path of the binary; it also makes the topics
  std::string work_dir;  // for stores and logs; exists
  pid_t broker_pid = 0;  // 0: unknown, no CPU time of the broker
  int64_t commands = 1'000'000;
  int64_t users = 10'000;
  int partitions = 4;
  bool measure_throughput = true;
  std::vector<int> rates;  // commands per second at which the latency is measured
  absl::Duration rate_time = absl::Seconds(20);
  absl::Duration warm_up_time = absl::Seconds(3);
  absl::Duration timeout = absl::Minutes(3);  // of each step
};

// Something that turns commands into events.
struct Contender {
  std::string name;
  // How to start it. `http_listen`: where it is to serve its /metrics; `data_dir`: fresh.
  std::function<std::vector<std::string>(const KafkaTarget& target, const std::string& http_listen,
                                         const std::string& data_dir)>
      command_line;
};

// Makes topics of its own, fills them, starts the contender, measures, and ends it. Errors:
// kDataLoss for an event that is missing, twice or wrong, and whatever kept the run from its end.
absl::StatusOr<Run> RunScenario(const ScenarioOptions& options, const Contender& contender);

}  // namespace esd::bench

#endif  // ESD_BENCH_SCENARIO_H_
