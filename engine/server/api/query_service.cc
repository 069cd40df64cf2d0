#include "engine/server/api/query_service.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/server/api/call.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/event_message.h"
#include "engine/server/api/event_watch.h"
#include "engine/server/api/forward.h"
#include "engine/server/api/pages.h"
#include "engine/server/api/snapshot_reads.h"
#include "engine/server/api/snapshot_wait.h"
#include "esd/v1/tokens.pb.h"

namespace esd::api {
namespace {

constexpr int kMaxBatch = 1'000;
// Reads that wait for a thread; more are refused.
constexpr size_t kMaxWaitingReads = 1'000;
constexpr std::string_view kReadLimit = "the number of reads that wait, which is fixed";

// Runs `read` on a thread for long reads; it returns the error to answer with, or nothing.
template <typename Read>
grpc::ServerUnaryReactor* AnswerFromRead(Api* api, Read read) {
  auto* call = new UnaryCall;
  const bool accepted = api->reads.TryRun(kMaxWaitingReads, [call, read = std::move(read)] {
    const std::optional<google::rpc::Status> error = read();
    call->Answer(error ? *error : google::rpc::Status());
  });
  if (!accepted) call->Answer(TooManyInFlight(kReadLimit));
  return call;
}

google::rpc::Status InvalidVersion(std::string_view message) {
  return Invalid("INVALID_VERSION", message);
}

std::optional<google::rpc::Status> CheckVersions(const esd::v1::GetSnapshotRequest& request) {
  if (request.has_min_version() && request.has_at_version())
    return InvalidVersion("min_version and at_version don't go together");
  if ((request.has_min_version() && request.min_version() < 0) ||
      (request.has_at_version() && request.at_version() < 0)) {
    return InvalidVersion("a version is 0 or more");
  }
  return std::nullopt;
}

}  // namespace

grpc::ServerUnaryReactor* QueryService::GetSnapshot(grpc::CallbackServerContext* context,
                                                    const esd::v1::GetSnapshotRequest* request,
                                                    esd::v1::GetSnapshotResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindAggregate(api, *request, &domain)) return AnswerNow(context, *wrong);
  if (const auto wrong = CheckVersions(*request)) return AnswerNow(context, *wrong);

  const Route route = api->Find(domain->HomeOf(request->aggregate_key()), *context);
  if (route.kind == Route::Kind::kPeer) {
    return Forward(api, route, context, [=](Peer& peer, auto* forwarded, auto done) {
      peer.queries->async()->GetSnapshot(forwarded, request, response, std::move(done));
    });
  }
  if (request->has_at_version()) {
    return AnswerFromRead(api, [=] {
      return ReadSnapshotAt(*api, *domain, request->aggregate_key(), Version{request->at_version()},
                            request->payload_format(), response->mutable_snapshot());
    });
  }
  if (request->has_min_version()) {
    auto* call = new UnaryCall;
    std::make_shared<SnapshotWait>(api, domain, request, response, call)->Start(AnswerBy(*context));
    return call;
  }
  const auto failed = ReadSnapshot(*api, *domain, request->aggregate_key(),
                                   request->payload_format(), response->mutable_snapshot());
  return AnswerNow(context, failed ? *failed : google::rpc::Status());
}

// ---- BatchGetSnapshots ----

namespace {

// A BatchGetSnapshots on its way: parts of it are read here and by peers, and put together.
class SnapshotBatch : public std::enable_shared_from_this<SnapshotBatch> {
 public:
  SnapshotBatch(Api* api, DomainApi* domain, grpc::CallbackServerContext* context,
                const esd::v1::BatchGetSnapshotsRequest* request,
                esd::v1::BatchGetSnapshotsResponse* response, UnaryCall* call)
      : api_(api),
        domain_(domain),
        context_(context),
        request_(request),
        response_(response),
        call_(call) {}

  void Start() {
    std::vector<int> here;
    std::map<std::string, std::vector<int>> elsewhere;  // by address
    for (int i = 0; i < request_->aggregate_keys_size(); ++i) {
      const Route route = api_->Find(domain_->HomeOf(request_->aggregate_keys(i)), *context_);
      if (route.kind == Route::Kind::kPeer) {
        elsewhere[route.address].push_back(i);
      } else {
        here.push_back(i);
      }
    }
    {
      absl::MutexLock lock(&mutex_);
      found_.resize(static_cast<size_t>(request_->aggregate_keys_size()));
      missing_parts_ = static_cast<int>(elsewhere.size()) + 1;
    }
    for (auto& [address, indexes] : elsewhere) AskPeer(address, indexes);
    const auto read = [self = shared_from_this(), here] { self->ReadHere(here); };
    if (!api_->reads.TryRun(kMaxWaitingReads, read)) EndPart(TooManyInFlight(kReadLimit));
  }

 private:
  struct PeerCall {
    std::shared_ptr<Peer> peer;
    std::unique_ptr<grpc::ClientContext> context;
    esd::v1::BatchGetSnapshotsRequest request;
    esd::v1::BatchGetSnapshotsResponse response;
  };

  void ReadHere(const std::vector<int>& indexes) {
    for (const int index : indexes) {
      esd::v1::Snapshot snapshot;
      const auto failed = ReadSnapshot(*api_, *domain_, request_->aggregate_keys(index),
                                       request_->payload_format(), &snapshot);
      if (!failed) {
        Found(index, std::move(snapshot));
      } else if (failed->code() != static_cast<int>(absl::StatusCode::kNotFound)) {
        return EndPart(*failed);
      }
    }
    EndPart({});
  }

