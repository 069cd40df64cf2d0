// The embedded log, for what is about it and no other log.
#ifndef ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_IMPL_H_
#define ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_IMPL_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <map>
#include <memory>
#include <string>

#include "engine/log/embedded/embedded_log.h"
#include "engine/log/embedded/embedded_membership.h"
#include "engine/log/embedded/free_space.h"
#include "engine/log/embedded/log_database.h"
#include "engine/log/embedded/log_maintenance.h"
#include "engine/log/embedded/log_state.h"
#include "engine/log/embedded/log_writer.h"
#include "engine/log/log.h"

namespace esd::embedded {

class EmbeddedLog final : public Log {
 public:
  static absl::StatusOr<std::unique_ptr<EmbeddedLog>> Open(EmbeddedLogOptions options);
  ~EmbeddedLog() override = default;

  int32_t PartitionCount(const std::string& domain) const override {
    return partition_counts_.at(domain);
  }
  size_t MaxRecordBytes(const std::string& domain, Topic topic) const override;
  std::string TopicName(const std::string& domain, Topic topic) const override;
  std::string SourceId() const override;
  absl::StatusOr<std::unique_ptr<WorkerLog>> OpenWorker(int index) override;
  absl::StatusOr<OpenedPartition> OpenPartition(const DomainPartition& partition,
                                                std::stop_token stop) override;
  absl::Status Replay(const DomainPartition& partition, Topic topic, Offset from, Offset end,
                      const ReplaySink& sink, std::stop_token stop) override;
  absl::StatusOr<std::unique_ptr<CommandAppender>> OpenAppender() override;
  absl::StatusOr<std::unique_ptr<LogReader>> OpenReader(const std::string& domain,
                                                        Topic topic) override;
  absl::StatusOr<TopicBounds> Bounds(const DomainPartition& partition, Topic topic) override;
  Membership& membership() override { return membership_; }

  // As retention does: the records below `begin` are gone when it returns. For tests.
  absl::Status Truncate(const DomainPartition& partition, Topic topic, Offset begin);

  // Does at once what is done in the background now and then. For tests.
  void Maintain(absl::Time now);

 private:
  EmbeddedLog(EmbeddedLogOptions options, std::unique_ptr<LogDatabase> database);

  // Reads what is known of the domain and its partitions; writes it down when it is new.
  absl::Status LoadDomain(const std::string& domain);
  absl::StatusOr<int32_t> LoadPartitionCount(const std::string& domain);
  absl::Status LoadPartition(const DomainPartition& partition);
  absl::Status LoadTopic(TopicLog* log);
  absl::StatusOr<uint64_t> LoadBatchNumber();

  const EmbeddedLogOptions options_;
  const std::unique_ptr<LogDatabase> database_;
  LogState state_;
  std::map<std::string, int32_t> partition_counts_;
  EmbeddedMembership membership_;
  FreeSpace space_;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<LogMaintenance> maintenance_;  // last: writes
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_IMPL_H_
