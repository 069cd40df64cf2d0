// How commands and events look in the topics.
//
// JSON: an envelope that names the message inside the oneof of the domain's Command or Event:
//
//   {"type":"RegisterUserCommand","command":{"name":"Alex","email":"foo@bar.com"}}
//   {"type":"UserRegisteredEvent","event":{"email":"foo@bar.com","name":"Alex","version":0}}
//
// What is written:
// - Fields have their lowerCamelCase names (or the .proto file's `json_name`), in the order of the
//   .proto file. They are always written, zero or not; messages, members of a oneof and `optional`
//   fields only when set.
// - 64-bit integers are numbers, enums their value's name (the number when it has none), bytes
//   padded base64, doubles the shortest text that reads back the same, with "NaN", "Infinity" and
//   "-Infinity" for what JSON has no number for.
// - Maps (string keys only) are objects, sorted by key, so that the same event is the same text.
// This differs from protobuf's own JSON mapping, which writes 64-bit integers as strings and leaves
// zeros out: the consumers that exist read numbers.
//
// What is read is the same, in any order and with any white space, and strictly:
// - The envelope has exactly its two keys, "type" and "command" or "event". No byte order mark, no
//   second document.
// - A field goes by its JSON name or its name in the .proto file. null means absent for any field;
//   inside an array or a map it is an error. At most one member of a oneof.
// - Integers are JSON integers: not "1", not 1.0, not 1e3. Floats take integers too, up to 2^64.
// - Enums also take a number. U+0000 is a character like any other.
//
// Protobuf: the domain's Command message in binary form, selected by the header `Content-Type:
// application/x-protobuf`. As strict: a field that the .proto file doesn't have is an error, at any
// depth, and so is what would be nested too deep as JSON. Otherwise as protobuf reads: of two
// values of a field, or of a key of a map, the last one counts.
#ifndef ESD_ENGINE_AGGREGATE_CODEC_H_
#define ESD_ENGINE_AGGREGATE_CODEC_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/aggregate/aggregate_type.h"

namespace esd {

enum class ContentType { kJson, kProtobuf };

// Translates one domain's commands and events. Not safe for use by several threads: it keeps its
// parser's buffers from call to call. One per thread.
class Codec {
 public:
  // Fails when a message of the domain has a field that has no JSON form here (proto2, Any,
  // Timestamp, a map with numbers as keys, …; json_schema.h has the list), or when Command or Event
  // is not exactly one oneof of messages with different names; the error names the field.
  static absl::StatusOr<std::unique_ptr<Codec>> Create(const AggregateType& type);

  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  ~Codec();

  // Fills `command`, a message of the domain's command type, from the value of a command record,
  // replacing what it held. Errors are kInvalidArgument with a reason (see ReasonOf):
  // - MALFORMED_JSON: with the place (`command.newName`), unless the document isn't JSON at all;
  // - MALFORMED_PROTOBUF: also when no command is set in the oneof;
  // - UNKNOWN_TYPE: lists the known ones; in protobuf, a case of the oneof that is not known.
  //
  // Strict: an unknown field, a field given twice, a number out of its field's range, a lone
  // surrogate, invalid UTF-8 or nesting deeper than 64 is an error. Messages name fields, never
  // values. After an error `command` holds anything. Short of memory: kResourceExhausted.
  absl::Status DecodeCommand(std::string_view value, ContentType content_type,
                             google::protobuf::Message& command);

  // Fills `command` with the command of that type: `payload` is its JSON object, or the binary form
  // of the message in the oneof, without an envelope. Exactly as strict as DecodeCommand() on the
  // envelope around it, with the same errors and places (they begin with `command`); a type that
  // isn't one of CommandTypes() is UNKNOWN_TYPE, whatever the payload.
  absl::Status DecodeCommandOfType(std::string_view type, std::string_view payload,
                                   ContentType content_type, google::protobuf::Message& command);

  // The value of a command record in JSON from what DecodeCommandOfType() took: `type` must be one
  // of CommandTypes(), `payload` goes in as it stands. In protobuf the record's value is the filled
  // command's own SerializeAsString().
  std::string CommandEnvelope(std::string_view type, std::string_view payload) const;

  // Fills `event`, a message of the domain's event type, from the value of an event record: the
  // inverse of EncodeEvent(). As strict as DecodeCommand(), but for fields that the .proto doesn't
  // have, which are skipped with whatever stands in them: an event may be older than the domain's
  // present messages. Same errors.
  absl::Status DecodeEvent(std::string_view value, google::protobuf::Message& event);

  // The value of an event record taken apart, whatever the event, also one whose type is unknown:
  // the type, and the event's own JSON as it stands there. The views are of `value`. It must be an
  // envelope around an object; MALFORMED_JSON else, and for a type that is written with escapes.
  struct EventParts {
    std::string_view type;
    std::string_view json;
  };
  absl::StatusOr<EventParts> SplitEvent(std::string_view value);

  // Writes the envelope of `event`, of which one message must be set, to `*json`, replacing what it
  // held. The strings in it must be valid UTF-8: what a command brought is, what a domain cuts must
  // be cut between characters.
  void EncodeEvent(const google::protobuf::Message& event, std::string* json);

  // Writes any message of the domain (a command, an event or a state by itself, or a part of one)
  // without an envelope, replacing what `*json` held. A message of another domain is `{}`.
  void EncodeMessage(const google::protobuf::Message& message, std::string* json);

  // `RegisterUserCommand`, …: what there is, in the order of the .proto file.
  std::vector<std::string> CommandTypes() const;
  std::vector<std::string> EventTypes() const;

  // `RegisterUserCommand`: the name of the message that is set in the oneof of a command or an
  // event; empty when none is. Valid for the life of the program.
  static std::string_view TypeName(const google::protobuf::Message& oneof_message);

  // 64 bits that tell two payloads apart: the same for JSON and protobuf and whatever the white
  // space. They are stored for as long as an outcome is, so the function must not change.
  static uint64_t Fingerprint(const google::protobuf::Message& command);

 private:
  struct Impl;
  explicit Codec(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace esd

#endif  // ESD_ENGINE_AGGREGATE_CODEC_H_
