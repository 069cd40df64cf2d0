#include "engine/server/api/partition_directory.h"

namespace esd::api {
namespace {

constexpr uint64_t kStateMask = 3;

PartitionDirectory::State StateOf(uint64_t epoch) {
  return static_cast<PartitionDirectory::State>(epoch & kStateMask);
}

}  // namespace

PartitionDirectory::PartitionDirectory(const Log& log, const DomainRegistry& domains) {
  for (const auto& [name, type] : domains) {
    slots_[name] = std::make_unique<Slot[]>(static_cast<size_t>(log.PartitionCount(name)));
  }
}

PartitionDirectory::Slot& PartitionDirectory::SlotOf(const DomainPartition& partition) const {
  return slots_.at(partition.domain)[static_cast<size_t>(partition.partition.value())];
}

// Changes of one partition come from one thread at a time.
void PartitionDirectory::Set(const DomainPartition& partition, State state) {
  Slot& slot = SlotOf(partition);
  slot.lag = -1;
  slot.epoch = (slot.epoch & ~kStateMask) + kStateMask + 1 + static_cast<uint64_t>(state);
}

void PartitionDirectory::SetLag(const DomainPartition& partition, int64_t lag) {
  SlotOf(partition).lag = lag;
}

PartitionDirectory::State PartitionDirectory::Get(const DomainPartition& partition) const {
  return StateOf(SlotOf(partition).epoch);
}

std::optional<int64_t> PartitionDirectory::Lag(const DomainPartition& partition) const {
  const int64_t lag = SlotOf(partition).lag;
  return lag < 0 ? std::nullopt : std::optional(lag);
}

std::optional<PartitionDirectory::Epoch> PartitionDirectory::Serving(
    const DomainPartition& partition) const {
  const Epoch epoch = SlotOf(partition).epoch;
  return StateOf(epoch) == State::kServing ? std::optional(epoch) : std::nullopt;
}

bool PartitionDirectory::StillServing(const DomainPartition& partition, Epoch epoch) const {
  return SlotOf(partition).epoch == epoch;
}

}  // namespace esd::api
