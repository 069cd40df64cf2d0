#include "engine/worker/reply.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <simdjson.h>

#include <utility>

#include "engine/aggregate/aggregate_type.h"
#include "engine/base/json_string.h"
#include "engine/base/string_view.h"

namespace esd {
namespace {

std::string BeginReply(std::string_view command_id, std::string_view status) {
  std::string reply = R"({"commandId":)";
  AppendJsonString(command_id, &reply);
  reply += R"(,"status":)";
  AppendJsonString(status, &reply);
  return reply;
}

void AppendVersion(Version version, std::string* reply) {
  if (version != kNoVersion) absl::StrAppend(reply, R"(,"version":)", version.value());
}

namespace ondemand = simdjson::ondemand;

absl::Status NotAReply(std::string_view what) {
  return absl::DataLossError(absl::StrCat("this isn't a reply of esd: ", ToAbsl(what)));
}

// The code that CodeName() calls so; kUnknown when there is none such.
absl::StatusCode CodeNamed(std::string_view name) {
  for (int code = 1; code <= 16; ++code) {
    if (CodeName(static_cast<absl::StatusCode>(code)) == name)
      return static_cast<absl::StatusCode>(code);
  }
  return absl::StatusCode::kUnknown;
}

simdjson::error_code ReadString(ondemand::value value, std::string* text) {
  std::string_view view;
  const simdjson::error_code error = value.get_string().get(view);
  if (!error) text->assign(view);
  return error;
}

simdjson::error_code ReadEvent(ondemand::value value, Reply::Event* event) {
  ondemand::object envelope;
  if (auto error = value.get_object().get(envelope)) return error;
  bool has_type = false;
  bool has_event = false;
  for (auto field : envelope) {
    std::string_view name;
    if (auto error = field.unescaped_key().get(name)) return error;
    ondemand::value content;
    if (auto error = field.value().get(content)) return error;
    if (name == "type") {
      if (auto error = ReadString(content, &event->type)) return error;
      has_type = true;
    } else if (name == "event") {
      ondemand::object object;
      if (auto error = content.get_object().get(object)) return error;
      std::string_view json;
      if (auto error = object.raw_json().get(json)) return error;
      event->json.assign(json);
      has_event = true;
    }
  }
  return has_type && has_event ? simdjson::SUCCESS : simdjson::NO_SUCH_FIELD;
}

simdjson::error_code ReadEvents(ondemand::value value, std::vector<Reply::Event>* events) {
  ondemand::array array;
  if (auto error = value.get_array().get(array)) return error;
  for (auto element : array) {
    ondemand::value event;
    if (auto error = element.get(event)) return error;
    if (auto error = ReadEvent(event, &events->emplace_back())) return error;
  }
  return simdjson::SUCCESS;
}

// Which of the fields that a reply can't do without are there.
struct Seen {
  std::string status;
  std::string code;
  bool command_id = false;
  bool events = false;
  bool reason = false;
  bool message = false;
};

simdjson::error_code ReadField(std::string_view name, ondemand::value value, Reply* reply,
                               Seen* seen) {
  if (name == "commandId") {
    seen->command_id = true;
    return ReadString(value, &reply->command_id);
  }
  if (name == "status") return ReadString(value, &seen->status);
  if (name == "code") return ReadString(value, &seen->code);
  if (name == "reason") {
    seen->reason = true;
    return ReadString(value, &reply->reason);
  }
  if (name == "message") {
    seen->message = true;
    return ReadString(value, &reply->message);
  }
  if (name == "version") {
    int64_t version = 0;
    const simdjson::error_code error = value.get_int64().get(version);
    reply->version = Version{version};
    return error;
  }
  if (name == "events") {
    seen->events = true;
    return ReadEvents(value, &reply->events);
  }
  return simdjson::SUCCESS;  // of a later version of esd
}

simdjson::error_code ReadReply(ondemand::document* document, Reply* reply, Seen* seen) {
  ondemand::object object;
  if (auto error = document->get_object().get(object)) return error;
  for (auto field : object) {
    std::string_view name;
    if (auto error = field.unescaped_key().get(name)) return error;
    ondemand::value value;
    if (auto error = field.value().get(value)) return error;
    if (auto error = ReadField(name, value, reply, seen)) return error;
  }
  return simdjson::SUCCESS;
}

}  // namespace

std::string AcceptedReply(std::string_view command_id, Version version,
                          const std::vector<std::string>& events) {
  std::string reply = BeginReply(command_id, "ACCEPTED");
  AppendVersion(version, &reply);
  reply += R"(,"events":[)";
  for (size_t i = 0; i < events.size(); ++i) {
    if (i > 0) reply += ',';
    reply += events[i];
  }
  reply += "]}";
  return reply;
}

std::string RejectedReply(std::string_view command_id, const absl::Status& reason,
                          Version version) {
  std::string reply = BeginReply(command_id, "REJECTED");
  reply += R"(,"code":)";
  AppendJsonString(CodeName(reason.code()), &reply);
  reply += R"(,"reason":)";
  AppendJsonString(ReasonOf(reason), &reply);
  reply += R"(,"message":)";
  AppendJsonString({reason.message().data(), reason.message().size()}, &reply);
  AppendVersion(version, &reply);
  reply += '}';
  return reply;
}

absl::StatusOr<Reply> ParseReply(std::string_view json) {
  thread_local ondemand::parser parser;  // keeps its buffers from reply to reply
  const simdjson::padded_string padded(json);
  ondemand::document document;
  if (auto error = parser.iterate(padded).get(document))
    return NotAReply(simdjson::error_message(error));
  Reply reply;
  Seen seen;
  if (auto error = ReadReply(&document, &reply, &seen))
    return NotAReply(simdjson::error_message(error));
  const char* rest = nullptr;
  if (document.current_location().get(rest) != simdjson::OUT_OF_BOUNDS)
    return NotAReply("something follows it");
  reply.accepted = seen.status == "ACCEPTED";
  if (!reply.accepted && seen.status != "REJECTED") return NotAReply("it has no status");
  if (!seen.command_id) return NotAReply("it has no commandId");
  if (reply.version < kNoVersion) return NotAReply("its version is negative");
  if (reply.accepted) {
    if (!seen.events) return NotAReply("it has no events");
    return reply;
  }
  reply.code = CodeNamed(seen.code);
  if (CodeName(reply.code) != seen.code || !seen.reason || !seen.message)
    return NotAReply("it doesn't say why the command was rejected");
  return reply;
}

std::string FormatFingerprint(uint64_t fingerprint) {
  return absl::StrCat(absl::Hex(fingerprint, absl::kZeroPad16));
}

bool ParseFingerprint(std::string_view text, uint64_t* fingerprint) {
  return text.size() == 16 && absl::SimpleHexAtoi(ToAbsl(text), fingerprint);
}

}  // namespace esd
