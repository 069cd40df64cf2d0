#include "engine/worker/reply.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/aggregate/aggregate_type.h"

namespace esd {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

Reply Parsed(const std::string& json) {
  const absl::StatusOr<Reply> reply = ParseReply(json);
  EXPECT_TRUE(reply.ok()) << reply.status() << " " << json;
  return reply.ok() ? *reply : Reply{};
}

TEST(ReplyTest, AnAcceptedReplyIsReadBackWithItsEventsAsTheyStand) {
  // Escapes, numbers beyond 2^53 and white space are the event's own business.
  const std::string first = R"({"name":"A\u00e9\"}]","n":12345678901234567890})";
  const std::string second = R"({ "deep" : [ { "x" : null } ] })";
  const Reply reply =
      Parsed(AcceptedReply("id \"1\" \\", Version{7},
                           {absl::StrCat(R"({"type":"FirstEvent","event":)", first, "}"),
                            absl::StrCat(R"({"type":"SecondEvent","event":)", second, "}")}));
  EXPECT_EQ(reply.command_id, "id \"1\" \\");
  EXPECT_TRUE(reply.accepted);
  EXPECT_EQ(reply.version, Version{7});
  ASSERT_THAT(reply.events, SizeIs(2));
  EXPECT_EQ(reply.events[0].type, "FirstEvent");
  EXPECT_EQ(reply.events[0].json, first);
  EXPECT_EQ(reply.events[1].type, "SecondEvent");
  EXPECT_EQ(reply.events[1].json, second);
}

TEST(ReplyTest, AReplyOfACommandThatChangedNothingHasNoEvents) {
  const Reply reply = Parsed(AcceptedReply("1:5", kNoVersion, {}));
  EXPECT_TRUE(reply.accepted);
  EXPECT_EQ(reply.version, kNoVersion);
  EXPECT_THAT(reply.events, IsEmpty());
}

TEST(ReplyTest, ARejectionIsReadBackWithEveryCode) {
  for (int code = 1; code <= 16; ++code) {
    const auto status_code = static_cast<absl::StatusCode>(code);
    const Reply reply =
        Parsed(RejectedReply("c", Reject(status_code, "SOME_REASON", "why\nand \xc3\xa9"),
                             code % 2 == 0 ? kNoVersion : Version{code}));
    EXPECT_FALSE(reply.accepted);
    EXPECT_EQ(reply.code, status_code);
    EXPECT_EQ(reply.reason, "SOME_REASON");
    EXPECT_EQ(reply.message, "why\nand \xc3\xa9");
    EXPECT_EQ(reply.version, code % 2 == 0 ? kNoVersion : Version{code});
  }
}

TEST(ReplyTest, WhatALaterVersionAddsIsSkipped) {
  const Reply reply = Parsed(R"({"new":{"a":[1]},"commandId":"c","status":"ACCEPTED","events":)"
                             R"([{"type":"T","more":[{}],"event":{}}],"last":1})");
  ASSERT_THAT(reply.events, SizeIs(1));
  EXPECT_EQ(reply.events[0].json, "{}");
}

TEST(ReplyTest, WhatIsNoReplyIsDataLoss) {
  const std::string accepted =
      AcceptedReply("c", Version{1}, {R"({"type":"T","event":{"a":"b"}})"});
  for (size_t length = 0; length < accepted.size(); ++length) {
    const auto reply = ParseReply(accepted.substr(0, length));
    EXPECT_TRUE(absl::IsDataLoss(reply.status())) << accepted.substr(0, length);
  }
  for (const std::string& json : {
           accepted + accepted,
           accepted + "x",
           std::string("null"),
           std::string("[]"),
           std::string("\"text\""),
           std::string(R"({"status":"ACCEPTED","events":[]})"),
           std::string(R"({"commandId":"c","events":[]})"),
           std::string(R"({"commandId":"c","status":"MAYBE","events":[]})"),
           std::string(R"({"commandId":"c","status":"ACCEPTED"})"),
           std::string(R"({"commandId":1,"status":"ACCEPTED","events":[]})"),
           std::string(R"({"commandId":"c","status":"ACCEPTED","events":{}})"),
           std::string(R"({"commandId":"c","status":"ACCEPTED","events":[1]})"),
           std::string(R"({"commandId":"c","status":"ACCEPTED","events":[{"type":"T"}]})"),
           std::string(R"({"commandId":"c","status":"ACCEPTED","events":[{"event":{}}]})"),
           std::string(R"({"commandId":"c","status":"ACCEPTED","events":[],"version":"1"})"),
           std::string(R"({"commandId":"c","status":"ACCEPTED","events":[],"version":-7})"),
           std::string(R"({"commandId":"c","status":"REJECTED","reason":"R","message":"m"})"),
           std::string(
               R"({"commandId":"c","status":"REJECTED","code":"NO","reason":"R","message":"m"})"),
           std::string(R"({"commandId":"c","status":"REJECTED","code":"ABORTED","message":"m"})"),
           std::string("{\"commandId\":\"\xff\",\"status\":\"ACCEPTED\",\"events\":[]}"),
           std::string(100'000, '['),
           R"({"commandId":"c","status":"ACCEPTED","events":[{"type":"T","event":{"a":)" +
               std::string(100'000, '['),
       }) {
    EXPECT_TRUE(absl::IsDataLoss(ParseReply(json).status())) << json.substr(0, 100);
  }
}

}  // namespace
}  // namespace esd
