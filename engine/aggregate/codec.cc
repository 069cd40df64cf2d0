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

namespace esd {
namespace {

using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::UnknownFieldSet;
using internal::EnvelopeSchema;
using internal::FieldSchema;
using internal::MessageSchema;

absl::Status MalformedProtobuf(std::string_view what) {
  return Reject(absl::StatusCode::kInvalidArgument, "MALFORMED_PROTOBUF", what);
}

bool ParseBinary(std::string_view value, Message& command) {
  if (!std::in_range<int>(value.size())) return false;
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(value.data()),
                                               static_cast<int>(value.size()));
  input.SetRecursionLimit(internal::kMaxDepth);
  return command.ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

// A field that this version doesn't know would be dropped without a word by whatever handles the
// command, so it is an error here as it is in JSON.
absl::Status CheckNoUnknownFields(const Message& message, const MessageSchema& schema) {
  const Reflection& reflection = *message.GetReflection();
  if (const UnknownFieldSet& unknown = reflection.GetUnknownFields(message); !unknown.empty()) {
    return MalformedProtobuf(absl::StrCat(message.GetDescriptor()->full_name(),
                                          ": unknown field number ", unknown.field(0).number()));
  }
  for (const FieldSchema& field : schema.fields) {
    if (field.message == nullptr) continue;
    if (!field.field->is_repeated()) {
      if (!reflection.HasField(message, field.field)) continue;
      auto status =
          CheckNoUnknownFields(reflection.GetMessage(message, field.field), *field.message);
      if (!status.ok()) return status;
      continue;
    }
    const int size = reflection.FieldSize(message, field.field);
    for (int i = 0; i < size; ++i) {
      auto status = CheckNoUnknownFields(reflection.GetRepeatedMessage(message, field.field, i),
                                         *field.message);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status DecodeBinary(std::string_view value, const EnvelopeSchema& schema, Message& command) {
  if (!ParseBinary(value, command)) {
    return MalformedProtobuf(
        absl::StrCat("not a ", schema.descriptor->full_name(),
                     ": broken, a string that is not UTF-8, or nested deeper than ",
                     internal::kMaxDepth, " levels"));
  }
  const Reflection& reflection = *command.GetReflection();
  if (!reflection.HasOneof(command, schema.oneof)) {
    // What a newer version calls a command, an older one keeps as an unknown field.
    if (!reflection.GetUnknownFields(command).empty()) return internal::UnknownType(schema, "");
    return MalformedProtobuf(absl::StrCat(schema.descriptor->full_name(), ": no command is set"));
  }
  return CheckNoUnknownFields(command, *schema.message);
}

}  // namespace

struct Codec::Impl {
  internal::JsonSchema schema;
  EnvelopeSchema command;
  EnvelopeSchema event;
  const google::protobuf::Descriptor* state_descriptor = nullptr;
  const MessageSchema* state = nullptr;
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
  impl->state_descriptor = type.state_prototype().GetDescriptor();
  auto state = impl->schema.Add(*impl->state_descriptor);
  if (!state.ok()) return std::move(state).status();
  impl->state = *state;
  return std::unique_ptr<Codec>(new Codec(std::move(impl)));
}

absl::Status Codec::DecodeCommand(std::string_view value, ContentType content_type,
                                  Message& command) {
  assert(command.GetDescriptor() == impl_->command.descriptor);
  command.Clear();
  switch (content_type) {
    case ContentType::kJson:
      return impl_->decoder.DecodeEnvelope(value, impl_->command, command);
    case ContentType::kProtobuf:
      return DecodeBinary(value, impl_->command, command);
  }
  return absl::InternalError("a content type that does not exist");
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

void Codec::EncodeState(const Message& state, std::string* json) {
  assert(state.GetDescriptor() == impl_->state_descriptor);
  json->clear();
  internal::AppendJson(state, *impl_->state, json);
}

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
