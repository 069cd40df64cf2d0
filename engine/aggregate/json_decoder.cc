#include "engine/aggregate/json_decoder.h"

#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>
#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "engine/aggregate/aggregate_type.h"
#include "engine/aggregate/json_scan.h"
#include "engine/base/string_view.h"

namespace esd::internal {
namespace {

namespace dom = simdjson::dom;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// ---- Errors ----

// Where the reader is: a chain on the stack that is only rendered when something is wrong.
struct Place {
  // The element of a map has no place of its own: its key is data, which errors don't show.
  static constexpr int64_t kNoIndex = -1;
  static constexpr int64_t kMapElement = -2;

  // The envelope's body: inside the first level.
  static Place Body(std::string_view name) { return {.name = name, .depth = 1}; }
  Place Field(std::string_view field) const {
    return {.parent = this, .name = field, .depth = depth + 1};
  }
  Place Element(int64_t i) const { return {.parent = this, .index = i, .depth = depth + 1}; }

  const Place* parent = nullptr;
  std::string_view name = {};
  int64_t index = kNoIndex;
  int depth = 0;  // how many objects and arrays it is in
};

// `command.items[3].newName`
std::string Render(const Place& place) {
  std::string path = place.parent != nullptr ? Render(*place.parent) : "";
  if (place.index == Place::kMapElement) {
    path += "[*]";
  } else if (place.index != Place::kNoIndex) {
    absl::StrAppend(&path, "[", place.index, "]");
  } else {
    absl::StrAppend(&path, path.empty() ? "" : ".", ToAbsl(place.name));
  }
  return path;
}

absl::Status MalformedJson(std::string_view what) {
  return Reject(absl::StatusCode::kInvalidArgument, "MALFORMED_JSON", what);
}

absl::Status NoMemory() {
  return absl::ResourceExhaustedError(
      "no memory for the JSON parser: send smaller messages, or give the engine more memory");
}

absl::Status MalformedAt(const Place& place, std::string_view what) {
  return MalformedJson(absl::StrCat(Render(place), ": ", ToAbsl(what)));
}

bool LooksLikeAName(std::string_view text) {
  constexpr size_t kMaxNameBytes = 128;
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
         });
}

std::string TooDeep() { return absl::StrCat("nested deeper than ", kMaxDepth, " levels"); }

// What is not a name may be anything, a secret too, so it isn't shown.
std::string Quoted(std::string_view name) {
  return LooksLikeAName(name) ? absl::StrCat("\"", ToAbsl(name), "\"") : "(not a name)";
}

// simdjson's DOM tells what is wrong with a document but not where.
std::string SyntaxError(simdjson::error_code error) {
  switch (error) {
    case simdjson::DEPTH_ERROR:
      return TooDeep();
    case simdjson::STRING_ERROR:
      return "not JSON: a string with a bad escape or a lone surrogate";
    case simdjson::NUMBER_ERROR:
      return "not JSON, or a number out of range: integers go from -2^63 to 2^64-1, others up to "
             "1.8e308";
    default:
      return absl::StrCat("not JSON: ", simdjson::error_message(error));
  }
}

// ---- Values ----

void Store(Message& m, const FieldDescriptor* f, int32_t value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddInt32(&m, f, value) : r->SetInt32(&m, f, value);
}
void Store(Message& m, const FieldDescriptor* f, int64_t value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddInt64(&m, f, value) : r->SetInt64(&m, f, value);
}
void Store(Message& m, const FieldDescriptor* f, uint32_t value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddUInt32(&m, f, value) : r->SetUInt32(&m, f, value);
}
void Store(Message& m, const FieldDescriptor* f, uint64_t value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddUInt64(&m, f, value) : r->SetUInt64(&m, f, value);
}
void Store(Message& m, const FieldDescriptor* f, double value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddDouble(&m, f, value) : r->SetDouble(&m, f, value);
}
void Store(Message& m, const FieldDescriptor* f, float value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddFloat(&m, f, value) : r->SetFloat(&m, f, value);
}
void Store(Message& m, const FieldDescriptor* f, bool value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddBool(&m, f, value) : r->SetBool(&m, f, value);
}
void Store(Message& m, const FieldDescriptor* f, std::string value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddString(&m, f, std::move(value)) : r->SetString(&m, f, std::move(value));
}
void StoreEnum(Message& m, const FieldDescriptor* f, int value) {
  const Reflection* r = m.GetReflection();
  f->is_repeated() ? r->AddEnumValue(&m, f, value) : r->SetEnumValue(&m, f, value);
}

