// What the worker's tests share: instances on a cluster in memory, and commands of the domain
// `security`.
#ifndef ESD_ENGINE_WORKER_WORKER_TEST_H_
#define ESD_ENGINE_WORKER_WORKER_TEST_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/metrics.h"
#include "engine/worker/domain_registry.h"
#include "engine/worker/history.h"
#include "engine/worker/partition_listener.h"
#include "engine/worker/worker_pool.h"
#include "tests/log/fault_log.h"
#include "tests/log/fault_store.h"
#include "tests/log/memory_log.h"

namespace esd {

inline constexpr int32_t kTestPartitions = 4;
// Bound on whatever a test waits for; a test that waits so long has failed.
inline constexpr absl::Duration kTestDeadline = absl::Seconds(30);

// Polls until the condition holds; false at the deadline.
inline bool Await(const std::function<bool()>& condition, absl::Duration timeout = kTestDeadline) {
  for (const absl::Time deadline = absl::Now() + timeout; !condition();) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

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

// A store that tells of each batch of a history's rebuild, before it writes it.
class HookedStore : public FaultStore {
 public:
  using Hook = std::function<void(const std::vector<StoreUpdate::Event>& events)>;

  void OnUpdateHistory(Hook hook) {
    absl::MutexLock lock(&mutex_);
    hook_ = std::move(hook);
  }

  absl::Status UpdateHistory(const DomainPartition& partition,
                             const std::vector<StoreUpdate::Event>& events, Offset next) override {
    Hook hook;
    {
      absl::MutexLock lock(&mutex_);
      hook = hook_;
    }
    if (hook) hook(events);
    return FaultStore::UpdateHistory(partition, events, next);
  }

 private:
  absl::Mutex mutex_;
  Hook hook_ ABSL_GUARDED_BY(mutex_);
};

// Keeps what it is told, a line for each call.
class RecordingListener : public PartitionListener {
 public:
  using Hook = std::function<void(const CommittedPart&)>;

  // Called in each OnCommitted().
  void OnCommit(Hook hook) {
    absl::MutexLock lock(&mutex_);
    hook_ = std::move(hook);
  }

  // `assigned`, `serving`, `committed 3` (commands), `stopped`; OnLag() has a list of its own.
  std::vector<std::string> Told(const DomainPartition& partition) const {
    absl::MutexLock lock(&mutex_);
    const auto it = told_.find(partition);
    return it == told_.end() ? std::vector<std::string>() : it->second;
  }
  bool WasTold(const DomainPartition& partition, const std::string& what) const {
    const auto told = Told(partition);
    return std::find(told.begin(), told.end(), what) != told.end();
  }
  std::vector<int64_t> Lags(const DomainPartition& partition) const {
    absl::MutexLock lock(&mutex_);
    const auto it = lags_.find(partition);
    return it == lags_.end() ? std::vector<int64_t>() : it->second;
  }

  void OnAssigned(const DomainPartition& partition) override { Tell(partition, "assigned"); }
  void OnServing(const DomainPartition& partition) override { Tell(partition, "serving"); }
  void OnCommitted(const CommittedPart& part) override {
    Tell(part.partition, absl::StrCat("committed ", part.results.size()));
    Hook hook;
    {
      absl::MutexLock lock(&mutex_);
      hook = hook_;
    }
    if (hook) hook(part);
  }
  void OnLag(const DomainPartition& partition, int64_t lag) override {
    absl::MutexLock lock(&mutex_);
    lags_[partition].push_back(lag);
  }
  void OnStopped(const DomainPartition& partition) override { Tell(partition, "stopped"); }

 private:
  void Tell(const DomainPartition& partition, std::string what) {
    absl::MutexLock lock(&mutex_);
    told_[partition].push_back(std::move(what));
  }

  mutable absl::Mutex mutex_;
  std::map<DomainPartition, std::vector<std::string>> told_ ABSL_GUARDED_BY(mutex_);
  std::map<DomainPartition, std::vector<int64_t>> lags_ ABSL_GUARDED_BY(mutex_);
  Hook hook_ ABSL_GUARDED_BY(mutex_);
};

struct TestInstanceOptions {
  int workers = 1;
  uint64_t seed = 1;
  PartitionListener* listener = nullptr;
  bool history = false;
};

// One process: log, store and workers. It joins the group when it is made; the store outlives it.
class TestInstance {
 public:
  TestInstance(MemoryCluster* cluster, std::string id, HookedStore* store,
               const TestInstanceOptions& options = {});
  // Hands everything over and leaves, as Engine::Stop() does.
  ~TestInstance();

  const std::string& id() const { return id_; }
  FaultLog& log() { return log_; }
  HookedStore& store() { return *store_; }
  // Null when none is kept.
  const History* history() const { return history_.get(); }
  WorkerPool& pool() { return *pool_; }
  // What on_failure was called with first.
  absl::Status failure() const;

 private:
  const std::string id_;
  FaultLog log_;
  HookedStore* const store_;
  DomainRegistry domains_;
  Metrics metrics_;
  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<History> history_;
  std::unique_ptr<WorkerPool> pool_;
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_WORKER_TEST_H_
