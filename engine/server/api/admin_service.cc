#include "engine/server/api/admin_service.h"

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/server/api/call.h"
#include "engine/server/api/dead_letters.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/forward.h"
#include "engine/server/api/snapshot_verification.h"

namespace esd::api {
namespace {

constexpr absl::Duration kOwnerTimeout = absl::Seconds(1);

std::vector<DomainPartition> PartitionsOf(const Api& api, const std::string& only_domain) {
  std::vector<DomainPartition> partitions;
  for (const auto& [name, domain] : api.domains.all()) {
    if (!only_domain.empty() && name != only_domain) continue;
    for (int32_t p = 0; p < domain->partition_count(); ++p)
      partitions.push_back({name, PartitionId{p}});
  }
  return partitions;
}

void DescribeHistory(const HistoryStatus& status, esd::v1::History* history) {
  switch (status.state) {
    case HistoryStatus::State::kOff:
      return history->set_state(esd::v1::History::STATE_OFF);
    case HistoryStatus::State::kComplete:
      return history->set_state(esd::v1::History::STATE_COMPLETE);
    case HistoryStatus::State::kRebuilding:
      history->set_remaining_events(status.remaining);
      return history->set_state(esd::v1::History::STATE_REBUILDING);
    case HistoryStatus::State::kFailed:
      history->set_message(status.message);
      return history->set_state(esd::v1::History::STATE_FAILED);
  }
}

// What this instance knows of a partition that it was given; nothing for others.
bool DescribeOwn(const Api& api, const DomainPartition& partition, esd::v1::Partition* out) {
  const PartitionDirectory::State state = api.directory.Get(partition);
  if (state == PartitionDirectory::State::kElsewhere) return false;
  out->set_instance_id(api.backend.instance_id);
  out->set_address(api.backend.address);
  const auto owner = api.backend.log->membership().OwnerOf(partition);
  if (owner && owner->instance == api.backend.instance_id) out->set_generation(owner->generation);
  if (state == PartitionDirectory::State::kRestoring) {
    out->set_state(esd::v1::Partition::STATE_RESTORING);
    return true;
  }
  out->set_state(esd::v1::Partition::STATE_SERVING);
  if (const auto lag = api.directory.Lag(partition)) out->set_lag(*lag);
  DescribeHistory(StatusOf(api.backend.history, partition), out->mutable_history());
  const auto stored = api.backend.store->GetCheckpoint(partition);
  if (stored.ok() && *stored) {
    out->mutable_checkpoint()->set_command_offset((*stored)->command_offset());
    out->mutable_checkpoint()->set_snapshot_offset((*stored)->snapshot_offset());
    out->mutable_checkpoint()->set_reply_offset((*stored)->reply_offset());
  }
  return true;
}

// A ListPartitions on its way: the owners are asked, and their answers put together.
class PartitionSurvey : public std::enable_shared_from_this<PartitionSurvey> {
 public:
  PartitionSurvey(Api* api, grpc::CallbackServerContext* context,
                  const esd::v1::ListPartitionsRequest* request,
                  esd::v1::ListPartitionsResponse* response, UnaryCall* call)
      : api_(api), context_(context), request_(request), response_(response), call_(call) {}

  void Start() {
    const bool forwarded = IsForwarded(*context_);
    std::set<std::string> owners;  // addresses
    {
      absl::MutexLock lock(&mutex_);
      for (const DomainPartition& partition : PartitionsOf(*api_, request_->domain())) {
        esd::v1::Partition described;
        described.set_domain(partition.domain);
        described.set_partition(partition.partition.value());
        const bool own = DescribeOwn(*api_, partition, &described);
        // Whoever forwarded the call asks for what is this instance's.
        if (!own && forwarded) continue;
        if (!own && DescribeOther(partition, &described)) owners.insert(described.address());
        partitions_[partition] = std::move(described);
      }
      missing_ = static_cast<int>(owners.size()) + 1;
    }
    for (const std::string& address : owners) Ask(address);
    EndPart();
  }

