#include "engine/aggregate/codec_test.h"

#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/aggregate/codec.h"
#include "engine/base/json_string.h"
#include "security/v1/security.pb.h"

namespace esd {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::TextFormat;
using ::google::protobuf::util::MessageDifferencer;
using ::security::v1::Command;
using ::security::v1::Event;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Repeat(std::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

// ---- The domain of the design's examples ----

class SecurityCodecTest : public testing::Test {
 protected:
  SecurityCodecTest() {
    auto codec = Codec::Create(TypesOnly(Command::default_instance(), Event::default_instance(),
                                         ::security::v1::User::default_instance()));
    EXPECT_TRUE(codec.ok()) << codec.status();
    codec_ = *std::move(codec);
  }

  absl::Status Decode(std::string_view json) {
    return codec_->DecodeCommand(json, ContentType::kJson, command_);
  }
  absl::Status DecodeBinary(std::string_view bytes) {
    return codec_->DecodeCommand(bytes, ContentType::kProtobuf, command_);
  }

  std::string Encode(const Event& event) {
    std::string json = "what it held before";
    codec_->EncodeEvent(event, &json);
    return json;
  }

  std::string ReasonFor(std::string_view json) {
    const absl::Status status = Decode(json);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    return ReasonOf(status);
  }

  std::string MessageFor(std::string_view json) { return std::string(Decode(json).message()); }

  std::unique_ptr<Codec> codec_;
  Command command_;
};

TEST_F(SecurityCodecTest, ReadsACommand) {
  ASSERT_TRUE(
      Decode(R"({"type":"RegisterUserCommand","command":{"name":"Alex","email":"foo@bar.com"}})")
          .ok());
  EXPECT_EQ(command_.ShortDebugString(), R"(register_user { name: "Alex" email: "foo@bar.com" })");
}

TEST_F(SecurityCodecTest, WritesAnEvent) {
  Event event;
  event.mutable_user_registered()->set_email("foo@bar.com");
  event.mutable_user_registered()->set_name("Alex");
  EXPECT_EQ(
      Encode(event),
      R"({"type":"UserRegisteredEvent","event":{"email":"foo@bar.com","name":"Alex","version":0}})");
}

TEST_F(SecurityCodecTest, WritesAStateWithoutEnvelope) {
  ::security::v1::User user;
  user.set_email("foo@bar.com");
  std::string json = "what it held before";
  codec_->EncodeMessage(user, &json);
  EXPECT_EQ(json, R"({"email":"foo@bar.com","name":""})");
}

TEST_F(SecurityCodecTest, Writes64BitIntegersAsNumbers) {
  Event event;
  event.mutable_user_name_changed()->set_version(std::numeric_limits<int64_t>::max());
  EXPECT_THAT(Encode(event), HasSubstr(R"("version":9223372036854775807})"));
}

TEST_F(SecurityCodecTest, ReadsTheEnvelopeInAnyOrderAndWithAnyWhiteSpace) {
  ASSERT_TRUE(Decode("\r\n\t { \"command\" : { \"newName\" : \"Kim\" , \"email\":\"a@b\" } ,\n"
                     "\"type\" : \"ChangeUserNameCommand\" } \n")
                  .ok());
  EXPECT_EQ(command_.ShortDebugString(), R"(change_user_name { email: "a@b" new_name: "Kim" })");
}

TEST_F(SecurityCodecTest, ReadsTheFieldNamesOfTheProtoFileToo) {
  ASSERT_TRUE(Decode(R"({"type":"ChangeUserNameCommand","command":{"new_name":"Kim"}})").ok());
  EXPECT_EQ(command_.change_user_name().new_name(), "Kim");
}

TEST_F(SecurityCodecTest, ReadsAnEmptyCommand) {
  ASSERT_TRUE(Decode(R"({"type":"ChangeUserNameCommand","command":{}})").ok());
  EXPECT_TRUE(command_.has_change_user_name());
}

TEST_F(SecurityCodecTest, ReadsNullAsAbsent) {
  ASSERT_TRUE(
      Decode(R"({"type":"ChangeUserNameCommand","command":{"newName":null,"email":"a@b"}})").ok());
  EXPECT_EQ(command_.ShortDebugString(), R"(change_user_name { email: "a@b" })");
}

TEST_F(SecurityCodecTest, ReplacesWhatTheCommandHeld) {
  command_.mutable_register_user()->set_name("old");
  ASSERT_TRUE(Decode(R"({"type":"RegisterUserCommand","command":{"email":"a@b"}})").ok());
  EXPECT_EQ(command_.ShortDebugString(), R"(register_user { email: "a@b" })");
}

TEST_F(SecurityCodecTest, ReadsEscapesAndAllOfUnicode) {
  ASSERT_TRUE(
      Decode(
          R"({"type":"RegisterUserCommand","command":{"name":"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00 ä😀"}})")
          .ok());
  EXPECT_EQ(command_.register_user().name(), "\"\\/\b\f\n\r\tä😀 ä😀");
}

TEST_F(SecurityCodecTest, KeepsTheNulCharacter) {
  ASSERT_TRUE(Decode(R"({"type":"RegisterUserCommand","command":{"name":"a\u0000b"}})").ok());
  EXPECT_EQ(command_.register_user().name(), std::string("a\0b", 3));
  Event event;
  event.mutable_user_registered()->set_name(command_.register_user().name());
  EXPECT_THAT(Encode(event), HasSubstr(R"("name":"a\u0000b")"));
}

TEST_F(SecurityCodecTest, ReadsCommandsOfAnySizeInAnyOrder) {
  // 6 MiB is beyond what the parser keeps its buffers for.
  for (const int size : {10, 1 << 20, 100, 6 << 20, 0, 17000, 3 << 20, 16384}) {
    const std::string name = Repeat("x", size);
    const std::string json =
        R"({"type":"RegisterUserCommand","command":{"name":")" + name + R"("}})";
    ASSERT_TRUE(Decode(json).ok()) << size;
    EXPECT_EQ(command_.register_user().name(), name);
    EXPECT_EQ(ReasonFor(std::string_view(json).substr(0, json.size() - 1)), "MALFORMED_JSON")
        << "the end of the document before was taken for the end of this one";
  }
}

TEST_F(SecurityCodecTest, RejectsWhatIsNotOneJsonDocument) {
  const std::string good = R"({"type":"RegisterUserCommand","command":{"name":"Alex"}})";
  ASSERT_TRUE(Decode(good).ok());
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nothing", ""},
      {"white space", " \n"},
      {"a NUL", "\0"s},
      {"a byte order mark", "\xEF\xBB\xBF" + good},
      {"UTF-16", "{\0}\0"s},
      {"two documents", good + good},
      {"two documents on two lines", good + "\n" + good},
      {"garbage behind", good + "x"},
      {"a NUL behind", good + "\0"s},
      {"a comment", good + "// hello"},
      {"a trailing comma", R"({"type":"RegisterUserCommand","command":{"name":"Alex",}})"},
      {"a missing brace", R"({"type":"RegisterUserCommand","command":{"name":"Alex"})"},
      {"a missing comma", R"({"type":"RegisterUserCommand" "command":{}})"},
      {"single quotes", R"({'type':'RegisterUserCommand','command':{}})"},
      {"a key without quotes", R"({type:"RegisterUserCommand","command":{}})"},
      {"an open string", R"({"type":"RegisterUserCommand)"},
      {"a bare word", R"({"type":"RegisterUserCommand","command":{"name":Alex}})"},
      {"NaN", R"({"type":"RegisterUserCommand","command":{"name":NaN}})"},
      {"a leading zero", R"({"type":"RegisterUserCommand","command":{"name":01}})"},
      {"a raw control character",
       "{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"a\nb\"}}"},
      {"a raw NUL", "{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"a\0b\"}}"s},
      {"an unknown escape", R"({"type":"RegisterUserCommand","command":{"name":"\x41"}})"},
      {"a short escape", R"({"type":"RegisterUserCommand","command":{"name":"\u12"}})"},
      {"a high surrogate alone", R"({"type":"RegisterUserCommand","command":{"name":"\ud83d"}})"},
      {"a high surrogate before text",
       R"({"type":"RegisterUserCommand","command":{"name":"\ud83dabcdef"}})"},
      {"a low surrogate alone", R"({"type":"RegisterUserCommand","command":{"name":"\ude00"}})"},
      {"surrogates in the wrong order",
       R"({"type":"RegisterUserCommand","command":{"name":"\ude00\ud83d"}})"},
      {"a surrogate in a key", R"({"type":"RegisterUserCommand","command":{"\ud83d":"x"}})"},
      {"a lone byte of UTF-8",
       "{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"\xFF\"}}"},
      {"an overlong character",
       "{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"\xC0\x80\"}}"},
      {"a surrogate in UTF-8",
       "{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"\xED\xA0\x80\"}}"},
      {"beyond Unicode",
       "{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"\xF4\x90\x80\x80\"}}"},
      {"half a character",
       "{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"\xE2\x82\"}}"},
      {"deep arrays", R"({"type":"RegisterUserCommand","command":)" + Repeat("[", 100000) +
                          Repeat("]", 100000) + "}"},
      {"deep objects", Repeat("{\"a\":", 100000) + "1" + Repeat("}", 100000)},
      {"open arrays without end", Repeat("[", 1 << 20)},
  };
  for (const auto& [what, json] : cases) EXPECT_EQ(ReasonFor(json), "MALFORMED_JSON") << what;
  EXPECT_TRUE(Decode(good).ok()) << "a bad command spoils no later one";
}

TEST_F(SecurityCodecTest, SaysWhatIsWrongWithTheDocument) {
  EXPECT_THAT(MessageFor(""), HasSubstr("no JSON found"));
  EXPECT_THAT(MessageFor("{\"a\":\"\xFF\"}"), HasSubstr("UTF-8"));
  EXPECT_THAT(MessageFor(R"({"a":"\ud800"})"), HasSubstr("surrogate"));
  EXPECT_THAT(MessageFor(R"({"a":18446744073709551616})"), HasSubstr("number out of range"));
  EXPECT_THAT(MessageFor(Repeat("[", 65) + "1" + Repeat("]", 65)),
              HasSubstr("nested deeper than 64 levels"));
}

TEST_F(SecurityCodecTest, RejectsAnEnvelopeThatIsNotExactlyTypeAndCommand) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"([])", R"(must be an object with the keys "type" and "command")"},
      {R"([{"type":"RegisterUserCommand","command":{}}])",
       R"(must be an object with the keys "type" and "command")"},
      {R"("text")", R"(must be an object with the keys "type" and "command")"},
      {R"(1)", R"(must be an object with the keys "type" and "command")"},
      {R"(null)", R"(must be an object with the keys "type" and "command")"},
      {R"({})", "type: is missing"},
      {R"({"command":{}})", "type: is missing"},
      {R"({"type":"RegisterUserCommand"})", "command: is missing"},
      {R"({"type":1,"command":{}})", "type: must be a string"},
      {R"({"type":null,"command":{}})", "type: must be a string"},
      {R"({"type":"RegisterUserCommand","command":null})", "command: must be an object"},
      {R"({"type":"RegisterUserCommand","command":[]})", "command: must be an object"},
      {R"({"type":"RegisterUserCommand","command":"{}"})", "command: must be an object"},
      {R"({"type":"RegisterUserCommand","event":{}})",
       R"(unknown key "event" beside "type" and "command")"},
      {R"({"Type":"RegisterUserCommand","command":{}})",
       R"(unknown key "Type" beside "type" and "command")"},
      {R"({"type":"RegisterUserCommand","command":{},"my secret":1})",
       R"(unknown key (not a name) beside "type" and "command")"},
      {R"({"type":"RegisterUserCommand","type":"RegisterUserCommand","command":{}})",
       "type: is given twice"},
      {R"({"type":"RegisterUserCommand","command":{},"command":{}})", "command: is given twice"},
  };
  for (const auto& [json, message] : cases) {
    EXPECT_EQ(ReasonFor(json), "MALFORMED_JSON") << json;
    EXPECT_EQ(MessageFor(json), message) << json;
  }
}

