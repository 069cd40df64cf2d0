// What must hold for any bytes that come in as a command, a payload or an event, and for any event
// that goes out: libFuzzer makes the bytes. An input is taken as JSON and as binary protobuf for
// all of it, so that a seed is a plain file; one whose first byte is 1 is a recipe for an event.
//
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/bin/json_codec_fuzzer -dict=tests/fuzz/json_codec.dict NEW-INPUTS-FOLDER
//       tests/fuzz/corpus/json_codec
//   build/fuzz/bin/json_codec_fuzzer INPUT        runs one input again
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/aggregate/codec.h"
#include "engine/aggregate/codec_test.h"
#include "engine/base/string_view.h"
#include "security/v1/security.pb.h"

namespace esd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Require(bool holds, std::string_view what, std::string_view seen) {
  if (holds) return;
  std::cerr << "does not hold: " << what << "\nseen: " << seen << "\n";
  std::abort();
}

bool Same(const Message& a, const Message& b) {
  return Codec::Fingerprint(a) == Codec::Fingerprint(b);
}

// The message in the oneof of a command or an event.
const Message& Body(const Message& oneof_message) {
  const auto* const oneof = oneof_message.GetDescriptor()->oneof_decl(0);
  const auto& reflection = *oneof_message.GetReflection();
  return reflection.GetMessage(oneof_message,
                               reflection.GetOneofFieldDescriptor(oneof_message, oneof));
}

// Fills a message from bytes, all of which lead to some message.
class Filler {
 public:
  explicit Filler(std::string_view bytes) : bytes_(bytes) {}

  void Fill(Message& message, int depth) {
    const auto& fields = *message.GetDescriptor();
    // A few fields, so that an input of some bytes reaches all of them.
    for (int n = Byte() % 8; n > 0 && !bytes_.empty(); --n) {
      const FieldDescriptor& field = *fields.field(Byte() % fields.field_count());
      if (depth == 0 && field.message_type() != nullptr) continue;
      if (field.is_map()) {
        AddEntry(message, field, depth);
      } else {
        Set(message, field, depth);
      }
    }
  }