 private:
  struct PeerCall {
    std::shared_ptr<Peer> peer;
    std::unique_ptr<grpc::ClientContext> context;
    esd::v1::ListPartitionsResponse response;
  };

  // What the ownership topic says; true when the owner can be asked for more.
  bool DescribeOther(const DomainPartition& partition, esd::v1::Partition* out) const {
    const auto owner = api_->backend.log->membership().OwnerOf(partition);
    if (!owner || owner->instance == api_->backend.instance_id) {
      out->set_state(esd::v1::Partition::STATE_UNOWNED);
      return false;
    }
    out->set_state(esd::v1::Partition::STATE_UNREACHABLE);  // until it has answered
    out->set_instance_id(owner->instance);
    out->set_address(owner->address);
    out->set_generation(owner->generation);
    return !owner->address.empty();
  }

  void Ask(const std::string& address) {
    auto call = std::make_shared<PeerCall>();
    call->peer = api_->peers.At(address);
    call->context = ForwardingContext(*context_);
    call->context->set_deadline(absl::ToChronoTime(
        std::min(absl::FromChrono(context_->deadline()), absl::Now() + kOwnerTimeout)));
    call->peer->admin->async()->ListPartitions(
        call->context.get(), request_, &call->response,
        [self = shared_from_this(), call](const grpc::Status& status) {
          if (status.ok()) self->Merge(call->response);
          self->EndPart();
        });
  }

  void Merge(const esd::v1::ListPartitionsResponse& answer) {
    absl::MutexLock lock(&mutex_);
    for (const esd::v1::Partition& partition : answer.partitions()) {
      const auto it = partitions_.find({partition.domain(), PartitionId{partition.partition()}});
      if (it != partitions_.end()) it->second = partition;
    }
  }

  void EndPart() {
    {
      absl::MutexLock lock(&mutex_);
      if (--missing_ > 0) return;
      for (auto& [partition, described] : partitions_)
        *response_->add_partitions() = std::move(described);
    }
    call_->AnswerOk();
  }

  Api* const api_;
  grpc::CallbackServerContext* const context_;
  const esd::v1::ListPartitionsRequest* const request_;
  esd::v1::ListPartitionsResponse* const response_;
  UnaryCall* const call_;

