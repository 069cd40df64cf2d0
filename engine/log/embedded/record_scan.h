// Reads records of one topic of one partition.
#ifndef ESD_ENGINE_LOG_EMBEDDED_RECORD_SCAN_H_
#define ESD_ENGINE_LOG_EMBEDDED_RECORD_SCAN_H_

#include <absl/status/status.h>

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "engine/log/embedded/log_database.h"
#include "engine/log/embedded/log_state.h"
#include "engine/log/log.h"

namespace esd::embedded {

// What views of records refer to.
using RecordMemory = std::deque<std::string>;

// What one poll has taken, of how much it may.
struct PollBudget {
  explicit PollBudget(const PollLimits& given) : limits(given) {}

  const PollLimits limits;
  size_t records = 0;
  size_t bytes = 0;

  // Whether another record may be taken; the first always.
  bool Allows() const {
    return records == 0 || (records < limits.max_records && bytes < limits.max_bytes);
  }
};

// OUT_OF_RANGE when `from` isn't there any more, or not yet; the text says what is.
absl::Status CheckRange(const LogState& state, const TopicLog& log, Offset from);

// Takes what the budget allows of the committed records from `from` up to `end`, and tells in
// `next` where to go on. Errors: kOutOfRange as above; kUnavailable; kDataLoss.
absl::Status ScanRecords(const LogDatabase& database, const LogState& state, const TopicLog& log,
                         Offset from, Offset end, PollBudget* budget, RecordMemory* memory,
                         std::vector<InputRecord>* records, Offset* next);

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_RECORD_SCAN_H_
