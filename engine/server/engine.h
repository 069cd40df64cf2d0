// The whole instance: owns the store, the log, the workers, the gRPC API and the HTTP server,
// starts them in order and stops them in the reverse order.
#ifndef ESD_ENGINE_SERVER_ENGINE_H_
#define ESD_ENGINE_SERVER_ENGINE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/aggregate/aggregate_type.h"
#include "engine/server/tls_options.h"

namespace esd {

// What the engine's topics are kept in.
enum class LogKind {
  kKafka,
  kEmbedded,  // in the data directory, which no other process may use: no broker, one instance
};

struct EngineOptions {
  LogKind log = LogKind::kKafka;
  // Kafka: `host:port,…`, and any librdkafka property, for every client that the engine makes.
  std::string bootstrap_servers;
  std::map<std::string, std::string> kafka_properties;
  std::string group = "esd";
  // Goes before every topic's name.
  std::string topic_prefix;
  // Fixed name of this instance: static membership, so a restart in place resumes at once. Empty:
  // dynamic membership, so a clean stop hands over at once; the instance is then named by a file in
  // the data directory.
  std::string instance_id;
  // With Kafka a cache, which is rebuilt when it is lost; with the embedded log the data.
  std::string data_dir;
  // Worker threads; 0 stands for the number of cores, at most 4. Never more than there are
  // partitions.
  int workers = 0;
  // `host:port` for /metrics, /livez and /readyz; port 0 picks a free one.
  std::string http_listen = "127.0.0.1:7071";
  // `host:port` of the gRPC API.
  std::string grpc_listen = "127.0.0.1:7070";
  // For the gRPC API and for calls that are forwarded to other instances.
  TlsOptions tls;
  // `host:port` at which other instances reach this one's gRPC API. Port 0, or empty: the port that
  // was picked for `grpc_listen`; empty: its host, too, or this machine's name if that is a
  // wildcard (0.0.0.0 or ::). With TLS the certificate must name the host.
  std::string advertised_address;
  // Keep the history of each aggregate in the store: a copy of all events. Without it ListEvents
  // and `at_version` answer FAILED_PRECONDITION.
  bool history = true;
  // Commands that were submitted and not yet answered: of all callers together, and of one
  // connection. What is above them is refused with RESOURCE_EXHAUSTED before anything is written.
  int max_in_flight = 20'000;
  int max_in_flight_per_connection = 5'000;
  // Kafka: make topics that are missing, with the partition count and replication factor below,
  // instead of refusing to run. With the embedded log the count is for domains that the data
  // directory doesn't hold yet.
  bool create_topics = false;
  int create_partitions = 4;
  int create_replication_factor = 1;
};

// Start(), Stop() and the constructor are for one thread; the other functions for any.
class Engine {
 public:
  Engine(EngineOptions options, std::vector<std::unique_ptr<AggregateType>> domains);
  ~Engine();  // Stop()s

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Checks the topics, opens the store, joins the group and serves. Returns when all threads run;
  // partitions are restored afterwards (see /readyz and grpc.health.v1). An error is one sentence
  // that names the fix.
  absl::Status Start();

  // Returns when every partition is restored and served: OK. CANCELLED when the engine is to stop
  // or can't go on, which Wait() tells; DEADLINE_EXCEEDED, with what it waits for, after `timeout`.
  absl::Status AwaitReady(absl::Duration timeout);

  // Returns when RequestStop() was called (OK) or the engine can't go on (why, and what to do).
  absl::Status Wait();

  // Async-signal-safe: only notes the wish.
  void RequestStop();

  // Drains: refuses new commands and waits for those that are under way, stops polling, commits or
  // aborts, hands the partitions over, leaves the group, ends what calls are left, closes the
  // store. Bounded by about 10 s.
  absl::Status Stop();

  // The addresses that are served, with the ports that were picked; valid after Start().
  std::string http_address() const;
  std::string grpc_address() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_ENGINE_H_
