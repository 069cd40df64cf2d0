// Follows the ownership topic all the time, for Membership::OwnerOf(): where a query is to be sent.
//
// OwnershipTable is something else: it decides whom to fence, and so must know everything up to the
// moment of the question. Here a moment's delay does no harm.
#ifndef ESD_ENGINE_LOG_KAFKA_OWNERSHIP_FOLLOWER_H_
#define ESD_ENGINE_LOG_KAFKA_OWNERSHIP_FOLLOWER_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "engine/log/kafka/kafka_reader.h"
#include "engine/log/log.h"

namespace esd::kafka {

// All functions may be called from any thread.
class OwnershipFollower {
 public:
  // Makes a reader of the ownership topic that reads from `*from` on, or from its beginning.
  using OpenReader =
      std::function<absl::StatusOr<std::unique_ptr<LogReader>>(std::optional<Offset> from)>;

  // Adds what is known already: a record of the topic. Before Start().
  void Apply(const std::string& key, const std::string& value) ABSL_LOCKS_EXCLUDED(mutex_);

  // Follows the topic from `from` on, on a thread of its own.
  absl::Status Start(OpenReader open_reader, Offset from);
  ~OwnershipFollower();

  std::optional<PartitionOwner> OwnerOf(const DomainPartition& partition) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run(const std::stop_token& stop);
  absl::Status Poll();

  OpenReader open_reader_;
  std::unique_ptr<LogReader> reader_;  // the thread's

  mutable absl::Mutex mutex_;
  // By key of the topic: `<domain>/<partition>`.
  absl::flat_hash_map<std::string, PartitionOwner> owners_ ABSL_GUARDED_BY(mutex_);

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_OWNERSHIP_FOLLOWER_H_
