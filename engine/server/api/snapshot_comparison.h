// Compares the snapshots of one partition, as they stand in the store and in the changelog, with
// what its events come to. No I/O.
//
//   events     ──────────────┬─────────────────┬───────────────>
//                          known              end
//
// Snapshots are read at any moments after the store and the changelog had the effects of all events
// below `known`, and the events are read to an end that covers all snapshots. So, though commands
// are processed meanwhile: an aggregate with an event below `known` has a snapshot, whose version
// is at least that event's; and each snapshot's state is what the events up to its version come to.
#ifndef ESD_ENGINE_SERVER_API_SNAPSHOT_COMPARISON_H_
#define ESD_ENGINE_SERVER_API_SNAPSHOT_COMPARISON_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/aggregate/aggregate_type.h"
#include "engine/aggregate/codec.h"
#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/worker/repair.h"
#include "esd/v1/admin_service.pb.h"
#include "esd/v1/stored.pb.h"

namespace esd::api {

// What is wrong with an aggregate in one place.
struct SnapshotFault {
  esd::v1::SnapshotDifference::Kind kind = esd::v1::SnapshotDifference::KIND_UNSPECIFIED;
  // What was found; nothing when it is missing or can't be read.
  std::optional<SeenSnapshot> found;
};

struct DifferingAggregate {
  std::string key;
  std::optional<SnapshotFault> store;
  std::optional<SnapshotFault> changelog;
  // What the events come to; nothing when there is none.
  std::optional<esd::v1::StoredSnapshot> expected;
  // What the store had, right or wrong.
  std::optional<SeenSnapshot> seen_in_store;
};

// Two states are the same when they mean the same, whatever their bytes. Needs memory for all keys,
// and for the states of the aggregates of one pass. For one thread.
class SnapshotComparison {
 public:
  // About how many bytes of states are kept at a time.
  static constexpr size_t kStateBytes = size_t{256} << 20;

  // `type` and `codec` outlive it.
  SnapshotComparison(const AggregateType* type, Codec* codec, Offset known,
                     size_t state_bytes = kStateBytes);

  // First, what was found. Of several records of a key the last one counts; a record without key
  // is none of the engine's.
  void AddChangelog(const InputRecord& record);
  void AddStored(std::string_view key, const esd::v1::StoredSnapshot& snapshot);

  // Then, for each of the passes, all events in order. Each looks at a share of the aggregates.
  int passes() const;
  void BeginPass(int pass);
  // kOutOfRange when events of the aggregate are missing before it, kFailedPrecondition when it
  // isn't an event as the engine writes them; the message says more.
  absl::Status AddEvent(const InputRecord& record);
  // Calls `tell` with each aggregate of the pass that differs, until it returns an error.
  using Tell = std::function<absl::Status(DifferingAggregate)>;
  absl::Status EndPass(const Tell& tell);

  int64_t aggregate_count() const { return static_cast<int64_t>(aggregates_.size()); }
  int64_t event_count() const { return event_count_; }

 private:
  enum Place { kStore, kChangelog, kPlaces };

  struct Found {
    enum class State : uint8_t { kNone, kUnreadable, kRead };
    State state = State::kNone;
    bool equal = false;  // to what the events up to its version come to
    SeenSnapshot seen;
    uint64_t meaning = 0;  // hash of what the state's bytes mean
  };

  struct Entry {
    std::array<Found, kPlaces> found;
    Version known_version = kNoVersion;  // of the last event below `known`
    Version version = kNoVersion;        // of the last event
    std::string state;                   // at `version`
  };

  Found Read(const esd::v1::StoredSnapshot& snapshot);
  bool IsInPass(std::string_view key) const;
  std::optional<SnapshotFault> FaultOf(const Entry& entry, Place place) const;

  const AggregateType* const type_;
  Codec* const codec_;
  const Offset known_;
  const size_t state_bytes_;
  const std::unique_ptr<google::protobuf::Message> event_;
  const std::unique_ptr<google::protobuf::Message> state_;

  absl::flat_hash_map<std::string, Entry> aggregates_;
  size_t found_bytes_ = 0;
  int pass_ = 0;
  int passes_ = 1;
  int64_t event_count_ = 0;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_SNAPSHOT_COMPARISON_H_
