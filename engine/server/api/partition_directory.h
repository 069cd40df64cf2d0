// Which partitions this instance serves at this moment, for those that answer calls.
#ifndef ESD_ENGINE_SERVER_API_PARTITION_DIRECTORY_H_
#define ESD_ENGINE_SERVER_API_PARTITION_DIRECTORY_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/worker/domain_registry.h"

namespace esd::api {

// Any thread, without locks.
class PartitionDirectory {
 public:
  enum class State : uint32_t { kElsewhere = 0, kRestoring = 1, kServing = 2 };

  // A moment of a partition's state: see StillServing().
  using Epoch = uint64_t;

  // The domains' partition counts are the log's.
  PartitionDirectory(const Log& log, const DomainRegistry& domains);

  void Set(const DomainPartition& partition, State state);
  void SetLag(const DomainPartition& partition, int64_t lag);

  State Get(const DomainPartition& partition) const;
  std::optional<int64_t> Lag(const DomainPartition& partition) const;  // while it is served

  // The present epoch when the partition is served, else nothing.
  //
  //   const auto epoch = directory.Serving(partition);      // what is read in between was the
  //   … read the store …                                    // committed state while this instance
  //   if (epoch && directory.StillServing(partition, *epoch) && membership.HoldsLease()) answer();
  std::optional<Epoch> Serving(const DomainPartition& partition) const;
  bool StillServing(const DomainPartition& partition, Epoch epoch) const;

 private:
  struct Slot {
    std::atomic<Epoch> epoch = 0;  // counts changes; the state in its two lowest bits
    std::atomic<int64_t> lag = -1;
  };
  Slot& SlotOf(const DomainPartition& partition) const;

  std::map<std::string, std::unique_ptr<Slot[]>> slots_;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_PARTITION_DIRECTORY_H_