 private:
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }

  template <typename T>
  T Bits() {
    T value = 0;
    const size_t size = std::min(sizeof(value), bytes_.size());
    std::memcpy(&value, bytes_.data(), size);
    bytes_.remove_prefix(size);
    // A NaN's other bits have no form in JSON.
    return value == value ? value : std::numeric_limits<T>::quiet_NaN();
  }

  // Valid UTF-8 of all lengths, as an event's strings must be.
  std::string Text() {
    std::string text;
    for (int n = Byte() % 32; n > 0; --n) {
      const uint32_t lead = Byte();
      uint32_t c = lead;
      if (lead >= 0xC0) c = (lead << 8 | Byte()) & 0x7FF;
      if (lead >= 0xE0) c = (lead << 16 | uint32_t{Byte()} << 8 | Byte()) % 0x110000;
      if (c >= 0xD800 && c <= 0xDFFF) c = 0xFFFD;  // surrogates are no characters
      AppendUtf8(c, &text);
    }
    return text;
  }

  static void AppendUtf8(uint32_t c, std::string* text) {
    const auto tail = [&](int shift) {
      text->push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3F)));
    };
    if (c < 0x80) {
      text->push_back(static_cast<char>(c));
    } else if (c < 0x800) {
      text->push_back(static_cast<char>(0xC0 | (c >> 6)));
      tail(0);
    } else if (c < 0x10000) {
      text->push_back(static_cast<char>(0xE0 | (c >> 12)));
      tail(6);
      tail(0);
    } else {
      text->push_back(static_cast<char>(0xF0 | (c >> 18)));
      tail(12);
      tail(6);
      tail(0);
    }
  }

  void AddEntry(Message& message, const FieldDescriptor& field, int depth) {
    Message& entry = *message.GetReflection()->AddMessage(&message, &field);
    // Each key once: of two, binary protobuf takes the last and JSON none.
    entry.GetReflection()->SetString(&entry, field.message_type()->map_key(),
                                     absl::StrCat(Text(), ++keys_));
    Set(entry, *field.message_type()->map_value(), depth);
  }

  void Set(Message& m, const FieldDescriptor& f, int depth) {
    const auto& r = *m.GetReflection();
    const bool many = f.is_repeated();
    switch (f.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return many ? r.AddInt32(&m, &f, Bits<int32_t>()) : r.SetInt32(&m, &f, Bits<int32_t>());
      case FieldDescriptor::CPPTYPE_INT64:
        return many ? r.AddInt64(&m, &f, Bits<int64_t>()) : r.SetInt64(&m, &f, Bits<int64_t>());
      case FieldDescriptor::CPPTYPE_UINT32:
        return many ? r.AddUInt32(&m, &f, Bits<uint32_t>()) : r.SetUInt32(&m, &f, Bits<uint32_t>());
      case FieldDescriptor::CPPTYPE_UINT64:
        return many ? r.AddUInt64(&m, &f, Bits<uint64_t>()) : r.SetUInt64(&m, &f, Bits<uint64_t>());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return many ? r.AddDouble(&m, &f, Bits<double>()) : r.SetDouble(&m, &f, Bits<double>());
      case FieldDescriptor::CPPTYPE_FLOAT:
        return many ? r.AddFloat(&m, &f, Bits<float>()) : r.SetFloat(&m, &f, Bits<float>());
      case FieldDescriptor::CPPTYPE_BOOL:
        return many ? r.AddBool(&m, &f, Byte() % 2 == 1) : r.SetBool(&m, &f, Byte() % 2 == 1);
      case FieldDescriptor::CPPTYPE_ENUM:
        return many ? r.AddEnumValue(&m, &f, Bits<int32_t>())
                    : r.SetEnumValue(&m, &f, Bits<int32_t>());
      case FieldDescriptor::CPPTYPE_STRING:
        return many ? r.AddString(&m, &f, Text()) : r.SetString(&m, &f, Text());
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(*(many ? r.AddMessage(&m, &f) : r.MutableMessage(&m, &f)), depth - 1);
    }
  }

  std::string_view bytes_;
  int keys_ = 0;
};

// The properties of one domain's codec.
class DomainProperties {
 public:
  explicit DomainProperties(const AggregateType& type)
      : codec_(Codec::Create(type).value()),
        command_(type.command_prototype().New()),
        other_command_(type.command_prototype().New()),
        event_(type.event_prototype().New()),
        other_event_(type.event_prototype().New()) {}

  void Check(std::string_view input) {
    constexpr char kRecipe = 1;  // neither JSON nor a field of a message begins with it
    // Enough for any field, and so few that these don't take all the time from the others.
    constexpr size_t kMaxRecipeBytes = 100;
    if (!input.empty() && input.front() == kRecipe) {
      return CheckAnyEvent(input.substr(1, kMaxRecipeBytes));
    }
    CheckCommand(input);
    for (const std::string& type : codec_->CommandTypes()) CheckPayload(type, input);
    CheckEvent(input);
    CheckBinaryCommand(input);
    CheckBinaryPayloads(input);
  }

 private:
  // A command that is read can be written, and is then read as the same.
  void CheckCommand(std::string_view input) {
    const absl::Status status = codec_->DecodeCommand(input, ContentType::kJson, *command_);
    if (status.ok()) return CheckCommandIsWrittenAndReadAgain();
    CheckError(status, "MALFORMED_JSON");
  }

  void CheckCommandIsWrittenAndReadAgain() {
    const std::string_view type = Codec::TypeName(*command_);
    std::string payload;
    codec_->EncodeMessage(Body(*command_), &payload);
    const std::string value = codec_->CommandEnvelope(type, payload);
    absl::Status status = codec_->DecodeCommand(value, ContentType::kJson, *other_command_);
    Require(status.ok(), "a command's own JSON is read", absl::StrCat(status.ToString(), value));
    std::string again;
    codec_->EncodeMessage(Body(*other_command_), &again);
    Require(again == payload, "a command is written as it was read", value + "\n" + again);
    status = codec_->DecodeCommandOfType(type, payload, ContentType::kJson, *command_);
    Require(status.ok() && Same(*command_, *other_command_), "with and without envelope are one",
            absl::StrCat(status.ToString(), value));
  }

