#include "engine/aggregate/json_schema.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/json_string.h"
#include "engine/base/string_view.h"

namespace esd::internal {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

// The types whose JSON form protobuf defines by hand. google.protobuf.Empty is not among them: its
// `{}` is ordinary.
bool HasSpecialJson(const std::string& full_name) {
  static const auto* const kNames = new absl::flat_hash_set<std::string>{
      "google.protobuf.Any",         "google.protobuf.BoolValue",  "google.protobuf.BytesValue",
      "google.protobuf.DoubleValue", "google.protobuf.Duration",   "google.protobuf.FieldMask",
      "google.protobuf.FloatValue",  "google.protobuf.Int32Value", "google.protobuf.Int64Value",
      "google.protobuf.ListValue",   "google.protobuf.NullValue",  "google.protobuf.StringValue",
      "google.protobuf.Struct",      "google.protobuf.Timestamp",  "google.protobuf.UInt32Value",
      "google.protobuf.UInt64Value", "google.protobuf.Value",
  };
  return kNames->contains(full_name);
}

absl::Status Unsupported(const std::string& full_name, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(full_name, " has no JSON form here: ", why));
}

absl::Status CheckField(const FieldDescriptor& field) {
  if (field.type() == FieldDescriptor::TYPE_GROUP) {
    return Unsupported(field.full_name(), "it is a group");
  }
  if (field.is_map() && field.message_type()->map_key()->type() != FieldDescriptor::TYPE_STRING) {
    return Unsupported(field.full_name(), "a map's key must be a string");
  }
  if (const auto* type = field.enum_type(); type && HasSpecialJson(type->full_name())) {
    return Unsupported(field.full_name(), absl::StrCat("nor has ", type->full_name()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FieldSchema> JsonSchema::MakeField(const FieldDescriptor& field) {
  if (auto status = CheckField(field); !status.ok()) return status;
  FieldSchema schema;
  schema.field = &field;
  AppendJsonString(field.json_name(), &schema.json_key);
  schema.json_key += ':';
  schema.has_presence = field.has_presence();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    auto message = Add(*field.message_type());
    if (!message.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(message.status().message(), " (in ", field.full_name(), ")"));
    }
    schema.message = *message;
  }
  return schema;
}

absl::StatusOr<const MessageSchema*> JsonSchema::Add(const Descriptor& message) {
  if (HasSpecialJson(message.full_name())) {
    return Unsupported(message.full_name(), "protobuf's own mapping gives it a special one");
  }
  auto [it, is_new] = messages_.try_emplace(&message);
  if (!is_new) return it->second.get();
  it->second = std::make_unique<MessageSchema>();
  // Known before its fields are: a message may contain itself.
  MessageSchema* const schema = it->second.get();

  const int count = message.field_count();
  schema->fields.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    auto field = MakeField(*message.field(i));
    if (!field.ok()) return std::move(field).status();
    schema->fields.push_back(*std::move(field));
  }
  if (message.file()->syntax() != FileDescriptor::SYNTAX_PROTO3) {
    return Unsupported(message.full_name(), "its file is not proto3");
  }
  // All JSON names first: one wins over another field's name in the .proto file.
  for (size_t i = 0; i < schema->fields.size(); ++i) {
    const FieldDescriptor& field = *schema->fields[i].field;
    if (!schema->by_name.emplace(field.json_name(), i).second) {
      return Unsupported(field.full_name(), "another field has the same JSON name");
    }
  }
  for (size_t i = 0; i < schema->fields.size(); ++i) {
    schema->by_name.emplace(schema->fields[i].field->name(), i);
  }
  return schema;
}

absl::StatusOr<EnvelopeSchema> JsonSchema::AddEnvelope(const Descriptor& message,
                                                       std::string_view body_key) {
  EnvelopeSchema envelope;
  envelope.descriptor = &message;
  envelope.body_key = std::string(body_key);
  if (message.real_oneof_decl_count() != 1 ||
      message.oneof_decl(0)->field_count() != message.field_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat(message.full_name(), " must consist of exactly one oneof of messages"));
  }
  envelope.oneof = message.oneof_decl(0);
  for (int i = 0; i < envelope.oneof->field_count(); ++i) {
    const FieldDescriptor& field = *envelope.oneof->field(i);
    if (field.type() != FieldDescriptor::TYPE_MESSAGE) {
      return absl::InvalidArgumentError(absl::StrCat(field.full_name(),
                                                     " must be a message: ", message.full_name(),
                                                     " is a oneof of messages"));
    }
    const std::string& type = field.message_type()->name();
    if (!envelope.by_type.emplace(type, envelope.members.size()).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          field.full_name(), ": another message of the oneof is named ", type, " too"));
    }
    EnvelopeSchema::Member member;
    member.field = &field;
    member.prefix = absl::StrCat("{\"type\":\"", type, "\",\"", ToAbsl(body_key), "\":");
    envelope.members.push_back(std::move(member));
  }
  auto schema = Add(message);
  if (!schema.ok()) return std::move(schema).status();
  envelope.message = *schema;
  for (auto& member : envelope.members) {
    member.message = envelope.message->fields[static_cast<size_t>(member.field->index())].message;
  }
  return envelope;
}

const MessageSchema* JsonSchema::Find(const Descriptor& message) const {
  const auto found = messages_.find(&message);
  return found == messages_.end() ? nullptr : found->second.get();
}

}  // namespace esd::internal
