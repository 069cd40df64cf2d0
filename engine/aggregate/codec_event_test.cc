// Events as they are read again: by queries and watchers, and by whoever rebuilds a state.
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/aggregate/codec.h"
#include "engine/aggregate/codec_test.h"
#include "security/v1/security.pb.h"

namespace esd {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::security::v1::Command;
using ::security::v1::Event;
using ::testing::HasSubstr;

class EventCodecTest : public testing::Test {
 protected:
  EventCodecTest() {
    auto codec = Codec::Create(TypesOnly(Command::default_instance(), Event::default_instance(),
                                         ::security::v1::User::default_instance()));
    EXPECT_TRUE(codec.ok()) << codec.status();
    codec_ = *std::move(codec);
  }

  // The fields of the event that `json` was read as, or the error.
  std::string Read(std::string_view json) {
    const absl::Status status = codec_->DecodeEvent(json, event_);
    if (status.ok()) return event_.ShortDebugString();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    return ReasonOf(status) + ": " + std::string(status.message());
  }

  // The same with `fields` in the envelope of a UserRegisteredEvent.
  std::string ReadFields(const std::string& fields) {
    return Read(R"({"type":"UserRegisteredEvent","event":)" + fields + "}");
  }

  // `type event` as they stand in `json`, or the error.
  std::string Split(std::string_view json) {
    const auto parts = codec_->SplitEvent(json);
    if (parts.ok()) return std::string(parts->type) + " " + std::string(parts->json);
    EXPECT_EQ(parts.status().code(), absl::StatusCode::kInvalidArgument) << json;
    return ReasonOf(parts.status()) + ": " + std::string(parts.status().message());
  }

  std::unique_ptr<Codec> codec_;
  Event event_;
};

TEST_F(EventCodecTest, AnEventIsReadAsItWasWritten) {
  Event written;
  written.mutable_user_registered()->set_email("foo@bar.com");
  written.mutable_user_registered()->set_name(std::string("Ä\"\\\0\n😀", 10));
  written.mutable_user_registered()->set_version(9007199254740993);
  std::string json;
  codec_->EncodeEvent(written, &json);
  event_.mutable_user_name_changed()->set_name("what it held before");
  ASSERT_TRUE(codec_->DecodeEvent(json, event_).ok());
  EXPECT_TRUE(MessageDifferencer::Equals(event_, written)) << event_.ShortDebugString();
}

TEST_F(EventCodecTest, AFieldThatTheProtoFileNoLongerHasIsSkippedWhateverStandsInIt) {
  for (const std::string old :
       {R"("phone":"1")", R"("phone":null)", R"("phone":{"a":[1,{"b":{}}]})",
        R"("phone":1,"phone":2)", R"("":0)", R"("phone":{"name":"x"})"}) {
    EXPECT_EQ(ReadFields("{" + old + R"(,"name":"Alex"})"), R"(user_registered { name: "Alex" })")
        << old;
    EXPECT_EQ(ReadFields(R"({"name":"Alex",)" + old + "}"), R"(user_registered { name: "Alex" })")
        << old;
  }
}

TEST_F(EventCodecTest, WhatIsSkippedMustBeJsonAllTheSame) {
  for (const std::string old :
       {R"("phone":x)", R"("phone":"\ud800")", "\"phone\":\"\xFF\"", R"("phone":)", R"("\ud800":1)",
        R"("phone":18446744073709551616)", R"("phone":01)", "\"phone\":\"\x01\""}) {
    EXPECT_THAT(ReadFields("{" + old + "}"), testing::StartsWith("MALFORMED_JSON: ")) << old;
  }
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += R"({"phone":)";
  EXPECT_EQ(ReadFields(deep), "MALFORMED_JSON: nested deeper than 64 levels");
}

TEST_F(EventCodecTest, AllElseInAnEventIsReadAsStrictlyAsACommand) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"name":1})", "event.name: must be a string"},
      {R"({"name":"a","name":"a"})", "event.name: is given twice"},
      {R"({"version":"1"})",
       "event.version: must be an integer, without quotes, point or exponent"},
      {R"({"version":9223372036854775808})", "event.version: out of the range of its type"},
      {R"([])", "event: must be an object"},
      {R"(null)", "event: must be an object"},
      {R"({},"event":{})", "event: is given twice"},
      {R"({},"time":0)", R"(unknown key "time" beside "type" and "event")"},
      {R"({},"command":{})", R"(unknown key "command" beside "type" and "event")"},
  };
  for (const auto& [fields, message] : cases) {
    EXPECT_EQ(ReadFields(fields), "MALFORMED_JSON: " + message) << fields;
  }
  EXPECT_EQ(Read("[]"), R"(MALFORMED_JSON: must be an object with the keys "type" and "event")");
  EXPECT_EQ(Read(R"({"type":"UserRegisteredEvent"})"), "MALFORMED_JSON: event: is missing");
}