  // A payload is read exactly if its envelope is, as the same, and with the same error else.
  void CheckPayload(const std::string& type, std::string_view payload) {
    const std::string value = codec_->CommandEnvelope(type, payload);
    const absl::Status whole = codec_->DecodeCommand(value, ContentType::kJson, *other_command_);
    const absl::Status alone =
        codec_->DecodeCommandOfType(type, payload, ContentType::kJson, *command_);
    const std::string seen =
        absl::StrCat(alone.ToString(), " and in the envelope ", whole.ToString(), ": ", value);
    Require(alone.ok() == whole.ok(), "a payload is as good as its envelope", seen);
    if (alone.ok()) {
      Require(Same(*command_, *other_command_), "with and without envelope are one", seen);
      return CheckIsAnEventToo(payload);
    }
    CheckError(alone, "MALFORMED_JSON");
    // What isn't JSON by itself may be read as another mistake inside an envelope.
    const bool syntax = absl::StartsWith(alone.message(), "not JSON") ||
                        absl::StartsWith(alone.message(), "nested deeper");
    Require(syntax || alone == whole, "a payload's error is its envelope's", seen);
  }

  // In the domain whose commands and events are of one type: events are read less strictly.
  void CheckIsAnEventToo(std::string_view payload) {
    if (Body(*command_).GetDescriptor()->name() != codec_->EventTypes().front()) return;
    const std::string value = absl::StrCat("{\"type\":\"", codec_->EventTypes().front(),
                                           "\",\"event\":", ToAbsl(payload), "}");
    const absl::Status status = codec_->DecodeEvent(value, *event_);
    Require(status.ok() && Same(*command_, *event_), "what is a good command is a good event",
            absl::StrCat(status.ToString(), value));
  }

  // Taken apart and put together again an event is the same, or wrong in the same way.
  void CheckEvent(std::string_view input) {
    const absl::Status status = codec_->DecodeEvent(input, *event_);
    if (!status.ok()) CheckError(status, "MALFORMED_JSON");
    const auto parts = codec_->SplitEvent(input);
    if (!parts.ok()) {
      CheckError(parts.status(), "MALFORMED_JSON");
      Require(!status.ok() || parts.status().message() == "type: must be written without escapes",
              "an event that is read can be split", parts.status().ToString());
    } else {
      CheckParts(*parts, status);
    }
    if (status.ok()) CheckEventIsWrittenAndReadAgain();
  }

  void CheckParts(const Codec::EventParts& parts, const absl::Status& status) {
    const std::string value =
        absl::StrCat("{\"type\":\"", ToAbsl(parts.type), "\",\"event\":", ToAbsl(parts.json), "}");
    const absl::Status again = codec_->DecodeEvent(value, *other_event_);
    Require(again == status, "a split event's parts are the event",
            absl::StrCat(status.ToString(), " and put together ", again.ToString(), ": ", value));
    if (!status.ok()) return;
    Require(Same(*event_, *other_event_), "a split event's parts are the event", value);
    Require(parts.type == Codec::TypeName(*event_), "a split event's type is the event's", value);
  }

  void CheckEventIsWrittenAndReadAgain() {
    std::string value;
    codec_->EncodeEvent(*event_, &value);
    const absl::Status status = codec_->DecodeEvent(value, *other_event_);
    Require(status.ok() && Same(*event_, *other_event_), "an event's own JSON is the event",
            absl::StrCat(status.ToString(), value));
    std::string body;
    codec_->EncodeMessage(Body(*event_), &body);
    const auto parts = codec_->SplitEvent(value);
    Require(parts.ok() && parts->json == body && parts->type == Codec::TypeName(*event_),
            "an event's own JSON is split into type and message", value);
  }

