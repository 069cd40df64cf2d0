// Numbers and names as parts of keys on disk: bytes that order as what they stand for.
#ifndef ESD_ENGINE_BASE_BIG_ENDIAN_H_
#define ESD_ENGINE_BASE_BIG_ENDIAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace esd {

inline void AppendBigEndian32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

inline void AppendBigEndian64(uint64_t value, std::string* out) {
  AppendBigEndian32(static_cast<uint32_t>(value >> 32), out);
  AppendBigEndian32(static_cast<uint32_t>(value), out);
}

inline uint64_t ParseBigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

// The inverse; nothing when it isn't 8 bytes.
inline std::optional<uint64_t> ParseBigEndian64(std::string_view bytes) {
  if (bytes.size() != sizeof(uint64_t)) return std::nullopt;
  return ParseBigEndian(bytes);
}

inline void AppendLengthPrefixed(std::string_view part, std::string* out) {
  AppendBigEndian32(static_cast<uint32_t>(part.size()), out);
  out->append(part);
}

}  // namespace esd

#endif  // ESD_ENGINE_BASE_BIG_ENDIAN_H_
