// What the JSON reader and writer know about a domain's messages: worked out once, so that a call
// looks up nothing in descriptors but what a value needs.
//
// Covered is proto3: all scalars, enums, messages (recursive ones too), repeated fields, oneofs,
// `optional`, maps with string keys. Not covered, and refused by name: proto2 (groups, extensions,
// required), other map keys, and the well-known types whose JSON is not that of their fields (Any,
// Timestamp, Struct, the wrappers, …).
#ifndef ESD_ENGINE_AGGREGATE_JSON_SCHEMA_H_
#define ESD_ENGINE_AGGREGATE_JSON_SCHEMA_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/descriptor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace esd::internal {

struct MessageSchema;

struct FieldSchema {
  const google::protobuf::FieldDescriptor* field = nullptr;
  // `"newName":`, as it is written.
  std::string json_key;
  // Written only when set: messages, members of a oneof and `optional` scalars. Others are always
  // written.
  bool has_presence = false;
  // Of a message or of the elements of a repeated one; of a map the entry, whose fields are key and
  // value. Else null.
  const MessageSchema* message = nullptr;
};

struct MessageSchema {
  // In the order of the .proto file.
  std::vector<FieldSchema> fields;
  // Index in `fields` by JSON name and by the name in the .proto file. Views into the descriptors.
  absl::flat_hash_map<absl::string_view, size_t> by_name;

  const FieldSchema& map_key() const { return fields[0]; }
  const FieldSchema& map_value() const { return fields[1]; }
};

// A domain's Command or Event: one oneof of messages.
struct EnvelopeSchema {
  struct Member {
    const google::protobuf::FieldDescriptor* field = nullptr;
    const MessageSchema* message = nullptr;
    // `{"type":"UserRegisteredEvent","event":`
    std::string prefix;
  };

  const google::protobuf::Descriptor* descriptor = nullptr;
  const google::protobuf::OneofDescriptor* oneof = nullptr;
  // `command` or `event`: the envelope's key beside "type", and what such a message is called.
  std::string body_key;
  // The same as of any other message; for walks that don't care about envelopes.
  const MessageSchema* message = nullptr;
  // In the order of the oneof.
  std::vector<Member> members;
  // Index in `members` by the message's name.
  absl::flat_hash_map<absl::string_view, size_t> by_type;
};

// Owns the schemas of one domain; they live as long as it and never move.
class JsonSchema {
 public:
  // The schema of a message and of all that it contains.
  absl::StatusOr<const MessageSchema*> Add(const google::protobuf::Descriptor& message);

  // The schema of a Command or Event; `body_key` is the envelope's key beside "type".
  absl::StatusOr<EnvelopeSchema> AddEnvelope(const google::protobuf::Descriptor& message,
                                             std::string_view body_key);

  // The schema of a message that was added or is contained in one; else null.
  const MessageSchema* Find(const google::protobuf::Descriptor& message) const;

 private:
  absl::StatusOr<FieldSchema> MakeField(const google::protobuf::FieldDescriptor& field);

  absl::flat_hash_map<const google::protobuf::Descriptor*, std::unique_ptr<MessageSchema>>
      messages_;
};

}  // namespace esd::internal

#endif  // ESD_ENGINE_AGGREGATE_JSON_SCHEMA_H_