TEST_F(SecurityCodecTest, RejectsFieldsThatAreNotAsDeclared) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"name":1})", "command.name: must be a string"},
      {R"({"name":true})", "command.name: must be a string"},
      {R"({"name":{}})", "command.name: must be a string"},
      {R"({"name":["Alex"]})", "command.name: must be a string"},
      {R"({"name":"a","name":"a"})", "command.name: is given twice"},
      {R"({"name":null,"name":"a"})", "command.name: is given twice"},
      {R"({"Name":"Alex"})", R"(command: has an unknown field "Name")"},
      {R"({"register_user":{}})", R"(command: has an unknown field "register_user")"},
      {R"({"":"Alex"})", "command: has an unknown field (not a name)"},
      {R"({"name\u0000":"Alex"})", "command: has an unknown field (not a name)"},
  };
  for (const auto& [fields, message] : cases) {
    const std::string json = R"({"type":"RegisterUserCommand","command":)" + fields + "}";
    EXPECT_EQ(ReasonFor(json), "MALFORMED_JSON") << json;
    EXPECT_EQ(MessageFor(json), message) << json;
  }
}

TEST_F(SecurityCodecTest, CountsAFieldUnderItsTwoNamesAsOne) {
  EXPECT_EQ(
      MessageFor(R"({"type":"ChangeUserNameCommand","command":{"newName":"a","new_name":"a"}})"),
      "command.newName: is given twice");
}

TEST_F(SecurityCodecTest, AnUnknownTypeIsNamedWithTheKnownOnes) {
  const absl::Status status = Decode(R"({"type":"DeleteUserCommand","command":{"whatever":1}})");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), "UNKNOWN_TYPE");
  EXPECT_EQ(
      status.message(),
      R"(unknown command type "DeleteUserCommand"; known: RegisterUserCommand, ChangeUserNameCommand)");
}

TEST_F(SecurityCodecTest, ATypeIsItsExactName) {
  for (std::string_view type :
       {"", "registerUserCommand", "register_user", "security.v1.RegisterUserCommand",
        "RegisterUserCommand\\u0000", "UserRegisteredEvent", "Command"}) {
    EXPECT_EQ(ReasonFor(R"({"type":")" + std::string(type) + R"(","command":{}})"), "UNKNOWN_TYPE")
        << type;
  }
}

TEST_F(SecurityCodecTest, MessagesShowNoValues) {
  const std::vector<std::string> cases = {
      R"({"type":"my secret","command":{}})",
      R"({"type":"RegisterUserCommand","command":"secret"})",
      R"({"type":"RegisterUserCommand","command":{"name":["secret"]}})",
      R"({"type":"RegisterUserCommand","command":{"my secret":1}})",
      R"({"type":"RegisterUserCommand","command":{"name":"secret","name":"secret"}})",
      R"({"type":"RegisterUserCommand","command":{"name":"secret\ud800"}})",
      R"({"type":"RegisterUserCommand","command":{"name":"secret)",
  };
  for (const std::string& json : cases)
    EXPECT_THAT(MessageFor(json), AllOf(Not(""), Not(HasSubstr("secret")))) << json;
}

