#include "engine/base/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>
#include <string>

#include "engine/base/json_string.h"

namespace esd {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// What a log line for `message` looks like in JSON.
std::string LineFor(const std::string& message,
                    spdlog::level::level_enum level = spdlog::level::info) {
  std::ostringstream out;
  spdlog::logger logger("", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger.set_formatter(MakeJsonLogFormatter());
  logger.set_level(spdlog::level::trace);
  logger.log(level, "{}", message);
  return out.str();
}

// The `message` that a JSON parser finds in a line; fails the test unless it is one line of valid
// JSON.
std::string MessageIn(const std::string& line) {
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  simdjson::dom::parser parser;
  std::string_view message;
  const auto error = parser.parse(line).at_key("message").get(message);
  EXPECT_EQ(error, simdjson::SUCCESS) << line;
  return std::string(message);
}

TEST(JsonLogTest, ALineHasTimeInUtcWithMillisecondsLevelMessageAndThread) {
  EXPECT_THAT(
      LineFor("hello", spdlog::level::warn),
      MatchesRegex(R"(\{"time":"....-..-..T..:..:......Z","level":"warning","message":"hello",)"
                   R"("thread":[0-9]+\}.)"));
}

TEST(JsonLogTest, QuotesBackslashesAndNewlinesSurvive) {
  const std::string message = "say \"hi\" to C:\\temp\r\nand\tgo";
  EXPECT_EQ(MessageIn(LineFor(message)), message);
}

TEST(JsonLogTest, EveryByteBelow128Survives) {
  std::string message;
  for (char c = 1; c < 127; ++c) message.push_back(c);
  message.push_back('\0');
  message.push_back(127);
  EXPECT_EQ(MessageIn(LineFor(message)), message);
}

TEST(JsonLogTest, WellFormedUtf8Survives) {
  const std::string message = "Grüße €, 日本, 😀, \xF4\x8F\xBF\xBF";
  EXPECT_EQ(MessageIn(LineFor(message)), message);
}

TEST(JsonLogTest, MalformedUtf8IsReplacedAndTheRestKept) {
  const std::string replacement = "\xEF\xBF\xBD";
  EXPECT_EQ(MessageIn(LineFor("a\xFFz")), "a" + replacement + "z");
  EXPECT_EQ(MessageIn(LineFor("cut \xE2\x82")), "cut " + replacement + replacement);
  EXPECT_EQ(MessageIn(LineFor("overlong \xC0\xAF")), "overlong " + replacement + replacement);
  EXPECT_EQ(MessageIn(LineFor("surrogate \xED\xA0\x80")),
            "surrogate " + replacement + replacement + replacement);
  EXPECT_EQ(MessageIn(LineFor("\xF4\x90\x80\x80.")),
            replacement + replacement + replacement + replacement + ".");
}

TEST(JsonLogTest, AnyTwoBytesGiveValidJson) {
  simdjson::dom::parser parser;
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const char bytes[] = {static_cast<char>(first), static_cast<char>(second)};
      const std::string json = "{\"m\":" + JsonString({bytes, 2}) + "}";
      ASSERT_EQ(parser.parse(json).error(), simdjson::SUCCESS) << first << " " << second;
    }
  }
}

TEST(SetUpLoggingTest, AcceptsTheFiveLevelsAndNamesThemForAnyOther) {
  for (std::string_view level : kLogLevels) EXPECT_TRUE(SetUpLogging(level).ok()) << level;
  const absl::Status status = SetUpLogging("loud");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("trace, debug, info, warning, error"));
}

TEST(SetUpLoggingTest, MessagesBelowTheLevelAreNotWritten) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(SetUpLogging("warning", LogFormat::kJson).ok());
  spdlog::info("quiet");
  spdlog::error("loud");
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_EQ(MessageIn(written), "loud");
}

}  // namespace
}  // namespace esd
