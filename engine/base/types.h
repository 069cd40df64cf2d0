// The identifiers of the engine. Each is a type of its own: an offset can't be passed where a
// version is meant.
#ifndef ESD_ENGINE_BASE_TYPES_H_
#define ESD_ENGINE_BASE_TYPES_H_

#include <compare>
#include <cstdint>
#include <string>
#include <utility>

namespace esd {

// A value of type `Rep` that only equals and orders with values of the same `Tag`.
template <typename Tag, typename Rep>
class StrongType {
 public:
  constexpr StrongType() = default;
  constexpr explicit StrongType(Rep value) : value_(std::move(value)) {}

  constexpr const Rep& value() const { return value_; }

  friend constexpr auto operator<=>(const StrongType&, const StrongType&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const StrongType& s) {
    return H::combine(std::move(h), s.value_);
  }

 private:
  Rep value_{};
};

// Number of a partition within a domain's topics: 0, 1, …
using PartitionId = StrongType<struct PartitionIdTag, int32_t>;

// Position of a record in one partition of one topic: 0, 1, … with gaps.
using Offset = StrongType<struct OffsetTag, int64_t>;

// Sequence number of an aggregate's last event: 0 for the first event. An aggregate without events
// has none, for which `kNoVersion` stands.
using Version = StrongType<struct VersionTag, int64_t>;
inline constexpr Version kNoVersion{-1};

constexpr Offset Next(Offset offset) { return Offset{offset.value() + 1}; }
constexpr Version Next(Version version) { return Version{version.value() + 1}; }

// One partition of one domain: the unit of ownership, of restore and of order.
struct DomainPartition {
  std::string domain;
  PartitionId partition;

  friend auto operator<=>(const DomainPartition&, const DomainPartition&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const DomainPartition& p) {
    return H::combine(std::move(h), p.domain, p.partition);
  }
};

// `security/3`, as in log lines and in the keys of the ownership topic.
inline std::string ToString(const DomainPartition& p) {
  return p.domain + "/" + std::to_string(p.partition.value());
}

}  // namespace esd

#endif  // ESD_ENGINE_BASE_TYPES_H_
