#include "engine/worker/command.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include "engine/base/string_view.h"

namespace esd {
namespace {

absl::Status Undecodable(std::string_view reason, std::string_view message) {
  return Reject(absl::StatusCode::kInvalidArgument, reason, message);
}

// `application/json; charset=utf-8` and the like. A record without the header is JSON: that is what
// existing producers send.
absl::StatusOr<ContentType> ParseContentType(std::string_view value) {
  const absl::string_view essence =
      absl::StripAsciiWhitespace(ToAbsl(value.substr(0, value.find(';'))));
  if (absl::EqualsIgnoreCase(essence, "application/json")) return ContentType::kJson;
  if (absl::EqualsIgnoreCase(essence, "application/x-protobuf") ||
      absl::EqualsIgnoreCase(essence, "application/protobuf")) {
    return ContentType::kProtobuf;
  }
  return Undecodable("UNSUPPORTED_CONTENT_TYPE",
                     "the header content-type must be application/json or application/x-protobuf");
}

// The id stands in JSON replies: printable ASCII keeps it the same everywhere.
absl::Status CheckCommandId(std::string_view id) {
  if (id.empty() || id.size() > kMaxCommandIdBytes) {
    return Undecodable("INVALID_HEADER", absl::StrCat("the header ce_id must have 1 to ",
                                                      kMaxCommandIdBytes, " characters"));
  }
  for (const char c : id) {
    if (c < ' ' || c > '~')
      return Undecodable("INVALID_HEADER", "the header ce_id must be printable ASCII");
  }
  return absl::OkStatus();
}

// The value of the header kRequestIdHeader, when it is one that can be answered.
std::string_view RequestIdIn(const Header& header) {
  const std::string_view value = header.value.value_or("");
  return value.size() <= kMaxRequestIdBytes ? value : std::string_view();
}

absl::Status ReadHeader(const Header& header, Command* command, ContentType* content_type) {
  const std::string_view value = header.value.value_or("");
  if (header.name == kCommandIdHeader) {
    command->command_id = value;
    return CheckCommandId(value);
  }
  if (header.name == kTraceparentHeader) command->traceparent = value;
  if (header.name == kRequestIdHeader) command->request_id = RequestIdIn(header);
  if (header.name == kExpectedVersionHeader) {
    int64_t version = 0;
    if (!absl::SimpleAtoi(ToAbsl(value), &version) || version < kNoVersion.value()) {
      return Undecodable("INVALID_HEADER",
                         "the header esd-expected-version must be a version: 0, 1, … or -1 for an "
                         "aggregate without events");
    }
    command->expected_version = Version{version};
  }
  if (absl::EqualsIgnoreCase(ToAbsl(header.name), ToAbsl(kContentTypeHeader))) {
    auto type = ParseContentType(value);
    if (!type.ok()) return type.status();
    *content_type = *type;
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view RequestIdOf(const InputRecord& record) {
  std::string_view id;
  for (const Header& header : record.headers) {
    if (header.name == kRequestIdHeader) id = RequestIdIn(header);
  }
  return id;
}

absl::StatusOr<Command> CommandDecoder::Decode(const InputRecord& record) {
  if (!record.key)
    return Undecodable("NULL_KEY", "the record has no key: set it to the aggregate's key");
  if (!record.value)
    return Undecodable("NULL_VALUE", "the record has no value: a command can't be a tombstone");
  if (record.value->size() > max_value_bytes_) {
    return Undecodable("COMMAND_TOO_LARGE",
                       absl::StrCat("the value is larger than ", max_value_bytes_, " bytes"));
  }
  Command command;
  command.record = &record;
  command.key = *record.key;
  ContentType content_type = ContentType::kJson;
  for (const Header& header : record.headers) {
    if (absl::Status status = ReadHeader(header, &command, &content_type); !status.ok())
      return status;
  }
  if (absl::Status status = codec_->DecodeCommand(*record.value, content_type, *payload_);
      !status.ok())
    return status;
  command.payload = payload_.get();
  command.type = Codec::TypeName(*payload_);
  if (!command.command_id.empty()) command.fingerprint = Codec::Fingerprint(*payload_);
  return command;
}

}  // namespace esd
