// What is known of the log in memory: bounds, positions and owners as of the last batch that was
// written and synced. Nobody sees of the log what is not in here.
#ifndef ESD_ENGINE_LOG_EMBEDDED_LOG_STATE_H_
#define ESD_ENGINE_LOG_EMBEDDED_LOG_STATE_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/types.h"
#include "engine/log/embedded/log_keys.h"
#include "engine/log/log.h"
#include "esd/v1/stored.pb.h"

namespace esd::embedded {

// One topic of one partition.
struct TopicLog {
  DomainPartition partition;
  Topic topic = Topic::kCommand;
  std::string key;  // TopicKey()

  // Guarded by LogState::mutex.
  Offset begin{0};
  Offset end{0};
};

struct PartitionLog {
  DomainPartition partition;
  std::string key;  // PartitionKey()
  std::array<TopicLog, kAllTopics.size()> topics;

  // Guarded by LogState::mutex.
  std::optional<Offset> committed;
  std::optional<esd::v1::OwnershipRecord> owner;
  bool assigned = false;  // to this instance: from Join() to Leave()

  TopicLog& of(Topic topic) { return topics[static_cast<size_t>(topic)]; }
  const TopicLog& of(Topic topic) const { return topics[static_cast<size_t>(topic)]; }
};

struct LogState {
  mutable absl::Mutex mutex;
  // By index: who holds a worker's identity; taking it up again makes a new epoch.
  std::map<int, int64_t> epochs ABSL_GUARDED_BY(mutex);
  // Why nothing can be read or written now; OK when it can.
  absl::Status trouble ABSL_GUARDED_BY(mutex);

  // What partitions there are doesn't change after the log is opened, nor where they are kept.
  std::map<DomainPartition, PartitionLog> partitions;
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_LOG_STATE_H_