TEST_F(SecurityCodecTest, EveryCutOfACommandIsRejected) {
  const std::string json =
      R"({"type":"RegisterUserCommand","command":{"name":"Äx","email":"foo@bar.com"}})";
  for (size_t size = 0; size < json.size(); ++size) {
    EXPECT_EQ(ReasonFor(std::string_view(json).substr(0, size)), "MALFORMED_JSON") << size;
  }
}

TEST_F(SecurityCodecTest, NoChangedByteLeadsToACrashOrAnUnknownReason) {
  const auto seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string json =
      R"({"type":"RegisterUserCommand","command":{"name":"\u00c4x","email":"foo@bar.com"}})";
  for (int i = 0; i < 20000; ++i) {
    std::string changed = json;
    for (int changes = 0; changes < 3; ++changes)
      changed[random() % changed.size()] = static_cast<char>(random());
    const absl::Status status = Decode(changed);
    if (status.ok()) continue;
    EXPECT_THAT(ReasonOf(status), testing::AnyOf("MALFORMED_JSON", "UNKNOWN_TYPE"));
  }
}

// ---- Binary protobuf ----

TEST_F(SecurityCodecTest, ReadsBinaryProtobuf) {
  Command original;
  original.mutable_register_user()->set_name("Alex");
  ASSERT_TRUE(DecodeBinary(original.SerializeAsString()).ok());
  EXPECT_TRUE(MessageDifferencer::Equals(command_, original));
}

TEST_F(SecurityCodecTest, RejectsBrokenProtobuf) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nothing", ""},
      {"JSON", R"({"type":"RegisterUserCommand","command":{}})"},
      {"a length beyond the end", "\x0A\x7F"s},
      {"an open varint", "\x0A"s + Repeat("\xFF", 11)},
      {"a field numbered zero", "\x02\x00"s},
      {"an end of a group alone", "\x0C"s},
      {"a name that is not UTF-8", "\x0A\x03\x0A\x01\xFF"s},
      {"a name cut in its middle", "\x0A\x04\x0A\x02\xC3\x41"s},
  };
  for (const auto& [what, bytes] : cases) {
    const absl::Status status = DecodeBinary(bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << what;
    EXPECT_EQ(ReasonOf(status), "MALFORMED_PROTOBUF") << what << ": " << status;
  }
}

TEST_F(SecurityCodecTest, RejectsAFieldThatItDoesNotKnowInProtobuf) {
  Command original;
  auto* unknown = original.mutable_register_user()->GetReflection()->MutableUnknownFields(
      original.mutable_register_user());
  unknown->AddVarint(9, 1);
  absl::Status status = DecodeBinary(original.SerializeAsString());
  EXPECT_EQ(ReasonOf(status), "MALFORMED_PROTOBUF");
  EXPECT_EQ(status.message(), "security.v1.RegisterUserCommand: unknown field number 9");

  unknown->Clear();
  original.GetReflection()->MutableUnknownFields(&original)->AddLengthDelimited(8, "x");
  status = DecodeBinary(original.SerializeAsString());
  EXPECT_EQ(ReasonOf(status), "MALFORMED_PROTOBUF");
  EXPECT_EQ(status.message(), "security.v1.Command: unknown field number 8");
}

TEST_F(SecurityCodecTest, ACommandOfANewerVersionInProtobufIsAnUnknownType) {
  Command original;
  original.GetReflection()->MutableUnknownFields(&original)->AddLengthDelimited(3, "");
  const absl::Status status = DecodeBinary(original.SerializeAsString());
  EXPECT_EQ(ReasonOf(status), "UNKNOWN_TYPE");
  EXPECT_EQ(status.message(),
            "unknown command type; known: RegisterUserCommand, ChangeUserNameCommand");
}

// ---- Commands without their envelope ----

TEST_F(SecurityCodecTest, ReadsACommandOfAType) {
  command_.mutable_register_user()->set_email("what it held before");
  ASSERT_TRUE(codec_
                  ->DecodeCommandOfType("RegisterUserCommand", " {\"name\" : \"Alex\"}\n",
                                        ContentType::kJson, command_)
                  .ok());
  EXPECT_EQ(command_.ShortDebugString(), R"(register_user { name: "Alex" })");

  ::security::v1::ChangeUserNameCommand change;
  change.set_new_name("Kim");
  ASSERT_TRUE(codec_
                  ->DecodeCommandOfType("ChangeUserNameCommand", change.SerializeAsString(),
                                        ContentType::kProtobuf, command_)
                  .ok());
  EXPECT_EQ(command_.ShortDebugString(), R"(change_user_name { new_name: "Kim" })");
  ASSERT_TRUE(
      codec_->DecodeCommandOfType("ChangeUserNameCommand", "", ContentType::kProtobuf, command_)
          .ok())
      << "a message without fields is no bytes";
  EXPECT_TRUE(command_.has_change_user_name());
}

TEST_F(SecurityCodecTest, ATypeWithoutEnvelopeIsUnknownWhateverThePayload) {
  for (const ContentType content_type : {ContentType::kJson, ContentType::kProtobuf}) {
    for (const std::string_view type : {"", "register_user", "UserRegisteredEvent",
                                        R"(RegisterUserCommand","command":{},"x":")"}) {
      const absl::Status status = codec_->DecodeCommandOfType(type, "{", content_type, command_);
      EXPECT_EQ(ReasonOf(status), "UNKNOWN_TYPE") << type;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("; known: RegisterUserCommand, ChangeUserNameCommand"));
    }
  }
}

// The server takes payloads and writes envelopes: what only the envelope makes valid would be a way
// to say in a payload what belongs to the caller to say.
TEST_F(SecurityCodecTest, APayloadCannotBreakOutOfItsEnvelope) {
  using namespace std::string_literals;
  for (const std::string& payload :
       {R"({}},"x":{)"s, R"({},"command":{})"s, R"({},"type":"ChangeUserNameCommand")"s, R"({}})"s,
        R"({}}{"type":"RegisterUserCommand","command":{})"s, R"({},)"s, R"({)"s, R"()"s, " "s,
        R"("a)"s, "{}//"s, "{}\0"s, "\xEF\xBB\xBF{}"s, R"({} {})"s, R"({"name":"Alex")"s,
        R"("RegisterUserCommand")"s}) {
    const absl::Status status =
        codec_->DecodeCommandOfType("RegisterUserCommand", payload, ContentType::kJson, command_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << payload;
    EXPECT_EQ(ReasonOf(status), "MALFORMED_JSON") << payload;
  }
}

TEST_F(SecurityCodecTest, ErrorsInAPayloadReadLikeThoseInAnEnvelope) {
  for (const std::string payload :
       {R"({"name":1})", R"({"name":"a","name":"b"})", R"({"Name":"a"})", R"({"my secret":1})",
        "null", "[]", "1", R"("{}")", "true", R"({"name":"\ud800"})",
        R"({"name":18446744073709551616})", "{\"name\":\"\xFF\"}", R"({"name":"\x"})"}) {
    const absl::Status status =
        codec_->DecodeCommandOfType("RegisterUserCommand", payload, ContentType::kJson, command_);
    EXPECT_EQ(status, Decode(codec_->CommandEnvelope("RegisterUserCommand", payload))) << payload;
    EXPECT_EQ(ReasonOf(status), "MALFORMED_JSON") << payload;
  }
}

TEST_F(SecurityCodecTest, APayloadInProtobufIsReadAsStrictlyAsTheWholeCommand) {
  ::security::v1::RegisterUserCommand payload;
  payload.GetReflection()->MutableUnknownFields(&payload)->AddVarint(9, 1);
  const auto decode = [&](std::string_view bytes) {
    return codec_->DecodeCommandOfType("RegisterUserCommand", bytes, ContentType::kProtobuf,
                                       command_);
  };
  EXPECT_EQ(decode(payload.SerializeAsString()).message(),
            "security.v1.RegisterUserCommand: unknown field number 9");
  for (const std::string_view bytes : {"\x0A\x01\xFF", "\x0A\x7F", "{}", "\x0C"}) {
    EXPECT_EQ(ReasonOf(decode(bytes)), "MALFORMED_PROTOBUF");
  }
}

