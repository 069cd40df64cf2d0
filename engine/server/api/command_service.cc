#include "engine/server/api/command_service.h"

#include <absl/strings/str_cat.h>

#include <memory>
#include <utility>

#include "engine/server/api/call.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/forward.h"
#include "engine/server/api/outcome.h"
#include "engine/server/api/submission.h"

namespace esd::api {
namespace {

constexpr int kMaxBatch = 1'000;

// Starts the submission, whose end answers the call.
void Submit(Api* api, grpc::CallbackServerContext* context, const Submission::Requests& requests,
            UnaryCall* call, Submission::Done done) {
  const auto submission = std::make_shared<Submission>(api, *context, requests, std::move(done));
  call->SetOnCancel([weak = std::weak_ptr(submission)] {
    if (const auto running = weak.lock()) running->Cancel();
  });
  if (const auto refused = submission->Start()) call->Answer(*refused);
}

}  // namespace

grpc::ServerUnaryReactor* CommandService::SubmitCommand(
    grpc::CallbackServerContext* context, const esd::v1::SubmitCommandRequest* request,
    esd::v1::SubmitCommandResponse* response) {
  Api* const api = *api_;
  if (api == nullptr) return AnswerNow(context, Starting());
  auto* call = new UnaryCall;
  const auto requests = std::make_shared<Submission::Requests>();
  *requests->Add() = *request;
  Submit(api, context, *requests, call, [call, response, requests](Submission::Results results) {
    esd::v1::CommandResult& result = results[0];
    if (result.has_error()) return call->Answer(result.error());
    *response = std::move(*result.mutable_response());
    call->AnswerOk();
  });
  return call;
}

grpc::ServerUnaryReactor* CommandService::BatchSubmitCommands(
    grpc::CallbackServerContext* context, const esd::v1::BatchSubmitCommandsRequest* request,
    esd::v1::BatchSubmitCommandsResponse* response) {
  Api* const api = *api_;
  if (api == nullptr) return AnswerNow(context, Starting());
  if (request->commands_size() < 1 || request->commands_size() > kMaxBatch) {
    return AnswerNow(
        context, Invalid("BATCH_SIZE", absl::StrCat("a batch has 1 to ", kMaxBatch,
                                                    " commands, not ", request->commands_size())));
  }
  auto* call = new UnaryCall;
  Submit(api, context, request->commands(), call, [call, response](Submission::Results results) {
    response->mutable_results()->Swap(&results);
    call->AnswerOk();
  });
  return call;
}

grpc::ServerUnaryReactor* CommandService::GetCommandOutcome(
    grpc::CallbackServerContext* context, const esd::v1::GetCommandOutcomeRequest* request,
    esd::v1::GetCommandOutcomeResponse* response) {
  Api* const api = *api_;
  DomainApi* domain = nullptr;
  if (const auto wrong = FindAggregate(api, *request, &domain)) return AnswerNow(context, *wrong);
  if (request->command_id().empty()) {
    return AnswerNow(context, Invalid("INVALID_COMMAND_ID", "the command_id is missing"));
  }
  const DomainPartition partition = domain->HomeOf(request->aggregate_key());
  const Route route = api->Find(partition, *context);
  if (route.kind == Route::Kind::kPeer) {
    return Forward(api, route, context, [=](Peer& peer, auto* forwarded, auto done) {
      peer.commands->async()->GetCommandOutcome(forwarded, request, response, std::move(done));
    });
  }
  std::optional<esd::v1::StoredOutcome> stored;
  const auto unread = api->ReadCommitted(partition, [&] {
    auto found =
        api->backend.store->GetOutcome(partition, request->aggregate_key(), request->command_id());
    if (found.ok()) stored = *std::move(found);
    return found.status();
  });
  if (unread) return AnswerNow(context, *unread);
  if (!stored) {
    return AnswerNow(context, MakeError(absl::StatusCode::kNotFound, "COMMAND_NOT_FOUND",
                                        "no outcome of a command with this id is known: it isn't "
                                        "processed yet, or its outcome is forgotten"));
  }
  ReplyOf of{stored->reply(), partition, request->aggregate_key(), std::nullopt};
  if (stored->has_command_offset()) of.offset = Offset{stored->command_offset()};
  absl::StatusOr<esd::v1::Outcome> outcome = ToOutcome(*domain, of, request->payload_format());
  if (!outcome.ok()) return AnswerNow(context, FromEngine(outcome.status(), "reading the outcome"));
  *response->mutable_outcome() = *std::move(outcome);
  return AnswerNow(context);
}

}  // namespace esd::api
