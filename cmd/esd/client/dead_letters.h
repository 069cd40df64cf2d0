// Dead letters, page by page.
#ifndef ESD_CMD_ESD_CLIENT_DEAD_LETTERS_H_
#define ESD_CMD_ESD_CLIENT_DEAD_LETTERS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cmd/esd/client/session.h"

namespace esd::cmd {

struct DeadLetterFilter {
  std::optional<int32_t> partition;
  std::string reason;  // empty: any
};

// Hands out the session's domain's dead letters that pass, a page at a time, until there are no
// more or `take` returns false.
std::optional<CallError> ForEachPage(
    const Session& session, const DeadLetterFilter& filter,
    const std::function<bool(const std::vector<esd::v1::DeadLetter>&)>& take);

// Adds --partition and --reason to a command.
void AddFilterOptions(CLI::App& app, DeadLetterFilter& filter);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_DEAD_LETTERS_H_