TEST_F(EventCodecTest, AnUnknownTypeOfEventIsNamedWithTheKnownOnes) {
  EXPECT_EQ(Read(R"({"type":"UserDeletedEvent","event":{}})"),
            R"(UNKNOWN_TYPE: unknown event type "UserDeletedEvent"; known: UserRegisteredEvent, )"
            "UserNameChangedEvent");
}

TEST_F(EventCodecTest, ASplitEventIsItsTypeAndItsTextAsItStands) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"type":"A","event":{"b":1}})", R"(A {"b":1})"},
      {R"({"event":{"b":1},"type":"A"})", R"(A {"b":1})"},
      {" {\n\"type\" : \"A\" ,\t\"event\" : { \"b\" : 1.50 } }\r\n", R"(A { "b" : 1.50 })"},
      {R"({"type":"A","event":{}})", "A {}"},
      {R"({"type":"","event":{}})", " {}"},
      {R"({"type":"A{\u007d","event":{}})",
       "MALFORMED_JSON: type: must be written without escapes"},
      {R"({"t\u0079pe":"A","\u0065vent":{}})", "A {}"},
      {R"({"type":"ä}","event":{"a":"}","b":"\"}","c":"\\","d":{"e":[[],{}]},"f":"\u0000"}})",
       R"(ä} {"a":"}","b":"\"}","c":"\\","d":{"e":[[],{}]},"f":"\u0000"})"},
      {R"({"event":{"type":"B","event":{"type":"C"}},"type":"A"})",
       R"(A {"type":"B","event":{"type":"C"}})"},
      {R"({"type":"A","event":{"a":-1e5,"b":null,"c":[true,false]}})",
       R"(A {"a":-1e5,"b":null,"c":[true,false]})"},
  };
  for (const auto& [json, parts] : cases) EXPECT_EQ(Split(json), parts) << json;
}

TEST_F(EventCodecTest, ASplitEventIsAViewOfTheValue) {
  const std::string json = R"({"type":"UserRegisteredEvent","event":{"name":"Alex"}})";
  const auto parts = codec_->SplitEvent(json);
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(parts->type.data(), json.data() + 9);
  EXPECT_EQ(parts->json.data(), json.data() + json.find("{\"name"));
}

TEST_F(EventCodecTest, WhatIsNoEnvelopeAroundAnObjectIsNotSplit) {
  using namespace std::string_literals;
  for (const std::string& json :
       {""s, "{}"s, "[]"s, "x"s, R"({"type":"A"})"s, R"({"event":{}})"s,
        R"({"type":"A","event":[]})"s, R"({"type":"A","event":1})"s,
        R"({"type":"A","event":"{}"})"s, R"({"type":1,"event":{}})"s,
        R"({"type":"A","event":{},"event":{}})"s, R"({"type":"A","event":{},"x":{}})"s,
        R"({"type":"A","event":{})"s, R"({"type":"A","event":{}}})"s,
        R"({"type":"A","event":{}} {})"s, R"({"type":"A","event":{"a":"\ud800"}})"s,
        "{\"type\":\"A\",\"event\":{\"a\":\"\xFF\"}}"s, "{\"type\":\"A\",\"event\":{}}\0"s}) {
    EXPECT_THAT(Split(json), HasSubstr("MALFORMED_JSON")) << json;
  }
}

TEST_F(EventCodecTest, ASplitEventOfTheEnginesOwnIsWhatWasEncoded) {
  Event event;
  event.mutable_user_name_changed()->set_name("a\"}\\");
  std::string envelope;
  codec_->EncodeEvent(event, &envelope);
  std::string message;
  codec_->EncodeMessage(event.user_name_changed(), &message);
  EXPECT_EQ(Split(envelope), "UserNameChangedEvent " + message);
}

}  // namespace
}  // namespace esd
