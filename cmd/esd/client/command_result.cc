#include "cmd/esd/client/command_result.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/printable.h"
#include "engine/base/json_string.h"

namespace esd::cmd {

ResultKind KindOf(const CommandResult& result) {
  if (!result.error) return ResultKind::kAccepted;
  if (result.error->OutcomeUnknown()) return ResultKind::kUnknown;
  return result.error->Rejection() ? ResultKind::kRejected : ResultKind::kFailed;
}

std::string NameOf(ResultKind kind) {
  switch (kind) {
    case ResultKind::kAccepted:
      return "accepted";
    case ResultKind::kRejected:
      return "rejected";
    case ResultKind::kFailed:
      return "failed";
    case ResultKind::kUnknown:
      break;
  }
  return "unknown";
}

std::string ResultMembers(const CommandResult& result) {
  std::string members =
      absl::StrCat("\"status\":", JsonString(absl::AsciiStrToUpper(NameOf(KindOf(result)))));
  if (!result.error) {
    const esd::v1::Outcome& outcome = result.response.outcome();
    absl::StrAppend(&members, ",\"commandId\":", JsonString(outcome.command_id()));
    if (outcome.has_version()) absl::StrAppend(&members, ",\"version\":", outcome.version());
    const auto event_json = [](std::string* out, const esd::v1::Event& event) {
      out->append(ToJson(event));
    };
    return absl::StrCat(members, ",\"events\":[", absl::StrJoin(outcome.events(), ",", event_json),
                        "],\"partition\":", outcome.partition(), ",\"offset\":", outcome.offset(),
                        ",\"replayed\":", result.response.replayed() ? "true" : "false");
  }
  const CallError& error = *result.error;
  const auto member = [](std::string* out, const auto& entry) {
    out->append(absl::StrCat(JsonString(entry.first), ":", JsonString(entry.second)));
  };
  return absl::StrCat(members, ",\"code\":", JsonString(absl::StatusCodeToString(error.code)),
                      ",\"reason\":", JsonString(error.reason),
                      ",\"message\":", JsonString(error.message), ",\"metadata\":{",
                      absl::StrJoin(error.metadata, ",", member), "}");
}

void PrintAccepted(const Session& session, const esd::v1::SubmitCommandResponse& response) {
  const esd::v1::Outcome& outcome = response.outcome();
  std::string text = outcome.events().empty()
                         ? ", nothing changed"
                         : absl::StrCat(": ", Printable(outcome.events(0).aggregate_key()));
  if (outcome.has_version()) absl::StrAppend(&text, " is at version ", outcome.version());
  if (outcome.events().empty() && outcome.has_version())
    text = absl::StrCat(": nothing changed, version ", outcome.version());
  if (response.replayed()) absl::StrAppend(&text, " (it had been sent before)");
  session.Line(absl::StrCat(Styled("accepted", Style::kGood, session.colour()), text));
  Table table = session.MakeTable({"VERSION", "TYPE", "EVENT"});
  for (const esd::v1::Event& event : outcome.events())
    table.Add({absl::StrCat(event.version()), event.type(), event.payload().json()});
  table.Flush();
}

}  // namespace esd::cmd
