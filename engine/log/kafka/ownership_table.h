// Who processes which partition, as the ownership topic says. See OwnershipRecord in
// proto/esd/v1/stored.proto.
#ifndef ESD_ENGINE_LOG_KAFKA_OWNERSHIP_TABLE_H_
#define ESD_ENGINE_LOG_KAFKA_OWNERSHIP_TABLE_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>
#include <absl/synchronization/mutex.h>

#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/kafka/kafka_client.h"
#include "esd/v1/stored.pb.h"

namespace esd::kafka {

// Follows the topic on request. All functions may be called from any thread.
class OwnershipTable {
 public:
  // `committed` reads committed records only (see ReplayProperties()), `uncommitted` all; both
  // outlive the table.
  OwnershipTable(std::string topic, rd_kafka_s* committed, rd_kafka_s* uncommitted)
      : topic_(std::move(topic)), committed_(committed), uncommitted_(uncommitted) {}

  // Reads what is new in the topic.
  absl::Status Refresh(std::stop_token stop) ABSL_LOCKS_EXCLUDED(mutex_);

  // The committed record of the partition.
  std::optional<esd::v1::OwnershipRecord> Find(const DomainPartition& partition) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The record that fixes the domain's partition count.
  std::optional<esd::v1::DomainRecord> FindDomain(const std::string& domain) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // All committed records, key and value, and where the topic is to be read on.
  std::pair<std::vector<std::pair<std::string, std::string>>, Offset> Committed() const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Transactional ids that may hold a transaction open on the partition, or may still try to: the
  // committed owner unless it released the partition, and whoever wrote a record in a transaction
  // that hasn't ended. The latter is an owner that died in its first or its last transaction;
  // nobody else would learn its name before the transaction times out.
  std::vector<std::string> Suspects(const DomainPartition& partition) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The id was fenced: what its holder wrote so far makes it no suspect any more, in no partition.
  void MarkFenced(const std::string& transactional_id) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Records = absl::flat_hash_map<std::string, std::string>;  // key -> value, as in the topic

  absl::Status Read(rd_kafka_s* consumer, Offset from, Offset end, std::stop_token stop,
                    Records* records);

  const std::string topic_;
  rd_kafka_s* const committed_;
  rd_kafka_s* const uncommitted_;

  absl::Mutex
      refresh_mutex_;  // one refresh at a time: two can't read the same partition with one consumer

  mutable absl::Mutex mutex_;
  Offset position_ ABSL_GUARDED_BY(mutex_){0};  // everything below it is in records_
  Records records_ ABSL_GUARDED_BY(mutex_);
  // Partitions (as keys of records_) whose record's holder was fenced after it wrote the record.
  absl::flat_hash_set<std::string> fenced_ ABSL_GUARDED_BY(mutex_);
  Records undecided_ ABSL_GUARDED_BY(mutex_);  // of transactions that were open at the last refresh
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_OWNERSHIP_TABLE_H_
