#include "domain/security/security.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace esd::security {
namespace {

using Command = Security::Command;
using Event = Security::Event;
using State = Security::State;

Command Register(std::string email, std::string name) {
  Command command;
  command.mutable_register_user()->set_email(std::move(email));
  command.mutable_register_user()->set_name(std::move(name));
  return command;
}

Command Rename(std::string email, std::string name) {
  Command command;
  command.mutable_change_user_name()->set_email(std::move(email));
  command.mutable_change_user_name()->set_new_name(std::move(name));
  return command;
}

std::string Repeat(std::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

// `Given(events).When(command)` and then what is expected of the answer.
class SecurityTest : public testing::Test {
 public:
  SecurityTest& Given(const Command& command) {
    When(command);
    EXPECT_TRUE(answer_.ok()) << answer_.status();
    for (const Event& event : answer_.value()) {
      if (!state_) state_.emplace();
      Security::Evolve(*state_, event);
      next_version_ = Next(next_version_);
    }
    return *this;
  }

  void When(const Command& command) {
    answer_ = Security::Decide(state_ ? &*state_ : nullptr, command,
                               {.now = absl::UnixEpoch(), .next_version = next_version_});
  }

  void ThenEvents(const std::vector<std::string>& expected) {
    ASSERT_TRUE(answer_.ok()) << answer_.status();
    std::vector<std::string> events;
    for (const Event& event : *answer_) events.push_back(event.ShortDebugString());
    EXPECT_EQ(events, expected);
  }

  void ThenRejected(absl::StatusCode code, std::string_view reason) {
    EXPECT_EQ(answer_.status().code(), code);
    EXPECT_EQ(ReasonOf(answer_.status()), reason);
    EXPECT_FALSE(answer_.status().message().empty());
  }

  bool Accepted() const { return answer_.ok(); }
  const State& state() const { return state_.value(); }

 private:
  std::optional<State> state_;
  Version next_version_{0};
  absl::StatusOr<std::vector<Event>> answer_;
};

TEST_F(SecurityTest, ARegistrationMakesTheFirstEvent) {
  When(Register("foo@bar.com", "Alex"));
  ThenEvents({R"(user_registered { email: "foo@bar.com" name: "Alex" })"});
}

TEST_F(SecurityTest, ASecondRegistrationIsRejected) {
  Given(Register("foo@bar.com", "Alex")).When(Register("foo@bar.com", "Kim"));
  ThenRejected(absl::StatusCode::kAlreadyExists, "USER_ALREADY_EXISTS");
}

TEST_F(SecurityTest, ARenameCarriesTheNextVersion) {
  Given(Register("foo@bar.com", "Alex"))
      .Given(Rename("foo@bar.com", "Kim"))
      .When(Rename("foo@bar.com", "Lou"));
  ThenEvents({R"(user_name_changed { email: "foo@bar.com" name: "Lou" version: 2 })"});
}

TEST_F(SecurityTest, ARenameOfAnUnknownUserIsRejected) {
  When(Rename("foo@bar.com", "Kim"));
  ThenRejected(absl::StatusCode::kNotFound, "USER_NOT_FOUND");
}

TEST_F(SecurityTest, ARenameToTheSameNameMakesNoEvent) {
  Given(Register("foo@bar.com", "Alex")).When(Rename("foo@bar.com", "Alex"));
  ThenEvents({});
}

TEST_F(SecurityTest, ARenameThatDiffersInCaseOnlyIsARename) {
  Given(Register("foo@bar.com", "Alex")).When(Rename("foo@bar.com", "alex"));
  ThenEvents({R"(user_name_changed { email: "foo@bar.com" name: "alex" version: 1 })"});
}

TEST_F(SecurityTest, AnEmptyNameIsRejected) {
  When(Register("foo@bar.com", ""));
  ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_NAME");
  Given(Register("foo@bar.com", "Alex")).When(Rename("foo@bar.com", ""));
  ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_NAME");
}

TEST_F(SecurityTest, ANamesLengthIsCountedInCodePoints) {
  for (std::string_view character : {"a", "ä", "€", "😀"}) {
    When(Register("foo@bar.com", Repeat(character, 256)));
    EXPECT_TRUE(Accepted()) << character;
    When(Register("foo@bar.com", Repeat(character, 257)));
    ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_NAME");
  }
  Given(Register("foo@bar.com", "Alex")).When(Rename("foo@bar.com", Repeat("ä", 257)));
  ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_NAME");
}

TEST_F(SecurityTest, ArgumentsAreCheckedBeforeTheState) {
  When(Rename("foo@bar.com", ""));
  ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_NAME");
  When(Rename("foo", "Kim"));
  ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_EMAIL");
  Given(Register("foo@bar.com", "Alex")).When(Register("foo@bar.com", ""));
  ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_NAME");
}

TEST_F(SecurityTest, AnUnusualButValidEmailIsAccepted) {
  const std::vector<std::string> emails = {"a@b",
                                           "foo+tag@bar.com",
                                           "o'hara@example.org",
                                           "user@[192.0.2.1]",
                                           "jürgen@münchen.de",
                                           "用户@例子.测试",
                                           Repeat("l", 64) + "@" + Repeat("d", 189)};
  for (const std::string& email : emails) {
    When(Register(email, "Alex"));
    EXPECT_TRUE(Accepted()) << email;
  }
}

TEST_F(SecurityTest, AMalformedEmailIsRejected) {
  const std::vector<std::string> emails = {"",
                                           "@",
                                           "foo",
                                           "foo@",
                                           "@bar.com",
                                           "foo@@bar.com",
                                           "foo@bar@com",
                                           "foo @bar.com",
                                           " foo@bar.com",
                                           "foo@bar.com ",
                                           "foo@bar\t.com",
                                           "foo@bar.com\n",
                                           "foo@\x7F",
                                           std::string("foo@b\0r", 7),
                                           Repeat("l", 64) + "@" + Repeat("d", 190)};
  for (const std::string& email : emails) {
    SCOPED_TRACE(email);
    When(Register(email, "Alex"));
    ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_EMAIL");
    When(Rename(email, "Alex"));
    ThenRejected(absl::StatusCode::kInvalidArgument, "INVALID_EMAIL");
  }
}

TEST_F(SecurityTest, ARejectionShowsNoPersonalData) {
  When(Register("secret-address", "secret-name"));
  const absl::Status status =
      Security::Decide(nullptr, Register("secret-address", "secret-name"), {}).status();
  EXPECT_THAT(std::string(status.message()), testing::Not(testing::HasSubstr("secret")));
}

TEST_F(SecurityTest, ACommandWithNothingInItIsRejected) {
  When(Command());
  ThenRejected(absl::StatusCode::kInvalidArgument, "NO_COMMAND");
}

TEST_F(SecurityTest, TheStateIsWhatTheEventsSay) {
  Given(Register("foo@bar.com", "Alex"));
  EXPECT_EQ(state().ShortDebugString(), R"(email: "foo@bar.com" name: "Alex")");
  Given(Rename("foo@bar.com", "Kim"));
  EXPECT_EQ(state().ShortDebugString(), R"(email: "foo@bar.com" name: "Kim")");
}

TEST_F(SecurityTest, AnEventWithNothingInItChangesNothing) {
  State state;
  state.set_name("Alex");
  Security::Evolve(state, Event());
  EXPECT_EQ(state.ShortDebugString(), R"(name: "Alex")");
}

TEST_F(SecurityTest, TheKeyIsTheCommandsEmail) {
  EXPECT_EQ(Security::KeyOf(Register("foo@bar.com", "Alex")), "foo@bar.com");
  EXPECT_EQ(Security::KeyOf(Rename("kim@bar.com", "Kim")), "kim@bar.com");
  EXPECT_EQ(Security::KeyOf(Command()), "");
}

TEST_F(SecurityTest, IsADomainOfTheEngine) {
  EXPECT_EQ(MakeAggregateType<Security>("security")->name(), "security");
}

}  // namespace
}  // namespace esd::security
