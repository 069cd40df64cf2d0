#include "engine/aggregate/codec.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/unknown_field_set.h>
#include <xxhash.h>

#include <array>
#include <cassert>
#include <limits>
#include <utility>

#include "engine/aggregate/json_decoder.h"
#include "engine/aggregate/json_encoder.h"
#include "engine/aggregate/json_schema.h"
#include "engine/base/string_view.h"

namespace esd {
namespace {

using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::UnknownFieldSet;
using internal::EnvelopeSchema;
using internal::FieldSchema;
using internal::MessageSchema;
using internal::UnknownFields;

absl::Status MalformedProtobuf(std::string_view what) {
  return Reject(absl::StatusCode::kInvalidArgument, "MALFORMED_PROTOBUF", what);
}

// `levels`: how many messages may stand in each other, `message` being the first.
bool ParseBinary(std::string_view value, int levels, Message& message) {
  if (!std::in_range<int>(value.size())) return false;
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(value.data()),
                                               static_cast<int>(value.size()));
  input.SetRecursionLimit(levels - 1);  // protobuf doesn't count the first
  return message.ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

absl::Status BrokenBinary(const google::protobuf::Descriptor& descriptor) {
  return MalformedProtobuf(absl::StrCat("not a ", descriptor.full_name(),
                                        ": broken, a string that is not UTF-8, or nested deeper "
                                        "than ",
                                        internal::kMaxDepth, " levels"));
}

absl::Status TooDeep(const Message& message) {
  return MalformedProtobuf(absl::StrCat(message.GetDescriptor()->full_name(),
                                        ": nested deeper than ", internal::kMaxDepth,
                                        " levels, an array or a map counting as one"));
}

// What JSON could not say is refused here too. A field that this version doesn't know would be
// dropped without a word by whatever handles the command. And what is nested too deep to be read
// as JSON must not come into an event. `level`: that of the message, as an object in JSON.
absl::Status CheckBinary(const Message& message, const MessageSchema& schema, int level) {
  const Reflection& reflection = *message.GetReflection();
  if (level > internal::kMaxDepth) return TooDeep(message);
  if (const UnknownFieldSet& unknown = reflection.GetUnknownFields(message); !unknown.empty()) {
    return MalformedProtobuf(absl::StrCat(message.GetDescriptor()->full_name(),
                                          ": unknown field number ", unknown.field(0).number()));
  }
  for (const FieldSchema& field : schema.fields) {
    if (!field.field->is_repeated()) {
      if (field.message == nullptr || !reflection.HasField(message, field.field)) continue;
      auto status =
          CheckBinary(reflection.GetMessage(message, field.field), *field.message, level + 1);
      if (!status.ok()) return status;
      continue;
    }
    const int size = reflection.FieldSize(message, field.field);
    if (size > 0 && level + 1 > internal::kMaxDepth) return TooDeep(message);
    if (field.message == nullptr) continue;
    // An entry of a map is a message, but no object inside the map's.
    const int element_level = field.field->is_map() ? level + 1 : level + 2;
    for (int i = 0; i < size; ++i) {
      auto status = CheckBinary(reflection.GetRepeatedMessage(message, field.field, i),
                                *field.message, element_level);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

// The level of the oneof's message: as in JSON, where the envelope is the first.
constexpr int kBodyLevel = 2;

absl::Status DecodeBinary(std::string_view value, const EnvelopeSchema& schema, Message& command) {
  if (!ParseBinary(value, internal::kMaxDepth, command)) return BrokenBinary(*schema.descriptor);
  const Reflection& reflection = *command.GetReflection();
  if (!reflection.HasOneof(command, schema.oneof)) {
    // What a newer version calls a command, an older one keeps as an unknown field.
    if (!reflection.GetUnknownFields(command).empty()) return internal::UnknownType(schema, "");
    return MalformedProtobuf(absl::StrCat(schema.descriptor->full_name(), ": no command is set"));
  }
  return CheckBinary(command, *schema.message, kBodyLevel - 1);
}

absl::Status DecodeBinaryBody(std::string_view value, const EnvelopeSchema::Member& member,
                              Message& command) {
  Message& body = *command.GetReflection()->MutableMessage(&command, member.field);
  if (!ParseBinary(value, internal::kMaxDepth - 1, body)) {
    return BrokenBinary(*body.GetDescriptor());
  }
  return CheckBinary(body, *member.message, kBodyLevel);
}

std::vector<std::string> TypesOf(const EnvelopeSchema& schema) {
  std::vector<std::string> types;
  for (const auto& member : schema.members) types.push_back(member.field->message_type()->name());
  return types;
}

}  // namespace

struct Codec::Impl {
  internal::JsonSchema schema;
  EnvelopeSchema command;
  EnvelopeSchema event;
  internal::JsonDecoder decoder;
};

Codec::Codec(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Codec::~Codec() = default;

absl::StatusOr<std::unique_ptr<Codec>> Codec::Create(const AggregateType& type) {
  auto impl = std::make_unique<Impl>();
  auto command = impl->schema.AddEnvelope(*type.command_prototype().GetDescriptor(), "command");
  if (!command.ok()) return std::move(command).status();
  impl->command = *std::move(command);
  auto event = impl->schema.AddEnvelope(*type.event_prototype().GetDescriptor(), "event");
  if (!event.ok()) return std::move(event).status();
  impl->event = *std::move(event);
  auto state = impl->schema.Add(*type.state_prototype().GetDescriptor());
  if (!state.ok()) return std::move(state).status();
  return std::unique_ptr<Codec>(new Codec(std::move(impl)));
}

absl::Status Codec::DecodeCommand(std::string_view value, ContentType content_type,
                                  Message& command) {
  assert(command.GetDescriptor() == impl_->command.descriptor);
  command.Clear();
  switch (content_type) {
    case ContentType::kJson:
      return impl_->decoder.DecodeEnvelope(value, impl_->command, UnknownFields::kReject, command);
    case ContentType::kProtobuf:
      return DecodeBinary(value, impl_->command, command);
  }
  return absl::InternalError("a content type that does not exist");
}

absl::Status Codec::DecodeCommandOfType(std::string_view type, std::string_view payload,
                                        ContentType content_type, Message& command) {
  assert(command.GetDescriptor() == impl_->command.descriptor);
  command.Clear();
  const auto found = impl_->command.by_type.find(ToAbsl(type));
  if (found == impl_->command.by_type.end()) return internal::UnknownType(impl_->command, type);
  const EnvelopeSchema::Member& member = impl_->command.members[found->second];
  switch (content_type) {
    case ContentType::kJson:
      return impl_->decoder.DecodeBody(payload, impl_->command, member, UnknownFields::kReject,
                                       command);
    case ContentType::kProtobuf:
      return DecodeBinaryBody(payload, member, command);
  }
  return absl::InternalError("a content type that does not exist");
}

std::string Codec::CommandEnvelope(std::string_view type, std::string_view payload) const {
  const auto found = impl_->command.by_type.find(ToAbsl(type));
  assert(found != impl_->command.by_type.end());
  if (found == impl_->command.by_type.end()) return {};
  const EnvelopeSchema::Member& member = impl_->command.members[found->second];
  return absl::StrCat(member.prefix, ToAbsl(payload), "}");
}

absl::Status Codec::DecodeEvent(std::string_view value, Message& event) {
  assert(event.GetDescriptor() == impl_->event.descriptor);
  event.Clear();
  return impl_->decoder.DecodeEnvelope(value, impl_->event, UnknownFields::kSkip, event);
}

absl::StatusOr<Codec::EventParts> Codec::SplitEvent(std::string_view value) {
  auto envelope = impl_->decoder.SplitEnvelope(value, impl_->event);
  if (!envelope.ok()) return std::move(envelope).status();
  return EventParts{.type = envelope->type, .json = envelope->body};
}

void Codec::EncodeEvent(const Message& event, std::string* json) {
  assert(event.GetDescriptor() == impl_->event.descriptor);
  json->clear();
  const Reflection& reflection = *event.GetReflection();
  const auto* const field = reflection.GetOneofFieldDescriptor(event, impl_->event.oneof);
  assert(field != nullptr);
  if (field == nullptr) return;
  const auto& member = impl_->event.members[static_cast<size_t>(field->index_in_oneof())];
  json->append(member.prefix);
  internal::AppendJson(reflection.GetMessage(event, field), *member.message, json);
  json->push_back('}');
}

void Codec::EncodeMessage(const Message& message, std::string* json) {
  json->clear();
  const MessageSchema* const schema = impl_->schema.Find(*message.GetDescriptor());
  assert(schema != nullptr);
  if (schema == nullptr) {
    json->append("{}");
    return;
  }
  internal::AppendJson(message, *schema, json);
}

std::vector<std::string> Codec::CommandTypes() const { return TypesOf(impl_->command); }
std::vector<std::string> Codec::EventTypes() const { return TypesOf(impl_->event); }

std::string_view Codec::TypeName(const Message& oneof_message) {
  const auto* const descriptor = oneof_message.GetDescriptor();
  if (descriptor->real_oneof_decl_count() == 0) return {};
  const auto* const field = oneof_message.GetReflection()->GetOneofFieldDescriptor(
      oneof_message, descriptor->oneof_decl(0));
  if (field == nullptr || field->message_type() == nullptr) return {};
  return field->message_type()->name();
}

uint64_t Codec::Fingerprint(const Message& command) {
  const size_t size = command.ByteSizeLong();
  std::array<char, 1024> small;
  std::string large;
  char* bytes = small.data();
  if (size > small.size()) {
    large.resize(size);
    bytes = large.data();
  }
  google::protobuf::io::ArrayOutputStream array(bytes, static_cast<int>(size));
  google::protobuf::io::CodedOutputStream output(&array);
  output.SetSerializationDeterministic(true);  // else the order of a map's entries is random
  command.SerializeWithCachedSizes(&output);
  output.Trim();
  return XXH3_64bits(bytes, size);
}

}  // namespace esd