TEST_F(SecurityCodecTest, APayloadInItsEnvelopeIsTheSameCommand) {
  const std::string payload = " { \"name\" : \"Al\\u0065x\" } ";
  ASSERT_TRUE(
      codec_->DecodeCommandOfType("RegisterUserCommand", payload, ContentType::kJson, command_)
          .ok());
  const uint64_t fingerprint = Codec::Fingerprint(command_);
  const std::string value = codec_->CommandEnvelope("RegisterUserCommand", payload);
  EXPECT_EQ(value, R"({"type":"RegisterUserCommand","command":)" + payload + "}");
  ASSERT_TRUE(Decode(value).ok());
  EXPECT_EQ(Codec::Fingerprint(command_), fingerprint);
}

TEST_F(SecurityCodecTest, WritesAnyMessageOfTheDomainWithoutEnvelope) {
  Command command;
  command.mutable_register_user()->set_name("Alex");
  std::string json = "what it held before";
  codec_->EncodeMessage(command.register_user(), &json);
  EXPECT_EQ(json, R"({"name":"Alex","email":""})");
  Event event;
  codec_->EncodeMessage(event.user_registered(), &json);
  EXPECT_EQ(json, R"({"email":"","name":"","version":0})");
}

// ---- Names and fingerprints ----

TEST_F(SecurityCodecTest, ListsTheTypesInTheOrderOfTheProtoFile) {
  EXPECT_THAT(codec_->CommandTypes(), ElementsAre("RegisterUserCommand", "ChangeUserNameCommand"));
  EXPECT_THAT(codec_->EventTypes(), ElementsAre("UserRegisteredEvent", "UserNameChangedEvent"));
}

TEST_F(SecurityCodecTest, TheTypeNameIsTheOneOfTheMessageInTheOneof) {
  Command command;
  EXPECT_EQ(Codec::TypeName(command), "");
  command.mutable_change_user_name();
  EXPECT_EQ(Codec::TypeName(command), "ChangeUserNameCommand");
  Event event;
  event.mutable_user_registered();
  EXPECT_EQ(Codec::TypeName(event), "UserRegisteredEvent");
  EXPECT_EQ(Codec::TypeName(::security::v1::User()), "");
}

TEST_F(SecurityCodecTest, TheFingerprintIsThatOfTheContent) {
  ASSERT_TRUE(
      Decode(R"({"type":"RegisterUserCommand","command":{"name":"Alex","email":"foo@bar.com"}})")
          .ok());
  const uint64_t fingerprint = Codec::Fingerprint(command_);
  ASSERT_TRUE(
      Decode(
          R"({ "command" : {"email":"foo@bar.com","name":"\u0041lex"}, "type" : "RegisterUserCommand" })")
          .ok());
  EXPECT_EQ(Codec::Fingerprint(command_), fingerprint);
  Command original;
  original.mutable_register_user()->set_name("Alex");
  original.mutable_register_user()->set_email("foo@bar.com");
  ASSERT_TRUE(DecodeBinary(original.SerializeAsString()).ok());
  EXPECT_EQ(Codec::Fingerprint(command_), fingerprint);
}

TEST_F(SecurityCodecTest, TheFingerprintDiffersWithTypeAndFields) {
  std::vector<uint64_t> fingerprints;
  for (std::string_view json :
       {R"({"type":"RegisterUserCommand","command":{}})",
        R"({"type":"ChangeUserNameCommand","command":{}})",
        R"({"type":"RegisterUserCommand","command":{"name":"a"}})",
        R"({"type":"RegisterUserCommand","command":{"email":"a"}})",
        R"({"type":"RegisterUserCommand","command":{"name":"a","email":"a"}})"}) {
    ASSERT_TRUE(Decode(json).ok());
    fingerprints.push_back(Codec::Fingerprint(command_));
  }
  std::sort(fingerprints.begin(), fingerprints.end());
  EXPECT_EQ(std::adjacent_find(fingerprints.begin(), fingerprints.end()), fingerprints.end());
}

TEST_F(SecurityCodecTest, TheFingerprintOfALargeCommandCoversItsEnd) {
  Command one;
  one.mutable_register_user()->set_name(Repeat("x", 1 << 20) + "1");
  Command two;
  two.mutable_register_user()->set_name(Repeat("x", 1 << 20) + "2");
  EXPECT_NE(Codec::Fingerprint(one), Codec::Fingerprint(two));
}

// Fingerprints are stored: a change here would make stored ones worthless.
TEST_F(SecurityCodecTest, TheFingerprintStaysTheSame) {
  Command command;
  command.mutable_register_user()->set_name("Alex");
  command.mutable_register_user()->set_email("foo@bar.com");
  EXPECT_EQ(Codec::Fingerprint(command), 7445790872897369604u);
}

TEST(AppendJsonString, EscapesWhatMustBeEscaped) {
  std::string json = "before ";
  AppendJsonString(std::string_view("\"\\/\b\f\n\r\t\x01\x1F\x7F\0ä😀", 18), &json);
  EXPECT_EQ(json, "before \"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\\u0000ä😀\"");
  json.clear();
  AppendJsonString("", &json);
  EXPECT_EQ(json, "\"\"");
}

// ---- All kinds of fields ----

class KindsCodecTest : public testing::Test {
 protected:
  KindsCodecTest() : domain_(KindsProto()) {
    auto codec = domain_.MakeCodec();
    EXPECT_TRUE(codec.ok()) << codec.status();
    codec_ = *std::move(codec);
    command_.reset(domain_.Prototype("Command").New());
    event_.reset(domain_.Prototype("Event").New());
  }

  static Message& Kinds(Message& envelope) {
    return *envelope.GetReflection()->MutableMessage(
        &envelope, envelope.GetDescriptor()->FindFieldByName("kinds"));
  }

  absl::Status Decode(const std::string& fields) {
    return codec_->DecodeCommand(R"({"type":"Kinds","command":)" + fields + "}", ContentType::kJson,
                                 *command_);
  }

  // The text form of what `fields` was read as, or the error.
  std::string Read(const std::string& fields) {
    const absl::Status status = Decode(fields);
    return status.ok() ? Kinds(*command_).ShortDebugString() : std::string(status.message());
  }

  // The same with and without the envelope: the outcomes must not differ.
  absl::Status DecodeBoth(const std::string& payload) {
    const absl::Status status =
        codec_->DecodeCommandOfType("Kinds", payload, ContentType::kJson, *command_);
    EXPECT_EQ(status, Decode(payload)) << payload.substr(0, 1000);
    return status;
  }

  // The event's message, with itself inside itself in `field` that many times.
  Message& NestEvent(const std::string& field_name, int times) {
    event_->Clear();
    Message* message = &Kinds(*event_);
    for (int i = 0; i < times; ++i) {
      const auto* reflection = message->GetReflection();
      const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(field_name);
      message = field->is_repeated() ? reflection->AddMessage(message, field)
                                     : reflection->MutableMessage(message, field);
      if (field->is_map()) {
        message = message->GetReflection()->MutableMessage(
            message, message->GetDescriptor()->FindFieldByName("value"));
      }
    }
    return Kinds(*event_);
  }

