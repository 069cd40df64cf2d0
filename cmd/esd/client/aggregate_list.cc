#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"

namespace esd::cmd {
namespace {

constexpr int64_t kLargestPage = 1'000;

struct Arguments {
  std::string prefix;
  int64_t limit = 0;
};

int List(const Session& session, const Arguments& arguments) {
  Table table = session.MakeTable({"KEY", "VERSION", "STATE"});
  esd::v1::ListSnapshotsRequest request;
  request.set_domain(session.domain());
  request.set_key_prefix(arguments.prefix);
  int64_t listed = 0;
  do {
    const int64_t wanted = arguments.limit == 0 ? kLargestPage : arguments.limit - listed;
    request.set_page_size(static_cast<int32_t>(std::min(wanted, kLargestPage)));
    esd::v1::ListSnapshotsResponse page;
    const auto error = session.client().Try([&](grpc::ClientContext* context) {
      return session.client().queries().ListSnapshots(context, request, &page);
    });
    if (error) return session.Fail(*error);
    for (const esd::v1::Snapshot& snapshot : page.snapshots()) {
      if (session.json()) {
        session.Line(ToJson(snapshot));
      } else {
        table.Add(
            {snapshot.aggregate_key(), absl::StrCat(snapshot.version()), snapshot.state().json()});
      }
    }
    table.Flush();
    listed += page.snapshots_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && (arguments.limit == 0 || listed < arguments.limit));
  if (listed == 0) session.Note("no aggregates");
  return kExitOk;
}

}  // namespace

Command AddAggregateList(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("list", "List aggregates and their states.");
  app->footer(
      "Example:\n"
      "  esd aggregate list --prefix foo@ --limit 10\n"
      "  esd aggregate list -o json | jq -r .aggregateKey\n"
      "\n"
      "They are ordered by partition, and in it by key.");
  auto arguments = std::make_shared<Arguments>();
  app->add_option("--prefix", arguments->prefix, "Only those whose key begins with it.")
      ->type_name("TEXT");
  app->add_option("--limit", arguments->limit, "End after this many. All unless told.")
      ->type_name("N")
      ->check(AtLeast(1));
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne);
  return {app, [arguments, options] {
            return options->Run([&](Session& session) { return List(session, *arguments); });
          }};
}

}  // namespace esd::cmd
