#include "cmd/esd/client/arguments.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <limits>

#include "engine/base/string_view.h"

namespace esd::cmd {

ValueCheck InRange(int64_t low, int64_t high) {
  return [low, high](const std::string& text) -> std::string {
    int64_t number = 0;
    if (absl::SimpleAtoi(text, &number) && number >= low && number <= high) return "";
    const bool open = high == std::numeric_limits<int64_t>::max();
    return absl::StrCat("must be a whole number, ", low,
                        open ? " or more" : absl::StrCat(" to ", high), ", not '", text, "'");
  };
}

ValueCheck AtLeast(int64_t low) { return InRange(low, std::numeric_limits<int64_t>::max()); }

std::optional<Position> ParsePosition(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  Position position;
  if (!absl::SimpleAtoi(ToAbsl(text.substr(0, colon)), &position.partition) ||
      !absl::SimpleAtoi(ToAbsl(text.substr(colon + 1)), &position.offset) ||
      position.partition < 0 || position.offset < 0) {
    return std::nullopt;
  }
  return position;
}

ValueCheck IsPosition() {
  return [](const std::string& text) -> std::string {
    if (ParsePosition(text)) return "";
    return absl::StrCat("must be PARTITION:OFFSET, as in 3:17, not '", text, "'");
  };
}

}  // namespace esd::cmd
