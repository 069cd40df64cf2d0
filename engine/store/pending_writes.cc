#include "engine/store/pending_writes.h"

#include <absl/strings/str_cat.h>

#include <optional>

#include "engine/base/string_view.h"

namespace esd {

absl::StatusOr<const Aggregate*> PendingWrites::Load(std::string_view key) {
  if (const auto it = aggregates_.find(ToAbsl(key)); it != aggregates_.end())
    return &it->second->aggregate;
  auto stored = store_->GetSnapshot(partition_, key);
  if (!stored.ok()) return std::move(stored).status();
  auto entry = std::make_unique<Entry>();
  if (stored->has_value()) {
    entry->aggregate.version = Version{(*stored)->version()};
    entry->aggregate.state.reset(state_prototype_->New());
    if (!entry->aggregate.state->ParseFromString((*stored)->state())) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the snapshot of an aggregate of ", ToString(partition_), " isn't a ",
          state_prototype_->GetTypeName(),
          ": the domain's state message was changed incompatibly; run a version that reads it"));
    }
  }
  return &aggregates_.emplace(std::string(key), std::move(entry)).first->second->aggregate;
}

void PendingWrites::Update(std::string_view key, Aggregate aggregate) {
  Entry& entry = *aggregates_.find(ToAbsl(key))->second;
  entry.aggregate = std::move(aggregate);
  if (!entry.updated) updated_.emplace_back(key, &entry);
  entry.updated = true;
}

absl::StatusOr<const esd::v1::StoredOutcome*> PendingWrites::FindOutcome(
    std::string_view key, std::string_view command_id) {
  const auto it = outcome_index_.find(std::pair(std::string(key), std::string(command_id)));
  if (it != outcome_index_.end()) return &outcomes_[it->second].outcome;
  auto stored = store_->GetOutcome(partition_, key, command_id);
  if (!stored.ok()) return std::move(stored).status();
  if (!stored->has_value()) return nullptr;
  committed_outcome_ = std::move(**stored);
  return &committed_outcome_;
}

void PendingWrites::AddOutcome(std::string_view key, std::string_view command_id,
                               esd::v1::StoredOutcome outcome) {
  outcome_index_.emplace(std::pair(std::string(key), std::string(command_id)), outcomes_.size());
  outcomes_.push_back({std::string(key), std::string(command_id), std::move(outcome)});
}

std::vector<StoreUpdate::Snapshot> PendingWrites::Snapshots() const {
  std::vector<StoreUpdate::Snapshot> snapshots;
  snapshots.reserve(updated_.size());
  esd::v1::StoredSnapshot snapshot;
  for (const auto& [key, entry] : updated_) {
    snapshot.set_version(entry->aggregate.version.value());
    entry->aggregate.state->SerializeToString(snapshot.mutable_state());
    snapshots.push_back({key, snapshot.SerializeAsString()});
  }
  return snapshots;
}

std::vector<StoreUpdate::Outcome> PendingWrites::TakeOutcomes() {
  outcome_index_.clear();
  return std::exchange(outcomes_, {});
}

void PendingWrites::Clear() {
  aggregates_.clear();
  updated_.clear();
  outcomes_.clear();
  outcome_index_.clear();
}

}  // namespace esd
