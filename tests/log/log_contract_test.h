// What every Log must do, as two suites: an implementation's test instantiates them with a way to
// make one (log_contract_memory_test.cc, log_contract_kafka_test.cc,
// log_contract_embedded_test.cc). SharedLogContract is for logs that several instances share,
// beside LogContract.
//
//   INSTANTIATE_TEST_SUITE_P(Memory, LogContract, testing::Values(&MakeMemoryHarness));
//   INSTANTIATE_TEST_SUITE_P(Memory, SharedLogContract, testing::Values(&MakeSharedHarness));
#ifndef ESD_TESTS_LOG_LOG_CONTRACT_TEST_H_
#define ESD_TESTS_LOG_LOG_CONTRACT_TEST_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>
#include <absl/time/time.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/log/log.h"
#include "tests/log/test_record.h"

namespace esd {

// A transaction that somebody has begun and not ended.
class OpenTransaction {
 public:
  virtual ~OpenTransaction() = default;
  // Whether it could still be committed.
  virtual bool Commit() = 0;
  virtual void Abort() = 0;
};

// A fresh log with the domains `alpha` and `beta`, two partitions each, for one instance at a time.
// It goes before the harness.
class LogContractHarness {
 public:
  virtual ~LogContractHarness() = default;

  // Others reach the instance at AddressOf(instance).
  virtual std::unique_ptr<Log> OpenInstance(const std::string& instance) = 0;
  static std::string AddressOf(const std::string& instance) { return instance + ".test:7070"; }

  // Appends commands as a producer outside does; they are durable when it returns.
  virtual void Append(const DomainPartition& partition, const std::vector<TestRecord>& records) = 0;

  // Deletes the records below `begin`, as retention does; not of a snapshot topic, which is
  // compacted.
  virtual void Truncate(const DomainPartition& partition, Topic topic, Offset begin) = 0;
};

// For any number of instances.
class SharedLogContractHarness : public LogContractHarness {
 public:
  // The group gives up on the instance's member. It is told as soon as its listener has returned
  // from whatever it is doing.
  virtual void Expel(const std::string& instance) = 0;

  // The group gives up on a member that it hasn't heard of for so long.
  virtual absl::Duration SessionTimeout() const = 0;

  // The instance and the log hear nothing of each other any more: after a while the group gives up
  // on its member, without telling it.
  virtual void CutOff(const std::string& instance) = 0;
  // They hear of each other again.
  virtual void Reconnect(const std::string& instance) = 0;

  // What worker 0 of `instance`, which is gone, might have left behind: a transaction that has
  // written to the partition's event and snapshot topics.
  virtual std::unique_ptr<OpenTransaction> BeginAs(const std::string& instance,
                                                   const DomainPartition& partition) = 0;
};

// Bound on whatever a test waits for; a test that waits so long has failed.
inline constexpr absl::Duration kContractDeadline = absl::Seconds(60);

// Records what an instance is told about its partitions.
class RecordingListener : public MembershipListener {
 public:
  // Calls of all listeners of a test, in one order.
  struct Timeline {
    struct Call {
      std::string instance;
      std::string what;  // assigned, revoked (when it returns), lost
      DomainPartition partition;
    };
    absl::Mutex mutex;
    std::vector<Call> calls ABSL_GUARDED_BY(mutex);
  };

  RecordingListener(std::string instance, Timeline* timeline)
      : instance_(std::move(instance)), timeline_(timeline) {}

  void OnAssigned(const std::vector<DomainPartition>& partitions) override;
  void OnRevoked(const std::vector<DomainPartition>& partitions) override;
  void OnLost(const std::vector<DomainPartition>& partitions) override;
  void OnFailed(const absl::Status& error) override { ADD_FAILURE() << error; }

  // Called in each OnAssigned(), before anything else.
  void SetOnAssigned(std::function<void(const std::vector<DomainPartition>&)> hook);
  // Called in each OnRevoked(), while the partitions are still this instance's.
  void SetOnRevoked(std::function<void(const std::vector<DomainPartition>&)> hook);

  std::set<DomainPartition> owned() const;
  // Waits until this instance owns so many partitions.
  void AwaitOwned(size_t count) const;
  void Await(const std::function<bool(const std::set<DomainPartition>&)>& condition) const;

 private:
  void Note(const char* what, const std::vector<DomainPartition>& partitions);

  const std::string instance_;
  Timeline* const timeline_;
  mutable absl::Mutex mutex_;
  std::set<DomainPartition> owned_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const std::vector<DomainPartition>&)> on_assigned_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const std::vector<DomainPartition>&)> on_revoked_ ABSL_GUARDED_BY(mutex_);
};

// An instance with one worker.
struct ContractInstance {
  // With a worker that it opens, which must be possible.
  ContractInstance(std::unique_ptr<Log> opened, const std::string& id,
                   RecordingListener::Timeline* timeline);
  // With a worker of the log's.
  ContractInstance(std::unique_ptr<Log> opened, std::unique_ptr<WorkerLog> opened_worker,
                   const std::string& id, RecordingListener::Timeline* timeline);
  ~ContractInstance();

  void Join() { ASSERT_TRUE(log->membership().Join(&listener).ok()); }
  // The worker goes, and the log with it: no hand-over but the leaving of the group.
  void Close();

  RecordingListener listener;
  std::unique_ptr<Log> log;
  std::unique_ptr<WorkerLog> worker;
};

class LogContractFixture : public testing::Test {
 protected:
  explicit LogContractFixture(LogContractHarness* harness) : harness_(harness) {}

  std::unique_ptr<ContractInstance> Open(const std::string& id);
  // Opened, joined, and owner of everything.
  std::unique_ptr<ContractInstance> OpenOwner(const std::string& id);

  const RecordingListener::Timeline& timeline() const { return timeline_; }
  // So far, to the instance.
  size_t CallsOf(const std::string& instance);

 private:
  RecordingListener::Timeline timeline_;
  LogContractHarness* const harness_;
};

// Keeps the harness of a fixture that stands before it.
template <typename Harness>
class WithHarness : public testing::WithParamInterface<std::function<std::unique_ptr<Harness>()>> {
 protected:
  WithHarness()
      : harness_(
            testing::WithParamInterface<std::function<std::unique_ptr<Harness>()>>::GetParam()()) {}
  Harness& harness() { return *harness_; }

 private:
  const std::unique_ptr<Harness> harness_;
};

class LogContract : public WithHarness<LogContractHarness>, public LogContractFixture {
 protected:
  LogContract() : LogContractFixture(&harness()) {}
};

class SharedLogContract : public WithHarness<SharedLogContractHarness>, public LogContractFixture {
 protected:
  SharedLogContract() : LogContractFixture(&harness()) {}
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_LOG_CONTRACT_TEST_H_
