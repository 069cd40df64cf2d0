#include "cmd/esd/command_line.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "cmd/esd/client/commands.h"
#include "cmd/esd/commands.h"
#include "engine/base/metrics.h"

namespace esd::cmd {
namespace {

constexpr size_t kHelpWidth = 80;

// Breaks text at spaces, each line with `indent` before it.
std::string Wrap(const std::string& text, const std::string& indent) {
  std::string wrapped;
  std::string line = indent;
  for (const std::string& word : std::vector<std::string>(absl::StrSplit(text, ' '))) {
    if (line.size() > indent.size() && line.size() + 1 + word.size() > kHelpWidth) {
      absl::StrAppend(&wrapped, line, "\n");
      line = indent;
    }
    if (line.size() > indent.size()) line.push_back(' ');
    line += word;
  }
  return absl::StrCat(wrapped, line, "\n");
}

// An option on a line of its own, what it does below: CLI11's two columns don't wrap.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string title =
        absl::StrCat("  ", is_positional ? option->get_name(true) : option->get_name(false, true));
    if (!is_positional && !option->get_type_name().empty())
      absl::StrAppend(&title, " ", option->get_type_name());
    return absl::StrCat(title, "\n", Wrap(option->get_description(), "      "));
  }
};

// The innermost command that the arguments name, for the hint after an error.
const CLI::App& NamedCommand(const CLI::App& root, const std::vector<std::string>& args) {
  const CLI::App* app = &root;
  for (const std::string& arg : args) {
    const auto named = [&](const CLI::App* sub) { return sub->get_name() == arg; };
    if (const auto found = app->get_subcommands(named); !found.empty()) app = found.front();
  }
  return *app;
}

// A group of commands: does nothing by itself.
CLI::App& AddGroup(CLI::App& parent, const char* name, const char* description) {
  CLI::App* group = parent.add_subcommand(name, description);
  group->require_subcommand(1);
  return *group;
}

// What talks to a running engine.
void AddClientCommands(CLI::App& root, const Process& process, std::vector<Command>& commands) {
  CLI::App& command = AddGroup(root, "command", "Send commands.");
  commands.push_back(AddCommandSend(command, process));
  CLI::App& aggregate = AddGroup(root, "aggregate", "Look at aggregates.");
  commands.push_back(AddAggregateGet(aggregate, process));
  commands.push_back(AddAggregateList(aggregate, process));
  commands.push_back(AddAggregateHistory(aggregate, process));
  CLI::App& events = AddGroup(root, "events", "Watch events.");
  commands.push_back(AddEventsTail(events, process));
  commands.push_back(AddPartitions(root, process));
  commands.push_back(AddInstances(root, process));
  CLI::App& dead_letters =
      AddGroup(root, "dead-letters", "Look at commands that could not be processed.");
  commands.push_back(AddDeadLettersList(dead_letters, process));
  commands.push_back(AddDeadLettersReplay(dead_letters, process));
  CLI::App& snapshot = AddGroup(root, "snapshot", "Check what is stored.");
  commands.push_back(AddSnapshotVerify(snapshot, process));
  commands.push_back(AddHealth(root, process));
}

std::vector<Command> AddCommands(CLI::App& root, const Process& process) {
  std::vector<Command> commands;
  commands.push_back(AddServe(root, process));
  commands.push_back(AddDev(root, process));
  commands.push_back(
      AddTopicsCreate(AddGroup(root, "topics", "Make the topics of domains."), process));
  commands.push_back(AddConfigShow(AddGroup(root, "config", "Look at the settings."), process));
  AddClientCommands(root, process, commands);
  commands.push_back(AddVersion(root, process));
  commands.push_back(AddCompletion(root, process));
  commands.push_back(AddMan(root, process));
  return commands;
}

// What is wrong when the arguments end in a group of commands: CLI11 only says that one is
// required.
std::string NoCommand(const CLI::App& group, const std::vector<std::string>& args) {
  const auto own_name = std::find(args.begin(), args.end(), group.get_name());
  const auto next = own_name == args.end() ? args.begin() : own_name + 1;
  if (next == args.end()) return "say which command to run";
  return absl::StrCat(next->rfind("-", 0) == 0 ? "there is no flag '" : "there is no command '",
                      *next, "'");
}

int ReportParseError(const CLI::App& root, const CLI::ParseError& error,
                     const std::vector<std::string>& args, const Process& process) {
  // --help and --version end the parsing with an "error" that is none.
  if (error.get_exit_code() == 0) {
    root.exit(error, process.out, process.err);
    return kExitOk;
  }
  const CLI::App& app = NamedCommand(root, args);
  const bool is_group = !app.get_subcommands([](const CLI::App*) { return true; }).empty();
  return UsageError(process, app,
                    absl::InvalidArgumentError(is_group ? NoCommand(app, args) : error.what()));
}

}  // namespace

int Run(std::vector<std::string> args, const Process& process) {
  CLI::App root("Event-sourced aggregates on Kafka, exactly once.", "esd");
  root.formatter(std::make_shared<HelpFormatter>());
  root.set_help_flag("-h,--help", "Show this help.");
  root.set_version_flag("--version", absl::StrCat("esd ", std::string(BuildVersion())),
                        "Show the version.");
  root.require_subcommand(1);
  root.footer(
      "Every option of a command can also stand in a variable (--group in ESD_GROUP) or in\n"
      "the --config file (group = \"esd\"). Flags win over variables, variables over the file.\n"
      "Data goes to stdout, all else to stderr. Exit code: 0 done, 1 failed, 2 wrong usage.");
  const std::vector<Command> commands = AddCommands(root, process);
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 wants them
    root.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return ReportParseError(root, error, args, process);
  }
  const auto chosen = std::find_if(commands.begin(), commands.end(),
                                   [](const Command& c) { return c.app->parsed(); });
  const int code = chosen->run();
  process.out.flush();
  if (code == kExitOk && !process.out)
    return Failure(process, absl::DataLossError("can't write to stdout"));
  return code;
}

}  // namespace esd::cmd
