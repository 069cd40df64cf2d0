#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <memory>
#include <string>

#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"

namespace esd::cmd {
namespace {

// `serving` for STATE_SERVING.
std::string Plain(const std::string& state) {
  return absl::AsciiStrToLower(absl::StripPrefix(state, "STATE_"));
}

Cell StateOf(const esd::v1::Partition& partition) {
  const std::string text = Plain(esd::v1::Partition::State_Name(partition.state()));
  switch (partition.state()) {
    case esd::v1::Partition::STATE_SERVING:
      return {text, Style::kGood};
    case esd::v1::Partition::STATE_RESTORING:
      return text;
    default:
      return {text, Style::kBad};
  }
}

Cell HistoryOf(const esd::v1::Partition& partition) {
  if (!partition.has_history()) return "-";
  const esd::v1::History& history = partition.history();
  std::string text = Plain(esd::v1::History::State_Name(history.state()));
  if (history.has_remaining_events())
    absl::StrAppend(&text, ", ", history.remaining_events(), " events left");
  if (history.state() != esd::v1::History::STATE_FAILED) return text;
  return {absl::StrCat(text, ": ", history.message()), Style::kBad};
}

std::vector<Cell> RowOf(const esd::v1::Partition& partition) {
  const auto or_none = [](const std::string& text) { return text.empty() ? "-" : text; };
  const esd::v1::Checkpoint& checkpoint = partition.checkpoint();
  return {partition.domain(),
          absl::StrCat(partition.partition()),
          StateOf(partition),
          or_none(partition.instance_id()),
          or_none(partition.address()),
          partition.has_lag() ? absl::StrCat(partition.lag()) : "-",
          partition.has_checkpoint()
              ? absl::StrCat(checkpoint.command_offset(), "/", checkpoint.snapshot_offset(), "/",
                             checkpoint.reply_offset())
              : "-",
          HistoryOf(partition)};
}

int List(const Session& session) {
  esd::v1::ListPartitionsRequest request;
  request.set_domain(session.domain());
  esd::v1::ListPartitionsResponse response;
  const auto error = session.client().Try([&](grpc::ClientContext* context) {
    return session.client().admin().ListPartitions(context, request, &response);
  });
  if (error) return session.Fail(*error);
  Table table = session.MakeTable(
      {"DOMAIN", "PARTITION", "STATE", "OWNER", "ADDRESS", "LAG", "CHECKPOINT", "HISTORY"});
  for (const esd::v1::Partition& partition : response.partitions()) {
    if (session.json()) {
      session.Line(ToJson(partition));
    } else {
      table.Add(RowOf(partition));
    }
  }
  table.Flush();
  return kExitOk;
}

}  // namespace

Command AddPartitions(CLI::App& parent, const Process& process) {
  CLI::App* app =
      parent.add_subcommand("partitions", "List the partitions: who owns them, how far they are.");
  app->footer(
      "Example:\n"
      "  esd partitions\n"
      "  esd partitions -o json | jq 'select(.state != \"STATE_SERVING\")'\n"
      "\n"
      "LAG is the number of commands that wait. CHECKPOINT is how far the owner's store has\n"
      "followed the topics: the next offset of commands, snapshots and replies.");
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kFilter);
  return {app, [options] { return options->Run(List); }};
}

}  // namespace esd::cmd
