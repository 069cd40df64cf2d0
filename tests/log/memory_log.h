// The log in memory, for tests: a cluster that any number of instances in this process share, so
// that handing over, fencing and zombies can be tested without a broker. No mock: it passes the
// suite that Kafka passes (log_contract_test.h).
//
//   MemoryCluster cluster({.partitions = {{"security", 4}}});
//   std::unique_ptr<Log> a = cluster.OpenInstance("a");
//   a->membership().Join(&listener);
//   cluster.Assign("a", {{"security", PartitionId{0}}});   // listener.OnAssigned() has returned
//
// What makes it like Kafka, and a test on it worth something:
// - A transaction leaves a gap behind its records, as a commit marker does.
// - What an instance believes to own and what the group says are two things: Expel() takes
//   partitions from an instance that doesn't hear of it, and it can't commit for them any more.
// - A worker's identity has epochs: taking it up again fences whoever had it.
// - Who claimed a partition, and did not release it, is fenced by whoever opens it next.
// - Readers see a partition's records up to the first one of a transaction that isn't ended.
#ifndef ESD_TESTS_LOG_MEMORY_LOG_H_
#define ESD_TESTS_LOG_MEMORY_LOG_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/log/log.h"
#include "tests/log/test_record.h"

namespace esd {

class MemoryAppender;
class MemoryLog;
class MemoryMembership;
class MemoryReader;
class MemoryWorkerLog;

struct MemoryClusterOptions {
  std::map<std::string, int32_t> partitions;  // of each domain's topics
  size_t max_record_bytes = size_t{1} << 20;
  // The cluster shares the partitions out among the members; otherwise the test does.
  bool automatic = false;
};

// Any thread. The logs that were opened must be gone before it.
class MemoryCluster {
 public:
  explicit MemoryCluster(MemoryClusterOptions options);
  ~MemoryCluster();

  MemoryCluster(const MemoryCluster&) = delete;
  MemoryCluster& operator=(const MemoryCluster&) = delete;

  // One at a time joins the group with the same id; others may open workers, which fences.
  // `address`: where others reach its API, for PartitionOwner.
  std::unique_ptr<Log> OpenInstance(const std::string& instance, const std::string& address = "");

  // As a producer outside, a reader outside and the broker's tools do.
  Offset Append(const DomainPartition& partition, Topic topic, const TestRecord& record);
  // Commands that a worker finds waiting at the same time.
  void AppendTogether(const std::vector<std::pair<DomainPartition, TestRecord>>& commands);
  std::vector<TestRecord> Read(const DomainPartition& partition, Topic topic) const;
  Offset End(const DomainPartition& partition, Topic topic) const;
  std::optional<Offset> Committed(const DomainPartition& partition) const;
  void SetCommitted(const DomainPartition& partition, std::optional<Offset> offset);
  // Retention: records below `begin` are gone.
  void Truncate(const DomainPartition& partition, Topic topic, Offset begin);
  // The topic was deleted and made again.
  void Recreate(const DomainPartition& partition, Topic topic);

  // A transaction that the worker with this identity has begun and not ended, with a record in each
  // of the partition's `topics`: until it is ended, readers see nothing behind its first record.
  // Whoever takes the identity aborts it.
  int64_t BeginTransaction(const std::string& identity, const DomainPartition& partition,
                           const std::vector<Topic>& topics, const TestRecord& record);
  // Commits or aborts it; false when it was aborted already.
  bool EndTransaction(int64_t transaction, bool commit);

  // The group, when it isn't automatic. Each returns when the instance's listener has.
  void Assign(const std::string& instance, const std::vector<DomainPartition>& partitions);
  void Revoke(const std::string& instance, const std::vector<DomainPartition>& partitions);
  void Lose(const std::string& instance, const std::vector<DomainPartition>& partitions);
  // Takes partitions from an instance that isn't told before TellLost().
  void Expel(const std::string& instance, const std::vector<DomainPartition>& partitions);
  void TellLost(const std::string& instance, const std::vector<DomainPartition>& partitions);
  // As TellLost(), but returns at once.
  void TellLostSoon(const std::string& instance, const std::vector<DomainPartition>& partitions);

  // The instance and the group don't hear of each other any more: it holds no lease, and isn't told
  // anything. What it owns stays its own, unless it is expelled.
  void Silence(const std::string& instance);
  // They hear of each other again.
  void Unsilence(const std::string& instance);

