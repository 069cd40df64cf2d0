// The manual, made from the tree of commands, so that it can't fall behind it.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cmd/esd/client/session.h"
#include "cmd/esd/commands.h"
#include "cmd/esd/manual_writer.h"
#include "engine/base/metrics.h"

namespace esd::cmd {
namespace {

std::vector<const CLI::App*> SubcommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// The commands themselves, groups left out.
void CollectLeaves(const CLI::App& app, std::vector<const CLI::App*>& leaves) {
  const auto subcommands = SubcommandsOf(app);
  if (subcommands.empty()) leaves.push_back(&app);
  for (const CLI::App* sub : subcommands) CollectLeaves(*sub, leaves);
}

bool IsHelp(const CLI::Option& option) { return option.check_lname("help"); }

// `KEY`, `[JSON]`, `[PARTITION:OFFSET]...`
std::string UsageOf(const CLI::Option& positional) {
  std::string usage = positional.get_type_name();
  if (!positional.get_required()) usage = absl::StrCat("[", usage, "]");
  return positional.get_expected_max() > 1 ? absl::StrCat(usage, "...") : usage;
}

std::string SynopsisOf(const CLI::App& app) {
  std::string synopsis = absl::StrCat("esd ", PathOf(app), " [OPTIONS]");
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) absl::StrAppend(&synopsis, " ", UsageOf(*option));
  }
  return synopsis;
}

void WriteOption(const CLI::Option& option, ManualWriter& writer) {
  const std::string name = option.get_positional()
                               ? option.get_type_name()
                               : absl::StrReplaceAll(option.get_name(false, true), {{",", ", "}});
  writer.Item(name, option.get_positional() ? "" : option.get_type_name(),
              option.get_description());
}

// Footers are paragraphs and, indented, what can be typed.
void WriteFooter(const std::string& footer, ManualWriter& writer) {
  std::vector<std::string> code;
  std::string text;
  const auto end_block = [&] {
    if (!code.empty()) writer.Code(code);
    if (!text.empty()) writer.Paragraph(text);
    code.clear();
    text.clear();
  };
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(footer, '\n'))) {
    const bool is_code = absl::StartsWith(line, "  ");
    if (line.empty() || is_code != !code.empty()) end_block();
    if (is_code) {
      code.push_back(line.substr(2));
    } else if (!line.empty()) {
      absl::StrAppend(&text, text.empty() ? "" : " ", line);
    }
  }
  end_block();
}

void WriteCommand(const CLI::App& app, ManualWriter& writer) {
  writer.Subsection(SynopsisOf(app));
  writer.Paragraph(app.get_description());
  bool connects = false;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() == kConnectionGroup) {
      connects = true;
    } else if (!IsHelp(*option)) {
      WriteOption(*option, writer);
    }
  }
  if (connects) writer.Paragraph("It also takes the options of the connection, see below.");
  WriteFooter(app.get_footer(), writer);
}

// The options that many commands share; where their defaults differ, the most common one is shown.
void WriteConnection(const std::vector<const CLI::App*>& commands, ManualWriter& writer) {
  writer.Section("Connection");
  writer.Paragraph("Commands that talk to a running engine take these options, too.");
  std::vector<std::string> names;
  std::map<std::string, std::map<std::string, int>> texts;
  std::map<std::string, const CLI::Option*> options;
  for (const CLI::App* command : commands) {
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_group() != kConnectionGroup) continue;
      const std::string name = option->get_name(false, true);
      const std::string& text = option->get_description();
      if (texts[name].empty()) names.push_back(name);
      if (++texts[name][text] == 1 && options.count(name) == 0) options[name] = option;
      if (texts[name][text] > texts[name][options[name]->get_description()]) options[name] = option;
    }
  }
  for (const std::string& name : names) WriteOption(*options[name], writer);
}

void WriteSurroundings(ManualWriter& writer) {
  writer.Section("Environment");
  writer.Item("ESD_...", "",
              "Each option that shows such a name can also stand in that variable: `--group` in "
              "`ESD_GROUP`. Flags win over variables, variables over the file.");
  writer.Item("NO_COLOR", "",
              "When it is set and not empty, no colour is used. There is none either when stdout "
              "isn't a terminal, or `TERM` is dumb or not set.");
  writer.Item("XDG_STATE_HOME, HOME", "", "Where the default of `--data-dir` is.");
  writer.Section("Files");
  writer.Item("--config", "FILE",
              "Settings: lines like `group = \"esd\"`, the keys being the names of flags. One file "
              "may serve all commands.");
  writer.Item("~/.local/state/esd", "", "The data directory unless `--data-dir` names another.");
  writer.Section("Exit status");
  writer.Item("0", "", "It is done.");
  writer.Item("1", "", "It failed; stderr says why and what to do next.");
  writer.Item("2", "", "The command line, a variable or a file is wrong; nothing was tried.");
  writer.Item("130, 143", "",
              "Ctrl-C or SIGTERM ended it with a part of its work done; stderr says which. What is "
              "there to be ended so, as `events tail`, ends with 0.");
}

void WriteExamples(ManualWriter& writer) {
  writer.Section("Examples");
  writer.Paragraph("Register a user, rename her, and look at what came of it:");
  writer.Code(
      {"esd command send '{\"type\":\"RegisterUserCommand\","
       "\"command\":{\"name\":\"Alex\",\"email\":\"foo@bar.com\"}}'",
       "esd command send --type ChangeUserNameCommand "
       "'{\"email\":\"foo@bar.com\",\"newName\":\"Alexander\"}'",
       "esd aggregate history foo@bar.com"});
  writer.Paragraph(
      "Send a file of commands; each with an \"id\" has its effect once, however often "
      "the file is sent:");
  writer.Code({"esd command send - < commands.jsonl > results.txt"});
}

void WriteManual(const CLI::App& root, ManualWriter& writer) {
  std::vector<const CLI::App*> commands;
  CollectLeaves(root, commands);
  writer.Begin("esd", absl::StrCat("esd ", std::string(BuildVersion())));
  writer.Section("Name");
  writer.Paragraph("esd - event-sourced aggregates, exactly once");
  writer.Section("Synopsis");
  std::vector<std::string> synopses;
  for (const CLI::App* command : commands) synopses.push_back(SynopsisOf(*command));
  writer.Code(synopses);
  writer.Section("Description");
  writer.Paragraph(root.get_description());
  WriteFooter(root.get_footer(), writer);
  writer.Paragraph(
      "`esd` and each command take `-h` and `--help`; `esd --version` shows the version.");
  writer.Section("Commands");
  for (const CLI::App* command : commands) WriteCommand(*command, writer);
  WriteConnection(commands, writer);
  WriteSurroundings(writer);
  WriteExamples(writer);
  writer.Section("See also");
  writer.Paragraph("kcat(1), grpcurl, jq(1)");
}

}  // namespace

Command AddMan(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("man", "Print this manual, as a man page or Markdown.");
  app->footer(
      "Example:\n"
      "  esd man | man -l -\n"
      "  mkdir -p ~/.local/share/man/man1 && esd man > ~/.local/share/man/man1/esd.1\n"
      "  esd man --markdown");
  auto markdown = std::make_shared<bool>(false);
  app->add_flag("--markdown", *markdown, "Markdown instead of roff.");
  return {app, [root = &parent, markdown, &process] {
            RoffWriter roff(process.out);
            MarkdownWriter text(process.out);
            WriteManual(*root, *markdown ? static_cast<ManualWriter&>(text)
                                         : static_cast<ManualWriter&>(roff));
            return kExitOk;
          }};
}

}  // namespace esd::cmd
