// How the contenders are started.
#ifndef ESD_BENCH_CONTENDERS_H_
#define ESD_BENCH_CONTENDERS_H_

#include <string>

#include "bench/contender_run.h"

namespace esd::bench {

// Path of this program.
std::string OwnPath();

// `esd serve`. `workers`: 0 for its default.
Contender Engine(const std::string& esd, int workers);

// See bare_loop.h.
Contender BareLoop();

}  // namespace esd::bench

#endif  // ESD_BENCH_CONTENDERS_H_
