// Checks of values on the command line, for CLI11: each returns what is wrong, or nothing.
#ifndef ESD_CMD_ESD_CLIENT_ARGUMENTS_H_
#define ESD_CMD_ESD_CLIENT_ARGUMENTS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace esd::cmd {

using ValueCheck = std::function<std::string(const std::string&)>;

// A whole number, `low` or more (and `high` or less).
ValueCheck AtLeast(int64_t low);
ValueCheck InRange(int64_t low, int64_t high);

// A record of a topic.
struct Position {
  int32_t partition = 0;
  int64_t offset = 0;
};

// `3:17`: partition 3, offset 17.
std::optional<Position> ParsePosition(std::string_view text);
ValueCheck IsPosition();

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_ARGUMENTS_H_
