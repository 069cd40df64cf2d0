// One instance's membership of a MemoryCluster's group, and its thread. See memory_log.h.
#ifndef ESD_TESTS_LOG_MEMORY_MEMBERSHIP_H_
#define ESD_TESTS_LOG_MEMORY_MEMBERSHIP_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/synchronization/notification.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/log/log.h"
#include "tests/log/memory_log.h"

namespace esd {

class MemoryMembership : public Membership {
 public:
  // What the group tells the member, in order.
  struct Task {
    enum class Kind { kAssign, kRevoke, kLost, kLeave };
    Kind kind;
    std::vector<DomainPartition> partitions;
    std::map<DomainPartition, MemoryCluster::Turn> turns;  // kAssign
    std::shared_ptr<absl::Notification> done = std::make_shared<absl::Notification>();
  };

  MemoryMembership(MemoryCluster* cluster, std::string instance, int64_t session)
      : cluster_(cluster), instance_(std::move(instance)), session_(session) {}
  ~MemoryMembership() override;

  absl::Status Join(MembershipListener* listener) override;
  void Leave(absl::Duration timeout) override;
  bool joined() const override;
  bool HoldsLease() const override;
  std::optional<PartitionOwner> OwnerOf(const DomainPartition& partition) const override;

  const std::string& instance() const { return instance_; }
  int64_t session() const { return session_; }

  // The following are guarded by the cluster's mutex.

  // Returns what is notified when the listener has returned.
  std::shared_ptr<absl::Notification> Post(Task task);
  // What this member believes to own: behind what the group says, when it was expelled.
  const std::map<DomainPartition, MemoryCluster::Turn>& view() const { return view_; }
  bool expelled() const { return expelled_; }
  void set_expelled(bool expelled) { expelled_ = expelled; }
  void set_silenced(bool silenced) { silenced_ = silenced; }

 private:
  void Run();
  bool HasTask() const;
  void Handle(const Task& task);
  void HandleRevoke(const std::vector<DomainPartition>& partitions);
  void HandleLost(const std::vector<DomainPartition>& partitions);
  void HandleLeave();
  // Those of `partitions` that this member believes to own.
  std::vector<DomainPartition> InView(const std::vector<DomainPartition>& partitions) const;

  MemoryCluster* const cluster_;
  const std::string instance_;
  const int64_t session_;
  MembershipListener* listener_ = nullptr;

  std::map<DomainPartition, MemoryCluster::Turn> view_;
  std::deque<Task> tasks_;
  bool joined_ = false;
  bool expelled_ = false;
  bool silenced_ = false;  // is told nothing

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_MEMORY_MEMBERSHIP_H_
