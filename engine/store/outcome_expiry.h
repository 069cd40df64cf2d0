// When outcomes of commands expire, and the compaction filter that frees their space.
#ifndef ESD_ENGINE_STORE_OUTCOME_EXPIRY_H_
#define ESD_ENGINE_STORE_OUTCOME_EXPIRY_H_

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace rocksdb {
class CompactionFilterFactory;
}

namespace esd {

class OutcomeExpiry {
 public:
  OutcomeExpiry(absl::Duration retention, std::function<absl::Time()> now)
      : retention_(retention), now_(now ? std::move(now) : absl::Now) {}

  // Outcomes recorded before this have expired.
  int64_t OldestKeptMs() const { return absl::ToUnixMillis(now_() - retention_); }

  absl::Duration retention() const { return retention_; }

 private:
  const absl::Duration retention_;
  const std::function<absl::Time()> now_;
};

// Makes filters that drop expired outcomes whenever a compaction comes across them.
std::shared_ptr<rocksdb::CompactionFilterFactory> MakeOutcomeFilterFactory(
    const OutcomeExpiry& expiry);

}  // namespace esd

#endif  // ESD_ENGINE_STORE_OUTCOME_EXPIRY_H_
