#include "engine/server/api/snapshot_comparison.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>

#include "engine/base/string_view.h"
#include "engine/worker/history.h"

namespace esd::api {
namespace {

using Difference = esd::v1::SnapshotDifference;

// The same bytes for the same message, within one process: protobuf promises no more, and otherwise
// not even that, because of maps.
std::string Bytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

absl::Status NotTheEngines(Offset offset, std::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat("offset ", offset.value(), ": ", ToAbsl(what)));
}

}  // namespace

SnapshotComparison::SnapshotComparison(const AggregateType* type, Codec* codec, Offset known,
                                       size_t state_bytes)
    : type_(type),
      codec_(codec),
      known_(known),
      state_bytes_(state_bytes),
      event_(type->event_prototype().New()),
      state_(type->state_prototype().New()) {}

SnapshotComparison::Found SnapshotComparison::Read(const esd::v1::StoredSnapshot& snapshot) {
  Found found;
  found.seen = SeenOf(snapshot);
  found.state = Found::State::kUnreadable;
  if (!state_->ParseFromString(snapshot.state())) return found;
  found.state = Found::State::kRead;
  found.meaning = HashOf(Bytes(*state_));
  found_bytes_ += snapshot.state().size();
  return found;
}

void SnapshotComparison::AddChangelog(const InputRecord& record) {
  if (!record.key) return;
  Found found;
  const std::string_view value = record.value.value_or("");  // empty: a tombstone, as in a restore
  esd::v1::StoredSnapshot snapshot;
  if (!value.empty() && snapshot.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    found = Read(snapshot);
  } else if (!value.empty()) {
    found.state = Found::State::kUnreadable;
  }
  aggregates_[std::string(*record.key)].found[kChangelog] = found;
}

void SnapshotComparison::AddStored(std::string_view key, const esd::v1::StoredSnapshot& snapshot) {
  aggregates_[std::string(key)].found[kStore] = Read(snapshot);
}

int SnapshotComparison::passes() const {
  // Most aggregates were found in both places.
  return 1 + static_cast<int>(found_bytes_ / 2 / state_bytes_);
}

void SnapshotComparison::BeginPass(int pass) {
  pass_ = pass;
  passes_ = passes();
}

bool SnapshotComparison::IsInPass(std::string_view key) const {
  return HashOf(key) % static_cast<uint64_t>(passes_) == static_cast<uint64_t>(pass_);
}

absl::Status SnapshotComparison::AddEvent(const InputRecord& record) {
  if (pass_ == 0) ++event_count_;
  if (record.key && !IsInPass(*record.key)) return absl::OkStatus();
  const absl::StatusOr<EventRecord> read = ReadEvent(record);
  if (!read.ok()) return NotTheEngines(record.offset, std::string(read.status().message()));
  Entry& entry = aggregates_[read->key];
  if (read->version > Next(entry.version)) {
    return absl::OutOfRangeError(absl::StrCat("offset ", record.offset.value(), ": versions ",
                                              Next(entry.version).value(), " to ",
                                              read->version.value() - 1, " of its aggregate"));
  }
  if (read->version != Next(entry.version)) {
    return NotTheEngines(record.offset, absl::StrCat("its aggregate has version ",
                                                     read->version.value(), " already"));
  }
  if (absl::Status status = codec_->DecodeEvent(read->event.value(), *event_); !status.ok())
    return NotTheEngines(record.offset, std::string(status.message()));
  state_->ParseFromString(entry.state);
  type_->Evolve(*state_, *event_);
  entry.state = Bytes(*state_);
  entry.version = read->version;
  if (record.offset < known_) entry.known_version = entry.version;
  for (Found& found : entry.found) {
    if (found.state == Found::State::kRead && found.seen.version == entry.version)
      found.equal = found.meaning == HashOf(entry.state);
  }
  return absl::OkStatus();
}

std::optional<SnapshotFault> SnapshotComparison::FaultOf(const Entry& entry, Place place) const {
  const Found& found = entry.found[place];
  switch (found.state) {
    case Found::State::kNone:
      if (entry.known_version == kNoVersion) return std::nullopt;
      return SnapshotFault{Difference::KIND_MISSING, std::nullopt};
    case Found::State::kUnreadable:
      return SnapshotFault{Difference::KIND_UNREADABLE, std::nullopt};
    case Found::State::kRead:
      break;
  }
  const Version version = found.seen.version;
  if (entry.version == kNoVersion) return SnapshotFault{Difference::KIND_UNEXPECTED, found.seen};
  if (version < Version{0} || version < entry.known_version || version > entry.version)
    return SnapshotFault{Difference::KIND_VERSION, found.seen};
  if (!found.equal) return SnapshotFault{Difference::KIND_STATE, found.seen};
  return std::nullopt;
}

absl::Status SnapshotComparison::EndPass(const Tell& tell) {
  for (auto& [key, entry] : aggregates_) {
    if (!IsInPass(key)) continue;
    DifferingAggregate differing{key, FaultOf(entry, kStore), FaultOf(entry, kChangelog),
                                 std::nullopt, std::nullopt};
    const std::string state = std::exchange(entry.state, {});
    if (!differing.store && !differing.changelog) continue;
    if (entry.version != kNoVersion) {
      differing.expected.emplace();
      differing.expected->set_version(entry.version.value());
      differing.expected->set_state(state);
    }
    if (entry.found[kStore].state != Found::State::kNone)
      differing.seen_in_store = entry.found[kStore].seen;
    if (absl::Status status = tell(std::move(differing)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace esd::api
