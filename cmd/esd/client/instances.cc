#include <absl/strings/str_cat.h>

#include <memory>

#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"

namespace esd::cmd {
namespace {

int List(const Session& session) {
  esd::v1::ListInstancesResponse response;
  const auto error = session.client().Try([&](grpc::ClientContext* context) {
    return session.client().admin().ListInstances(context, {}, &response);
  });
  if (error) return session.Fail(*error);
  Table table = session.MakeTable({"INSTANCE", "ADDRESS", "PARTITIONS", "ANSWERS"});
  for (const esd::v1::Instance& instance : response.instances()) {
    if (session.json()) {
      session.Line(ToJson(instance));
    } else {
      table.Add({instance.instance_id(), instance.address(),
                 absl::StrCat(instance.partition_count()), instance.self() ? "*" : ""});
    }
  }
  table.Flush();
  return kExitOk;
}

}  // namespace

Command AddInstances(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("instances", "List the instances that own partitions.");
  app->footer(
      "Example:\n"
      "  esd instances\n"
      "\n"
      "The one that answered has a * under ANSWERS.");
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kNone);
  return {app, [options] { return options->Run(List); }};
}

}  // namespace esd::cmd
