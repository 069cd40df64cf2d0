// The command line as a whole: reads it and runs the command.
#ifndef ESD_CMD_ESD_COMMAND_LINE_H_
#define ESD_CMD_ESD_COMMAND_LINE_H_

#include <absl/status/status.h>

#include <CLI/App.hpp>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "cmd/esd/options.h"
#include "cmd/esd/serve_options.h"

namespace esd::cmd {

// Exit codes of the program.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage =
    2;  // the command line, a variable or a file is wrong; nothing was tried
// Plus the signal's number: it ended the command with a part of its work done.
inline constexpr int kExitSignal = 128;

// Which of the standard streams are terminals: only there are colour and progress shown.
struct Terminals {
  bool in = false;
  bool out = false;
  bool err = false;
};

// What a command meets in the world. Data goes to `out`, all else to `err`.
struct Process {
  std::ostream& out;
  std::ostream& err;
  GetEnv env;
  std::vector<std::string> built_in_domains;
  // Run the engine; return an exit code. Not called by any command but `serve` and `dev`.
  std::function<int(const ServeOptions&)> serve;
  std::function<int(const DevOptions&)> dev;
  int in = 0;  // file descriptor of what is read
  Terminals terminals = {};
};

// One command: it has added itself to the tree, and `run` does it.
struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

// `serve`, `topics create`, `config show`, …, as in `esd serve`; nothing for the program itself.
std::string PathOf(const CLI::App& app);

// Says on `process.err` what is wrong and where help is; returns kExitUsage.
int UsageError(const Process& process, const CLI::App& app, const absl::Status& status);

// Says on `process.err` what went wrong; returns kExitFailed.
int Failure(const Process& process, const absl::Status& status);

// Runs `esd ARGS…` (without the program's name) and returns its exit code.
int Run(std::vector<std::string> args, const Process& process);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_COMMAND_LINE_H_
