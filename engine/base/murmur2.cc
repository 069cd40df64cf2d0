#include "engine/base/murmur2.h"

#include <cstddef>

namespace esd {
namespace {

// Little-endian, whatever the machine: the hash is defined over bytes.
uint32_t Load32(const unsigned char* p) {
  return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 |
         static_cast<uint32_t>(p[2]) << 16 | static_cast<uint32_t>(p[3]) << 24;
}

}  // namespace

uint32_t Murmur2(std::string_view data) {
  constexpr uint32_t kSeed = 0x9747b28c;
  constexpr uint32_t kMultiplier = 0x5bd1e995;
  constexpr int kRotation = 24;

  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  const size_t blocks = data.size() / 4;
  uint32_t hash = kSeed ^ static_cast<uint32_t>(data.size());
  for (size_t i = 0; i < blocks; ++i) {
    uint32_t k = Load32(bytes + 4 * i);
    k *= kMultiplier;
    k ^= k >> kRotation;
    k *= kMultiplier;
    hash = (hash * kMultiplier) ^ k;
  }
  const unsigned char* tail = bytes + 4 * blocks;
  switch (data.size() % 4) {
    case 3:
      hash ^= static_cast<uint32_t>(tail[2]) << 16;
      [[fallthrough]];
    case 2:
      hash ^= static_cast<uint32_t>(tail[1]) << 8;
      [[fallthrough]];
    case 1:
      hash ^= static_cast<uint32_t>(tail[0]);
      hash *= kMultiplier;
      break;
    default:
      break;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

PartitionId PartitionForKey(std::string_view key, int32_t partition_count) {
  return PartitionId{static_cast<int32_t>(Murmur2(key) & 0x7fffffff) % partition_count};
}

}  // namespace esd
