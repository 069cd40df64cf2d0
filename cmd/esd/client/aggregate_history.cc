#include <absl/strings/str_cat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"

namespace esd::cmd {
namespace {

constexpr int kPageSize = 1'000;

struct Arguments {
  std::string key;
  int64_t from_version = 0;
};

int History(const Session& session, const Arguments& arguments) {
  Table table = session.MakeTable({"VERSION", "TIME", "TYPE", "EVENT"});
  esd::v1::ListEventsRequest request;
  request.set_domain(session.domain());
  request.set_aggregate_key(arguments.key);
  request.set_from_version(arguments.from_version);
  request.set_page_size(kPageSize);
  do {
    esd::v1::ListEventsResponse page;
    const auto error = session.client().Try([&](grpc::ClientContext* context) {
      return session.client().queries().ListEvents(context, request, &page);
    });
    if (error) return session.Fail(*error);
    for (const esd::v1::Event& event : page.events()) {
      if (session.json()) {
        session.Line(ToJson(event));
      } else {
        table.Add({absl::StrCat(event.version()),
                   Rfc3339(event.time().seconds(), event.time().nanos()), event.type(),
                   event.payload().json()});
      }
    }
    table.Flush();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return kExitOk;
}

}  // namespace

Command AddAggregateHistory(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("history", "List the events of an aggregate.");
  app->footer(
      "Example:\n"
      "  esd aggregate history foo@bar.com\n"
      "  esd aggregate history foo@bar.com --from-version 3 -o json\n"
      "\n"
      "It comes from the owner's data directory, and needs --history on there.");
  auto arguments = std::make_shared<Arguments>();
  app->add_option("key", arguments->key, "Key of the aggregate.")->required()->type_name("KEY");
  app->add_option("--from-version", arguments->from_version,
                  "First version to list. 0, the first event, unless told.")
      ->type_name("VERSION")
      ->check(AtLeast(0));
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne);
  return {app, [arguments, options] {
            return options->Run([&](Session& session) { return History(session, *arguments); });
          }};
}

}  // namespace esd::cmd
