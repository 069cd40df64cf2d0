#include <absl/strings/str_cat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/dead_letters.h"
#include "cmd/esd/client/message_json.h"
#include "engine/base/json_string.h"

namespace esd::cmd {
namespace {

struct Arguments {
  std::vector<std::string> positions;
  bool all = false;
  DeadLetterFilter filter;
};

std::string ToText(const Position& position) {
  return absl::StrCat(position.partition, ":", position.offset);
}

void Print(const Session& session, const Position& from,
           const esd::v1::ReplayDeadLetterResponse& to) {
  const Position now{to.partition(), to.offset()};
  if (session.json()) {
    session.Line(absl::StrCat("{\"deadLetter\":{\"partition\":", from.partition,
                              ",\"offset\":", from.offset, "},\"command\":", ToJson(to), "}"));
  } else {
    session.Line(absl::StrCat("replayed ", ToText(from), ": it is the command at ", ToText(now)));
  }
}

// All of them are found before the first is replayed: a replay may bring another dead letter.
std::optional<CallError> Find(const Session& session, const DeadLetterFilter& filter,
                              std::vector<Position>* positions) {
  return ForEachPage(session, filter, [&](const auto& page) {
    for (const esd::v1::DeadLetter& letter : page)
      positions->push_back({letter.partition(), letter.offset()});
    return true;
  });
}

int Replay(const Session& session, const Arguments& arguments) {
  std::vector<Position> positions;
  for (const std::string& text : arguments.positions) positions.push_back(*ParsePosition(text));
  if (arguments.all) {
    if (const auto error = Find(session, arguments.filter, &positions)) return session.Fail(*error);
    if (positions.empty()) session.Note("no dead letters");
  }
  size_t failed = 0;
  for (size_t i = 0; i < positions.size(); ++i) {
    const Position& position = positions[i];
    esd::v1::ReplayDeadLetterRequest request;
    request.set_domain(session.domain());
    request.set_partition(position.partition);
    request.set_offset(position.offset);
    esd::v1::ReplayDeadLetterResponse response;
    // Made again only where the server says that nothing was appended.
    const auto error = session.client().Try([&](grpc::ClientContext* context) {
      return session.client().admin().ReplayDeadLetter(context, request, &response);
    });
    if (!error) {
      Print(session, position, response);
      continue;
    }
    ++failed;
    session.Fail(absl::StrCat(ToText(position), ": ", session.client().Describe(*error)));
    if (error->reason.empty()) {
      return session.Fail(absl::StrCat("stopped: ", i + 1 - failed, " of ", positions.size(),
                                       " replayed; go on from ", ToText(position),
                                       " when the server is back"));
    }
  }
  if (failed == 0) return kExitOk;
  return session.Fail(absl::StrCat(failed, " of ", positions.size(),
                                   " could not be replayed, for the reasons above"));
}

}  // namespace

Command AddDeadLettersReplay(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand(
      "replay", "Put commands that could not be processed back into the command topic.");
  app->footer(
      "Example:\n"
      "  esd dead-letters replay 0:0 3:0\n"
      "  esd dead-letters replay --all --reason UNKNOWN_TYPE     # after an upgrade\n"
      "\n"
      "Each goes back as it was, with the same id; its outcome isn't waited for. The dead letter\n"
      "stays: one without an id that is replayed twice is processed twice.");
  auto arguments = std::make_shared<Arguments>();
  app->add_option("position", arguments->positions,
                  "Where the dead letter stands, as `esd dead-letters list` shows it.")
      ->type_name("PARTITION:OFFSET")
      ->check(IsPosition());
  app->add_flag("--all", arguments->all, "All that there are, or that the filters let pass.");
  AddFilterOptions(*app, arguments->filter);
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne);
  return {app, [app, arguments, options, &process] {
            const bool filtered =
                arguments->filter.partition.has_value() || !arguments->filter.reason.empty();
            if (arguments->all == !arguments->positions.empty() || (filtered && !arguments->all)) {
              return UsageError(process, *app,
                                absl::InvalidArgumentError(
                                    "give PARTITION:OFFSET of dead letters, or --all with or "
                                    "without --partition and --reason"));
            }
            return options->Run([&](Session& session) { return Replay(session, *arguments); });
          }};
}

}  // namespace esd::cmd
