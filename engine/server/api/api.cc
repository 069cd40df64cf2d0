#include "engine/server/api/api.h"

#include <utility>

namespace esd::api {
namespace {

constexpr int kAnswerThreads = 2;
constexpr int kReadThreads = 2;

}  // namespace

Api::Api(const Backend& parts, std::shared_ptr<grpc::ChannelCredentials> peer_credentials)
    : backend(parts),
      answers(kAnswerThreads),
      reads(kReadThreads),
      topics(1),
      verifications(1),
      domains(*backend.log, *backend.domains),
      directory(*backend.log, *backend.domains),
      in_flight(backend.max_in_flight, backend.max_in_flight_per_connection,
                &backend.metrics->api_commands_in_flight()),
      commands(&answers),
      snapshots(&answers),
      feeds(backend.log),
      peers(std::move(peer_credentials)) {}

void Api::OnAssigned(const DomainPartition& partition) {
  directory.Set(partition, PartitionDirectory::State::kRestoring);
}

void Api::OnServing(const DomainPartition& partition) {
  directory.Set(partition, PartitionDirectory::State::kServing);
}

void Api::OnCommitted(const CommittedPart& part) {
  commands.OnCommitted(part);
  snapshots.OnCommitted(part);
}

void Api::OnLag(const DomainPartition& partition, int64_t lag) { directory.SetLag(partition, lag); }

void Api::OnStopped(const DomainPartition& partition) {
  directory.Set(partition, PartitionDirectory::State::kElsewhere);
  commands.OnStopped(partition);
  snapshots.OnStopped(partition);
  verification.StopRunning(partition, PartitionMoving(ToString(partition)));
}

void Api::Drain() {
  draining_ = true;
  feeds.Drain();
  verification.StopRunning({}, Draining());
}

Route Api::Find(const DomainPartition& partition, const grpc::CallbackServerContext& call) const {
  if (directory.Serving(partition)) return {Route::Kind::kHere, ""};
  if (IsForwarded(call)) return {};
  const std::optional<PartitionOwner> owner = backend.log->membership().OwnerOf(partition);
  if (!owner || owner->address.empty() || owner->instance == backend.instance_id) return {};
  return {Route::Kind::kPeer, owner->address};
}

}  // namespace esd::api
