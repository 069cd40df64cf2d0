// The commands that talk to a running engine, each in a file of its name. Each function adds one to
// `parent`; `process` must outlive the result.
#ifndef ESD_CMD_ESD_CLIENT_COMMANDS_H_
#define ESD_CMD_ESD_CLIENT_COMMANDS_H_

#include <CLI/App.hpp>

#include "cmd/esd/command_line.h"

namespace esd::cmd {

Command AddCommandSend(CLI::App& parent, const Process& process);
Command AddAggregateGet(CLI::App& parent, const Process& process);
Command AddAggregateList(CLI::App& parent, const Process& process);
Command AddAggregateHistory(CLI::App& parent, const Process& process);
Command AddEventsTail(CLI::App& parent, const Process& process);
Command AddPartitions(CLI::App& parent, const Process& process);
Command AddInstances(CLI::App& parent, const Process& process);
Command AddDeadLettersList(CLI::App& parent, const Process& process);
Command AddDeadLettersReplay(CLI::App& parent, const Process& process);
Command AddSnapshotVerify(CLI::App& parent, const Process& process);
Command AddHealth(CLI::App& parent, const Process& process);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_COMMANDS_H_
