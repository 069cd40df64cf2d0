#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"
#include "engine/base/json_string.h"

namespace esd::cmd {
namespace {

constexpr int kMostDifferences = 1'000;  // that one answer lists

struct Arguments {
  std::optional<int32_t> partition;
  bool repair = false;
};

struct Totals {
  int64_t aggregates = 0;
  int64_t events = 0;
  int64_t differing = 0;
  int64_t repaired = 0;
  int64_t failed_partitions = 0;

  void Add(const esd::v1::VerifySnapshotsResponse& partition) {
    aggregates += partition.aggregate_count();
    events += partition.event_count();
    differing += partition.differing_aggregate_count();
    repaired += partition.repaired_aggregate_count();
  }
};

std::string Plain(const std::string& name, const char* prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

// `version 3 {"name":"Alex"}`
std::string StateText(bool has_version, int64_t version, const esd::v1::Payload& state) {
  if (!has_version) return "-";
  return absl::StrCat("version ", version, state.json().empty() ? "" : " ", state.json());
}

std::vector<Cell> RowOf(int32_t partition, const esd::v1::SnapshotDifference& difference) {
  using Difference = esd::v1::SnapshotDifference;
  return {absl::StrCat(partition),
          difference.aggregate_key(),
          Plain(Difference::Place_Name(difference.place()), "PLACE_"),
          Plain(Difference::Kind_Name(difference.kind()), "KIND_"),
          StateText(difference.has_expected_version(), difference.expected_version(),
                    difference.expected_state()),
          StateText(difference.has_found_version(), difference.found_version(),
                    difference.found_state()),
          difference.repaired() ? Cell("yes", Style::kGood) : Cell("no", Style::kBad)};
}

std::optional<CallError> PartitionsOf(const Session& session, std::vector<int32_t>* partitions) {
  esd::v1::ListPartitionsRequest request;
  request.set_domain(session.domain());
  esd::v1::ListPartitionsResponse response;
  auto error = session.client().Try([&](grpc::ClientContext* context) {
    return session.client().admin().ListPartitions(context, request, &response);
  });
  for (const auto& partition : response.partitions()) partitions->push_back(partition.partition());
  return error;
}

void Progress(const Session& session, size_t done, size_t count) {
  if (!session.process().terminals.err) return;
  session.process().out.flush();
  session.process().err << "\r\x1b[K";
  if (done < count) session.process().err << "verifying partition " << done + 1 << " of " << count;
  session.process().err << std::flush;
}

void Print(const Session& session, int32_t partition,
           const esd::v1::VerifySnapshotsResponse& response, Table& table) {
  if (session.json()) {
    session.Line(absl::StrCat("{\"domain\":", JsonString(session.domain()),
                              ",\"partition\":", partition, ",", JsonMembers(response), "}"));
    return;
  }
  for (const auto& difference : response.differences()) table.Add(RowOf(partition, difference));
  table.Flush();
}

int Sum(const Session& session, const Arguments& arguments, const Totals& totals) {
  session.Note(
      absl::StrCat("compared ", totals.aggregates, " aggregates with ", totals.events,
                   " events: ", totals.differing, " differ",
                   arguments.repair ? absl::StrCat(", ", totals.repaired, " repaired") : ""));
  if (totals.failed_partitions > 0) {
    return session.Fail(absl::StrCat(totals.failed_partitions,
                                     " partitions could not be verified, for the reasons above"));
  }
  if (totals.differing == totals.repaired) return kExitOk;
  return session.Fail(arguments.repair
                          ? "not all could be repaired: they changed meanwhile; run it again"
                          : "snapshots differ from the events: --repair writes the right ones");
}

int Verify(const Session& session, const Arguments& arguments) {
  std::vector<int32_t> partitions;
  if (arguments.partition) {
    partitions.push_back(*arguments.partition);
  } else if (const auto error = PartitionsOf(session, &partitions)) {
    return session.Fail(*error);
  }
  Table table =
      session.MakeTable({"PARTITION", "KEY", "PLACE", "WHAT", "EXPECTED", "FOUND", "REPAIRED"});
  Totals totals;
  for (size_t i = 0; i < partitions.size(); ++i) {
    Progress(session, i, partitions.size());
    esd::v1::VerifySnapshotsRequest request;
    request.set_domain(session.domain());
    request.set_partition(partitions[i]);
    request.set_repair(arguments.repair);
    request.set_max_differences(kMostDifferences);
    esd::v1::VerifySnapshotsResponse response;
    const auto error = session.client().Try([&](grpc::ClientContext* context) {
      return session.client().admin().VerifySnapshots(context, request, &response);
    });
    Progress(session, partitions.size(), partitions.size());
    if (error) {
      session.Fail(
          absl::StrCat("partition ", partitions[i], ": ", session.client().Describe(*error)));
      if (error->reason.empty()) return kExitFailed;
      ++totals.failed_partitions;
      continue;
    }
    Print(session, partitions[i], response, table);
    totals.Add(response);
  }
  return Sum(session, arguments, totals);
}

}  // namespace

Command AddSnapshotVerify(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand(
      "verify", "Fold the events again and compare the result with what is stored.");
  app->footer(
      "Example:\n"
      "  esd snapshot verify\n"
      "  esd snapshot verify --partition 3 --repair\n"
      "\n"
      "It reads every event of the topic, one partition after the other, while commands are\n"
      "processed. PLACE is store (what queries are answered from) or changelog (the snapshot\n"
      "topic). --timeout is for one partition. Exit code 1 when something differs and wasn't\n"
      "repaired.");
  auto arguments = std::make_shared<Arguments>();
  app->add_option("--partition", arguments->partition, "Only this partition. All unless told.")
      ->type_name("N")
      ->check(InRange(0, std::numeric_limits<int32_t>::max()));
  app->add_flag("--repair", arguments->repair,
                "Also write the right snapshot for each aggregate that differs.");
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne, "10m");
  return {app, [arguments, options] {
            return options->Run([&](Session& session) { return Verify(session, *arguments); });
          }};
}

}  // namespace esd::cmd
