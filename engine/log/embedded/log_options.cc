#include "engine/log/embedded/log_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "engine/log/embedded/log_database.h"
#include "engine/log/embedded/log_keys.h"
#include "engine/rocksdb/log_files.h"
#include "engine/rocksdb/options.h"

namespace esd::embedded {
namespace {

constexpr size_t kCacheBytes = size_t{64} << 20;  // of which write buffers take what they need
constexpr size_t kWriteBuffersBytes = size_t{48} << 20;
constexpr size_t kWriteBufferBytes = size_t{16} << 20;
// Bounds the time to open after a crash.
constexpr uint64_t kWalBytes = uint64_t{64} << 20;
// What retention has passed leaves the disk after so long at the latest.
constexpr uint64_t kPeriodicCompactionSeconds = uint64_t{24} * 3600;

// Each topic is appended to at its end: a memtable finds the place from that of its last record.
// Nothing here deletes ranges, with which these hints don't go; see
// engine/store/rocksdb_options.cc.
class AppendHints final : public rocksdb::SliceTransform {
 public:
  bool InDomain(const rocksdb::Slice& key) const override { return key.size() > kOffsetBytes; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), key.size() - kOffsetBytes};
  }
  const char* Name() const override { return "esd.AppendHints"; }
};

// Removes the records that retention has passed.
class RetentionFilter final : public rocksdb::CompactionFilter {
 public:
  explicit RetentionFilter(std::map<std::string, Offset, std::less<>> begins)
      : begins_(std::move(begins)) {}

  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice&, std::string*,
              bool*) const override {
    const std::string_view record_key(key.data(), key.size());
    if (record_key.size() <= kOffsetBytes) return false;
    const auto begin = begins_.find(record_key.substr(0, record_key.size() - kOffsetBytes));
    return begin != begins_.end() && OffsetOf(record_key) < begin->second;
  }
  const char* Name() const override { return "esd.RetentionFilter"; }

 private:
  const std::map<std::string, Offset, std::less<>> begins_;
};

class RetentionFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit RetentionFilterFactory(std::shared_ptr<const StoredBegins> begins)
      : begins_(std::move(begins)) {}

  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    return std::make_unique<RetentionFilter>(begins_->All());
  }
  const char* Name() const override { return "esd.RetentionFilterFactory"; }

 private:
  const std::shared_ptr<const StoredBegins> begins_;
};

rocksdb::ColumnFamilyOptions MakeFamilyOptions(const rocksdb::BlockBasedTableOptions& table) {
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = kWriteBufferBytes;
  options.compression = BestCompression();
  options.level_compaction_dynamic_level_bytes = true;
  return options;
}

}  // namespace

rocksdb::DBOptions MakeDbOptions(const std::string& directory, rocksdb::Env* env) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  if (env != nullptr) options.env = env;
  options.max_open_files = 512;
  options.max_background_jobs = 2;
  // A crash cuts off what was not synced, and nobody was told of that: all before the first damaged
  // byte comes back, in all families. Every write is synced, and a synced write syncs the log files
  // before its own.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.max_total_wal_size = kWalBytes;
  options.info_log = MakeInfoLog(directory);
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> MakeFamilies(
    const std::shared_ptr<const StoredBegins>& begins) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = MakeCache(kCacheBytes);
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;

  rocksdb::BlockBasedTableOptions records = table;
  records.block_size = size_t{16} << 10;  // they are read one behind the other
  rocksdb::ColumnFamilyOptions appended = MakeFamilyOptions(records);
  appended.memtable_insert_with_hint_prefix_extractor = std::make_shared<AppendHints>();
  rocksdb::ColumnFamilyOptions expiring = appended;
  expiring.compaction_filter_factory = std::make_shared<RetentionFilterFactory>(begins);
  expiring.periodic_compaction_seconds = kPeriodicCompactionSeconds;

  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  const rocksdb::ColumnFamilyOptions looked_up = MakeFamilyOptions(table);

  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : kFamilyNames) families.emplace_back(name, looked_up);
  families[kEvents].options = appended;
  families[kSnapshots].options = appended;
  families[kExpiring].options = expiring;
  return families;
}

}  // namespace esd::embedded