  // Whether the instance believes to own the partition.
  bool Believes(const std::string& instance, const DomainPartition& partition) const;
  // Who owns the partition, as the group sees it; nothing when nobody does.
  std::optional<std::string> OwnerOf(const DomainPartition& partition) const;

  // The group, when it is automatic: gives up on a member, which is told when its listener returns
  // (and it isn't silenced), and is a member again then.
  void ExpelMember(const std::string& instance);

  // Takes the identity of a worker: whoever holds it is fenced. Returns the new epoch.
  int64_t TakeIdentity(const std::string& identity);
  bool HoldsIdentity(const std::string& identity, int64_t epoch) const;
  static std::string IdentityOf(const std::string& instance, int worker);

 private:
  friend class MemoryAppender;
  friend class MemoryLog;
  friend class MemoryMembership;
  friend class MemoryReader;
  friend class MemoryWorkerLog;

  struct Stored {
    TestRecord record;
    std::vector<Header> headers;  // views of record.headers
    int64_t transaction = 0;      // that BeginTransaction() returned; 0: of none that could be open
  };
  struct PartitionLog {
    Offset begin{0};
    Offset end{0};
    std::deque<std::shared_ptr<const Stored>> records;
    std::map<int64_t, Offset> open;  // the first record of each transaction that isn't ended

    // What readers read to.
    Offset stable_end() const;
    // Whether a record that readers may see stands at `from` or behind.
    bool HasFrom(Offset from) const;
  };
  using TopicPartition = std::tuple<std::string, Topic, PartitionId>;
  // Who owns a partition: a session is one life of an instance, `turn` tells its assignments apart.
  struct Turn {
    int64_t session = 0;
    int64_t turn = 0;
    friend bool operator==(const Turn&, const Turn&) = default;
  };
  // What the ownership topic would say.
  struct Owner {
    std::string identity;
    PartitionOwner who;
    bool released = false;
  };
  struct OpenTransaction {
    std::string identity;
    std::vector<TopicPartition> written;
  };
  // Who commits.
  struct Committer {
    const std::string& identity;
    const std::string& instance;
    const std::string& address;
    int64_t epoch;
  };

  PartitionLog& LogOf(const DomainPartition& partition, Topic topic)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const PartitionLog& LogOf(const DomainPartition& partition, Topic topic) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Returns where the record stands.
  static Offset Write(PartitionLog& log, TestRecord record, int64_t transaction = 0);
  static InputRecord ViewOf(const Stored& stored);
  static size_t SizeOf(const OutputRecord& record);
  static TestRecord Copy(const OutputRecord& output);
  // `security-event`
  static std::string NameOf(const std::string& domain, Topic topic);

  // Commit() of a worker, once it is known who asks.
  CommitResult Commit(const Transaction& transaction, const Committer& who,
                      const std::map<DomainPartition, Turn>& view)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CommitPart(const TransactionPart& part, const Committer& who,
                  std::set<TopicPartition>* written, CommitResult::Written* ends)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MarkOwnership(const TransactionPart& part, const Committer& who)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes a new epoch of the identity, and aborts what its holder left open.
  int64_t Fence(const std::string& identity) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(int64_t transaction, bool commit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<PartitionOwner> ClaimerOf(const DomainPartition& partition) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  std::vector<DomainPartition> AllPartitions() const;
  MemoryMembership* MemberOf(const std::string& instance) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeFrom(int64_t session, const std::vector<DomainPartition>& partitions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<DomainPartition> OwnedBy(int64_t session) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // The automatic mode.
  void RunRebalances();
  void Rebalance();
  std::map<MemoryMembership*, std::vector<DomainPartition>> Excess()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AssignUnowned() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  size_t QuotaOf(size_t rank) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const MemoryClusterOptions options_;

  mutable absl::Mutex mutex_;
  std::map<TopicPartition, PartitionLog> logs_ ABSL_GUARDED_BY(mutex_);
  std::map<DomainPartition, Offset> committed_ ABSL_GUARDED_BY(mutex_);
  std::map<DomainPartition, Owner> owners_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int64_t> epochs_ ABSL_GUARDED_BY(mutex_);  // by identity
  std::map<int64_t, OpenTransaction> open_ ABSL_GUARDED_BY(mutex_);
  int64_t last_transaction_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<DomainPartition, Turn> turns_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, MemoryMembership*> members_ ABSL_GUARDED_BY(mutex_);  // by session
  int64_t last_session_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t last_turn_ ABSL_GUARDED_BY(mutex_) = 0;
  bool unbalanced_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread rebalancer_;  // last: uses everything above
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_MEMORY_LOG_H_
