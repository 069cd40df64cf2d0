// What `esd dev --demo` shows: the two scenarios that a stream processor gets wrong which joins
// commands with a table of its own events.
#ifndef ESD_CMD_ESD_DEMO_H_
#define ESD_CMD_ESD_DEMO_H_

#include <absl/status/status.h>

#include <ostream>
#include <string>

namespace esd::cmd {

// What else somebody may try: a command of the domain that is shown, and its key.
inline constexpr char kDemoDomain[] = "security";
inline constexpr char kDemoCommand[] =
    R"({"type":"RegisterUserCommand","command":{"name":"Ada","email":"ada@bar.com"}})";
inline constexpr char kDemoCommandKey[] = "ada@bar.com";

// Sends the commands to the engine at `address` and prints the events as they come, and checks that
// each user's have the versions 0, 1, 2, … Bounded in time. ALREADY_EXISTS when the users are there
// from an earlier time; other errors say what was not as it should be.
absl::Status RunDemo(const std::string& address, std::ostream& out);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_DEMO_H_
