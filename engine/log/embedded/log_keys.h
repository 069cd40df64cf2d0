// What the embedded log keeps where. Column families are by how long their records stay:
//
//   default    what is known of the log: its format, positions, owners, bounds; see below
//   events     records of event topics: for ever
//   snapshots  records of snapshot topics: until a later one of the same key is compacted over them
//   latest     of each key of a snapshot topic, the offset of its last record that is compacted
//   expiring   records of command, reply and dead-letter topics: until retention removes them
//
//   partition  <domain, length-prefixed> <partition, 4 bytes>
//   topic      partition <topic, 1 byte>
//   record     topic <offset, 8 bytes>        -> esd.v1.StoredRecord
//   latest     topic <key of the record>      -> offset, 8 bytes
//
// Numbers are big-endian, so records of a partition's topic stand in the order of their offsets.
// The keys of `default` are a name, and behind it for most a partition, a topic or a domain.
#ifndef ESD_ENGINE_LOG_EMBEDDED_LOG_KEYS_H_
#define ESD_ENGINE_LOG_EMBEDDED_LOG_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/big_endian.h"
#include "engine/base/types.h"
#include "engine/log/log.h"

namespace esd::embedded {

// Index into the column families, in the order in which they are made.
enum Family : size_t { kMeta, kEvents, kSnapshots, kLatest, kExpiring, kFamilyCount };
inline constexpr std::array<const char*, kFamilyCount> kFamilyNames = {
    "default", "events", "snapshots", "latest", "expiring"};

// Increased with each change of keys, values or families that this code would misread.
inline constexpr char kFormatVersion[] = "1";

inline constexpr char kFormatVersionKey[] = "format_version";
inline constexpr char kSourceIdKey[] = "source_id";
// Number of the last batch that was written, 8 bytes: tells after a failure whether one was.
inline constexpr char kBatchKey[] = "batch";
inline constexpr char kDomainKey[] = "domain/";        // domain -> esd.v1.DomainRecord
inline constexpr char kPositionKey[] = "position/";    // partition -> next command offset, 8 bytes
inline constexpr char kOwnerKey[] = "owner/";          // partition -> esd.v1.OwnershipRecord
inline constexpr char kBeginKey[] = "begin/";          // topic -> first offset, 8 bytes
inline constexpr char kCompactedKey[] = "compacted/";  // topic -> offset, 8 bytes: see Compactor

constexpr Family FamilyOf(Topic topic) {
  switch (topic) {
    case Topic::kEvent:
      return kEvents;
    case Topic::kSnapshot:
      return kSnapshots;
    case Topic::kCommand:
    case Topic::kReply:
    case Topic::kDeadLetter:
      break;
  }
  return kExpiring;
}

// On disk: never renumbered.
constexpr char NumberOf(Topic topic) {
  switch (topic) {
    case Topic::kCommand:
      return 1;
    case Topic::kEvent:
      return 2;
    case Topic::kSnapshot:
      return 3;
    case Topic::kReply:
      return 4;
    case Topic::kDeadLetter:
      break;
  }
  return 5;
}

inline std::string PartitionKey(const DomainPartition& partition) {
  std::string key;
  AppendLengthPrefixed(partition.domain, &key);
  AppendBigEndian32(static_cast<uint32_t>(partition.partition.value()), &key);
  return key;
}

inline std::string TopicKey(const DomainPartition& partition, Topic topic) {
  std::string key = PartitionKey(partition);
  key.push_back(NumberOf(topic));
  return key;
}

inline constexpr size_t kOffsetBytes = sizeof(uint64_t);

inline std::string OffsetBytes(Offset offset) {
  std::string bytes;
  AppendBigEndian64(static_cast<uint64_t>(offset.value()), &bytes);
  return bytes;
}

inline std::string RecordKey(std::string_view topic_key, Offset offset) {
  std::string key;
  key.reserve(topic_key.size() + kOffsetBytes);
  key.append(topic_key);
  AppendBigEndian64(static_cast<uint64_t>(offset.value()), &key);
  return key;
}

// Of a record's key, which is longer than that.
inline Offset OffsetOf(std::string_view record_key) {
  return Offset{
      static_cast<int64_t>(ParseBigEndian(record_key.substr(record_key.size() - kOffsetBytes)))};
}

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_LOG_KEYS_H_
