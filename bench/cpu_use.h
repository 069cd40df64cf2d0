// CPU seconds of all that takes part in a run.
#ifndef ESD_BENCH_CPU_USE_H_
#define ESD_BENCH_CPU_USE_H_

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstdint>

namespace esd::bench {

// So far, or, as a difference of two, meanwhile.
struct CpuUse {
  int64_t at_ns = 0;
  double contender_s = 0;
  double broker_s = 0;
  double machine_s = 0;
  double own_s = 0;

  CpuUse operator-(const CpuUse& before) const;
  CpuUse& operator+=(const CpuUse& other);

  // Of a difference: cores that neither the contender nor the broker nor this program has used:
  // what the machine had to do besides, which makes every other figure worse.
  double OtherCores() const;
};

// 0 for a process that isn't started or known.
absl::StatusOr<CpuUse> ReadCpuUse(pid_t contender, pid_t broker);

}  // namespace esd::bench

#endif  // ESD_BENCH_CPU_USE_H_
