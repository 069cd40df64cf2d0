// What every run of a contender begins and ends with: topics of its own that are filled, a process
// that is started, watched and ended, and a reader of its events.
#ifndef ESD_BENCH_CONTENDER_RUN_H_
#define ESD_BENCH_CONTENDER_RUN_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/child_process.h"
#include "bench/cpu_use.h"
#include "bench/event_reader.h"
#include "bench/kafka_clients.h"
#include "bench/report.h"

namespace esd::bench {

struct RunOptions {
  std::string bootstrap_servers;
  std::string esd;       // path of the binary; it also makes the topics
  std::string work_dir;  // for stores and logs; exists
  pid_t broker_pid = 0;  // 0: unknown, no CPU time of the broker
  int64_t commands = 1'000'000;
  int64_t users = 10'000;
  int partitions = 4;
  absl::Duration timeout = absl::Minutes(3);  // of each step
};

// Where a contender is to listen: host:port.
struct ListenAddresses {
  std::string http;  // its /metrics
  std::string grpc;  // its API, if it has one
};

// Something that turns commands into events.
struct Contender {
  std::string name;
  // How to start it; `data_dir` is fresh.
  std::function<std::vector<std::string>(const KafkaTarget& target, const ListenAddresses& listen,
                                         const std::string& data_dir)>
      command_line;
};

// Of what a contender has committed, from its /metrics.
struct TransactionTotals {
  double commands = 0;
  double transactions = 0;
};

double CommandsPerTransaction(const TransactionTotals& before, const TransactionTotals& after);

// How a contender went through the preloaded commands.
struct PreloadedFigures {
  double commands_per_s = 0;
  double commands_per_s_from_start = 0;
  double first_event_s = 0;
  double commands_per_transaction = 0;
  CpuUse cpu;
};

class ContenderRun {
 public:
  // Both must live as long as it.
  ContenderRun(const RunOptions& options, const Contender& contender);
  // Removes what it kept on disk.
  ~ContenderRun();

  // In this order.
  absl::Status MakeTopics();
  absl::Status Preload(int64_t commands);
  // Returns when the events of the preloaded commands are visible. `more`: how many commands may
  // follow them.
  absl::Status Start(int64_t more);
  absl::StatusOr<PreloadedFigures> MeasurePreloaded() const;
  void Stop();

  // Another set of topics on the same broker; `name` tells it from others of this run.
  absl::StatusOr<KafkaTarget> MakeMoreTopics(const std::string& name);

  // The commands 0 … sent()-1 were sent. Whoever sends more counts them.
  int64_t sent() const { return sent_; }
  void AddSent(int64_t commands) { sent_ += commands; }

  // Waits until each sent command's event is visible: once, and no other.
  absl::Status WaitForEvents(const std::string& what);

  absl::StatusOr<TransactionTotals> ReadTransactionTotals() const;
  absl::StatusOr<CpuUse> ReadCpuUse() const;

  const KafkaTarget& target() const { return target_; }
  const std::string& directory() const { return directory_; }
  const std::string& grpc_address() const { return listen_.grpc; }
  const EventReader& reader() const { return *reader_; }
  ChildProcess& process() { return *process_; }

 private:
  absl::Status MakeTopics(const KafkaTarget& target);

  const RunOptions& options_;
  const Contender& contender_;
  KafkaTarget target_;
  std::string directory_;
  int64_t sent_ = 0;
  ListenAddresses listen_;
  int64_t started_ns_ = 0;
  CpuUse cpu_at_start_;
  std::unique_ptr<ChildProcess> process_;
  std::unique_ptr<EventReader> reader_;
};

// The rows of the report that all runs with preloaded commands have.
void AddPreloadedFigures(const PreloadedFigures& figures, const RunOptions& options, Run* run);
void AddOtherCores(const std::string& id_prefix, const std::string& label_prefix,
                   const CpuUse& meanwhile, Run* run);

}  // namespace esd::bench

#endif  // ESD_BENCH_CONTENDER_RUN_H_