  absl::Mutex mutex_;
  std::map<DomainPartition, esd::v1::Partition> partitions_ ABSL_GUARDED_BY(mutex_);
  int missing_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

grpc::ServerUnaryReactor* AdminService::ListInstances(grpc::CallbackServerContext* context,
                                                      const esd::v1::ListInstancesRequest*,
                                                      esd::v1::ListInstancesResponse* response) {
  Api* const api = *api_;
  if (api == nullptr) return AnswerNow(context, Starting());
  std::map<std::string, esd::v1::Instance> instances;
  esd::v1::Instance& self = instances[api->backend.instance_id];
  self.set_instance_id(api->backend.instance_id);
  self.set_address(api->backend.address);
  self.set_self(true);
  for (const DomainPartition& partition : PartitionsOf(*api, "")) {
    const auto owner = api->backend.log->membership().OwnerOf(partition);
    if (!owner) continue;
    esd::v1::Instance& instance = instances[owner->instance];
    instance.set_partition_count(instance.partition_count() + 1);
    if (instance.self()) continue;
    instance.set_instance_id(owner->instance);
    instance.set_address(owner->address);
  }
  for (auto& [id, instance] : instances) *response->add_instances() = std::move(instance);
  return AnswerNow(context);
}

grpc::ServerUnaryReactor* AdminService::ListPartitions(
    grpc::CallbackServerContext* context, const esd::v1::ListPartitionsRequest* request,
    esd::v1::ListPartitionsResponse* response) {
  Api* const api = *api_;
  if (api == nullptr) return AnswerNow(context, Starting());
  google::rpc::Status error;
  if (!request->domain().empty() && api->domains.Find(request->domain(), &error) == nullptr)
    return AnswerNow(context, error);
  auto* call = new UnaryCall;
  std::make_shared<PartitionSurvey>(api, context, request, response, call)->Start();
  return call;
}

// ---- Dead letters ----

namespace {

// Calls that wait for the thread that reads topics; more are refused.
constexpr size_t kMaxWaitingScans = 100;
constexpr std::string_view kScanLimit = "the number of calls that wait for a topic, which is fixed";
// A list gives what it has by then, so that the next call gets its turn.
constexpr absl::Duration kLongestScan = absl::Seconds(10);

// Runs `scan(deadline)` when it is its turn, unless nobody waits for it any more.
template <typename Scan>
void RunScan(Api* api, grpc::CallbackServerContext* context, UnaryCall* call, Scan scan) {
  const absl::Time answer_by = AnswerBy(*context);
  const bool accepted = api->topics.TryRun(kMaxWaitingScans, [=, scan = std::move(scan)] {
    const absl::Time now = absl::Now();
    if (context->IsCancelled() || now >= answer_by) {
      return call->Answer(
          FromEngine(absl::DeadlineExceededError("other calls were before this one"),
                     "waiting for the topic's reader"));
    }
    scan(std::min(answer_by, now + kLongestScan));
  });
  if (!accepted) call->Answer(TooManyInFlight(kScanLimit));
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::ListDeadLetters(
    grpc::CallbackServerContext* context, const esd::v1::ListDeadLettersRequest* request,
    esd::v1::ListDeadLettersResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindDomain(api, request->domain(), &domain))
    return AnswerNow(context, *wrong);
  esd::v1::DeadLetterPageToken token;
  if (const auto wrong = ReadPage(*request, domain->partition_count(), &token))
    return AnswerNow(context, *wrong);
  auto* call = new UnaryCall;
  RunScan(api, context, call, [=](absl::Time deadline) {
    const auto failed = api::ListDeadLetters(*api, *domain, *request, token, deadline, response);
    call->Answer(failed ? *failed : google::rpc::Status());
  });
  return call;
}

grpc::ServerUnaryReactor* AdminService::ReplayDeadLetter(
    grpc::CallbackServerContext* context, const esd::v1::ReplayDeadLetterRequest* request,
    esd::v1::ReplayDeadLetterResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindDomain(api, request->domain(), &domain))
    return AnswerNow(context, *wrong);
  if (const auto wrong = CheckPartition(request->partition(), domain->partition_count()))
    return AnswerNow(context, *wrong);
  if (api->draining()) return AnswerNow(context, Draining());
  auto* call = new UnaryCall;
  RunScan(api, context, call, [=](absl::Time deadline) {
    api::ReplayDeadLetter(api, *domain, *request, deadline, response, call);
  });
  return call;
}

// ---- Verification ----

grpc::ServerUnaryReactor* AdminService::VerifySnapshots(
    grpc::CallbackServerContext* context, const esd::v1::VerifySnapshotsRequest* request,
    esd::v1::VerifySnapshotsResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindDomain(api, request->domain(), &domain))
    return AnswerNow(context, *wrong);
  if (const auto wrong = CheckPartition(request->partition(), domain->partition_count()))
    return AnswerNow(context, *wrong);
  if (request->max_differences() < 0) {
    return AnswerNow(context, Invalid("INVALID_MAX_DIFFERENCES",
                                      "max_differences is 0, for the default, or more"));
  }
  const DomainPartition partition{request->domain(), PartitionId{request->partition()}};
  const Route route = api->Find(partition, *context);
  if (route.kind == Route::Kind::kNobody)
    return AnswerNow(context, PartitionMoving(ToString(partition)));
  if (route.kind == Route::Kind::kPeer) {
    return Forward(api, route, context, [=](Peer& peer, auto* forwarded, auto done) {
      peer.admin->async()->VerifySnapshots(forwarded, request, response, std::move(done));
    });
  }
  auto* call = new UnaryCall;
  std::make_shared<SnapshotVerification>(api, domain, request, response, call)->Start(*context);
  return call;
}

}  // namespace esd::api
