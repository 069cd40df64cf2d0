#include "engine/server/api/pages.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/server/api/errors.h"
#include "engine/server/api/event_message.h"
#include "engine/server/api/snapshot_reads.h"

namespace esd::api {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1'000;
// Clients take messages of 4 MiB unless they say otherwise: a page ends when it comes near.
constexpr size_t kMaxPageBytes = size_t{2} << 20;
// Snapshots are read so many at a time, so that large ones don't add up.
constexpr size_t kSnapshotsPerRead = 50;

}  // namespace

google::rpc::Status InvalidToken() {
  return Invalid("INVALID_PAGE_TOKEN",
                 "page_token isn't a next_page_token of a call with the same other fields");
}

std::optional<google::rpc::Status> CheckPageSize(int32_t page_size) {
  if (page_size >= 0) return std::nullopt;
  return Invalid("INVALID_PAGE_SIZE", "page_size is 0, for the default, or more");
}

size_t PageSize(int32_t page_size) {
  return static_cast<size_t>(page_size == 0 ? kDefaultPage : std::min(page_size, kMaxPage));
}

std::string WriteToken(const google::protobuf::MessageLite& token) {
  return absl::WebSafeBase64Escape(token.SerializeAsString());
}

bool ReadToken(const std::string& text, google::protobuf::MessageLite* token) {
  std::string bytes;
  return absl::WebSafeBase64Unescape(text, &bytes) && token->ParseFromString(bytes);
}

std::optional<google::rpc::Status> ReadPage(const esd::v1::ListSnapshotsRequest& request,
                                            int32_t partition_count,
                                            esd::v1::SnapshotPageToken* token) {
  if (auto wrong = CheckPageSize(request.page_size())) return wrong;
  if (request.page_token().empty()) {
    token->set_domain(request.domain());
    token->set_key_prefix(request.key_prefix());
    return std::nullopt;
  }
  if (!ReadToken(request.page_token(), token) || token->domain() != request.domain() ||
      token->key_prefix() != request.key_prefix() || token->partition() < 0 ||
      token->partition() >= partition_count) {
    return InvalidToken();
  }
  return std::nullopt;
}

std::optional<google::rpc::Status> ReadPage(const esd::v1::ListEventsRequest& request,
                                            esd::v1::EventPageToken* token) {
  if (auto wrong = CheckPageSize(request.page_size())) return wrong;
  if (request.from_version() < 0) return Invalid("INVALID_VERSION", "from_version is 0 or more");
  if (request.page_token().empty()) {
    token->set_domain(request.domain());
    token->set_aggregate_key(request.aggregate_key());
    token->set_next_version(request.from_version());
    return std::nullopt;
  }
  if (!ReadToken(request.page_token(), token) || token->domain() != request.domain() ||
      token->aggregate_key() != request.aggregate_key() || token->next_version() < 0) {
    return InvalidToken();
  }
  return std::nullopt;
}

std::optional<google::rpc::Status> ListSnapshotsHere(const Api& api, DomainApi& domain,
                                                     const esd::v1::ListSnapshotsRequest& request,
                                                     esd::v1::SnapshotPageToken token,
                                                     esd::v1::ListSnapshotsResponse* response) {
  const DomainPartition partition{request.domain(), PartitionId{token.partition()}};
  const size_t page_size = PageSize(request.page_size());
  size_t bytes = 0;
  bool at_end = false;
  while (!at_end && bytes < kMaxPageBytes &&
         static_cast<size_t>(response->snapshots_size()) < page_size) {
    const size_t wanted =
        std::min(kSnapshotsPerRead, page_size - static_cast<size_t>(response->snapshots_size()));
    std::vector<SnapshotStore::KeyedSnapshot> found;
    const auto unread = api.ReadCommitted(partition, [&] {
      auto listed = api.backend.store->ListSnapshots(partition, request.key_prefix(),
                                                     token.from_key(), wanted);
      if (listed.ok()) found = *std::move(listed);
      return listed.status();
    });
    if (unread) return unread;
    at_end = found.size() < wanted;
    for (const SnapshotStore::KeyedSnapshot& stored : found) {
      esd::v1::Snapshot* snapshot = response->add_snapshots();
      if (auto failed =
              ToSnapshot(domain, stored.key, stored.snapshot, request.payload_format(), snapshot)) {
        return failed;
      }
      token.set_from_key(SnapshotStore::KeyBehind(stored.key));
      bytes += snapshot->ByteSizeLong();
      if (bytes < kMaxPageBytes) continue;
      at_end = false;
      break;
    }
  }
  if (at_end) {
    token.set_partition(token.partition() + 1);
    token.clear_from_key();
  }
  if (token.partition() < domain.partition_count())
    response->set_next_page_token(WriteToken(token));
  return std::nullopt;
}

std::optional<google::rpc::Status> ListEventsHere(const Api& api, DomainApi& domain,
                                                  const esd::v1::ListEventsRequest& request,
                                                  esd::v1::EventPageToken token,
                                                  esd::v1::ListEventsResponse* response) {
  const DomainPartition partition = domain.HomeOf(request.aggregate_key());
  if (auto incomplete = CheckHistory(api, partition)) return incomplete;
  const Version from{token.next_version()};
  const size_t page_size = PageSize(request.page_size());
  std::vector<SnapshotStore::VersionedEvent> events;
  bool exists = false;
  bool more = false;
  const auto unread = api.ReadCommitted(partition, [&]() -> absl::Status {
    auto listed = api.backend.store->ListEvents(partition, request.aggregate_key(), from, page_size,
                                                kMaxPageBytes);
    if (!listed.ok()) return listed.status();
    events = *std::move(listed);
    const auto snapshot = api.backend.store->GetSnapshot(partition, request.aggregate_key());
    if (!snapshot.ok()) return snapshot.status();
    exists = snapshot->has_value();
    more = exists && !events.empty() && events.back().version.value() < (*snapshot)->version();
    return absl::OkStatus();
  });
  if (unread) return unread;
  if (!exists && events.empty()) return AggregateNotFound();
  for (const SnapshotStore::VersionedEvent& stored : events) {
    const absl::Status written =
        ToEvent(domain, request.aggregate_key(), stored.version, stored.event,
                request.payload_format(), response->add_events());
    if (!written.ok()) return FromEngine(written, "reading the history");
  }
  if (more) {
    token.set_next_version(Next(events.back().version).value());
    response->set_next_page_token(WriteToken(token));
  }
  return std::nullopt;
}

}  // namespace esd::api
