#include "engine/aggregate/json_encoder.h"

#include <absl/strings/escaping.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/base/json_string.h"

namespace esd::internal {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

template <typename Integer>
void AppendInteger(Integer value, std::string* json) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  json->append(text.data(), static_cast<size_t>(end - text.data()));
}

// The shortest text of `value`; returns its end.
template <typename Float>
char* FormatFloat(Float value, char* begin, char* end) {
  // Digits without point or exponent are an integer to many parsers, which ends at 2^63.
  constexpr Float kTwoTo63 = 9223372036854775808.0;
  return std::abs(value) < kTwoTo63
             ? std::to_chars(begin, end, value).ptr
             : std::to_chars(begin, end, value, std::chars_format::scientific).ptr;
}

// Parsers read a double and round it to the field's float. Rounding twice leads from the shortest
// text of a few floats (7.038531e-26) to their neighbours.
bool IsReadBack(const char* begin, const char* end, float value) {
  double read = 0;
  std::from_chars(begin, end, read);
  return static_cast<float>(read) == value;
}
bool IsReadBack(const char*, const char*, double) { return true; }

// The shortest text that reads back as the same value.
template <typename Float>
void AppendFloat(Float value, std::string* json) {
  // JSON has no such numbers; the strings are those of protobuf's own mapping.
  if (std::isnan(value)) {
    json->append("\"NaN\"");
    return;
  }
  if (std::isinf(value)) {
    json->append(value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return;
  }
  if (value == 0 && std::signbit(value)) {
    json->append("-0.0");  // many parsers read -0 as an integer, which has no negative zero
    return;
  }
  std::array<char, 32> text;
  char* const begin = text.data();
  char* end = FormatFloat(value, begin, begin + text.size());
  if (!IsReadBack(begin, end, value)) {
    end = FormatFloat(static_cast<double>(value), begin, begin + text.size());
  }
  json->append(begin, static_cast<size_t>(end - begin));
}

void AppendBytes(const std::string& bytes, std::string* json) {
  json->push_back('"');
  json->append(absl::Base64Escape(bytes));
  json->push_back('"');
}

// A number that the enum doesn't name (proto3's enums are open) is written as the number.
void AppendEnum(int number, const FieldDescriptor& field, std::string* json) {
  if (const auto* value = field.enum_type()->FindValueByNumber(number)) {
    AppendJsonString(value->name(), json);
  } else {
    AppendInteger(number, json);
  }
}

void AppendText(const std::string& text, const FieldDescriptor& field, std::string* json) {
  if (field.type() == FieldDescriptor::TYPE_BYTES) return AppendBytes(text, json);
  AppendJsonString(text, json);
}

// The value of a field that is not repeated, whether it is set or not.
void AppendSingular(const Message& message, const FieldSchema& schema, std::string* json) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const field = schema.field;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return AppendInteger(reflection.GetInt32(message, field), json);
    case FieldDescriptor::CPPTYPE_INT64:
      return AppendInteger(reflection.GetInt64(message, field), json);
    case FieldDescriptor::CPPTYPE_UINT32:
      return AppendInteger(reflection.GetUInt32(message, field), json);
    case FieldDescriptor::CPPTYPE_UINT64:
      return AppendInteger(reflection.GetUInt64(message, field), json);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return AppendFloat(reflection.GetDouble(message, field), json);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return AppendFloat(reflection.GetFloat(message, field), json);
    case FieldDescriptor::CPPTYPE_BOOL:
      json->append(reflection.GetBool(message, field) ? "true" : "false");
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      return AppendEnum(reflection.GetEnumValue(message, field), *field, json);
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      return AppendText(reflection.GetStringReference(message, field, &scratch), *field, json);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return AppendJson(reflection.GetMessage(message, field), *schema.message, json);
  }
}

void AppendElement(const Message& message, const FieldSchema& schema, int i, std::string* json) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const field = schema.field;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return AppendInteger(reflection.GetRepeatedInt32(message, field, i), json);
    case FieldDescriptor::CPPTYPE_INT64:
      return AppendInteger(reflection.GetRepeatedInt64(message, field, i), json);
    case FieldDescriptor::CPPTYPE_UINT32:
      return AppendInteger(reflection.GetRepeatedUInt32(message, field, i), json);
    case FieldDescriptor::CPPTYPE_UINT64:
      return AppendInteger(reflection.GetRepeatedUInt64(message, field, i), json);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return AppendFloat(reflection.GetRepeatedDouble(message, field, i), json);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return AppendFloat(reflection.GetRepeatedFloat(message, field, i), json);
    case FieldDescriptor::CPPTYPE_BOOL:
      json->append(reflection.GetRepeatedBool(message, field, i) ? "true" : "false");
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      return AppendEnum(reflection.GetRepeatedEnumValue(message, field, i), *field, json);
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      return AppendText(reflection.GetRepeatedStringReference(message, field, i, &scratch), *field,
                        json);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return AppendJson(reflection.GetRepeatedMessage(message, field, i), *schema.message, json);
  }
}

void AppendArray(const Message& message, const FieldSchema& schema, std::string* json) {
  const int size = message.GetReflection()->FieldSize(message, schema.field);
  json->push_back('[');
  for (int i = 0; i < size; ++i) {
    if (i > 0) json->push_back(',');
    AppendElement(message, schema, i, json);
  }
  json->push_back(']');
}

void AppendMap(const Message& message, const FieldSchema& schema, std::string* json) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const key_field = schema.message->map_key().field;
  std::vector<std::pair<std::string, const Message*>> entries;
  const int size = reflection.FieldSize(message, schema.field);
  for (int i = 0; i < size; ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, schema.field, i);
    entries.emplace_back(entry.GetReflection()->GetString(entry, key_field), &entry);
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  json->push_back('{');
  const char* separator = "";
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto& [key, entry] = entries[i];
    // A message made at run time may hold a key twice, as it came in binary: the last one counts.
    if (i + 1 < entries.size() && entries[i + 1].first == key) continue;
    json->append(separator);
    separator = ",";
    AppendJsonString(key, json);
    json->push_back(':');
    AppendSingular(*entry, schema.message->map_value(), json);
  }
  json->push_back('}');
}

}  // namespace

void AppendJson(const Message& message, const MessageSchema& schema, std::string* json) {
  const Reflection& reflection = *message.GetReflection();
  json->push_back('{');
  bool first = true;
  for (const FieldSchema& field : schema.fields) {
    if (field.has_presence && !reflection.HasField(message, field.field)) continue;
    if (!first) json->push_back(',');
    first = false;
    json->append(field.json_key);
    if (field.field->is_map()) {
      AppendMap(message, field, json);
    } else if (field.field->is_repeated()) {
      AppendArray(message, field, json);
    } else {
      AppendSingular(message, field, json);
    }
  }
  json->push_back('}');
}

}  // namespace esd::internal
