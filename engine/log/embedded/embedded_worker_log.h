// A worker's side of the embedded log.
#ifndef ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_WORKER_LOG_H_
#define ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_WORKER_LOG_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/log/embedded/log_database.h"
#include "engine/log/embedded/log_state.h"
#include "engine/log/embedded/log_writer.h"
#include "engine/log/embedded/record_limits.h"
#include "engine/log/embedded/record_scan.h"
#include "engine/log/log.h"

namespace esd::embedded {

class EmbeddedWorkerLog final : public WorkerLog {
 public:
  EmbeddedWorkerLog(LogDatabase* database, LogState* state, LogWriter* writer,
                    WriteRequest::Worker worker)
      : database_(database), state_(state), writer_(writer), worker_(std::move(worker)) {}

  absl::Status Start(const DomainPartition& partition, Offset from) override;
  void Stop(const DomainPartition& partition) override;
  absl::StatusOr<PolledRecords> Poll(const PollLimits& limits, absl::Duration wait) override;
  CommitResult Commit(const Transaction& transaction) override;
  absl::Status Reopen() override;
  absl::StatusOr<std::optional<Offset>> CommittedOffset(const DomainPartition& partition) override;
  std::optional<int64_t> Lag(const DomainPartition& partition) override;
  void Wake() override;

 private:
  bool AnythingWaits() const ABSL_SHARED_LOCKS_REQUIRED(state_->mutex);
  // Takes what fits of one partition.
  absl::Status Take(const DomainPartition& partition, PollBudget* budget, RecordMemory* memory,
                    PolledRecords* commands);

  LogDatabase* const database_;
  LogState* const state_;
  LogWriter* const writer_;
  WriteRequest::Worker worker_;

  // Guarded by the state's mutex.
  std::map<DomainPartition, Offset> readings_;  // the next offset of each
  bool woken_ = false;

  DomainPartition last_;  // the next poll begins behind it: none starves
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_WORKER_LOG_H_
