#include "cmd/esd/client/command_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

namespace esd::cmd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Result = LineReader::Result;

class LineReaderTest : public testing::Test {
 protected:
  ~LineReaderTest() override {
    Close();
    close(pipe_[0]);
  }

  void Write(const std::string& text) {
    ASSERT_EQ(write(pipe_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void Close() {
    if (pipe_[1] >= 0) close(pipe_[1]);
    pipe_[1] = -1;
  }
  // `number:text` of all that is left, `number!` for what is too long.
  std::vector<std::string> Rest() {
    std::vector<std::string> lines;
    InputLine line;
    while (reader_.Next(true, &line) == Result::kLine) {
      lines.push_back(std::to_string(line.number) + (line.too_long ? "!" : ":" + line.text));
    }
    return lines;
  }

  static std::array<int, 2> MakePipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    return ends;
  }

  std::array<int, 2> pipe_ = MakePipe();
  LineReader reader_{pipe_[0], 10};
};

TEST_F(LineReaderTest, BlankLinesAreCountedAndSkippedAndTheLastOneNeedsNoEnd) {
  Write("a\n\n \t\r\nb\r\nc");
  Close();
  EXPECT_THAT(Rest(), ElementsAre("1:a", "4:b", "5:c"));
}

TEST_F(LineReaderTest, NothingIsTheEnd) {
  Close();
  EXPECT_THAT(Rest(), ElementsAre());
}

TEST_F(LineReaderTest, WithoutWaitingItTakesOnlyCompleteLines) {
  InputLine line;
  EXPECT_EQ(reader_.Next(false, &line), Result::kNotYet);
  Write("ab");
  EXPECT_EQ(reader_.Next(false, &line), Result::kNotYet);
  Write("c\nd");
  EXPECT_EQ(reader_.Next(false, &line), Result::kLine);
  EXPECT_EQ(line.text, "abc");
  EXPECT_EQ(reader_.Next(false, &line), Result::kNotYet);
  Close();
  EXPECT_EQ(reader_.Next(false, &line), Result::kLine);
  EXPECT_EQ(line.text, "d");
  EXPECT_EQ(reader_.Next(false, &line), Result::kEnd);
}

TEST_F(LineReaderTest, WaitingEndsWhenItIsToldToAndWhatIsThereIsStillRead) {
  const std::array<int, 2> end = MakePipe();
  LineReader reader(pipe_[0], 10, end[0]);
  Write("a\nb");
  InputLine line;
  std::thread ender([&] { EXPECT_EQ(write(end[1], "", 1), 1); });
  EXPECT_EQ(reader.Next(false, &line), Result::kLine);
  EXPECT_EQ(reader.Next(true, &line), Result::kNotYet);
  ender.join();
  EXPECT_EQ(reader.Next(true, &line), Result::kNotYet) << "it stays ended";
  for (const int fd : end) close(fd);
}

TEST_F(LineReaderTest, ALineThatIsTooLongIsReportedAndSkipped) {
  Write("1234567890\n12345678901\nb\n");
  Close();
  EXPECT_THAT(Rest(), ElementsAre("1:1234567890", "2!", "3:b"));
}

TEST_F(LineReaderTest, ALineWithoutAnEndIsNotKeptInMemory) {
  std::thread writer([this] {
    for (int i = 0; i < 100; ++i) Write(std::string(10'000, 'x'));
    Write("\nb\n");
    Close();
  });
  EXPECT_THAT(Rest(), ElementsAre("1!", "2:b"));
  writer.join();
}

TEST_F(LineReaderTest, AFailureIsNoEnd) {
  LineReader closed(-1, 10);
  InputLine line;
  EXPECT_EQ(closed.Next(true, &line), Result::kFailed);
  EXPECT_EQ(errno, EBADF);
}

TEST(ParseCommandTest, TheEnvelopeIsThatOfTheTopicWithIdAndExpectedVersionBesides) {
  const auto command = ParseCommand(
      R"( {"expectedVersion":-1,"command": {"email":"a@b.c", "n":[1.50,{}]} ,"id":"7","type":"T"} )",
      "security", "");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->domain(), "security");
  EXPECT_EQ(command->command_type(), "T");
  EXPECT_EQ(command->payload().json(), R"({"email":"a@b.c", "n":[1.50,{}]})") << "as written";
  EXPECT_EQ(command->command_id(), "7");
  EXPECT_EQ(command->expected_version(), -1);
}

TEST(ParseCommandTest, WithATypeAllIsTheCommand) {
  const auto command = ParseCommand(R"({"type":1})", "security", "T");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->command_type(), "T");
  EXPECT_EQ(command->payload().json(), R"({"type":1})");
  EXPECT_FALSE(command->has_expected_version());
}

TEST(ParseCommandTest, WhatIsBrokenIsNamed) {
  const std::vector<std::pair<const char*, const char*>> broken = {
      {"x", "isn't a JSON object"},
      {"[]", "isn't a JSON object"},
      {"{", "isn't"},
      {R"({"type":"T","command":{}} {})", "behind"},
      {R"({"type":"T"})", "\"command\" is missing"},
      {R"({"command":{}})", "\"type\" is missing"},
      {R"({"type":1,"command":{}})", "\"type\" must be a string"},
      {R"({"type":"T","command":1})", "\"command\" must be an object"},
      {R"({"type":"T","command":{},"id":1})", "\"id\" must be a string"},
      {R"({"type":"T","command":{},"expectedVersion":"1"})", "must be a whole number"},
      {R"({"type":"T","type":"U","command":{}})", "more than once"},
      {R"({"type":"T","command":{},"key":"k"})", "no member \"key\""},
      {"{\"type\":\"\xFF\",\"command\":{}}", "isn't UTF-8"},
  };
  for (const auto& [text, what] : broken) {
    const auto command = ParseCommand(text, "security", "");
    ASSERT_FALSE(command.ok()) << text;
    EXPECT_THAT(std::string(command.status().message()), HasSubstr(what)) << text;
  }
}

}  // namespace
}  // namespace esd::cmd
