#include "engine/server/api/submission.h"

#include <absl/strings/str_cat.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "engine/server/api/call.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/outcome.h"
#include "engine/worker/command.h"

namespace esd::api {
namespace {

constexpr absl::Duration kLogRetry = absl::Milliseconds(500);

}  // namespace

Submission::Submission(Api* api, const grpc::CallbackServerContext& context,
                       const Requests& requests, Done done)
    : api_(api),
      context_(context),
      requests_(requests),
      connection_(IsForwarded(context) ? "" : context.peer()),
      items_(static_cast<size_t>(requests.size())),
      missing_(requests.size() + 1),  // one for Start()
      done_(std::move(done)) {
  results_.Reserve(requests.size());
  for (int i = 0; i < requests.size(); ++i) results_.Add();
}

std::optional<google::rpc::Status> Submission::Start() {
  if (api_->draining()) return Draining();
  const std::string_view limit = api_->in_flight.Take(connection_, requests_.size());
  if (!limit.empty()) return TooManyInFlight(limit);
  timer_ = api_->timer.At(AnswerBy(context_), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->GiveUp(absl::StatusCode::kDeadlineExceeded);
  });
  Route();
  Release();
  return std::nullopt;
}

void Submission::Route() {
  const std::string traceparent = MetadataOf(context_, kTraceparentMetadata);
  std::map<std::string, std::vector<int>> elsewhere;  // by address
  std::vector<int> here;
  for (int i = 0; i < requests_.size(); ++i) {
    PreparedCommand prepared;
    if (auto wrong = Prepare(api_->domains, requests_[i], traceparent, &prepared)) {
      Fail(i, *std::move(wrong));
      continue;
    }
    const api::Route route = api_->Find(prepared.partition, context_);
    if (route.kind == api::Route::Kind::kNobody)
      Fail(i, PartitionMoving(ToString(prepared.partition)));
    if (route.kind == api::Route::Kind::kPeer) elsewhere[route.address].push_back(i);
    if (route.kind == api::Route::Kind::kHere) here.push_back(i);
    absl::MutexLock lock(&mutex_);
    Item& item = items_[static_cast<size_t>(i)];
    item.key = *prepared.record.key;
    item.command = std::move(prepared);
  }
  for (const auto& [address, indexes] : elsewhere) Forward(address, indexes);
  for (const int index : here) Append(index);
}

void Submission::Append(int index) {
  const auto self = shared_from_this();
  OutputRecord record;
  DomainPartition partition;
  {
    absl::MutexLock lock(&mutex_);
    Item& item = items_[static_cast<size_t>(index)];
    partition = item.command.partition;
    record = std::move(item.command.record);
  }
  const CommandWaiters::Id waiter =
      api_->commands.Add(partition, [self, index](std::optional<ProcessedCommand> processed) {
        self->OnProcessed(index, processed);
      });
  {
    absl::MutexLock lock(&mutex_);
    items_[static_cast<size_t>(index)].waiter = waiter;
  }
  // Only now: a partition that is let go of later finds the waiter.
  if (!api_->directory.Serving(partition)) {
    if (api_->commands.Remove(waiter)) Fail(index, PartitionMoving(ToString(partition)));
    return;
  }
  record.headers.push_back({kRequestIdHeader, api_->commands.RequestId(waiter)});
  api_->backend.appender->Append(
      partition.domain, record,
      [self, index](const absl::StatusOr<Offset>& offset) { self->OnAppended(index, offset); });
}

void Submission::OnAppended(int index, const absl::StatusOr<Offset>& offset) {
  CommandWaiters::Id waiter;
  {
    absl::MutexLock lock(&mutex_);
    Item& item = items_[static_cast<size_t>(index)];
    waiter = *item.waiter;
    if (offset.ok()) item.offset = *offset;
  }
  if (offset.ok() || !api_->commands.Remove(waiter)) return;
  if (!MayHaveBeenWritten(offset.status())) return Fail(index, AppendFailed(offset.status()));
  spdlog::warn("API: a command may have been appended or not: {}",
               std::string(offset.status().message()));
  Fail(index, UnknownOutcome(index, absl::StatusCode::kUnavailable));
}

void Submission::OnProcessed(int index, const std::optional<ProcessedCommand>& processed) {
  if (!processed) return Fail(index, UnknownOutcome(index, absl::StatusCode::kUnavailable));
  DomainApi* domain;
  ReplyOf of;
  esd::v1::PayloadFormat format;
  {
    absl::MutexLock lock(&mutex_);
    const Item& item = items_[static_cast<size_t>(index)];
    domain = item.command.domain;
    format = item.command.format;
    of = {processed->reply, item.command.partition, item.key, processed->answered_offset};
  }
  if (processed->effect == Effect::kDeadLetter) {
    return Fail(index, MakeError(absl::StatusCode::kInvalidArgument, processed->reason,
                                 processed->reply, {.domain = of.partition.domain}));
  }
  absl::StatusOr<esd::v1::Outcome> outcome = ToOutcome(*domain, of, format);
  if (!outcome.ok()) return Fail(index, FromEngine(outcome.status(), "reading the reply"));
  Answer(index, ToResult(of.partition.domain, *std::move(outcome),
                         processed->effect == Effect::kDuplicate));
}

