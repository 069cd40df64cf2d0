// The least that any engine on Kafka must do to process exactly once: consume, produce, commit.
#ifndef ESD_BENCH_BARE_LOOP_H_
#define ESD_BENCH_BARE_LOOP_H_

#include <absl/status/status.h>

#include <string>

#include "bench/kafka_clients.h"

namespace esd::bench {

// Takes whatever commands wait, up to 10,000, and writes one event and one record of a snapshot's
// size for each, in one transaction with the consumed offsets. It decodes, decides and stores
// nothing. One thread, one group member, one transactional producer.
//
// Runs until SIGTERM or SIGINT. Serves the two figures of /metrics that scenario.cc reads, under
// the engine's names, on `http_listen` (host:port). Any error ends it: it is no engine.
absl::Status RunBareLoop(const KafkaTarget& target, const std::string& http_listen);

}  // namespace esd::bench

#endif  // ESD_BENCH_BARE_LOOP_H_
