// Reads one topic of one domain of a MemoryCluster. See memory_log.h.
#ifndef ESD_TESTS_LOG_MEMORY_READER_H_
#define ESD_TESTS_LOG_MEMORY_READER_H_

#include <absl/time/time.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/log.h"
#include "tests/log/memory_log.h"

namespace esd {

class MemoryReader : public LogReader {
 public:
  MemoryReader(MemoryCluster* cluster, std::string domain, Topic topic)
      : cluster_(cluster), domain_(std::move(domain)), topic_(topic) {}

  absl::Status Start(PartitionId partition, Offset from) override;
  void Stop(PartitionId partition) override;
  absl::StatusOr<Polled> Poll(const PollLimits& limits, absl::Duration wait) override;
  void Wake() override;

 private:
  using Memory = std::vector<std::shared_ptr<const MemoryCluster::Stored>>;

  // Whether a Poll() has anything to say. The following need the cluster's mutex.
  bool AnythingNew() const;
  const MemoryCluster::PartitionLog& LogOf(PartitionId partition) const;
  // Takes what fits of one partition.
  absl::Status Take(PartitionId partition, const PollLimits& limits, size_t* bytes, Memory* memory,
                    Polled* polled);

  MemoryCluster* const cluster_;
  const std::string domain_;
  const Topic topic_;

  // Guarded by the cluster's mutex.
  std::map<PartitionId, Offset> positions_;  // where each is read on
  PartitionId last_;                         // the next poll begins behind it: none starves
  bool woken_ = false;
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_MEMORY_READER_H_
