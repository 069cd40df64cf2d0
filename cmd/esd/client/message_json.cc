#include "cmd/esd/client/message_json.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>

#include "cmd/esd/client/printable.h"
#include "engine/base/json_string.h"
#include "esd/v1/resources.pb.h"

namespace esd::cmd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string ValueOf(const Message& message) {
  if (message.GetDescriptor() == esd::v1::Payload::descriptor()) {
    const auto& payload = static_cast<const esd::v1::Payload&>(message);
    if (payload.has_json()) return payload.json().empty() ? "null" : payload.json();
  }
  if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    const auto& time = static_cast<const google::protobuf::Timestamp&>(message);
    return JsonString(Rfc3339(time.seconds(), time.nanos()));
  }
  return ToJson(message);
}

// A scalar's value; `index` is -1 unless the field is repeated.
std::string Scalar(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection* r = message.GetReflection();
  const bool repeated = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(repeated ? r->GetRepeatedInt32(message, field, index)
                                   : r->GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(repeated ? r->GetRepeatedInt64(message, field, index)
                                   : r->GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(repeated ? r->GetRepeatedUInt32(message, field, index)
                                   : r->GetUInt32(message, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(repeated ? r->GetRepeatedUInt64(message, field, index)
                                   : r->GetUInt64(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return (repeated ? r->GetRepeatedBool(message, field, index) : r->GetBool(message, field))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value =
          repeated ? r->GetRepeatedEnum(message, field, index) : r->GetEnum(message, field);
      return JsonString(value->name());
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return JsonString(repeated ? r->GetRepeatedString(message, field, index)
                                 : r->GetString(message, field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ValueOf(repeated ? r->GetRepeatedMessage(message, field, index)
                              : r->GetMessage(message, field));
    default:
      // The API has no floating point numbers.
      return "null";
  }
}

std::string Member(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  if (field->is_repeated()) {
    std::string list = "[";
    for (int i = 0; i < reflection->FieldSize(message, field); ++i)
      absl::StrAppend(&list, i > 0 ? "," : "", Scalar(message, field, i));
    return absl::StrCat(JsonString(field->json_name()), ":", list, "]");
  }
  if (field->type() == FieldDescriptor::TYPE_BYTES) {
    const std::string bytes = reflection->GetString(message, field);
    if (!IsUtf8(bytes)) {
      return absl::StrCat(JsonString(field->json_name() + "Base64"), ":",
                          JsonString(absl::Base64Escape(bytes)));
    }
  }
  return absl::StrCat(JsonString(field->json_name()), ":", Scalar(message, field, -1));
}

}  // namespace

std::string JsonMembers(const Message& message) {
  std::string members;
  const google::protobuf::Descriptor* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->has_presence() && !message.GetReflection()->HasField(message, field)) continue;
    absl::StrAppend(&members, members.empty() ? "" : ",", Member(message, field));
  }
  return members;
}

std::string ToJson(const Message& message) { return absl::StrCat("{", JsonMembers(message), "}"); }

std::string Rfc3339(int64_t seconds, int nanos) {
  const absl::Time time = absl::FromUnixSeconds(seconds) + absl::Nanoseconds(nanos);
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace esd::cmd