template <typename Integer>
absl::Status DecodeInteger(dom::element value, const FieldDescriptor* field, const Place& place,
                           Message& message) {
  if (value.is_int64()) {
    const int64_t number = int64_t{value.get_int64().value_unsafe()};
    if (!std::in_range<Integer>(number)) return MalformedAt(place, "out of the range of its type");
    Store(message, field, static_cast<Integer>(number));
    return absl::OkStatus();
  }
  if (value.is_uint64()) {  // simdjson's type of what is beyond int64_t
    const uint64_t number = uint64_t{value.get_uint64().value_unsafe()};
    if (!std::in_range<Integer>(number)) return MalformedAt(place, "out of the range of its type");
    Store(message, field, static_cast<Integer>(number));
    return absl::OkStatus();
  }
  return MalformedAt(place, "must be an integer, without quotes, point or exponent");
}

// The three values that JSON has no numbers for; false when `text` is none of them.
bool ParseNonFinite(std::string_view text, double* number) {
  if (text == "NaN") {
    *number = std::numeric_limits<double>::quiet_NaN();
  } else if (text == "Infinity") {
    *number = std::numeric_limits<double>::infinity();
  } else if (text == "-Infinity") {
    *number = -std::numeric_limits<double>::infinity();
  } else {
    return false;
  }
  return true;
}

template <typename Float>
absl::Status DecodeFloat(dom::element value, const FieldDescriptor* field, const Place& place,
                         Message& message) {
  double number = 0;
  std::string_view text;
  const bool named = !value.get(text) && ParseNonFinite(text, &number);
  if (!named && value.get(number)) {
    return MalformedAt(place, "must be a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
  }
  const Float narrowed = static_cast<Float>(number);
  if (std::isinf(narrowed) && !std::isinf(number))
    return MalformedAt(place, "out of the range of its type");
  Store(message, field, narrowed);
  return absl::OkStatus();
}

absl::Status DecodeBool(dom::element value, const FieldDescriptor* field, const Place& place,
                        Message& message) {
  bool truth = false;
  if (value.get(truth)) return MalformedAt(place, "must be true or false");
  Store(message, field, truth);
  return absl::OkStatus();
}

// By name, or by number as a value gets written that this version of the enum doesn't name.
absl::Status DecodeEnum(dom::element value, const FieldDescriptor* field, const Place& place,
                        Message& message) {
  std::string_view name;
  if (!value.get(name)) {
    const auto* known = field->enum_type()->FindValueByName(std::string(name));
    if (known == nullptr)
      return MalformedAt(place, "is no value of " + field->enum_type()->full_name());
    StoreEnum(message, field, known->number());
    return absl::OkStatus();
  }
  int64_t number = 0;
  if (value.get(number) || !std::in_range<int32_t>(number)) {
    return MalformedAt(
        place, "must be the name or the number of a value of " + field->enum_type()->full_name());
  }
  StoreEnum(message, field, static_cast<int>(number));
  return absl::OkStatus();
}

// One way to write the same bytes: standard alphabet, padded, no white space, no stray bits.
absl::Status DecodeBytes(std::string_view text, const FieldDescriptor* field, const Place& place,
                         Message& message) {
  std::string bytes;
  if (!absl::Base64Unescape(ToAbsl(text), &bytes) || absl::Base64Escape(bytes) != ToAbsl(text)) {
    return MalformedAt(place, "must be base64 with padding");
  }
  Store(message, field, std::move(bytes));
  return absl::OkStatus();
}

absl::Status DecodeText(dom::element value, const FieldDescriptor* field, const Place& place,
                        Message& message) {
  std::string_view text;
  if (value.get(text)) return MalformedAt(place, "must be a string");
  if (field->type() == FieldDescriptor::TYPE_BYTES) return DecodeBytes(text, field, place, message);
  Store(message, field, std::string(text));
  return absl::OkStatus();
}

// ---- Messages ----

absl::Status DecodeMessage(dom::element value, const MessageSchema& schema,
                           UnknownFields unknown_fields, const Place& place, Message& message);

// One value into a field: sets it, or appends to it when it is repeated.
absl::Status DecodeValue(dom::element value, const FieldSchema& schema,
                         UnknownFields unknown_fields, const Place& place, Message& message) {
  const FieldDescriptor* const field = schema.field;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return DecodeInteger<int32_t>(value, field, place, message);
    case FieldDescriptor::CPPTYPE_INT64:
      return DecodeInteger<int64_t>(value, field, place, message);
    case FieldDescriptor::CPPTYPE_UINT32:
      return DecodeInteger<uint32_t>(value, field, place, message);
    case FieldDescriptor::CPPTYPE_UINT64:
      return DecodeInteger<uint64_t>(value, field, place, message);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return DecodeFloat<double>(value, field, place, message);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return DecodeFloat<float>(value, field, place, message);
    case FieldDescriptor::CPPTYPE_BOOL:
      return DecodeBool(value, field, place, message);
    case FieldDescriptor::CPPTYPE_ENUM:
      return DecodeEnum(value, field, place, message);
    case FieldDescriptor::CPPTYPE_STRING:
      return DecodeText(value, field, place, message);
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Reflection* r = message.GetReflection();
      Message* const part = field->is_repeated() ? r->AddMessage(&message, field)
                                                 : r->MutableMessage(&message, field);
      return DecodeMessage(value, *schema.message, unknown_fields, place, *part);
    }
  }
  return absl::InternalError("a field of no known type");
}

