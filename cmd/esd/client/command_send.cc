#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/batch_sender.h"
#include "cmd/esd/client/command_input.h"
#include "cmd/esd/client/command_lines.h"
#include "cmd/esd/client/command_result.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"

namespace esd::cmd {
namespace {

struct Arguments {
  std::string json;  // `-`, and nothing: lines on stdin
  std::string type;
  std::string id;
  std::optional<int64_t> expected_version;
  SendLinesOptions lines;

  bool FromStdin() const { return json.empty() || json == "-"; }
};

int SendOne(const Session& session, const Arguments& arguments) {
  auto command = ParseCommand(arguments.json, session.domain(), arguments.type);
  if (!command.ok()) return session.Usage(std::string(command.status().message()));
  if (!arguments.id.empty()) command->set_command_id(arguments.id);
  if (arguments.expected_version) command->set_expected_version(*arguments.expected_version);
  BatchSender sender(session.client());
  const CommandResult result = sender.Send({*command}).front();
  if (session.json()) {
    session.Line(absl::StrCat("{", ResultMembers(result), "}"));
  } else if (!result.error) {
    PrintAccepted(session, result.response);
  }
  return result.error ? session.Fail(*result.error) : kExitOk;
}

// What is wrong with the arguments taken together; empty when nothing is.
std::string Problem(const Arguments& arguments, const Process& process) {
  if (arguments.json.empty() && process.terminals.in)
    return "say which command to send, or give - and one per line on stdin";
  if (!arguments.FromStdin()) return "";
  if (!arguments.id.empty()) return "--id is for one command: give each line an \"id\"";
  if (arguments.expected_version)
    return "--expected-version is for one command: give each line an \"expectedVersion\"";
  return "";
}

void AddArguments(CLI::App& app, Arguments& arguments) {
  app.add_option("command", arguments.json,
                 "The command, as JSON. - and nothing: one per line, from stdin.")
      ->type_name("JSON");
  app.add_option("--type", arguments.type,
                 "Type of the command, as in RegisterUserCommand. JSON is then the command alone, "
                 "without \"type\" around it.")
      ->type_name("TYPE");
  app.add_option("--id", arguments.id,
                 "Id of the command: however often it is sent, it has its effect once.")
      ->type_name("ID");
  app.add_option("--expected-version", arguments.expected_version,
                 "Version that the aggregate must have. -1: it must have no event yet.")
      ->type_name("VERSION")
      ->check(AtLeast(-1));
  app.add_option("--batch-size", arguments.lines.batch_size,
                 "Lines that are sent at a time, 1 to 1000. 500 unless told.")
      ->type_name("N")
      ->check(InRange(1, 1'000));
  app.add_flag("--keep-going", arguments.lines.keep_going,
               "Go on with the next lines when one fails.");
}

}  // namespace

Command AddCommandSend(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("send", "Send commands, and show what became of each.");
  app->footer(
      "Example:\n"
      "  esd command send --id 1 \\\n"
      "      "
      "'{\"type\":\"RegisterUserCommand\",\"command\":{\"name\":\"Alex\",\"email\":\"foo@bar.com\"}"
      "}'\n"
      "  esd command send --type ChangeUserNameCommand --expected-version 0 \\\n"
      "      '{\"email\":\"foo@bar.com\",\"newName\":\"Alexander\"}'\n"
      "  esd command send --keep-going - < commands.jsonl\n"
      "\n"
      "A line has the form of the command topic and may have \"id\" and \"expectedVersion\" "
      "beside\n"
      "\"type\" and \"command\". Results come in the order of the lines. Without --keep-going it\n"
      "stops after the batch in which a line failed, and says where to go on; --batch-size 1 "
      "stops\n"
      "at that line. A command with an id is sent again, up to --timeout, when the connection\n"
      "breaks; what became of one without an id is then unknown, and reported so. Ctrl-C ends it\n"
      "with the results of what was answered, and says from which line to go on; exit code 130.");
  auto arguments = std::make_shared<Arguments>();
  AddArguments(*app, *arguments);
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne);
  return {app, [app, arguments, options, &process] {
            if (const std::string problem = Problem(*arguments, process); !problem.empty())
              return UsageError(process, *app, absl::InvalidArgumentError(problem));
            return options->Run([&](Session& session) {
              if (!arguments->FromStdin()) return SendOne(session, *arguments);
              arguments->lines.type = arguments->type;
              return SendLines(session, arguments->lines);
            });
          }};
}

}  // namespace esd::cmd