  // What is read in binary form could have been read as JSON.
  void CheckBinaryCommand(std::string_view input) {
    const absl::Status status = codec_->DecodeCommand(input, ContentType::kProtobuf, *command_);
    if (status.ok()) return CheckCommandIsWrittenAndReadAgain();
    CheckError(status, "MALFORMED_PROTOBUF");
  }

  void CheckBinaryPayloads(std::string_view payload) {
    const auto& oneof = *command_->GetDescriptor()->oneof_decl(0);
    for (int i = 0; i < oneof.field_count(); ++i) {
      const std::string value = BinaryEnvelope(oneof.field(i)->number(), payload);
      const absl::Status whole =
          codec_->DecodeCommand(value, ContentType::kProtobuf, *other_command_);
      const absl::Status alone = codec_->DecodeCommandOfType(
          oneof.field(i)->message_type()->name(), payload, ContentType::kProtobuf, *command_);
      const std::string seen =
          absl::StrCat(alone.ToString(), " and in the envelope ", whole.ToString());
      Require(alone.ok() == whole.ok(), "a binary payload is as good as its envelope", seen);
      if (alone.ok()) {
        Require(Same(*command_, *other_command_), "with and without envelope are one", seen);
        CheckCommandIsWrittenAndReadAgain();
      } else {
        CheckError(alone, "MALFORMED_PROTOBUF");
        Require(ReasonOf(alone) == ReasonOf(whole), "a payload's error is its envelope's", seen);
      }
    }
  }

  static std::string BinaryEnvelope(int field_number, std::string_view payload) {
    std::string value;
    {
      google::protobuf::io::StringOutputStream stream(&value);
      google::protobuf::io::CodedOutputStream output(&stream);
      constexpr uint32_t kLengthDelimited = 2;
      output.WriteTag(static_cast<uint32_t>(field_number) << 3 | kLengthDelimited);
      output.WriteVarint32(static_cast<uint32_t>(payload.size()));
    }
    return value.append(payload);
  }

  // Whatever a domain puts into an event, it is written and read as the same.
  void CheckAnyEvent(std::string_view recipe) {
    event_->Clear();
    const auto& oneof = *event_->GetDescriptor()->oneof_decl(0);
    const size_t pick = recipe.size() % static_cast<size_t>(oneof.field_count());
    constexpr int kMaxDepth = 8;
    Filler(recipe).Fill(
        *event_->GetReflection()->MutableMessage(event_.get(), oneof.field(static_cast<int>(pick))),
        kMaxDepth);
    CheckEventIsWrittenAndReadAgain();
  }

  static void CheckError(const absl::Status& status, std::string_view malformed) {
    Require(status.code() == absl::StatusCode::kInvalidArgument && !status.message().empty(),
            "an error is the caller's and says what", status.ToString());
    const std::string reason = ReasonOf(status);
    Require(reason == malformed || reason == "UNKNOWN_TYPE", "an error has a known reason",
            status.ToString());
  }

  const std::unique_ptr<Codec> codec_;
  const std::unique_ptr<Message> command_;
  const std::unique_ptr<Message> other_command_;
  const std::unique_ptr<Message> event_;
  const std::unique_ptr<Message> other_event_;
};

void Check(std::string_view input) {
  // Generated messages, and messages with fields of all kinds.
  static DomainProperties& security = *new DomainProperties(
      TypesOnly(security::v1::Command::default_instance(), security::v1::Event::default_instance(),
                security::v1::User::default_instance()));
  static DynamicDomain& kinds_domain = *new DynamicDomain(KindsProto());
  static DomainProperties& kinds = *new DomainProperties(
      TypesOnly(kinds_domain.Prototype("Command"), kinds_domain.Prototype("Event"),
                kinds_domain.Prototype("State")));
  security.Check(input);
  kinds.Check(input);
}

}  // namespace
}  // namespace esd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // libprotobuf writes a line about each string that is not UTF-8.
  static const bool quiet = google::protobuf::SetLogHandler(nullptr) != nullptr;
  static_cast<void>(quiet);
  esd::Check(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