  void AskPeer(const std::string& address, const std::vector<int>& indexes) {
    auto call = std::make_shared<PeerCall>();
    call->peer = api_->peers.At(address);
    call->context = ForwardingContext(*context_);
    call->request.set_domain(request_->domain());
    call->request.set_payload_format(request_->payload_format());
    for (const int index : indexes)
      call->request.add_aggregate_keys(request_->aggregate_keys(index));
    call->peer->queries->async()->BatchGetSnapshots(
        call->context.get(), &call->request, &call->response,
        [self = shared_from_this(), call, indexes, address](const grpc::Status& status) {
          if (!status.ok()) return self->EndPart(FromPeer(status, address));
          int next = 0;  // both are in the order of the request
          for (const int index : indexes) {
            if (next < call->response.snapshots_size() &&
                call->response.snapshots(next).aggregate_key() ==
                    self->request_->aggregate_keys(index)) {
              self->Found(index, std::move(*call->response.mutable_snapshots(next++)));
            }
          }
          self->EndPart({});
        });
  }

  void Found(int index, esd::v1::Snapshot snapshot) {
    absl::MutexLock lock(&mutex_);
    found_[static_cast<size_t>(index)] = std::move(snapshot);
  }

  void EndPart(const google::rpc::Status& error) {
    {
      absl::MutexLock lock(&mutex_);
      if (error.code() != 0) error_ = error;
      if (--missing_parts_ > 0) return;
      for (size_t i = 0; i < found_.size(); ++i) {
        if (found_[i]) {
          *response_->add_snapshots() = *std::move(found_[i]);
        } else {
          response_->add_not_found(request_->aggregate_keys(static_cast<int>(i)));
        }
      }
    }
    call_->Answer(error_);
  }

  Api* const api_;
  DomainApi* const domain_;
  grpc::CallbackServerContext* const context_;
  const esd::v1::BatchGetSnapshotsRequest* const request_;
  esd::v1::BatchGetSnapshotsResponse* const response_;
  UnaryCall* const call_;

  absl::Mutex mutex_;
  std::vector<std::optional<esd::v1::Snapshot>> found_;
  int missing_parts_ = 0;
  google::rpc::Status error_;
};

}  // namespace

grpc::ServerUnaryReactor* QueryService::BatchGetSnapshots(
    grpc::CallbackServerContext* context, const esd::v1::BatchGetSnapshotsRequest* request,
    esd::v1::BatchGetSnapshotsResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindDomain(api, request->domain(), &domain))
    return AnswerNow(context, *wrong);
  if (request->aggregate_keys_size() < 1 || request->aggregate_keys_size() > kMaxBatch) {
    return AnswerNow(
        context, Invalid("BATCH_SIZE", absl::StrCat("a batch has 1 to ", kMaxBatch, " keys, not ",
                                                    request->aggregate_keys_size())));
  }
  for (const std::string& key : request->aggregate_keys()) {
    if (const auto wrong = CheckKey(key)) return AnswerNow(context, *wrong);
  }
  auto* call = new UnaryCall;
  std::make_shared<SnapshotBatch>(api, domain, context, request, response, call)->Start();
  return call;
}

// ---- Pages ----

grpc::ServerUnaryReactor* QueryService::ListSnapshots(grpc::CallbackServerContext* context,
                                                      const esd::v1::ListSnapshotsRequest* request,
                                                      esd::v1::ListSnapshotsResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindDomain(api, request->domain(), &domain))
    return AnswerNow(context, *wrong);
  esd::v1::SnapshotPageToken token;
  if (const auto wrong = ReadPage(*request, domain->partition_count(), &token))
    return AnswerNow(context, *wrong);
  const DomainPartition partition{request->domain(), PartitionId{token.partition()}};
  const Route route = api->Find(partition, *context);
  if (route.kind == Route::Kind::kPeer) {
    return Forward(api, route, context, [=](Peer& peer, auto* forwarded, auto done) {
      peer.queries->async()->ListSnapshots(forwarded, request, response, std::move(done));
    });
  }
  return AnswerFromRead(
      api, [=] { return ListSnapshotsHere(*api, *domain, *request, token, response); });
}

grpc::ServerUnaryReactor* QueryService::ListEvents(grpc::CallbackServerContext* context,
                                                   const esd::v1::ListEventsRequest* request,
                                                   esd::v1::ListEventsResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindAggregate(api, *request, &domain)) return AnswerNow(context, *wrong);
  esd::v1::EventPageToken token;
  if (const auto wrong = ReadPage(*request, &token)) return AnswerNow(context, *wrong);
  const Route route = api->Find(domain->HomeOf(request->aggregate_key()), *context);
  if (route.kind == Route::Kind::kPeer) {
    return Forward(api, route, context, [=](Peer& peer, auto* forwarded, auto done) {
      peer.queries->async()->ListEvents(forwarded, request, response, std::move(done));
    });
  }
  return AnswerFromRead(api,
                        [=] { return ListEventsHere(*api, *domain, *request, token, response); });
}

grpc::ServerWriteReactor<esd::v1::WatchEventsResponse>* QueryService::WatchEvents(
    grpc::CallbackServerContext* context, const esd::v1::WatchEventsRequest* request) {
  return EventWatch::Start(*api_, context, *request);
}

}  // namespace esd::api
