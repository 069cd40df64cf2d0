#include "engine/worker/reply.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "engine/aggregate/aggregate_type.h"
#include "engine/base/json_string.h"

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

std::string FormatFingerprint(uint64_t fingerprint) {
  return absl::StrCat(absl::Hex(fingerprint, absl::kZeroPad16));
}

bool ParseFingerprint(std::string_view text, uint64_t* fingerprint) {
  return text.size() == 16 &&
         absl::SimpleHexAtoi(absl::string_view(text.data(), text.size()), fingerprint);
}

}  // namespace esd
