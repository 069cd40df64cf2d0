// How the store names what it keeps: keys that start with the partition, so that a partition is one
// range.
//
//   partition   <domain, length-prefixed> <partition, 4 bytes>     also the key of its checkpoint
//   snapshot    partition <aggregate key>
//   outcome     partition <aggregate key, length-prefixed> <command id>
//   event       partition <aggregate key, length-prefixed> <version, 8 bytes>
//
// Events are in the family `history`, and how far it has come as well, under the partition itself:
// every event's key is longer than that.
//
// Numbers are big-endian, so that bytes order as numbers do. Every part but the last has a known
// length: no two different names have the same bytes, whatever bytes are in them.
#ifndef ESD_ENGINE_STORE_SNAPSHOT_STORE_KEYS_H_
#define ESD_ENGINE_STORE_SNAPSHOT_STORE_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/big_endian.h"
#include "engine/base/types.h"

namespace esd {

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

  // First key that the partition can have, and the key of its checkpoint and of the history's
  // progress.
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

  // What the keys of all events of the aggregate begin with.
  std::string_view Events(std::string_view key) {
    buffer_.resize(prefix_size_);
    AppendLengthPrefixed(key, &buffer_);
    return buffer_;
  }

  // `version` is not negative: they wouldn't be in order.
  std::string_view Event(std::string_view key, Version version) {
    Events(key);
    AppendBigEndian64(static_cast<uint64_t>(version.value()), &buffer_);
    return buffer_;
  }

 private:
  std::string buffer_;
  size_t prefix_size_;
};

// First string behind all that begin with `prefix`, which is not empty and has a byte below 0xff.
inline std::string PrefixEnd(std::string_view prefix) {
  while (static_cast<unsigned char>(prefix.back()) == 0xff) prefix.remove_suffix(1);
  std::string end(prefix);
  end.back() = static_cast<char>(end.back() + 1);
  return end;
}

// How many bytes at the beginning of a key name its partition; nothing when none of this store's
// keys begins so.
inline std::optional<size_t> PartitionSize(std::string_view key) {
  if (key.size() < 2 * sizeof(uint32_t)) return std::nullopt;
  const uint64_t domain_size = ParseBigEndian(key.substr(0, sizeof(uint32_t)));
  if (key.size() - 2 * sizeof(uint32_t) < domain_size) return std::nullopt;
  return domain_size + 2 * sizeof(uint32_t);
}

// First key behind all keys of the partition.
inline std::string PartitionEnd(const DomainPartition& partition) {
  std::string end;
  AppendLengthPrefixed(partition.domain, &end);
  AppendBigEndian32(static_cast<uint32_t>(partition.partition.value()) + 1, &end);
  return end;
}

}  // namespace esd

#endif  // ESD_ENGINE_STORE_SNAPSHOT_STORE_KEYS_H_
