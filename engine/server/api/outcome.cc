#include "engine/server/api/outcome.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/server/api/errors.h"
#include "engine/worker/reply.h"

namespace esd::api {
namespace {

absl::Status AddEvents(DomainApi& domain, const ReplyOf& of, const Reply& reply,
                       esd::v1::PayloadFormat format, esd::v1::Outcome* outcome) {
  const auto count = static_cast<int64_t>(reply.events.size());
  for (int64_t i = 0; i < count; ++i) {
    const Reply::Event& from = reply.events[static_cast<size_t>(i)];
    esd::v1::Event& event = *outcome->add_events();
    if (of.offset) {
      event.set_id(absl::StrCat(of.partition.partition.value(), ":", of.offset->value(), ":", i));
    }
    event.set_type(from.type);
    event.set_version(reply.version.value() - count + 1 + i);
    event.set_aggregate_key(std::string(of.aggregate_key));
    const absl::Status status =
        domain.WriteEvent(from.type, from.json, format, event.mutable_payload());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<esd::v1::Outcome> ToOutcome(DomainApi& domain, const ReplyOf& of,
                                           esd::v1::PayloadFormat format) {
  const absl::StatusOr<Reply> reply = ParseReply(of.reply);
  if (!reply.ok()) return reply.status();
  esd::v1::Outcome outcome;
  outcome.set_command_id(reply->command_id);
  outcome.set_partition(of.partition.partition.value());
  outcome.set_offset(of.offset ? of.offset->value() : -1);
  if (reply->version != kNoVersion) outcome.set_version(reply->version.value());
  if (reply->accepted) {
    outcome.set_status(esd::v1::Outcome::STATUS_ACCEPTED);
    if (absl::Status status = AddEvents(domain, of, *reply, format, &outcome); !status.ok())
      return status;
  } else {
    outcome.set_status(esd::v1::Outcome::STATUS_REJECTED);
    outcome.mutable_rejection()->set_code(static_cast<int>(reply->code));
    outcome.mutable_rejection()->set_reason(reply->reason);
    outcome.mutable_rejection()->set_message(reply->message);
  }
  return outcome;
}

esd::v1::CommandResult ToResult(std::string_view domain, esd::v1::Outcome outcome, bool replayed) {
  esd::v1::CommandResult result;
  if (outcome.status() == esd::v1::Outcome::STATUS_ACCEPTED) {
    *result.mutable_response()->mutable_outcome() = std::move(outcome);
    result.mutable_response()->set_replayed(replayed);
    return result;
  }
  ErrorDetails details{.domain = domain};
  details.metadata = {{"commandId", outcome.command_id()},
                      {"partition", absl::StrCat(outcome.partition())},
                      {"offset", absl::StrCat(outcome.offset())}};
  if (outcome.has_version()) details.metadata["version"] = absl::StrCat(outcome.version());
  if (replayed) details.metadata["replayed"] = "true";
  *result.mutable_error() =
      MakeError(static_cast<absl::StatusCode>(outcome.rejection().code()),
                outcome.rejection().reason(), outcome.rejection().message(), details);
  return result;
}

}  // namespace esd::api
