// What the worker's tests share: instances on a cluster in memory, and commands of the domain
// `security`.
#ifndef ESD_ENGINE_WORKER_WORKER_TEST_H_
#define ESD_ENGINE_WORKER_WORKER_TEST_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/metrics.h"
#include "engine/worker/domain_registry.h"
#include "engine/worker/worker_pool.h"
#include "tests/log/fault_log.h"
#include "tests/log/memory_log.h"
#include "tests/log/fault_store.h"

namespace esd {

inline constexpr int32_t kTestPartitions = 4;
// Bound on whatever a test waits for; a test that waits so long has failed.
inline constexpr absl::Duration kTestDeadline = absl::Seconds(30);

// Polls until the condition holds; false at the deadline.
bool Await(const std::function<bool()>& condition, absl::Duration timeout = kTestDeadline);

// A partition of the domain.
DomainPartition P(int32_t partition);
// The n-th address that lives in the partition.
std::string UserIn(int32_t partition, int n = 0);

// Commands; with a header ce_id unless `id` is empty.
TestRecord Register(const std::string& email, const std::string& name, const std::string& id = "");
TestRecord Rename(const std::string& email, const std::string& name, const std::string& id = "");
// The events' values.
std::string Registered(const std::string& email, const std::string& name);
std::string Renamed(const std::string& email, const std::string& name, int64_t version);

// One process: log, store and workers. It joins the group when it is made; the store outlives it.
class TestInstance {
 public:
  TestInstance(MemoryCluster* cluster, std::string id, FaultStore* store, int workers = 1,
               uint64_t seed = 1);
  // Hands everything over and leaves, as Engine::Stop() does.
  ~TestInstance();

  const std::string& id() const { return id_; }
  FaultLog& log() { return log_; }
  FaultStore& store() { return *store_; }
  WorkerPool& pool() { return *pool_; }
  // What on_failure was called with first.
  absl::Status failure() const;

 private:
  const std::string id_;
  FaultLog log_;
  FaultStore* const store_;
  DomainRegistry domains_;
  Metrics metrics_;
  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<WorkerPool> pool_;
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_WORKER_TEST_H_