  // The fields of `event_`, as they are in the envelope.
  std::string Encode() {
    std::string json;
    codec_->EncodeEvent(*event_, &json);
    constexpr std::string_view kPrefix = R"({"type":"Kinds","event":)";
    EXPECT_EQ(json.substr(0, kPrefix.size()), kPrefix);
    return json.substr(kPrefix.size(), json.size() - kPrefix.size() - 1);
  }

  // What an event with `fields`, in text form, looks like.
  std::string Write(const std::string& fields) {
    EXPECT_TRUE(TextFormat::ParseFromString(fields, &Kinds(*event_)));
    return Encode();
  }

  DynamicDomain domain_;
  std::unique_ptr<Codec> codec_;
  std::unique_ptr<Message> command_;
  std::unique_ptr<Message> event_;
};

TEST_F(KindsCodecTest, WritesScalarsAlwaysAndOptionalsWhenSet) {
  const std::string json = Write("");
  for (const Kind& kind : kKinds) {
    const std::string name =
        std::string(1, static_cast<char>(kind.name[0] - 'a' + 'A')) + (kind.name + 1);
    EXPECT_EQ(json.find("\"a" + name + "\":") != std::string::npos,
              std::string_view(kind.name) != "message")
        << name;
    EXPECT_THAT(json, Not(HasSubstr("\"opt" + name + "\":")));
    EXPECT_THAT(json, HasSubstr("\"many" + name + "\":[]"));
    EXPECT_THAT(json, HasSubstr("\"" + std::string(kind.name) + "Map\":{}"));
  }
  EXPECT_THAT(json, AllOf(HasSubstr(R"("aInt64":0,)"), HasSubstr(R"("aDouble":0,)"),
                          HasSubstr(R"("aBool":false,)"), HasSubstr(R"("aString":"",)"),
                          HasSubstr(R"("aBytes":"",)"), HasSubstr(R"("aEnum":"NONE",)"),
                          Not(HasSubstr("thisOne")), Not(HasSubstr("thatOne"))));
  EXPECT_THAT(Write("opt_int32: 0 opt_string: '' this_one: 0"),
              AllOf(HasSubstr(R"("optInt32":0,)"), HasSubstr(R"("optString":"",)"),
                    HasSubstr(R"("thisOne":0)")));
}

TEST_F(KindsCodecTest, WritesFieldsInTheOrderOfTheProtoFile) {
  const std::string json = Write("");
  EXPECT_LT(json.find("\"aInt32\""), json.find("\"aDouble\""));
  EXPECT_LT(json.find("\"aDouble\""), json.find("\"aEnum\""));
}

TEST_F(KindsCodecTest, WritesAndReadsTheEndsOfEachRange) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a_int32: -2147483648", R"("aInt32":-2147483648)"},
      {"a_int32: 2147483647", R"("aInt32":2147483647)"},
      {"a_uint32: 4294967295", R"("aUint32":4294967295)"},
      {"a_int64: 9007199254740993", R"("aInt64":9007199254740993)"},  // 2^53 + 1: no double
      {"a_int64: -9223372036854775808", R"("aInt64":-9223372036854775808)"},
      {"a_int64: 9223372036854775807", R"("aInt64":9223372036854775807)"},
      {"a_uint64: 18446744073709551615", R"("aUint64":18446744073709551615)"},
      {"a_double: 0.1", R"("aDouble":0.1)"},
      {"a_double: 1.7976931348623157e+308", R"("aDouble":1.7976931348623157e+308)"},
      {"a_double: 4.9406564584124654e-324", R"("aDouble":5e-324)"},
      {"a_double: 123456789012345680000", R"("aDouble":1.2345678901234568e+20)"},
      {"a_double: -0.0", R"("aDouble":-0.0)"},
      {"a_double: inf", R"("aDouble":"Infinity")"},
      {"a_double: -inf", R"("aDouble":"-Infinity")"},
      {"a_double: nan", R"("aDouble":"NaN")"},
      {"a_float: 0.1", R"("aFloat":0.1)"},
      {"a_float: 3.4028235e+38", R"("aFloat":3.4028235e+38)"},
      {"a_float: -inf", R"("aFloat":"-Infinity")"},
      {"a_bool: true", R"("aBool":true)"},
      {"a_bytes: '\\000\\377'", R"("aBytes":"AP8=")"},
      {"a_enum: RED", R"("aEnum":"RED")"},
      {"a_enum: 42", R"("aEnum":42)"},
      {"many_int32: [1,2]", R"("manyInt32":[1,2])"},
      {"int32_map { key: 'b' value: 2 } int32_map { key: 'a' value: 1 }",
       R"("int32Map":{"a":1,"b":2})"},
      {"opt_message {} a_message { a_message {} }", R"("optMessage":{)"},
      {"that_one { this_one: 3 }", R"("thisOne":3}})"},
  };
  for (const auto& [text, json] : cases) {
    const std::string written = Write(text);
    EXPECT_THAT(written, HasSubstr(json)) << text;
    ASSERT_TRUE(Decode(written).ok()) << written;
    EXPECT_EQ(Codec::Fingerprint(*command_), Codec::Fingerprint(*event_)) << text;
  }
}

TEST_F(KindsCodecTest, WritesTheLastOfTwoEntriesOfAMapThatCameInBinary) {
  std::string bytes;
  for (const std::string entry : {"b: 1", "a: 1", "a: 3", "a: 2"}) {
    event_->Clear();
    ASSERT_TRUE(TextFormat::ParseFromString(
        "int32_map { key: '" + entry.substr(0, 1) + "' value: " + entry.substr(3) + " }",
        &Kinds(*event_)));
    bytes += Kinds(*event_).SerializeAsString();
  }
  ASSERT_TRUE(codec_->DecodeCommandOfType("Kinds", bytes, ContentType::kProtobuf, *command_).ok());
  std::string json;
  codec_->EncodeMessage(Kinds(*command_), &json);
  EXPECT_THAT(json, HasSubstr(R"("int32Map":{"a":2,"b":1})"));
}

TEST_F(KindsCodecTest, ReadsWhatOthersWriteDifferently) {
  EXPECT_EQ(Read(R"({"aDouble":3})"), "a_double: 3");
  EXPECT_EQ(Read(R"({"aDouble":18446744073709551615})"), "a_double: 1.8446744073709552e+19");
  EXPECT_EQ(Read(R"({"aFloat":-3})"), "a_float: -3");
  EXPECT_EQ(Read(R"({"aEnum":-7})"), "a_enum: DARK");
  EXPECT_EQ(Read(R"({"aInt32":-0})"), "");
  EXPECT_EQ(
      Read(
          R"({"optMessage":null,"manyInt32":null,"int32Map":null,"optInt32":null,"thisOne":null})"),
      "");
  EXPECT_EQ(Read(R"({"thisOne":null,"thatOne":{}})"), "that_one { }");
  EXPECT_EQ(Read(R"({"optInt32":0})"), "opt_int32: 0");
  EXPECT_EQ(Read(R"({"int32Map":{"":1}})"), R"(int32_map { key: "" value: 1 })");
}

