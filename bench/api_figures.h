// The rows of the report for the gRPC API.
#ifndef ESD_BENCH_API_FIGURES_H_
#define ESD_BENCH_API_FIGURES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bench/api_client.h"
#include "bench/cpu_use.h"
#include "bench/report.h"

namespace esd::bench {

// A load, and the CPU time meanwhile.
struct Measured {
  LoadFigures load;
  CpuUse cpu;

  Measured& operator+=(const Measured& other) {
    load += other.load;
    cpu += other.cpu;
    return *this;
  }
};

// How many commands went through, by whichever way.
struct ThroughputFigures {
  double commands = 0;
  double answered_per_s = 0;  // to the last answer
  double visible_per_s = 0;   // to the last visible event
  double commands_per_transaction = 0;
  CpuUse cpu;
};

void AddReads(int in_flight, const Measured& measured, Run* run);
// Without a broker's process known, its CPU time is 0 and left out.
void AddBatches(int batch_size, const ThroughputFigures& figures, Run* run);
void AddBatchTimes(int batch_size, const std::vector<double>& times_ms, Run* run);
// Of SubmitCommand, or of what stands next to it.
void AddSubmits(int in_flight, const Measured& measured, double commands_per_transaction, Run* run);
// Without a broker. A call, or a batch of what stands next to it, has `per_call` commands.
void AddEmbeddedSubmits(int in_flight, const Measured& measured, double per_call, Run* run);
void AddEmbeddedBatches(int batch_size, int in_flight, const Measured& measured, double per_call,
                        Run* run);
// Of the embedded log without the engine, or of what stands next to it: its transactions.
void AddEmbeddedLog(int in_flight, const Measured& measured, double per_transaction, Run* run);

}  // namespace esd::bench

#endif  // ESD_BENCH_API_FIGURES_H_
