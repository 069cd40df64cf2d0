// How the store names what it keeps: keys that start with the partition, so that a partition is one
// range.
//
//   partition   <domain, length-prefixed> <partition, 4 bytes>     also the key of its checkpoint
//   snapshot    partition <aggregate key>
//   outcome     partition <aggregate key, length-prefixed> <command id>
//
// Numbers are big-endian, so that bytes order as numbers do. Every part but the last has a known
// length: no two different names have the same bytes, whatever bytes are in them.
#ifndef ESD_ENGINE_STORE_SNAPSHOT_STORE_KEYS_H_
#define ESD_ENGINE_STORE_SNAPSHOT_STORE_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/types.h"

namespace esd {

inline void AppendBigEndian32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

inline void AppendLengthPrefixed(std::string_view part, std::string* out) {
  AppendBigEndian32(static_cast<uint32_t>(part.size()), out);
  out->append(part);
}

// The keys of one partition. They are made in one buffer: a returned view is valid until the next
// call.
//
//   StoreKeys keys(partition);
//   db->Get(…, ToSlice(keys.Snapshot("foo@bar.com")), …);
class StoreKeys {
 public:
  explicit StoreKeys(const DomainPartition& partition) {
    constexpr size_t kRoomForKeys = 128;  // one allocation for a usual key
    buffer_.reserve(partition.domain.size() + 2 * sizeof(uint32_t) + kRoomForKeys);
    AppendLengthPrefixed(partition.domain, &buffer_);
    AppendBigEndian32(static_cast<uint32_t>(partition.partition.value()), &buffer_);
    prefix_size_ = buffer_.size();
  }

  // First key that the partition can have, and the key of its checkpoint.
  std::string_view Partition() {
    buffer_.resize(prefix_size_);
    return buffer_;
  }

  std::string_view Snapshot(std::string_view key) {
    buffer_.resize(prefix_size_);
    buffer_.append(key);
    return buffer_;
  }

  std::string_view Outcome(std::string_view key, std::string_view command_id) {
    buffer_.resize(prefix_size_);
    AppendLengthPrefixed(key, &buffer_);
    buffer_.append(command_id);
    return buffer_;
  }

 private:
  std::string buffer_;
  size_t prefix_size_;
};

// First key behind all keys of the partition.
inline std::string PartitionEnd(const DomainPartition& partition) {
  std::string end;
  AppendLengthPrefixed(partition.domain, &end);
  AppendBigEndian32(static_cast<uint32_t>(partition.partition.value()) + 1, &end);
  return end;
}

}  // namespace esd

#endif  // ESD_ENGINE_STORE_SNAPSHOT_STORE_KEYS_H_
