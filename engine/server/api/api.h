// The API's inside: what the gRPC services have in common. One object for as long as an engine
// serves.
#ifndef ESD_ENGINE_SERVER_API_API_H_
#define ESD_ENGINE_SERVER_API_API_H_

#include <absl/time/time.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_context.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "engine/server/api/backend.h"
#include "engine/server/api/command_waiters.h"
#include "engine/server/api/domains.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/event_feed.h"
#include "engine/server/api/executor.h"
#include "engine/server/api/in_flight.h"
#include "engine/server/api/partition_directory.h"
#include "engine/server/api/peers.h"
#include "engine/server/api/snapshot_watchers.h"
#include "engine/server/api/timer.h"
#include "engine/server/api/verification_slot.h"
#include "engine/worker/partition_listener.h"
#include "engine/worker/repair.h"

namespace esd::api {

// Who answers a call about a partition.
struct Route {
  enum class Kind { kHere, kPeer, kNobody };
  Kind kind = Kind::kNobody;
  std::string address;  // of the peer
};

// Any thread.
class Api : public PartitionListener {
 public:
  Api(const Backend& backend, std::shared_ptr<grpc::ChannelCredentials> peer_credentials);

  // For the workers.
  void OnAssigned(const DomainPartition& partition) override;
  void OnServing(const DomainPartition& partition) override;
  void OnCommitted(const CommittedPart& part) override;
  void OnLag(const DomainPartition& partition, int64_t lag) override;
  void OnStopped(const DomainPartition& partition) override;

  // New commands are refused from now on, and streams ended; what is in flight goes on.
  void Drain();
  bool draining() const { return draining_; }

  // The workers are started later, and ended before the API. Null until then.
  void SetWorkers(SnapshotRepairer* workers) { workers_ = workers; }
  SnapshotRepairer* workers() const { return workers_; }

  // Where a call about the partition goes. A call that was forwarded already is answered here or by
  // nobody. The call's metadata are looked at only if the partition isn't here: gRPC copies them
  // into a map at the first look.
  Route Find(const DomainPartition& partition, const grpc::CallbackServerContext& call) const;

  // Runs `read`, which reads the store and returns an absl::Status. Nothing when what it read was
  // the partition's committed state while no other instance could own it; otherwise what the caller
  // is told.
  template <typename Read>
  std::optional<google::rpc::Status> ReadCommitted(const DomainPartition& partition,
                                                   const Read& read) const;

  // The parts, in the order that they use each other.
  const Backend backend;
  Timer timer;
  Executor answers;        // short: answers to calls
  Executor reads;          // long: what reads many records
  Executor topics;         // long, one at a time: what reads topics, for operators
  Executor verifications;  // of snapshots: minutes
  Domains domains;
  PartitionDirectory directory;
  InFlight in_flight;
  CommandWaiters commands;
  SnapshotWatchers snapshots;
  VerificationSlot verification;
  EventFeeds feeds;
  Peers peers;

 private:
  std::atomic<bool> draining_ = false;
  std::atomic<SnapshotRepairer*> workers_ = nullptr;
};

// Implementation only below this line.

template <typename Read>
std::optional<google::rpc::Status> Api::ReadCommitted(const DomainPartition& partition,
                                                      const Read& read) const {
  const auto epoch = directory.Serving(partition);
  if (!epoch) return PartitionMoving(ToString(partition));
  if (absl::Status status = read(); !status.ok()) return FromEngine(status, "reading the store");
  // In this order: whoever holds the lease now held it while it read.
  if (!directory.StillServing(partition, *epoch) || !backend.log->membership().HoldsLease())
    return PartitionMoving(ToString(partition));
  return std::nullopt;
}

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_API_H_
