#include "engine/aggregate/aggregate_type.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "security/v1/security.pb.h"

namespace esd {
namespace {

using ::security::v1::Command;
using ::security::v1::Event;
using ::security::v1::User;

// A domain that takes every registration and says no to everything else.
struct Greeter {
  using Command = ::security::v1::Command;
  using Event = ::security::v1::Event;
  using State = ::security::v1::User;

  static std::string_view KeyOf(const Command& command) { return command.register_user().email(); }

  static absl::StatusOr<std::vector<Event>> Decide(const State* state, const Command& command,
                                                   const DecideContext& context) {
    if (!command.has_register_user()) return Reject(absl::StatusCode::kNotFound, "NO_GUEST", "No.");
    std::vector<Event> events(2);
    events[0].mutable_user_registered()->set_name(state == nullptr ? "none" : state->name());
    events[1].mutable_user_registered()->set_version(context.next_version.value());
    return events;
  }

  static void Evolve(State& state, const Event& event) {
    state.set_name(event.user_registered().name());
  }
};
static_assert(Domain<Greeter>);

TEST(Reject, CarriesCodeReasonAndMessage) {
  const absl::Status status =
      Reject(absl::StatusCode::kNotFound, "USER_NOT_FOUND", "There is no such user.");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "There is no such user.");
  EXPECT_EQ(ReasonOf(status), "USER_NOT_FOUND");
}

TEST(Reject, KeepsTheReasonInACopy) {
  const absl::StatusOr<int> wrapped = Reject(absl::StatusCode::kAborted, "CONFLICT", "");
  const absl::Status copy = wrapped.status();
  EXPECT_EQ(ReasonOf(copy), "CONFLICT");
}

TEST(Reject, IsNeverOk) {
  const absl::Status status =
      Reject(absl::StatusCode::kOk, "ODD", "A domain that rejects with OK.");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ReasonOf(status), "ODD");
}

TEST(ReasonOf, IsTheCodesNameForAStatusWithoutReason) {
  EXPECT_EQ(ReasonOf(absl::NotFoundError("x")), "NOT_FOUND");
  EXPECT_EQ(ReasonOf(absl::OkStatus()), "OK");
}

TEST(CodeName, IsTheNameThatGrpcUses) {
  for (int code = 0; code <= 16; ++code) {
    EXPECT_EQ(CodeName(static_cast<absl::StatusCode>(code)),
              absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
  }
  EXPECT_EQ(CodeName(absl::StatusCode::kUnauthenticated), "UNAUTHENTICATED");
}

TEST(CodeName, IsUnknownForACodeThatDoesNotExist) {
  EXPECT_EQ(CodeName(static_cast<absl::StatusCode>(4711)), "UNKNOWN");
}

TEST(MakeAggregateType, MakesMessagesOfTheDomainsTypes) {
  const auto type = MakeAggregateType<Greeter>("greeter");
  EXPECT_EQ(type->name(), "greeter");
  EXPECT_EQ(type->command_prototype().GetDescriptor(), Command::descriptor());
  EXPECT_EQ(type->event_prototype().GetDescriptor(), Event::descriptor());
  EXPECT_EQ(type->state_prototype().GetDescriptor(), User::descriptor());
}

TEST(MakeAggregateType, PassesStateCommandAndContextToTheDomain) {
  const auto type = MakeAggregateType<Greeter>("greeter");
  User user;
  user.set_name("Ada");
  Command command;
  command.mutable_register_user()->set_email("ada@example.org");
  EXPECT_EQ(type->KeyOf(command), "ada@example.org");

  const auto events =
      type->Decide(&user, command, {.now = absl::UnixEpoch(), .next_version = Version{7}});
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ(static_cast<const Event&>(*events->at(0)).user_registered().name(), "Ada");
  EXPECT_EQ(static_cast<const Event&>(*events->at(1)).user_registered().version(), 7);
}

TEST(MakeAggregateType, PassesNoStateAsNull) {
  const auto type = MakeAggregateType<Greeter>("greeter");
  Command command;
  command.mutable_register_user();
  const auto events = type->Decide(nullptr, command, {});
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(static_cast<const Event&>(*events->at(0)).user_registered().name(), "none");
}

TEST(MakeAggregateType, PassesARejectionOn) {
  const auto type = MakeAggregateType<Greeter>("greeter");
  const auto events = type->Decide(nullptr, Command(), {});
  EXPECT_EQ(events.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(events.status()), "NO_GUEST");
}

TEST(MakeAggregateType, EvolvesTheStateInPlace) {
  const auto type = MakeAggregateType<Greeter>("greeter");
  User user;
  Event event;
  event.mutable_user_registered()->set_name("Ada");
  type->Evolve(user, event);
  EXPECT_EQ(user.name(), "Ada");
}

}  // namespace
}  // namespace esd
