#include "engine/server/api/snapshot_reads.h"

#include <absl/strings/str_cat.h>

#include <memory>
#include <vector>

#include "engine/server/api/errors.h"

namespace esd::api {
namespace {

constexpr size_t kEventsPerRead = 1'000;
constexpr size_t kBytesPerRead = size_t{1} << 20;
constexpr absl::Duration kHistoryRetry = absl::Seconds(1);

// Applies stored events to a state.
absl::Status Fold(DomainApi& domain, const std::vector<SnapshotStore::VersionedEvent>& events,
                  Version until, Version* version, google::protobuf::Message* state) {
  const CodecPool::Lease codec = domain.codecs().Borrow();
  const std::unique_ptr<google::protobuf::Message> event(domain.type().event_prototype().New());
  for (const SnapshotStore::VersionedEvent& stored : events) {
    if (stored.version > until) break;
    if (stored.version != Next(*version)) {
      return absl::DataLossError(
          absl::StrCat("the history of an aggregate lacks version ", Next(*version).value()));
    }
    const absl::Status status = codec->DecodeEvent(stored.event.value(), *event);
    if (!status.ok()) return status;
    domain.type().Evolve(*state, *event);
    *version = stored.version;
  }
  return absl::OkStatus();
}

}  // namespace

google::rpc::Status AggregateNotFound() {
  return MakeError(absl::StatusCode::kNotFound, "AGGREGATE_NOT_FOUND",
                   "there is no aggregate with this key: it has no event");
}

google::rpc::Status VersionNotReached(absl::StatusCode code, Version present) {
  ErrorDetails details;
  if (present != kNoVersion) details.metadata["version"] = absl::StrCat(present.value());
  return MakeError(code, "VERSION_NOT_REACHED", "the aggregate isn't at this version yet", details);
}

std::optional<google::rpc::Status> CheckHistory(const Api& api, const DomainPartition& partition) {
  // Of a partition that isn't here, nothing is known.
  if (!api.directory.Serving(partition)) return PartitionMoving(ToString(partition));
  const HistoryStatus status = StatusOf(api.backend.history, partition);
  switch (status.state) {
    case HistoryStatus::State::kComplete:
      return std::nullopt;
    case HistoryStatus::State::kOff:
      return MakeError(absl::StatusCode::kFailedPrecondition, "HISTORY_OFF",
                       "the owner of the partition keeps no history: run it without --history=off",
                       {.metadata = {{"flag", "--history"}}});
    case HistoryStatus::State::kFailed:
      return MakeError(absl::StatusCode::kFailedPrecondition, "HISTORY_FAILED", status.message);
    case HistoryStatus::State::kRebuilding:
      break;
  }
  return MakeError(absl::StatusCode::kUnavailable, "HISTORY_INCOMPLETE",
                   absl::StrCat("the history of partition ", ToString(partition),
                                " is being rebuilt from the event topic: try again later"),
                   {.metadata = {{"partition", ToString(partition)},
                                 {"remaining", absl::StrCat(status.remaining)}},
                    .retry_after = kHistoryRetry});
}

std::optional<google::rpc::Status> ToSnapshot(DomainApi& domain, const std::string& key,
                                              const esd::v1::StoredSnapshot& stored,
                                              esd::v1::PayloadFormat format,
                                              esd::v1::Snapshot* snapshot) {
  snapshot->set_domain(domain.type().name());
  snapshot->set_aggregate_key(key);
  snapshot->set_version(stored.version());
  if (format == esd::v1::PAYLOAD_FORMAT_PROTOBUF) {
    snapshot->mutable_state()->set_protobuf(stored.state());
    return std::nullopt;
  }
  const std::unique_ptr<google::protobuf::Message> state(domain.type().state_prototype().New());
  if (!state->ParseFromString(stored.state())) {
    return FromEngine(absl::DataLossError("a stored state can't be parsed"), "reading the store");
  }
  domain.WriteState(*state, format, snapshot->mutable_state());
  return std::nullopt;
}

std::optional<google::rpc::Status> ReadSnapshot(const Api& api, DomainApi& domain,
                                                const std::string& key,
                                                esd::v1::PayloadFormat format,
                                                esd::v1::Snapshot* snapshot) {
  const DomainPartition partition = domain.HomeOf(key);
  std::optional<esd::v1::StoredSnapshot> stored;
  const auto unread = api.ReadCommitted(partition, [&] {
    auto found = api.backend.store->GetSnapshot(partition, key);
    if (found.ok()) stored = *std::move(found);
    return found.status();
  });
  if (unread) return unread;
  if (!stored) return AggregateNotFound();
  return ToSnapshot(domain, key, *stored, format, snapshot);
}

std::optional<google::rpc::Status> ReadSnapshotAt(const Api& api, DomainApi& domain,
                                                  const std::string& key, Version version,
                                                  esd::v1::PayloadFormat format,
                                                  esd::v1::Snapshot* snapshot) {
  const DomainPartition partition = domain.HomeOf(key);
  const std::unique_ptr<google::protobuf::Message> state(domain.type().state_prototype().New());
  Version reached = kNoVersion;
  bool at_end = false;
  while (reached < version && !at_end) {
    std::vector<SnapshotStore::VersionedEvent> events;
    if (auto incomplete = CheckHistory(api, partition)) return incomplete;
    const auto unread = api.ReadCommitted(partition, [&] {
      auto found = api.backend.store->ListEvents(partition, key, Next(reached), kEventsPerRead,
                                                 kBytesPerRead);
      if (found.ok()) events = *std::move(found);
      return found.status();
    });
    if (unread) return unread;
    at_end = events.empty();
    const absl::Status folded = Fold(domain, events, version, &reached, state.get());
    if (!folded.ok()) return FromEngine(folded, "reading the history");
  }
  if (reached == kNoVersion) return AggregateNotFound();
  if (reached < version) return VersionNotReached(absl::StatusCode::kOutOfRange, reached);
  esd::v1::StoredSnapshot stored;
  stored.set_version(version.value());
  state->SerializeToString(stored.mutable_state());
  return ToSnapshot(domain, key, stored, format, snapshot);
}

}  // namespace esd::api
