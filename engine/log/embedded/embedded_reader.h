// Reads one topic of one domain of the embedded log.
#ifndef ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_READER_H_
#define ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_READER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <map>
#include <string>
#include <utility>

#include "engine/log/embedded/log_database.h"
#include "engine/log/embedded/log_state.h"
#include "engine/log/embedded/record_scan.h"
#include "engine/log/log.h"

namespace esd::embedded {

class EmbeddedReader final : public LogReader {
 public:
  EmbeddedReader(const LogDatabase* database, const LogState* state, std::string domain,
                 Topic topic)
      : database_(database), state_(state), domain_(std::move(domain)), topic_(topic) {}

  absl::Status Start(PartitionId partition, Offset from) override;
  void Stop(PartitionId partition) override;
  absl::StatusOr<Polled> Poll(const PollLimits& limits, absl::Duration wait) override;
  void Wake() override;

 private:
  const TopicLog& LogOf(PartitionId partition) const;
  // Whether a Poll() has anything to say.
  bool AnythingNew() const ABSL_SHARED_LOCKS_REQUIRED(state_->mutex);
  // Takes what fits of one partition.
  absl::Status Take(PartitionId partition, PollBudget* budget, RecordMemory* memory,
                    Polled* polled);

  const LogDatabase* const database_;
  const LogState* const state_;
  const std::string domain_;
  const Topic topic_;

  // Of the reader's thread.
  std::map<PartitionId, Offset> positions_;  // where each is read on
  PartitionId last_;                         // the next poll begins behind it: none starves

  bool woken_ = false;  // guarded by the state's mutex
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_READER_H_