TEST_F(KindsCodecTest, RejectsValuesThatDontFit) {
  const std::string not_integer = ": must be an integer, without quotes, point or exponent";
  const std::string range = ": out of the range of its type";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"aInt32":2147483648})", "command.aInt32" + range},
      {R"({"aInt32":-2147483649})", "command.aInt32" + range},
      {R"({"aUint32":4294967296})", "command.aUint32" + range},
      {R"({"aUint32":-1})", "command.aUint32" + range},
      {R"({"aInt64":9223372036854775808})", "command.aInt64" + range},
      {R"({"aUint64":-1})", "command.aUint64" + range},
      {R"({"aInt32":18446744073709551615})", "command.aInt32" + range},
      {R"({"aInt32":1.0})", "command.aInt32" + not_integer},
      {R"({"aInt32":1e3})", "command.aInt32" + not_integer},
      {R"({"aInt64":"1"})", "command.aInt64" + not_integer},
      {R"({"aInt64":true})", "command.aInt64" + not_integer},
      {R"({"aFloat":3.5e38})", "command.aFloat" + range},
      {R"({"aFloat":"1.5"})",
       R"(command.aFloat: must be a number, "NaN", "Infinity" or "-Infinity")"},
      {R"({"aDouble":"nan"})",
       R"(command.aDouble: must be a number, "NaN", "Infinity" or "-Infinity")"},
      {R"({"aBool":1})", "command.aBool: must be true or false"},
      {R"({"aBool":"true"})", "command.aBool: must be true or false"},
      {R"({"aBytes":"AP8"})", "command.aBytes: must be base64 with padding"},
      {R"({"aBytes":"AP9="})", "command.aBytes: must be base64 with padding"},  // a stray bit
      {R"({"aBytes":"A P8="})", "command.aBytes: must be base64 with padding"},
      {R"({"aBytes":"_-8="})", "command.aBytes: must be base64 with padding"},
      {R"({"aEnum":"red"})", "command.aEnum: is no value of test.Color"},
      {R"({"aEnum":2147483648})",
       "command.aEnum: must be the name or the number of a value of test.Color"},
      {R"({"aMessage":[]})", "command.aMessage: must be an object"},
      {R"({"aMessage":{"aMessage":{"aBool":0}}})",
       "command.aMessage.aMessage.aBool: must be true or false"},
      {R"({"manyInt32":1})", "command.manyInt32: must be an array"},
      {R"({"manyInt32":[1,null]})", "command.manyInt32[1]" + not_integer},
      {R"({"manyInt32":[[1]]})", "command.manyInt32[0]" + not_integer},
      {R"({"manyMessage":[{},{"x":1}]})", R"(command.manyMessage[1]: has an unknown field "x")"},
      {R"({"manyMessage":[null]})", "command.manyMessage[0]: must be an object"},
      {R"({"int32Map":[]})", "command.int32Map: must be an object"},
      {R"({"int32Map":{"secret":null}})", "command.int32Map[*]" + not_integer},
      {R"({"int32Map":{"secret":1,"x":2,"secret":1}})", "command.int32Map: has a key twice"},
      {R"({"messageMap":{"secret":{"aBool":1}}})",
       "command.messageMap[*].aBool: must be true or false"},
      {R"({"thisOne":1,"thatOne":{}})",
       "command.thatOne: another field of the oneof choice is set already"},
  };
  for (const auto& [fields, message] : cases) {
    EXPECT_EQ(Read(fields), message) << fields;
    EXPECT_EQ(ReasonOf(Decode(fields)), "MALFORMED_JSON") << fields;
  }
}

TEST_F(KindsCodecTest, RejectsNumbersBeyondWhatJsonReadersHold) {
  for (const std::string number : {"18446744073709551616", "-9223372036854775809", "1e400"}) {
    for (const std::string field : {"aInt64", "aUint64", "aDouble"}) {
      EXPECT_THAT(Read("{\"" + field + "\":" + number + "}"), HasSubstr("a number out of range"));
    }
  }
}

TEST_F(KindsCodecTest, ReadsAnIntegerBeyond2To53AsItIsOrAsTheNearestDouble) {
  EXPECT_EQ(Read(R"({"aInt64":9007199254740993})"), "a_int64: 9007199254740993");
  EXPECT_EQ(Read(R"({"aInt64":-9007199254740993})"), "a_int64: -9007199254740993");
  EXPECT_EQ(Read(R"({"aUint64":18446744073709551615})"), "a_uint64: 18446744073709551615");
  EXPECT_EQ(Read(R"({"manyInt64":[9007199254740993]})"), "many_int64: 9007199254740993");
  EXPECT_EQ(Read(R"({"int64Map":{"a":9007199254740993}})"),
            R"(int64_map { key: "a" value: 9007199254740993 })");
  EXPECT_EQ(Read(R"({"aDouble":9007199254740993})"), "a_double: 9007199254740992");
  EXPECT_EQ(Read(R"({"aFloat":9007199254740993})"), "a_float: 9.00719925e+15");
}

// Read as a double and then rounded, the shortest text of this float is its neighbour.
TEST_F(KindsCodecTest, WritesAFloatSoThatReadersOfDoublesFindItToo) {
  const float odd = 7.038531e-26f;
  ASSERT_NE(static_cast<float>(7.038531e-26), odd);
  Message& kinds = Kinds(*event_);
  kinds.GetReflection()->SetFloat(&kinds, kinds.GetDescriptor()->FindFieldByName("a_float"), odd);
  ASSERT_TRUE(Decode(Encode()).ok());
  EXPECT_EQ(Codec::Fingerprint(*command_), Codec::Fingerprint(*event_)) << Encode();
}

TEST_F(KindsCodecTest, RejectsHostileTextWhereverItStands) {
  for (const std::string field :
       {R"("aString":"%")", R"("aBytes":"%")", R"("manyString":["%"])", R"("stringMap":{"%":"a"})",
        R"("stringMap":{"a":"%"})", R"("aEnum":"%")", R"("aDouble":"%")", R"("%":1)",
        R"("aMessage":{"aString":"%"})"}) {
    for (const std::string text : {"\xFF", "\xC0\x80", "\xED\xA0\x80", R"(\ud800)", R"(\udc00)",
                                   R"(\udc00\ud800)", R"(\ud800\u0041)"}) {
      std::string json = "{" + field + "}";
      json.replace(json.find('%'), 1, text);
      EXPECT_EQ(ReasonOf(Decode(json)), "MALFORMED_JSON") << json;
    }
  }
}

TEST_F(KindsCodecTest, KeepsTheNulCharacterInMapsAndArrays) {
  const std::string json =
      Write(R"(many_string: 'a\000b' string_map { key: 'c\000' value: '\000' })");
  EXPECT_THAT(json, AllOf(HasSubstr(R"("manyString":["a\u0000b"])"),
                          HasSubstr(R"("stringMap":{"c\u0000":"\u0000"})")));
  ASSERT_TRUE(Decode(json).ok());
  EXPECT_EQ(Codec::Fingerprint(*command_), Codec::Fingerprint(*event_));
  // Keys that are the same up to the NUL are two, keys that are the same behind an escape are one.
  EXPECT_TRUE(Decode(R"({"stringMap":{"c":"","c\u0000":"","c\u0000d":""}})").ok());
  EXPECT_EQ(Read(R"({"stringMap":{"c\u0000":"","\u0063\u0000":""}})"),
            "command.stringMap: has a key twice");
}

TEST_F(KindsCodecTest, RejectsAFieldGivenTwiceAtAnyDepth) {
  EXPECT_EQ(Read(R"({"manyMessage":[{"aMessage":{"aBool":true,"aBool":true}}]})"),
            "command.manyMessage[0].aMessage.aBool: is given twice");
  EXPECT_EQ(Read(R"({"messageMap":{"a":{"manyInt32":[1],"many_int32":[2]}}})"),
            "command.messageMap[*].manyInt32: is given twice");
  EXPECT_EQ(Read(R"({"aMessage":{},"a\u004dessage":{}})"), "command.aMessage: is given twice");
}

