#include "domain/security/security.h"

#include <absl/status/status.h>

#include <algorithm>
#include <cstddef>
#include <string>

namespace esd::security {
namespace {

using ::security::v1::ChangeUserNameCommand;
using ::security::v1::RegisterUserCommand;
using Command = Security::Command;
using Event = Security::Event;
using State = Security::State;

constexpr ptrdiff_t kMaxNameCodePoints = 256;
// RFC 5321, 4.5.3.1.3: a path is at most 256 octets, of which two are its angle brackets (RFC 3696,
// erratum 1690).
constexpr size_t kMaxEmailBytes = 254;

// `text` must be valid UTF-8, as all strings of a decoded command are.
ptrdiff_t CountCodePoints(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

absl::Status CheckName(std::string_view name) {
  if (name.empty()) {
    return Reject(absl::StatusCode::kInvalidArgument, "INVALID_NAME", "The name is empty.");
  }
  if (CountCodePoints(name) > kMaxNameCodePoints) {
    return Reject(absl::StatusCode::kInvalidArgument, "INVALID_NAME",
                  "The name has more than 256 characters.");
  }
  return absl::OkStatus();
}

bool IsSpaceOrControl(char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7F'; }

// Tells an address from a slip of the pen, not a deliverable one from another: only a mail can.
// Quoted local parts with a second @ (RFC 5321, 4.1.2) are left out on purpose, as in HTML's e-mail
// input. Other scripts are welcome (RFC 6531).
bool LooksLikeEmail(std::string_view email) {
  if (email.size() > kMaxEmailBytes) return false;
  if (std::any_of(email.begin(), email.end(), IsSpaceOrControl)) return false;
  const size_t at = email.find('@');
  if (at == std::string_view::npos || email.find('@', at + 1) != std::string_view::npos)
    return false;
  return at > 0 && at + 1 < email.size();
}

absl::Status CheckEmail(std::string_view email) {
  if (LooksLikeEmail(email)) return absl::OkStatus();
  return Reject(absl::StatusCode::kInvalidArgument, "INVALID_EMAIL",
                "The e-mail address must have the form local@domain, without white space, in at "
                "most 254 bytes.");
}

// A command that is wrong in itself is rejected for that, whatever the state: its sender can't tell
// otherwise.
absl::Status CheckArguments(std::string_view email, std::string_view name) {
  if (auto status = CheckEmail(email); !status.ok()) return status;
  return CheckName(name);
}

absl::StatusOr<std::vector<Event>> RegisterUser(const State* state,
                                                const RegisterUserCommand& command,
                                                const DecideContext& context) {
  if (auto status = CheckArguments(command.email(), command.name()); !status.ok()) return status;
  if (state != nullptr) {
    return Reject(absl::StatusCode::kAlreadyExists, "USER_ALREADY_EXISTS",
                  "The user is registered already.");
  }
  std::vector<Event> events(1);
  auto& registered = *events[0].mutable_user_registered();
  registered.set_email(command.email());
  registered.set_name(command.name());
  registered.set_version(context.next_version.value());
  return events;
}

absl::StatusOr<std::vector<Event>> ChangeUserName(const State* state,
                                                  const ChangeUserNameCommand& command,
                                                  const DecideContext& context) {
  if (auto status = CheckArguments(command.email(), command.new_name()); !status.ok())
    return status;
  if (state == nullptr) {
    return Reject(absl::StatusCode::kNotFound, "USER_NOT_FOUND", "The user is not registered.");
  }
  if (state->name() == command.new_name()) return std::vector<Event>();
  std::vector<Event> events(1);
  auto& changed = *events[0].mutable_user_name_changed();
  changed.set_email(state->email());
  changed.set_name(command.new_name());
  changed.set_version(context.next_version.value());
  return events;
}

}  // namespace

std::string_view Security::KeyOf(const Command& command) {
  switch (command.command_case()) {
    case Command::kRegisterUser:
      return command.register_user().email();
    case Command::kChangeUserName:
      return command.change_user_name().email();
    case Command::COMMAND_NOT_SET:
      break;
  }
  return {};
}

absl::StatusOr<std::vector<Event>> Security::Decide(const State* state, const Command& command,
                                                    const DecideContext& context) {
  switch (command.command_case()) {
    case Command::kRegisterUser:
      return RegisterUser(state, command.register_user(), context);
    case Command::kChangeUserName:
      return ChangeUserName(state, command.change_user_name(), context);
    case Command::COMMAND_NOT_SET:
      break;
  }
  return Reject(absl::StatusCode::kInvalidArgument, "NO_COMMAND", "The command is empty.");
}

void Security::Evolve(State& state, const Event& event) {
  switch (event.event_case()) {
    case Event::kUserRegistered:
      state.set_email(event.user_registered().email());
      state.set_name(event.user_registered().name());
      break;
    case Event::kUserNameChanged:
      state.set_name(event.user_name_changed().name());
      break;
    case Event::EVENT_NOT_SET:
      break;
  }
}

}  // namespace esd::security
