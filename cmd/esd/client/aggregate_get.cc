#include <absl/strings/str_cat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"

namespace esd::cmd {
namespace {

struct Arguments {
  std::string key;
  std::optional<int64_t> at_version;
  std::optional<int64_t> min_version;
};

int Get(const Session& session, const Arguments& arguments) {
  esd::v1::GetSnapshotRequest request;
  request.set_domain(session.domain());
  request.set_aggregate_key(arguments.key);
  if (arguments.at_version) request.set_at_version(*arguments.at_version);
  if (arguments.min_version) request.set_min_version(*arguments.min_version);
  esd::v1::GetSnapshotResponse response;
  const auto error = session.client().Try([&](grpc::ClientContext* context) {
    return session.client().queries().GetSnapshot(context, request, &response);
  });
  if (error) return session.Fail(*error);
  const esd::v1::Snapshot& snapshot = response.snapshot();
  if (session.json()) {
    session.Line(ToJson(snapshot));
    return kExitOk;
  }
  Table table = session.MakeTable({"KEY", "VERSION", "STATE"});
  table.Add({snapshot.aggregate_key(), absl::StrCat(snapshot.version()), snapshot.state().json()});
  table.Flush();
  return kExitOk;
}

}  // namespace

Command AddAggregateGet(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("get", "Show an aggregate's state.");
  app->footer(
      "Example:\n"
      "  esd aggregate get foo@bar.com\n"
      "  esd aggregate get foo@bar.com --at-version 0 -o json | jq .state.name\n"
      "\n"
      "The state is the committed one, of the partition's owner.");
  auto arguments = std::make_shared<Arguments>();
  app->add_option("key", arguments->key, "Key of the aggregate.")->required()->type_name("KEY");
  auto* at = app->add_option("--at-version", arguments->at_version,
                             "Show the state as of this version. 0 is the first event.");
  at->type_name("VERSION")->check(AtLeast(0));
  app->add_option("--min-version", arguments->min_version,
                  "Wait until the aggregate has at least this version, up to --timeout.")
      ->type_name("VERSION")
      ->check(AtLeast(0))
      ->excludes(at);
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne);
  return {app, [arguments, options] {
            return options->Run([&](Session& session) { return Get(session, *arguments); });
          }};
}

}  // namespace esd::cmd
