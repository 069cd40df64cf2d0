// How commands and events look in the topics.
//
// JSON: an envelope that names the message inside the oneof of the domain's Command or Event:
//
//   {"type":"RegisterUserCommand","command":{"name":"Alex","email":"foo@bar.com"}}
//   {"type":"UserRegisteredEvent","event":{"email":"foo@bar.com","name":"Alex","version":0}}
//
// Fields have their lowerCamelCase names, stand in the order of the .proto file and are always written, zero or not;
// 64-bit integers are numbers, enums their value's name, bytes base64. This differs from protobuf's own JSON mapping,
// which writes 64-bit integers as strings and leaves zeros out: the consumers that exist read numbers.
//
// Protobuf: the domain's Command message in binary form, selected by the header `Content-Type:
// application/x-protobuf`.
#ifndef ESD_ENGINE_AGGREGATE_CODEC_H_
#define ESD_ENGINE_AGGREGATE_CODEC_H_

#include <absl/status/status.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/aggregate/aggregate_type.h"

namespace esd {

enum class ContentType { kJson, kProtobuf };

// Translates one domain's commands and events. Not safe for use by several threads: it keeps its parser's buffers from
// call to call. One per worker thread.
class Codec {
 public:
  // Fails when a message of the domain has a field that has no JSON form here (groups, Any, …), or when Command or
  // Event is not exactly one oneof of messages; the error names the field.
  static absl::StatusOr<std::unique_ptr<Codec>> Create(const AggregateType& type);

  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  ~Codec();

  // Fills `command`, a message of the domain's command type, from the value of a command record. Errors are
  // kInvalidArgument with a reason (see ReasonOf): MALFORMED_JSON (with the place), MALFORMED_PROTOBUF, UNKNOWN_TYPE
  // (lists the known ones). Strict: an unknown field, a field given twice, a number out of its field's range, a lone
  // surrogate, invalid UTF-8 or nesting deeper than 64 is an error. Messages name fields, never values.
  absl::Status DecodeCommand(std::string_view value, ContentType content_type,
                             google::protobuf::Message& command);

  // Writes the envelope of `event` to `*json`, replacing what it held.
  void EncodeEvent(const google::protobuf::Message& event, std::string* json);

  // `RegisterUserCommand`: the name of the message that is set in the oneof of a command or an event; empty when none
  // is. Valid for the life of the program.
  static std::string_view TypeName(const google::protobuf::Message& oneof_message);

  // 64 bits that tell two payloads apart: the same for JSON and protobuf and whatever the white space.
  static uint64_t Fingerprint(const google::protobuf::Message& command);

 private:
  struct Impl;
  explicit Codec(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// Appends `text` as a JSON string literal, quotes included. `text` must be valid UTF-8.
void AppendJsonString(std::string_view text, std::string* json);

}  // namespace esd

#endif  // ESD_ENGINE_AGGREGATE_CODEC_H_