namespace {

// A call to a peer; lives until it is answered.
struct ForwardedBatch {
  std::shared_ptr<Peer> peer;
  std::unique_ptr<grpc::ClientContext> context;
  esd::v1::BatchSubmitCommandsRequest request;
  esd::v1::BatchSubmitCommandsResponse response;
};

}  // namespace

void Submission::Forward(const std::string& address, const std::vector<int>& indexes) {
  auto call = std::make_shared<ForwardedBatch>();
  call->peer = api_->peers.At(address);
  call->context = ForwardingContext(context_);
  for (const int index : indexes) *call->request.add_commands() = requests_[index];
  auto done = [self = shared_from_this(), call, indexes, address](const grpc::Status& status) {
    const int answered = status.ok() ? call->response.results_size() : 0;
    for (int i = 0; i < static_cast<int>(indexes.size()); ++i) {
      const int index = indexes[static_cast<size_t>(i)];
      if (i < answered) {
        self->Answer(index, std::move(*call->response.mutable_results(i)));
      } else if (!status.error_details().empty()) {
        self->Fail(index, FromGrpc(status));  // the peer refused the whole call
      } else {
        const bool timed_out = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
        self->Fail(index,
                   self->UnknownOutcome(index, timed_out ? absl::StatusCode::kDeadlineExceeded
                                                         : absl::StatusCode::kUnavailable));
      }
    }
  };
  // Known to be out of reach: then nothing is sent, and the outcome isn't unknown.
  if (call->peer->channel->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
    const grpc::Status unreachable(grpc::StatusCode::UNAVAILABLE, "no connection");
    for (const int index : indexes) Fail(index, FromPeer(unreachable, address));
    return;
  }
  call->peer->commands->async()->BatchSubmitCommands(call->context.get(), &call->request,
                                                     &call->response, std::move(done));
}

void Submission::GiveUp(absl::StatusCode code) {
  std::vector<std::pair<int, CommandWaiters::Id>> waiting;
  {
    absl::MutexLock lock(&mutex_);
    for (size_t i = 0; i < items_.size(); ++i) {
      if (!items_[i].answered && items_[i].waiter)
        waiting.emplace_back(static_cast<int>(i), *items_[i].waiter);
    }
  }
  for (const auto& [index, waiter] : waiting) {
    if (api_->commands.Remove(waiter)) Fail(index, UnknownOutcome(index, code));
  }
}

google::rpc::Status Submission::UnknownOutcome(int index, absl::StatusCode code) {
  ErrorDetails details;
  const std::string& id = requests_[index].command_id();
  if (!id.empty()) {
    details.metadata["commandId"] = id;
    if (code == absl::StatusCode::kUnavailable) details.retry_after = kLogRetry;
  }
  {
    absl::MutexLock lock(&mutex_);
    const Item& item = items_[static_cast<size_t>(index)];
    details.metadata["partition"] = absl::StrCat(item.command.partition.partition.value());
    if (item.offset) {
      details.metadata["offset"] = absl::StrCat(item.offset->value());
      // A command without an id has its position for one.
      details.metadata.emplace("commandId", absl::StrCat(details.metadata["partition"], ":",
                                                         details.metadata["offset"]));
    }
  }
  return MakeError(
      code, "OUTCOME_UNKNOWN",
      id.empty() ? "the command may be processed yet, or may have been: read the aggregate to find "
                   "out, and give commands a command_id to be able to repeat them"
                 : "the command may be processed yet, or may have been: ask GetCommandOutcome, or "
                   "submit the same command with the same command_id again",
      details);
}

void Submission::Fail(int index, google::rpc::Status error) {
  esd::v1::CommandResult result;
  *result.mutable_error() = std::move(error);
  Answer(index, std::move(result));
}

void Submission::Answer(int index, esd::v1::CommandResult result) {
  {
    absl::MutexLock lock(&mutex_);
    items_[static_cast<size_t>(index)].answered = true;
    results_[index] = std::move(result);
  }
  Release();
}

void Submission::Release() {
  Done done;
  Results results;
  {
    absl::MutexLock lock(&mutex_);
    if (--missing_ > 0) return;
    done = std::move(done_);
    results.Swap(&results_);
  }
  api_->timer.Cancel(*timer_);
  api_->in_flight.GiveBack(connection_, requests_.size());
  done(std::move(results));
}

}  // namespace esd::api
