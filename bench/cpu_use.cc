#include "bench/cpu_use.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "bench/child_process.h"
#include "bench/waiting.h"

namespace esd::bench {

CpuUse CpuUse::operator-(const CpuUse& before) const {
  return {at_ns - before.at_ns, contender_s - before.contender_s, broker_s - before.broker_s,
          machine_s - before.machine_s, own_s - before.own_s};
}

CpuUse& CpuUse::operator+=(const CpuUse& other) {
  at_ns += other.at_ns;
  contender_s += other.contender_s;
  broker_s += other.broker_s;
  machine_s += other.machine_s;
  own_s += other.own_s;
  return *this;
}

double CpuUse::OtherCores() const {
  // Rounding of the clock's ticks may bring it a little below zero.
  return std::max(0.0, (machine_s - contender_s - broker_s - own_s) / Seconds(at_ns));
}

absl::StatusOr<CpuUse> ReadCpuUse(pid_t contender, pid_t broker) {
  CpuUse use;
  use.at_ns = NowNs();
  absl::StatusOr<double> read = MachineCpuSeconds();
  if (!read.ok()) return read.status();
  use.machine_s = *read;
  for (const auto& [pid, cpu_s] :
       {std::pair{contender, &use.contender_s}, {broker, &use.broker_s}, {getpid(), &use.own_s}}) {
    if (pid == 0) continue;
    read = CpuSeconds(pid);
    if (!read.ok()) return read.status();
    *cpu_s = *read;
  }
  return use;
}

}  // namespace esd::bench
