// What a verification reads of the changelog, and the list of differences that it answers with.
#include <absl/time/time.h>

#include <memory>
#include <utility>

#include "engine/base/json_string.h"
#include "engine/server/api/snapshot_verification.h"
#include "engine/server/api/topic_scan.h"

namespace esd::api {
namespace {

using Difference = esd::v1::SnapshotDifference;

// Clients take messages of 4 MiB unless they say otherwise: the list ends when it comes near.
constexpr size_t kMaxListBytes = size_t{2} << 20;

}  // namespace

SnapshotVerification::Error SnapshotVerification::ReadChangelog(Offset begin,
                                                                const TopicScan::Sink& sink) {
  TopicScan scan(api_->backend.log, partition_.domain, Topic::kSnapshot);
  const absl::Status read = scan.Read(partition_.partition, begin, changelog_end_, sink,
                                      absl::InfiniteFuture(), stop_.get_token());
  if (read.ok()) return std::nullopt;
  return FromScan(read, Topic::kSnapshot);
}

SnapshotVerification::Error SnapshotVerification::FillDifferences() {
  if (Error error = FindInChangelog()) return error;
  size_t bytes = 0;
  for (const auto& [key, listed] : listed_) {
    for (const auto place : {Difference::PLACE_STORE, Difference::PLACE_CHANGELOG}) {
      const bool in_store = place == Difference::PLACE_STORE;
      const auto& fault = in_store ? listed.differing.store : listed.differing.changelog;
      if (!fault) continue;
      if (response_->differences_size() >= static_cast<int>(max_listed_) || bytes >= kMaxListBytes)
        return std::nullopt;
      Difference* difference = response_->add_differences();
      Describe(listed, *fault, in_store ? listed.in_store : listed.in_changelog, difference);
      difference->set_place(place);
      bytes += difference->ByteSizeLong();
    }
  }
  return std::nullopt;
}

// The states were not kept, for there may be many of them, and are of no interest unless they are
// wrong and listed.
SnapshotVerification::Error SnapshotVerification::FindInChangelog() {
  std::map<std::string_view, Listed*> wanted;
  for (auto& [key, listed] : listed_) {
    if (listed.differing.changelog && listed.differing.changelog->found) wanted[key] = &listed;
  }
  if (wanted.empty()) return std::nullopt;
  const auto bounds = api_->backend.log->Bounds(partition_, Topic::kSnapshot);
  if (!bounds.ok()) return FromScan(bounds.status(), Topic::kSnapshot);
  return ReadChangelog(bounds->begin, [&](const InputRecord& record) {
    const auto it = wanted.find(record.key.value_or(""));
    if (it == wanted.end()) return true;
    const std::string_view value = record.value.value_or("");
    esd::v1::StoredSnapshot snapshot;
    if (snapshot.ParseFromArray(value.data(), static_cast<int>(value.size())) &&
        SeenOf(snapshot) == it->second->differing.changelog->found) {
      it->second->in_changelog = std::move(snapshot);
    }
    return true;
  });
}

void SnapshotVerification::Describe(const Listed& listed, const SnapshotFault& fault,
                                    const std::optional<esd::v1::StoredSnapshot>& found,
                                    Difference* difference) const {
  difference->set_aggregate_key(ToUtf8(listed.differing.key));
  difference->set_kind(fault.kind);
  difference->set_repaired(listed.repaired);
  if (listed.differing.expected) {
    difference->set_expected_version(listed.differing.expected->version());
    WriteState(listed.differing.expected->state(), difference->mutable_expected_state());
  }
  if (fault.found) difference->set_found_version(fault.found->version.value());
  if (found) WriteState(found->state(), difference->mutable_found_state());
}

// It could be read when it was compared.
void SnapshotVerification::WriteState(const std::string& bytes, esd::v1::Payload* payload) const {
  const std::unique_ptr<google::protobuf::Message> state(domain_->type().state_prototype().New());
  state->ParseFromString(bytes);
  domain_->WriteState(*state, esd::v1::PAYLOAD_FORMAT_JSON, payload);
}

}  // namespace esd::api
