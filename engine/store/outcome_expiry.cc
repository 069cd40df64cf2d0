#include "engine/store/outcome_expiry.h"

#include <rocksdb/compaction_filter.h>
#include <rocksdb/slice.h>

#include <string>

#include "esd/v1/stored.pb.h"

namespace esd {
namespace {

class OutcomeFilter final : public rocksdb::CompactionFilter {
 public:
  explicit OutcomeFilter(int64_t oldest_kept_ms) : oldest_kept_ms_(oldest_kept_ms) {}

  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice& value, std::string*,
              bool*) const override {
    esd::v1::StoredOutcome outcome;
    // What can't be read stays, so that its reader is told.
    return outcome.ParseFromArray(value.data(), static_cast<int>(value.size())) &&
           outcome.recorded_ms() < oldest_kept_ms_;
  }

  const char* Name() const override { return "esd.OutcomeFilter"; }

 private:
  const int64_t oldest_kept_ms_;
};

class OutcomeFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit OutcomeFilterFactory(OutcomeExpiry expiry) : expiry_(std::move(expiry)) {}

  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    return std::make_unique<OutcomeFilter>(expiry_.OldestKeptMs());
  }

  const char* Name() const override { return "esd.OutcomeFilterFactory"; }

 private:
  const OutcomeExpiry expiry_;
};

}  // namespace

std::shared_ptr<rocksdb::CompactionFilterFactory> MakeOutcomeFilterFactory(
    const OutcomeExpiry& expiry) {
  return std::make_shared<OutcomeFilterFactory>(expiry);
}

}  // namespace esd
