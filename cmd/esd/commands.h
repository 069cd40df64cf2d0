// The commands, each in a file of its name. Each function adds one to `parent`.
#ifndef ESD_CMD_ESD_COMMANDS_H_
#define ESD_CMD_ESD_COMMANDS_H_

#include <CLI/App.hpp>

#include "cmd/esd/command_line.h"

namespace esd::cmd {

// `process` must outlive the result.
Command AddServe(CLI::App& parent, const Process& process);
Command AddDev(CLI::App& parent, const Process& process);
Command AddTopicsCreate(CLI::App& parent, const Process& process);
Command AddConfigShow(CLI::App& parent, const Process& process);
Command AddVersion(CLI::App& parent, const Process& process);
Command AddCompletion(CLI::App& parent, const Process& process);
Command AddMan(CLI::App& parent, const Process& process);

// Adds `-o, --output text|json`; `json` becomes true for the latter.
void AddOutputOption(CLI::App& command, bool& json);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_COMMANDS_H_
