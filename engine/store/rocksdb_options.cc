#include "engine/store/rocksdb_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "engine/rocksdb/log_files.h"
#include "engine/rocksdb/options.h"
#include "engine/store/snapshot_store_keys.h"

namespace esd {
namespace {

// Write buffers get a quarter of the memory, of which one family may fill half before it is
// flushed.
size_t WriteBufferBytes(size_t memory_bytes) { return memory_bytes / 4; }

}  // namespace

rocksdb::DBOptions MakeDbOptions(const std::string& path, size_t memory_bytes,
                                 const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;

  options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(WriteBufferBytes(memory_bytes), cache);
  options.max_open_files = 512;  // each open file also holds memory outside of the cache
  options.max_background_jobs = 2;

  // After a crash the log brings all families to the same point: the end of the last batch before
  // the first damaged byte. That is why families may be flushed one by one, without `atomic_flush`
  // and its cost: RocksDB syncs the full logs before it flushes a family's data, so no family on
  // disk is ahead of what the logs can give the others, and if one ever is (a damaged log), opening
  // fails as corrupted and the store is rebuilt. Tracking the logs in the manifest extends that to
  // a full log that is gone or cut off. (Don't call SyncWAL() with it: 7.8 may then miss a log that
  // was removed in good order, https://github.com/facebook/rocksdb/pull/10892.)
  //
  // It holds for the history too, whose batches of low priority are in the same log: its progress
  // is in one batch with the last events below it, and those before are in earlier batches, so the
  // point that comes back never has the progress without the events.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.track_and_verify_wals_in_manifest = true;
  options.listeners.push_back(MakeFullLogSyncer(path));
  options.wal_bytes_per_sync = 1 << 20;  // leaves little to sync when a log is full
  // Bounds the time to open after a crash, and the disk space that a seldom written family can hold
  // on to. Log files aren't recycled: that doesn't go with point-in-time recovery.
  options.max_total_wal_size = 2 * WriteBufferBytes(memory_bytes);

  options.info_log = MakeInfoLog(path);
  return options;
}

namespace {

// Makes a memtable look for an entry's place from where it put the last one: near by, as the store
// sorts its batches. Keys of one prefix share a memory of that place; one for all would do.
class InsertHints final : public rocksdb::SliceTransform {
 public:
  // Whether its place is remembered: that of all keys within a partition. What begins a deletion of
  // a range must not be among them, and doesn't, being a partition's own key or empty: without
  // https://github.com/facebook/rocksdb/pull/12558 (2024) RocksDB takes the places of those, which
  // stand in a list of their own, for places of entries.
  bool InDomain(const rocksdb::Slice& key) const override {
    const std::optional<size_t> partition = PartitionSize({key.data(), key.size()});
    return partition && key.size() > *partition;
  }

  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), sizeof(uint32_t)};
  }

  const char* Name() const override { return "esd.InsertHints"; }
};

// What all families share.
rocksdb::BlockBasedTableOptions MakeTableOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  return table;
}

rocksdb::ColumnFamilyOptions MakeFamilyOptions(size_t memory_bytes,
                                               const rocksdb::BlockBasedTableOptions& table) {
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = WriteBufferBytes(memory_bytes) / 2;
  options.memtable_insert_with_hint_prefix_extractor = std::make_shared<InsertHints>();
  options.compression = BestCompression();
  options.level_compaction_dynamic_level_bytes = true;
  return options;
}

// For families whose keys are looked up one by one.
rocksdb::ColumnFamilyOptions MakeLookupOptions(size_t memory_bytes,
                                               const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table = MakeTableOptions(cache);
  // Most look-ups of an outcome, and those of a new aggregate, find nothing: one percent of them
  // read a block.
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;

  rocksdb::ColumnFamilyOptions options = MakeFamilyOptions(memory_bytes, table);
  // The same for what is not in a file yet: two percent of the memory, a third of the time of an
  // absent key's look-up.
  options.memtable_prefix_bloom_size_ratio = 0.02;
  options.memtable_whole_key_filtering = true;
  return options;
}

// For the history: it is large, and only read in ranges, so it has no filters, and blocks that keep
// its index small and its compression good.
rocksdb::ColumnFamilyOptions MakeHistoryOptions(size_t memory_bytes,
                                                const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table = MakeTableOptions(cache);
  table.block_size = size_t{16} << 10;
  return MakeFamilyOptions(memory_bytes, table);
}

}  // namespace

std::vector<rocksdb::ColumnFamilyDescriptor> MakeFamilies(
    size_t memory_bytes, const std::shared_ptr<rocksdb::Cache>& cache,
    const OutcomeExpiry& expiry) {
  const rocksdb::ColumnFamilyOptions options = MakeLookupOptions(memory_bytes, cache);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : kFamilyNames) families.emplace_back(name, options);
  families[kHistory].options = MakeHistoryOptions(memory_bytes, cache);
  rocksdb::ColumnFamilyOptions& outcomes = families[kOutcomes].options;
  outcomes.compaction_filter_factory = MakeOutcomeFilterFactory(expiry);
  // Files that no write touches are compacted too, so outcomes of a quiet partition go as well.
  outcomes.periodic_compaction_seconds =
      static_cast<uint64_t>(absl::ToInt64Seconds(expiry.retention()));
  return families;
}

}  // namespace esd