TEST_F(KindsCodecTest, ReadsMessagesInMessagesTo64Levels) {
  // The envelope and the command are two levels.
  const auto nest = [](int levels) {
    return Repeat(R"({"aMessage":)", levels - 1) + "{}" + Repeat("}", levels - 1);
  };
  const std::string deepest = nest(63);
  const std::string too_deep = nest(64);
  EXPECT_EQ(DecodeBoth(deepest), absl::OkStatus());
  EXPECT_EQ(DecodeBoth(too_deep).message(), "nested deeper than 64 levels");
  // Arrays and maps are levels too.
  const auto arrays = [](int levels) {
    return Repeat(R"({"manyMessage":[)", levels / 2) + "{}" + Repeat("]}", levels / 2);
  };
  EXPECT_EQ(DecodeBoth(arrays(62)), absl::OkStatus());
  EXPECT_EQ(DecodeBoth(arrays(64)).message(), "nested deeper than 64 levels");
  EXPECT_EQ(DecodeBoth("{\"aString\":" + Repeat("[", 1000) + Repeat("]", 1000) + "}").message(),
            "nested deeper than 64 levels");
}

TEST_F(KindsCodecTest, WhatIsReadAtTheDeepestLevelIsReadAgainWhenWritten) {
  const std::vector<std::pair<std::string, std::string>> nests = {
      {R"({"aMessage":)", "}"}, {R"({"manyMessage":[)", "]}"}, {R"({"messageMap":{"a":)", "}}"}};
  for (const auto& [open, close] : nests) {
    for (int levels = 25; levels <= 65; ++levels) {
      const std::string json = Repeat(open, levels) + "{}" + Repeat(close, levels);
      if (!DecodeBoth(json).ok()) continue;
      std::string written;
      codec_->EncodeMessage(Kinds(*command_), &written);
      EXPECT_EQ(DecodeBoth(written), absl::OkStatus()) << open << " " << levels << " times";
    }
  }
}

// Else a domain could be given what makes an event that nobody can read.
TEST_F(KindsCodecTest, ReadsFromProtobufOnlyWhatCanBeReadAsJson) {
  for (const std::string field : {"a_message", "many_message", "message_map"}) {
    int deepest = 0;
    for (int levels = 25; levels <= 65; ++levels) {
      Message& kinds = NestEvent(field, levels);
      const absl::Status binary =
          codec_->DecodeCommand(event_->SerializeAsString(), ContentType::kProtobuf, *command_);
      const absl::Status of_type = codec_->DecodeCommandOfType("Kinds", kinds.SerializeAsString(),
                                                               ContentType::kProtobuf, *command_);
      EXPECT_EQ(ReasonOf(binary), ReasonOf(of_type)) << field << " " << levels << " times";
      std::string json;
      codec_->EncodeMessage(kinds, &json);
      EXPECT_EQ(binary.ok(), DecodeBoth(json).ok()) << field << " " << levels << " times";
      if (binary.ok()) {
        deepest = levels;
      } else {
        EXPECT_EQ(ReasonOf(binary), "MALFORMED_PROTOBUF");
        EXPECT_THAT(std::string(binary.message()), HasSubstr("nested deeper than 64 levels"));
      }
    }
    EXPECT_EQ(deepest, field == "a_message" ? 62 : 31) << field;
  }
}

TEST_F(KindsCodecTest, AnArrayInProtobufIsALevelAsItIsInJson) {
  // The deepest message is on level 2 + levels.
  const auto decode = [&](int levels, const std::string& deepest) {
    Message* message = &NestEvent("a_message", levels);
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName("a_message");
    for (int i = 0; i < levels; ++i) {
      message = message->GetReflection()->MutableMessage(message, field);
    }
    EXPECT_TRUE(TextFormat::ParseFromString(deepest, message));
    const absl::Status binary = codec_->DecodeCommandOfType(
        "Kinds", Kinds(*event_).SerializeAsString(), ContentType::kProtobuf, *command_);
    std::string json;
    codec_->EncodeMessage(Kinds(*event_), &json);
    EXPECT_EQ(binary.ok(), DecodeBoth(json).ok()) << binary;
    return binary.ok();
  };
  EXPECT_TRUE(decode(61, "many_int32: 1"));
  EXPECT_FALSE(decode(62, "many_int32: 1"));
  EXPECT_TRUE(decode(60, "many_message {}"));
  EXPECT_FALSE(decode(61, "many_message {}"));
  EXPECT_TRUE(decode(61, "int32_map { key: 'a' value: 1 }"));
  EXPECT_FALSE(decode(62, "int32_map { key: 'a' value: 1 }"));
  EXPECT_TRUE(decode(60, "message_map { key: 'a' value {} }"));
  EXPECT_FALSE(decode(61, "message_map { key: 'a' value {} }"));
}

TEST_F(KindsCodecTest, FindsAFieldThatItDoesNotKnowInProtobufAtAnyDepth) {
  for (const std::string place : {"a_message", "many_message", "message_map"}) {
    event_->Clear();
    Message& kinds = Kinds(*event_);
    const FieldDescriptor* field = kinds.GetDescriptor()->FindFieldByName(place);
    Message* part = field->is_repeated() ? kinds.GetReflection()->AddMessage(&kinds, field)
                                         : kinds.GetReflection()->MutableMessage(&kinds, field);
    if (field->is_map()) {
      part = part->GetReflection()->MutableMessage(part,
                                                   part->GetDescriptor()->FindFieldByName("value"));
    }
    ASSERT_TRUE(
        codec_->DecodeCommand(event_->SerializeAsString(), ContentType::kProtobuf, *command_).ok());
    part->GetReflection()->MutableUnknownFields(part)->AddVarint(999, 1);
    const absl::Status status =
        codec_->DecodeCommand(event_->SerializeAsString(), ContentType::kProtobuf, *command_);
    EXPECT_EQ(status.message(), "test.Kinds: unknown field number 999") << place;
  }
}

// Fills messages at random, with a taste for the ends of ranges.
class RandomFiller {
 public:
  explicit RandomFiller(unsigned seed) : random_(seed) {}

  void Fill(Message& message, int depth) {
    const auto* reflection = message.GetReflection();
    const auto* descriptor = message.GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      if (Below(3) == 0 || (depth == 0 && field->message_type() != nullptr)) continue;
      if (field->is_map()) {
        for (uint64_t n = Below(3); n > 0; --n) {
          Message* entry = reflection->AddMessage(&message, field);
          // Each key once: in binary the last of two wins, in JSON two are an error.
          entry->GetReflection()->SetString(entry, field->message_type()->map_key(),
                                            Text() + std::to_string(++keys_));
          Set(*entry, field->message_type()->map_value(), depth);
        }
      } else {
        for (uint64_t n = field->is_repeated() ? Below(3) : 1; n > 0; --n)
          Set(message, field, depth);
      }
    }
  }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  template <typename T>
  T Bits() {
    const uint64_t pick = random_();
    if (pick % 4 == 0) return 0;
    if (pick % 4 == 1) return std::numeric_limits<T>::max();
    if (pick % 4 == 2) return std::numeric_limits<T>::lowest();
    T value;
    const uint64_t bits = random_();
    std::memcpy(&value, &bits, sizeof(value));
    // A NaN's other bits have no form in JSON.
    return value == value ? value : std::numeric_limits<T>::quiet_NaN();
  }

  std::string Text() {
    std::string text;
    for (uint64_t n = Below(20); n > 0; --n) {
      static constexpr std::string_view kParts[] = {"a",  "Z",    " ",    "\"", "\\", "/",
                                                    "\n", "\x01", "\x7F", "ä",  "€",  "😀"};
      text += Below(12) == 0 ? std::string(1, '\0') : std::string(kParts[Below(std::size(kParts))]);
    }
    return text;
  }

  void Set(Message& m, const FieldDescriptor* f, int depth) {
    const auto* r = m.GetReflection();
    const bool many = f->is_repeated();
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return many ? r->AddInt32(&m, f, Bits<int32_t>()) : r->SetInt32(&m, f, Bits<int32_t>());
      case FieldDescriptor::CPPTYPE_INT64:
        return many ? r->AddInt64(&m, f, Bits<int64_t>()) : r->SetInt64(&m, f, Bits<int64_t>());
      case FieldDescriptor::CPPTYPE_UINT32:
        return many ? r->AddUInt32(&m, f, Bits<uint32_t>()) : r->SetUInt32(&m, f, Bits<uint32_t>());
      case FieldDescriptor::CPPTYPE_UINT64:
        return many ? r->AddUInt64(&m, f, Bits<uint64_t>()) : r->SetUInt64(&m, f, Bits<uint64_t>());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return many ? r->AddDouble(&m, f, Bits<double>()) : r->SetDouble(&m, f, Bits<double>());
      case FieldDescriptor::CPPTYPE_FLOAT:
        return many ? r->AddFloat(&m, f, Bits<float>()) : r->SetFloat(&m, f, Bits<float>());
      case FieldDescriptor::CPPTYPE_BOOL:
        return many ? r->AddBool(&m, f, Below(2) == 0) : r->SetBool(&m, f, Below(2) == 0);
      case FieldDescriptor::CPPTYPE_ENUM: {
        static constexpr int kValues[] = {0, 1, -7, 42, std::numeric_limits<int>::min()};
        const int value = kValues[Below(std::size(kValues))];
        return many ? r->AddEnumValue(&m, f, value) : r->SetEnumValue(&m, f, value);
      }
      case FieldDescriptor::CPPTYPE_STRING:
        return many ? r->AddString(&m, f, Text()) : r->SetString(&m, f, Text());
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(*(many ? r->AddMessage(&m, f) : r->MutableMessage(&m, f)), depth - 1);
    }
  }

  std::mt19937_64 random_;
  int keys_ = 0;
};

