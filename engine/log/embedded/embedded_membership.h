// The group of one: whoever has the embedded log open owns every partition while it has joined.
#ifndef ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_MEMBERSHIP_H_
#define ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_MEMBERSHIP_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <optional>
#include <thread>
#include <vector>

#include "engine/log/embedded/log_state.h"
#include "engine/log/log.h"

namespace esd::embedded {

class EmbeddedMembership final : public Membership {
 public:
  explicit EmbeddedMembership(LogState* state) : state_(state) {}
  ~EmbeddedMembership() override;

  absl::Status Join(MembershipListener* listener) override;
  void Leave(absl::Duration timeout) override;
  bool joined() const override;
  bool HoldsLease() const override { return joined(); }
  std::optional<PartitionOwner> OwnerOf(const DomainPartition& partition) const override;

  // The log is broken: the listener is told. Any thread.
  void Fail(const absl::Status& error);

 private:
  void Run(MembershipListener* listener);
  // Gives all partitions to this instance, or takes them; returns which.
  std::vector<DomainPartition> Assign(bool assigned);

  LogState* const state_;

  mutable absl::Mutex mutex_;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool joined_ ABSL_GUARDED_BY(mutex_) = false;  // and the listener knows its partitions
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;  // the listener is called no more
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_MEMBERSHIP_H_
