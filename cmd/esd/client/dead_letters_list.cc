#include <absl/strings/str_cat.h>

#include <memory>
#include <string>
#include <vector>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/dead_letters.h"
#include "cmd/esd/client/message_json.h"

namespace esd::cmd {
namespace {

struct Arguments {
  DeadLetterFilter filter;
  int64_t limit = 0;
};

std::vector<Cell> RowOf(const esd::v1::DeadLetter& letter) {
  return {
      absl::StrCat(letter.partition(), ":", letter.offset()),
      Rfc3339(letter.time().seconds(), letter.time().nanos()),
      letter.reason(),
      letter.has_key() ? letter.key() : "-",
      letter.source_partition() < 0
          ? "-"
          : absl::StrCat(letter.source_topic(), " ", letter.source_partition(), ":",
                         letter.source_offset()),
      letter.message(),
  };
}

int List(const Session& session, const Arguments& arguments) {
  Table table = session.MakeTable({"POSITION", "TIME", "REASON", "KEY", "SOURCE", "MESSAGE"});
  int64_t listed = 0;
  const auto error = ForEachPage(session, arguments.filter, [&](const auto& page) {
    for (const esd::v1::DeadLetter& letter : page) {
      if (arguments.limit > 0 && listed == arguments.limit) return false;
      ++listed;
      if (session.json()) {
        session.Line(ToJson(letter));
      } else {
        table.Add(RowOf(letter));
      }
    }
    table.Flush();
    return arguments.limit == 0 || listed < arguments.limit;
  });
  table.Flush();
  if (error) return session.Fail(*error);
  if (listed == 0) session.Note("no dead letters");
  return kExitOk;
}

}  // namespace

Command AddDeadLettersList(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("list", "List commands that could not be processed.");
  app->footer(
      "Example:\n"
      "  esd dead-letters list\n"
      "  esd dead-letters list --reason UNKNOWN_TYPE -o json | jq -r .value\n"
      "\n"
      "POSITION is where the dead letter stands, SOURCE where the command stood. JSON also has\n"
      "the command and its headers.");
  auto arguments = std::make_shared<Arguments>();
  AddFilterOptions(*app, arguments->filter);
  app->add_option("--limit", arguments->limit, "End after this many. All unless told.")
      ->type_name("N")
      ->check(AtLeast(1));
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne);
  return {app, [arguments, options] {
            return options->Run([&](Session& session) { return List(session, *arguments); });
          }};
}

}  // namespace esd::cmd
