#include "engine/aggregate/codec.h"

#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/dynamic_message.h>
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

#include "engine/base/json_string.h"
#include "security/v1/security.pb.h"

namespace esd {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::FileDescriptorProto;
using ::google::protobuf::Message;
using ::google::protobuf::TextFormat;
using ::google::protobuf::util::MessageDifferencer;
using ::security::v1::Command;
using ::security::v1::Event;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A domain that is only its types.
class TypesOnly final : public AggregateType {
 public:
  TypesOnly(const Message& command, const Message& event, const Message& state)
      : command_(command), event_(event), state_(state) {}

  const std::string& name() const override { return name_; }
  const Message& command_prototype() const override { return command_; }
  const Message& event_prototype() const override { return event_; }
  const Message& state_prototype() const override { return state_; }
  std::string_view KeyOf(const Message&) const override { return {}; }
  absl::StatusOr<std::vector<std::unique_ptr<Message>>> Decide(
      const Message*, const Message&, const DecideContext&) const override {
    return absl::UnimplementedError("types only");
  }
  void Evolve(Message&, const Message&) const override {}

 private:
  const std::string name_ = "types";
  const Message& command_;
  const Message& event_;
  const Message& state_;
};

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
  codec_->EncodeState(user, &json);
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

// ---- Names and fingerprints ----

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

// A domain made at run time, so that its .proto file stands here.
class DynamicDomain {
 public:
  // `messages` is the text form of FileDescriptorProto fields; Command, Event and State are among
  // them.
  explicit DynamicDomain(const std::string& fields,
                         std::vector<const google::protobuf::FileDescriptor*> imports = {}) {
    FileDescriptorProto file;
    EXPECT_TRUE(TextFormat::ParseFromString(fields, &file));
    file.set_name("domain.proto");
    file.set_package("test");
    for (const auto* import : imports) {
      FileDescriptorProto copy;
      import->CopyTo(&copy);
      EXPECT_NE(pool_.BuildFile(copy), nullptr);
      file.add_dependency(import->name());
    }
    EXPECT_NE(pool_.BuildFile(file), nullptr) << file.DebugString();
  }

  const Message& Prototype(const std::string& name) {
    return *factory_.GetPrototype(pool_.FindMessageTypeByName("test." + name));
  }

  absl::StatusOr<std::unique_ptr<Codec>> MakeCodec() {
    return Codec::Create(TypesOnly(Prototype("Command"), Prototype("Event"), Prototype("State")));
  }

 private:
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
};

constexpr char kEnvelopes[] = R"(
  message_type { name: "Command" oneof_decl { name: "command" }
    field { name: "kinds" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".test.Kinds" oneof_index: 0 } }
  message_type { name: "Event" oneof_decl { name: "event" }
    field { name: "kinds" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".test.Kinds" oneof_index: 0 } }
  message_type { name: "State" }
)";

struct Kind {
  const char* name;
  const char* type;
  const char* type_name = nullptr;
};

constexpr Kind kKinds[] = {
    {"int32", "TYPE_INT32"},
    {"sint32", "TYPE_SINT32"},
    {"sfixed32", "TYPE_SFIXED32"},
    {"int64", "TYPE_INT64"},
    {"sint64", "TYPE_SINT64"},
    {"sfixed64", "TYPE_SFIXED64"},
    {"uint32", "TYPE_UINT32"},
    {"fixed32", "TYPE_FIXED32"},
    {"uint64", "TYPE_UINT64"},
    {"fixed64", "TYPE_FIXED64"},
    {"double", "TYPE_DOUBLE"},
    {"float", "TYPE_FLOAT"},
    {"bool", "TYPE_BOOL"},
    {"string", "TYPE_STRING"},
    {"bytes", "TYPE_BYTES"},
    {"enum", "TYPE_ENUM", "Color"},
    {"message", "TYPE_MESSAGE", "Kinds"},
};

// For each kind of value a field, an optional one, a repeated one and a map; and a oneof of two.
std::string KindsProto() {
  std::string fields;
  std::string entries;
  std::string oneofs = R"(oneof_decl { name: "choice" })";
  int number = 0;
  int oneof_index = 0;
  const auto type = [](const Kind& kind) {
    std::string text = std::string(" type: ") + kind.type;
    if (kind.type_name != nullptr)
      text += " type_name: \".test." + std::string(kind.type_name) + "\"";
    return text;
  };
  const auto add = [&](const std::string& name, const std::string& rest) {
    fields += "field { name: \"" + name + "\" number: " + std::to_string(++number) + rest + " }\n";
  };
  for (const Kind& kind : kKinds) {
    const std::string name = kind.name;
    const std::string entry = static_cast<char>(name[0] - 'a' + 'A') + name.substr(1) + "MapEntry";
    add("a_" + name, " label: LABEL_OPTIONAL" + type(kind));
    add("opt_" + name, " label: LABEL_OPTIONAL proto3_optional: true oneof_index: " +
                           std::to_string(++oneof_index) + type(kind));
    oneofs += " oneof_decl { name: \"_opt_" + name + "\" }";
    add("many_" + name, " label: LABEL_REPEATED" + type(kind));
    add(name + "_map",
        " label: LABEL_REPEATED type: TYPE_MESSAGE type_name: \".test.Kinds." + entry + "\"");
    entries += "nested_type { name: \"" + entry +
               R"(" options { map_entry: true }
                  field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
                  field { name: "value" number: 2 label: LABEL_OPTIONAL)" +
               type(kind) + " } }\n";
  }
  add("this_one", " label: LABEL_OPTIONAL type: TYPE_INT32 oneof_index: 0");
  add("that_one",
      " label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: \".test.Kinds\" oneof_index: 0");
  return std::string("syntax: \"proto3\"") + kEnvelopes +
         R"(enum_type { name: "Color" value { name: "NONE" number: 0 } value { name: "RED" number: 1 }
                        value { name: "DARK" number: -7 } }
            message_type { name: "Kinds" )" +
         fields + entries + oneofs + "}";
}

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

TEST_F(KindsCodecTest, ReadsMessagesInMessagesTo64Levels) {
  // The envelope and the command are two levels.
  EXPECT_TRUE(Decode(Repeat(R"({"aMessage":)", 62) + "{}" + Repeat("}", 62)).ok());
  EXPECT_EQ(Read(Repeat(R"({"aMessage":)", 64) + "{}" + Repeat("}", 64)),
            "nested deeper than 64 levels");
}

TEST_F(KindsCodecTest, ReadsProtobufMessagesInMessagesTo64Levels) {
  const auto decode_levels = [&](int levels) {
    event_->Clear();
    Message* message = &Kinds(*event_);
    for (int i = 0; i < levels; ++i) {
      message = message->GetReflection()->MutableMessage(
          message, message->GetDescriptor()->FindFieldByName("a_message"));
    }
    return codec_->DecodeCommand(event_->SerializeAsString(), ContentType::kProtobuf, *command_);
  };
  EXPECT_TRUE(decode_levels(62).ok());
  EXPECT_EQ(ReasonOf(decode_levels(64)), "MALFORMED_PROTOBUF");
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