TEST_F(KindsCodecTest, WhatIsWrittenIsReadBackTheSame) {
  const unsigned seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomFiller filler(seed);
  for (int i = 0; i < 500; ++i) {
    event_->Clear();
    filler.Fill(Kinds(*event_), 2);
    const std::string json = Encode();
    const absl::Status status = Decode(json);
    ASSERT_TRUE(status.ok()) << status << "\n" << json;
    ASSERT_EQ(Codec::Fingerprint(*command_), Codec::Fingerprint(*event_)) << json;

    ASSERT_TRUE(
        codec_->DecodeCommand(event_->SerializeAsString(), ContentType::kProtobuf, *command_).ok());
    ASSERT_EQ(Codec::Fingerprint(*command_), Codec::Fingerprint(*event_)) << json;

    event_->Clear();
    Kinds(*event_).ParseFromString(Kinds(*command_).SerializeAsString());
    ASSERT_EQ(Encode(), json) << "the same event is the same text";
  }
}

// ---- What Create refuses ----

std::string CreateError(const std::string& proto,
                        std::vector<const google::protobuf::FileDescriptor*> imports = {}) {
  DynamicDomain domain(proto, std::move(imports));
  const auto codec = domain.MakeCodec();
  EXPECT_FALSE(codec.ok());
  return std::string(codec.status().message());
}

// A domain whose Command and Event hold a message `Kinds` with `fields`.
std::string WithKinds(const std::string& fields, const std::string& syntax = "proto3") {
  return "syntax: \"" + syntax + "\"" + kEnvelopes + "message_type { name: \"Kinds\" " + fields +
         "}";
}

TEST(CodecCreate, RefusesTypesWithASpecialJsonForm) {
  const std::vector<std::pair<const google::protobuf::Descriptor*, std::string>> cases = {
      {google::protobuf::Any::descriptor(), "google.protobuf.Any"},
      {google::protobuf::Timestamp::descriptor(), "google.protobuf.Timestamp"},
      {google::protobuf::Duration::descriptor(), "google.protobuf.Duration"},
      {google::protobuf::StringValue::descriptor(), "google.protobuf.StringValue"},
  };
  for (const auto& [type, name] : cases) {
    EXPECT_THAT(
        CreateError(
            WithKinds("field { name: 'odd' number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE "
                      "type_name: '." +
                      name + "' }"),
            {type->file()}),
        AllOf(HasSubstr(name), HasSubstr("test.Kinds.odd"), HasSubstr("test.Command.kinds")));
  }
}

TEST(CodecCreate, RefusesAMapWithOtherKeysThanStrings) {
  EXPECT_THAT(CreateError(WithKinds(R"(
      field { name: "odd" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".test.Kinds.OddEntry" }
      nested_type { name: "OddEntry" options { map_entry: true }
        field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
        field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 } })")),
              AllOf(HasSubstr("test.Kinds.odd"), HasSubstr("key must be a string")));
}

TEST(CodecCreate, RefusesProto2AndItsGroups) {
  EXPECT_THAT(CreateError(WithKinds("", "proto2")), HasSubstr("not proto3"));
  EXPECT_THAT(CreateError(WithKinds(R"(
      field { name: "odd" number: 1 label: LABEL_OPTIONAL type: TYPE_GROUP type_name: ".test.Kinds.Odd" }
      nested_type { name: "Odd" })",
                                    "proto2")),
              AllOf(HasSubstr("test.Kinds.odd"), HasSubstr("group")));
}

TEST(CodecCreate, RefusesAStateThatHasNoJsonForm) {
  std::string proto = WithKinds("");
  const std::string empty = R"(message_type { name: "State" })";
  proto.replace(proto.find(empty), empty.size(), R"(message_type { name: "State"
      field { name: "odd" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" } })");
  EXPECT_THAT(CreateError(proto, {google::protobuf::Any::descriptor()->file()}),
              HasSubstr("test.State.odd"));
}

TEST(CodecCreate, RefusesACommandThatIsNotOneOneofOfMessages) {
  const auto error_for = [](const std::string& command) {
    return CreateError(
        R"(syntax: "proto3" message_type { name: "Part" } message_type { name: "State" }
        message_type { name: "Inner" nested_type { name: "Part" } }
        message_type { name: "Event" oneof_decl { name: "event" }
          field { name: "part" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".test.Part"
                  oneof_index: 0 } }
        message_type { name: "Command" )" +
        command + "}");
  };
  const std::string part = "label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: '.test.Part' ";
  EXPECT_EQ(error_for(""), "test.Command must consist of exactly one oneof of messages");
  EXPECT_EQ(error_for("field { name: 'a' number: 1 " + part + "}"),
            "test.Command must consist of exactly one oneof of messages");
  EXPECT_EQ(error_for("oneof_decl { name: 'x' } field { name: 'a' number: 1 oneof_index: 0 " +
                      part + "} field { name: 'b' number: 2 " + part + "}"),
            "test.Command must consist of exactly one oneof of messages");
  EXPECT_EQ(error_for("oneof_decl { name: 'x' } oneof_decl { name: 'y' } field { name: 'a' number: "
                      "1 oneof_index: 0 " +
                      part + "} field { name: 'b' number: 2 oneof_index: 1 " + part + "}"),
            "test.Command must consist of exactly one oneof of messages");
  EXPECT_EQ(error_for("oneof_decl { name: 'x' } field { name: 'a' number: 1 oneof_index: 0 label: "
                      "LABEL_OPTIONAL "
                      "type: TYPE_STRING }"),
            "test.Command.a must be a message: test.Command is a oneof of messages");
  EXPECT_EQ(
      error_for(
          "oneof_decl { name: 'x' } field { name: 'a' number: 1 oneof_index: 0 " + part +
          "} field { name: 'b' number: 2 oneof_index: 0 label: LABEL_OPTIONAL type: TYPE_MESSAGE "
          "type_name: '.test.Inner.Part' }"),
      "test.Command.b: another message of the oneof is named Part too");
}

}  // namespace
}  // namespace esd