absl::Status DecodeArray(dom::element value, const FieldSchema& schema,
                         UnknownFields unknown_fields, const Place& place, Message& message) {
  dom::array array;
  if (value.get(array)) return MalformedAt(place, "must be an array");
  Place element_place = place.Element(0);
  for (const dom::element element : array) {
    auto status = DecodeValue(element, schema, unknown_fields, element_place, message);
    if (!status.ok()) return status;
    ++element_place.index;
  }
  return absl::OkStatus();
}

absl::Status DecodeMap(dom::element value, const FieldSchema& schema, UnknownFields unknown_fields,
                       const Place& place, Message& message) {
  dom::object object;
  if (value.get(object)) return MalformedAt(place, "must be an object");
  const Reflection* const reflection = message.GetReflection();
  const Place element_place = place.Element(Place::kMapElement);
  absl::flat_hash_set<absl::string_view> keys;
  for (const auto [key, element] : object) {
    if (!keys.insert(ToAbsl(key)).second) return MalformedAt(place, "has a key twice");
    Message* const entry = reflection->AddMessage(&message, schema.field);
    Store(*entry, schema.message->map_key().field, std::string(key));
    auto status =
        DecodeValue(element, schema.message->map_value(), unknown_fields, element_place, *entry);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status DecodeField(dom::element value, const FieldSchema& schema,
                         UnknownFields unknown_fields, const Place& place, Message& message) {
  const FieldDescriptor* const field = schema.field;
  if (value.is_null()) return absl::OkStatus();  // as in protobuf's own mapping: the default
  if (field->is_map()) return DecodeMap(value, schema, unknown_fields, place, message);
  if (field->is_repeated()) return DecodeArray(value, schema, unknown_fields, place, message);
  if (const auto* oneof = field->real_containing_oneof()) {
    if (message.GetReflection()->HasOneof(message, oneof)) {
      return MalformedAt(place, "another field of the oneof " + oneof->name() + " is set already");
    }
  }
  return DecodeValue(value, schema, unknown_fields, place, message);
}

absl::Status DecodeMessage(dom::element value, const MessageSchema& schema,
                           UnknownFields unknown_fields, const Place& place, Message& message) {
  dom::object object;
  if (value.get(object)) return MalformedAt(place, "must be an object");
  // simdjson doesn't count what is empty here, but is not when it is written again.
  if (place.depth >= kMaxDepth) return MalformedJson(TooDeep());
  absl::InlinedVector<bool, 64> seen(schema.fields.size(), false);
  for (const auto [key, element] : object) {
    const auto found = schema.by_name.find(ToAbsl(key));
    if (found == schema.by_name.end()) {
      if (unknown_fields == UnknownFields::kSkip) continue;
      return MalformedAt(place, "has an unknown field " + Quoted(key));
    }
    const FieldSchema& field = schema.fields[found->second];
    const Place field_place = place.Field(field.field->json_name());
    if (std::exchange(seen[found->second], true)) return MalformedAt(field_place, "is given twice");
    auto status = DecodeField(element, field, unknown_fields, field_place, message);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// ---- Envelope ----

struct Envelope {
  std::string_view type;
  dom::element body;
  // Where they stand among the two members.
  size_t type_index = 0;
  size_t body_index = 0;
};

absl::Status ReadEnvelope(dom::element root, std::string_view body_key, Envelope* envelope) {
  const absl::string_view body = ToAbsl(body_key);
  dom::object object;
  if (root.get(object)) {
    return MalformedJson(
        absl::StrCat("must be an object with the keys \"type\" and \"", body, "\""));
  }
  bool has_type = false;
  bool has_body = false;
  size_t index = 0;
  for (const auto [key, element] : object) {
    if (key == "type") {
      if (std::exchange(has_type, true)) return MalformedJson("type: is given twice");
      if (element.get(envelope->type)) return MalformedJson("type: must be a string");
      envelope->type_index = index;
    } else if (key == body_key) {
      if (std::exchange(has_body, true)) {
        return MalformedJson(absl::StrCat(body, ": is given twice"));
      }
      envelope->body = element;
      envelope->body_index = index;
    } else {
      return MalformedJson(
          absl::StrCat("unknown key ", Quoted(key), " beside \"type\" and \"", body, "\""));
    }
    ++index;
  }
  if (!has_type) return MalformedJson("type: is missing");
  if (!has_body) return MalformedJson(absl::StrCat(body, ": is missing"));
  return absl::OkStatus();
}

}  // namespace

absl::Status UnknownType(const EnvelopeSchema& schema, std::string_view type) {
  std::string message = absl::StrCat("unknown ", schema.body_key, " type");
  if (!type.empty()) absl::StrAppend(&message, " ", Quoted(type));
  const char* separator = "; known: ";
  for (const auto& member : schema.members) {
    absl::StrAppend(&message, separator, member.field->message_type()->name());
    separator = ", ";
  }
  return Reject(absl::StatusCode::kInvalidArgument, "UNKNOWN_TYPE", message);
}

// simdjson's parser copies each document into a padded buffer of its own, which it keeps, like its
// tape, for the next.
struct JsonDecoder::Parser {
  // Enough for all but the largest commands; a larger one grows the buffers, which take about 15
  // bytes per byte.
  static constexpr size_t kFirstCapacityBytes = 16 << 10;
  // What a rare giant needed is given back.
  static constexpr size_t kMaxKeptCapacityBytes = 4 << 20;

  explicit Parser(int depth) : max_depth(depth) { Reset(); }

  void Reset() {
    dom = simdjson::dom::parser();
    // simdjson counts a level more than there are.
    allocated = dom.allocate(kFirstCapacityBytes, static_cast<size_t>(max_depth) + 1);
  }

  // The document's views are valid until the next call.
  absl::Status Parse(std::string_view json, dom::element* root) {
    if (dom.capacity() > kMaxKeptCapacityBytes) Reset();
    if (allocated != simdjson::SUCCESS) return NoMemory();
    const auto error = dom.parse(json.data(), json.size(), true).get(*root);
    if (error == simdjson::MEMALLOC) return NoMemory();
    return error ? MalformedJson(SyntaxError(error)) : absl::OkStatus();
  }

  const int max_depth;
  simdjson::dom::parser dom;
  simdjson::error_code allocated = simdjson::SUCCESS;
};

JsonDecoder::JsonDecoder() : envelope_parser_(std::make_unique<Parser>(kMaxDepth)) {}
JsonDecoder::~JsonDecoder() = default;

absl::Status JsonDecoder::DecodeEnvelope(std::string_view json, const EnvelopeSchema& schema,
                                         UnknownFields unknown_fields, Message& message) {
  dom::element root;
  if (auto status = envelope_parser_->Parse(json, &root); !status.ok()) return status;
  Envelope envelope;
  if (auto status = ReadEnvelope(root, schema.body_key, &envelope); !status.ok()) return status;
  const auto found = schema.by_type.find(ToAbsl(envelope.type));
  if (found == schema.by_type.end()) return UnknownType(schema, envelope.type);
  const EnvelopeSchema::Member& member = schema.members[found->second];
  return DecodeMessage(envelope.body, *member.message, unknown_fields, Place::Body(schema.body_key),
                       *message.GetReflection()->MutableMessage(&message, member.field));
}

absl::Status JsonDecoder::DecodeBody(std::string_view json, const EnvelopeSchema& schema,
                                     const EnvelopeSchema::Member& member,
                                     UnknownFields unknown_fields, Message& message) {
  // A document of its own, never pasted into an envelope: what ends the body early and goes on as
  // a part of the envelope can't be told from one that is right.
  if (body_parser_ == nullptr) body_parser_ = std::make_unique<Parser>(kMaxDepth - 1);
  dom::element root;
  if (auto status = body_parser_->Parse(json, &root); !status.ok()) return status;
  return DecodeMessage(root, *member.message, unknown_fields, Place::Body(schema.body_key),
                       *message.GetReflection()->MutableMessage(&message, member.field));
}

absl::StatusOr<JsonDecoder::RawEnvelope> JsonDecoder::SplitEnvelope(std::string_view json,
                                                                    const EnvelopeSchema& schema) {
  dom::element root;
  if (auto status = envelope_parser_->Parse(json, &root); !status.ok()) return status;
  Envelope envelope;
  if (auto status = ReadEnvelope(root, schema.body_key, &envelope); !status.ok()) return status;
  if (!envelope.body.is_object()) {
    return MalformedAt(Place::Body(schema.body_key), "must be an object");
  }
  const std::vector<std::string_view> texts = MemberTexts(json);
  std::string_view type = texts[envelope.type_index];
  type = type.substr(1, type.size() - 2);  // without its quotes
  if (type != envelope.type) return MalformedJson("type: must be written without escapes");
  return RawEnvelope{.type = type, .body = texts[envelope.body_index]};
}

}  // namespace esd::internal
