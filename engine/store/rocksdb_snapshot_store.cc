#include "engine/store/rocksdb_snapshot_store.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "engine/store/snapshot_store_directory.h"
#include "engine/store/snapshot_store_keys.h"

namespace esd {
namespace {

// Increased with each change of keys, values or families that this code would misread.
constexpr char kFormatVersion[] = "1";
constexpr char kFormatVersionKey[] = "format_version";
constexpr char kSourceIdKey[] = "source_id";

constexpr size_t kMinMemoryBytes = size_t{8} << 20;
constexpr absl::Duration kMinOutcomeRetention = absl::Hours(24);

// Index into the column families, in the order in which they are opened.
enum Family : size_t { kMeta, kSnapshots, kOutcomes, kCheckpoints, kFamilyCount };
const std::array<std::string, kFamilyCount> kFamilyNames = {rocksdb::kDefaultColumnFamilyName,
                                                            "snapshots", "outcomes", "checkpoints"};

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }

// ---- Expiry of outcomes ----

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

// Drops expired outcomes whenever a compaction comes across them.
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

// ---- Log files ----

// Syncs a log file once it is full, before the next one gets its first record.
//
// RocksDB does so only when it flushes the data, some time later. A power failure in between may
// keep records of the newer file and lose the end of the older one, and recovery sees no gap when
// the older one ends between two records: then a checkpoint would vouch for data that is gone.
// RocksDB calls this on the thread whose write filled the memtable, and lets no other write in
// until it returns.
class FullLogSyncer final : public rocksdb::EventListener {
 public:
  explicit FullLogSyncer(std::string path) : path_(std::move(path)) {}

  // A failure is not lost: RocksDB syncs the same files, and reports it, before it flushes their
  // data.
  void OnMemTableSealed(const rocksdb::MemTableInfo&) override {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
      if (entry.path().extension() != ".log") continue;
      const int fd = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) continue;
      fdatasync(fd);
      close(fd);
    }
  }

  const char* Name() const override { return "esd.FullLogSyncer"; }

 private:
  const std::string path_;
};

// ---- RocksDB's own log ----

// Writes what RocksDB says to `<path>/LOG`, for people who look into a slow disk, and keeps the one
// before as LOG.old.
//
// RocksDB has such a log too, but aborts the process in it when the disk is full, if it was built
// with assertions, as Debian's is. Here a line that can't be written is dropped.
class InfoLog final : public rocksdb::Logger {
 public:
  explicit InfoLog(const std::string& path) : path_(path + "/LOG"), file_(nullptr) { Rotate(); }
  InfoLog(const InfoLog&) = delete;
  InfoLog& operator=(const InfoLog&) = delete;
  ~InfoLog() override {
    if (file_ != nullptr) fclose(file_);
  }

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    const absl::MutexLock lock(&mutex_);
    if (file_ == nullptr) return;
    fprintf(file_, "%s ",
            absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone()).c_str());
    vfprintf(file_, format, arguments);
    fputc('\n', file_);
    fflush(file_);
    if (ftell(file_) > kMaxBytes) Rotate();
  }

 private:
  static constexpr long kMaxBytes = 1L << 20;

  void Rotate() {
    if (file_ != nullptr) fclose(file_);
    rename(path_.c_str(), (path_ + ".old").c_str());
    file_ = fopen(path_.c_str(), "we");
  }

  const std::string path_;
  absl::Mutex mutex_;
  FILE* file_;  // null when it can't be written
};

// ---- Options ----

rocksdb::CompressionType BestCompression() {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  for (const auto wanted : {rocksdb::kLZ4Compression, rocksdb::kSnappyCompression}) {
    if (std::find(supported.begin(), supported.end(), wanted) != supported.end()) return wanted;
  }
  return rocksdb::kNoCompression;
}

// Write buffers get a quarter of the memory, of which one family may fill half before it is
// flushed.
size_t WriteBufferBytes(size_t memory_bytes) { return memory_bytes / 4; }

// One cache for all families, to which write buffers are charged as well: the only true bound over
// many families.
std::shared_ptr<rocksdb::Cache> MakeCache(size_t memory_bytes) {
  rocksdb::LRUCacheOptions options;
  options.capacity = memory_bytes;
  // By default a small cache is split so far that one family's index and filter blocks push each
  // other out of their shard: p99 of reads becomes many times worse. Few threads read here, so few
  // shards do.
  options.num_shard_bits = 2;
  return rocksdb::NewLRUCache(options);
}

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
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.track_and_verify_wals_in_manifest = true;
  options.listeners.push_back(std::make_shared<FullLogSyncer>(path));
  options.wal_bytes_per_sync = 1 << 20;  // leaves little to sync when a log is full
  // Bounds the time to open after a crash, and the disk space that a seldom written family can hold
  // on to. Log files aren't recycled: that doesn't go with point-in-time recovery.
  options.max_total_wal_size = 2 * WriteBufferBytes(memory_bytes);

  options.info_log = std::make_shared<InfoLog>(path);
  return options;
}

rocksdb::ColumnFamilyOptions MakeFamilyOptions(size_t memory_bytes,
                                               const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  // Most look-ups of an outcome, and those of a new aggregate, find nothing: one percent of them
  // read a block.
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;

  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = WriteBufferBytes(memory_bytes) / 2;
  // The same for what is not in a file yet: two percent of the memory, a third of the time of an
  // absent key's look-up.
  options.memtable_prefix_bloom_size_ratio = 0.02;
  options.memtable_whole_key_filtering = true;
  options.compression = BestCompression();
  options.level_compaction_dynamic_level_bytes = true;
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> MakeFamilies(
    const rocksdb::ColumnFamilyOptions& options, const OutcomeExpiry& expiry) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : kFamilyNames) families.emplace_back(name, options);
  rocksdb::ColumnFamilyOptions& outcomes = families[kOutcomes].options;
  outcomes.compaction_filter_factory = std::make_shared<OutcomeFilterFactory>(expiry);
  // Files that no write touches are compacted too, so outcomes of a quiet partition go as well.
  outcomes.periodic_compaction_seconds =
      static_cast<uint64_t>(absl::ToInt64Seconds(expiry.retention()));
  return families;
}

// ---- Errors ----

// Whether it failed because of what is in the files, or because they are gone: trying again can't
// help. A disk that is full, can't be read or isn't permitted is none of that: the store on it may
// be whole.
bool IsBroken(const rocksdb::Status& s) {
  if (s.IsPathNotFound()) return true;
  if (!s.IsCorruption()) return false;
  // When it opens a store of many files, RocksDB also calls it corruption that it can't look at
  // one.
  const std::string text = s.ToString();
  return !absl::StrContains(text, "IO error") || absl::StrContains(text, "No such file");
}

// RocksDB's texts name files and offsets, never keys, as long as `allow_data_in_errors` is off.
std::string Describe(const char* what, const std::string& path, const rocksdb::Status& s) {
  std::string message = absl::StrCat("can't ", what, " the store in ", path, ": ", s.ToString());
  if (s.IsNoSpace()) {
    absl::StrAppend(&message, "; the disk is full: free space in ", path);
  } else if (IsBroken(s)) {
    absl::StrAppend(&message, "; stop esd, remove ", path,
                    " and start again: the store is rebuilt from its topics");
  } else {
    absl::StrAppend(&message, "; check the disk of ", path);
  }
  return message;
}

absl::Status ToStatus(const char* what, const std::string& path, const rocksdb::Status& s) {
  if (s.ok()) return absl::OkStatus();
  if (IsBroken(s)) return absl::DataLossError(Describe(what, path, s));
  return absl::InternalError(Describe(what, path, s));
}

absl::Status ToOpenStatus(const std::string& path, const rocksdb::Status& s) {
  if (s.IsIOError() || s.IsCorruption()) return absl::UnavailableError(Describe("open", path, s));
  return absl::InternalError(Describe("open", path, s));
}

// ---- Database ----

struct Database {
  std::unique_ptr<rocksdb::DB> db;
  // Owned by `db` in name only: they must be destroyed before it.
  std::vector<rocksdb::ColumnFamilyHandle*> families;

  Database() = default;
  Database(Database&& other) noexcept
      : db(std::move(other.db)), families(std::exchange(other.families, {})) {}
  Database& operator=(Database&&) = delete;
  ~Database() { Close(); }

  void Close() {
    for (rocksdb::ColumnFamilyHandle* family : families) {
      db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
    }
    families.clear();
    db.reset();
  }
};

rocksdb::Status OpenDatabase(const std::string& path, const RocksdbStoreOptions& options,
                             const OutcomeExpiry& expiry, Database* database) {
  std::error_code ignored;  // RocksDB makes it too, and says why it can't
  std::filesystem::create_directory(path, ignored);
  const size_t memory_bytes = std::max(options.memory_bytes, kMinMemoryBytes);
  const std::shared_ptr<rocksdb::Cache> cache = MakeCache(memory_bytes);
  rocksdb::DB* db = nullptr;
  const rocksdb::Status s = rocksdb::DB::Open(
      MakeDbOptions(path, memory_bytes, cache), path,
      MakeFamilies(MakeFamilyOptions(memory_bytes, cache), expiry), &database->families, &db);
  database->db.reset(db);
  return s;
}

// Whether the folder holds files of a database, complete or not.
bool HasDatabaseFiles(const std::string& path) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::string extension = entry.path().extension().string();
    if (name == "CURRENT" || absl::StartsWith(name, "MANIFEST-") || extension == ".sst" ||
        extension == ".log") {
      return true;
    }
  }
  return false;
}

// Without CURRENT, RocksDB takes the folder for an empty one and removes the files of the old
// database in silence.
bool LacksCurrent(const std::string& path) {
  std::error_code ignored;
  return HasDatabaseFiles(path) && !std::filesystem::exists(path + "/CURRENT", ignored);
}

// Whether the store has column families that this version of esd doesn't know, so a later one made
// it.
bool HasUnknownFamilies(const std::string& path) {
  std::vector<std::string> names;
  if (!rocksdb::DB::ListColumnFamilies({}, path, &names).ok()) return false;
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return std::find(kFamilyNames.begin(), kFamilyNames.end(), name) == kFamilyNames.end();
  });
}

rocksdb::Status WriteIdentity(Database& database, const std::string& source_id) {
  rocksdb::WriteBatch batch;
  rocksdb::ColumnFamilyHandle* meta = database.families[kMeta];
  rocksdb::Status s = batch.Put(meta, kFormatVersionKey, kFormatVersion);
  if (s.ok()) s = batch.Put(meta, kSourceIdKey, source_id);
  rocksdb::WriteOptions options;
  options.sync = true;
  return s.ok() ? database.db->Write(options, &batch) : s;
}

// Why the opened store is not the one that is asked for; empty when it is.
rocksdb::Status CheckIdentity(Database& database, const std::string& source_id, std::string* why) {
  std::string format;
  std::string source;
  rocksdb::ColumnFamilyHandle* meta = database.families[kMeta];
  rocksdb::Status s = database.db->Get({}, meta, kFormatVersionKey, &format);
  if (s.ok()) s = database.db->Get({}, meta, kSourceIdKey, &source);
  if (s.IsNotFound()) {
    *why = "it doesn't say what it is a copy of: its making was interrupted";
    return rocksdb::Status::OK();
  }
  if (!s.ok()) return s;
  if (format != kFormatVersion) {
    *why = absl::StrCat("it has format ", format, " and this esd keeps ", kFormatVersion);
  } else if (source != source_id) {
    *why = absl::StrCat("it is a copy of \"", source, "\" and not of \"", source_id, "\"");
  }
  return rocksdb::Status::OK();
}

// Removes RocksDB's own files and nothing else.
absl::Status RemoveDatabase(const std::string& path) {
  rocksdb::Options options;
  options.info_log = std::make_shared<InfoLog>(path);
  const rocksdb::Status s = rocksdb::DestroyDB(path, options);
  if (!s.ok()) return ToOpenStatus(path, s);
  if (HasDatabaseFiles(path)) {
    return absl::UnavailableError(
        absl::StrCat("files of a broken store can't be removed; remove ", path, " by hand"));
  }
  return absl::OkStatus();
}

// ---- Store ----

class RocksdbSnapshotStore final : public SnapshotStore {
 public:
  RocksdbSnapshotStore(StoreDirectory directory, Database database, OutcomeExpiry expiry)
      : directory_(std::move(directory)),
        path_(directory_.DatabasePath()),
        expiry_(std::move(expiry)),
        database_(std::move(database)) {}

  absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> GetSnapshot(
      const DomainPartition& partition, std::string_view key) const override {
    StoreKeys keys(partition);
    return Get<esd::v1::StoredSnapshot>(kSnapshots, keys.Snapshot(key));
  }

  absl::StatusOr<std::optional<esd::v1::StoredOutcome>> GetOutcome(
      const DomainPartition& partition, std::string_view key,
      std::string_view command_id) const override {
    StoreKeys keys(partition);
    auto outcome = Get<esd::v1::StoredOutcome>(kOutcomes, keys.Outcome(key, command_id));
    // Whether a compaction has been there must not show.
    if (outcome.ok() && *outcome && (*outcome)->recorded_ms() < expiry_.OldestKeptMs()) {
      return std::nullopt;
    }
    return outcome;
  }

  absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> GetCheckpoint(
      const DomainPartition& partition) const override {
    StoreKeys keys(partition);
    return Get<esd::v1::StoredCheckpoint>(kCheckpoints, keys.Partition());
  }

  absl::Status Apply(const std::vector<StoreUpdate>& updates) override {
    rocksdb::WriteBatch batch;
    rocksdb::Status s;
    for (const StoreUpdate& update : updates) {
      s = Add(update, &batch);
      if (!s.ok()) break;
    }
    if (s.ok()) s = database_.db->Write(rocksdb::WriteOptions(), &batch);
    return ToStatus("write", path_, s);
  }

  absl::Status DropPartition(const DomainPartition& partition) override {
    StoreKeys keys(partition);
    const std::string begin(keys.Partition());
    const std::string end = PartitionEnd(partition);
    rocksdb::Status s = DropRange(begin, end);
    if (s.ok()) s = ReclaimRange(begin, end);
    return ToStatus("drop a partition of", path_, s);
  }

 private:
  template <typename Message>
  absl::StatusOr<std::optional<Message>> Get(Family family, std::string_view key) const {
    rocksdb::PinnableSlice value;
    const rocksdb::Status s =
        database_.db->Get(rocksdb::ReadOptions(), database_.families[family], ToSlice(key), &value);
    if (s.IsNotFound()) return std::nullopt;
    if (!s.ok()) return ToStatus("read", path_, s);
    std::optional<Message> message(std::in_place);
    if (!message->ParseFromArray(value.data(), static_cast<int>(value.size()))) {
      return ToStatus(
          "read", path_,
          rocksdb::Status::Corruption("a value of its " + kFamilyNames[family] + " is garbled"));
    }
    return message;
  }

  rocksdb::Status Add(const StoreUpdate& update, rocksdb::WriteBatch* batch) const {
    StoreKeys keys(update.partition);
    rocksdb::Status s;
    for (const StoreUpdate::Snapshot& snapshot : update.snapshots) {
      const rocksdb::Slice key = ToSlice(keys.Snapshot(snapshot.key));
      s = snapshot.value.empty() ? batch->Delete(database_.families[kSnapshots], key)
                                 : batch->Put(database_.families[kSnapshots], key, snapshot.value);
      if (!s.ok()) return s;
    }
    std::string value;
    for (const StoreUpdate::Outcome& outcome : update.outcomes) {
      outcome.outcome.SerializeToString(&value);
      s = batch->Put(database_.families[kOutcomes],
                     ToSlice(keys.Outcome(outcome.key, outcome.command_id)), value);
      if (!s.ok()) return s;
    }
    update.checkpoint.SerializeToString(&value);
    return batch->Put(database_.families[kCheckpoints], ToSlice(keys.Partition()), value);
  }

  rocksdb::Status DropRange(const std::string& begin, const std::string& end) {
    rocksdb::WriteBatch batch;
    rocksdb::Status s = batch.Delete(database_.families[kCheckpoints], begin);
    for (const Family family : {kSnapshots, kOutcomes}) {
      if (s.ok()) s = batch.DeleteRange(database_.families[family], begin, end);
    }
    return s.ok() ? database_.db->Write(rocksdb::WriteOptions(), &batch) : s;
  }

  // Frees the space of whole files at once; what is left of the range goes with the next
  // compactions.
  rocksdb::Status ReclaimRange(const std::string& begin, const std::string& end) {
    // Files are removed for good at once, but the batch that dropped their partition may still be
    // lost with the log. A checkpoint that came back then would vouch for data that is gone: put
    // its removal on disk first.
    rocksdb::Status s =
        database_.db->Flush(rocksdb::FlushOptions(), database_.families[kCheckpoints]);
    const rocksdb::Slice first = begin;
    const rocksdb::Slice last = end;
    for (const Family family : {kSnapshots, kOutcomes}) {
      if (!s.ok()) break;
      s = rocksdb::DeleteFilesInRange(database_.db.get(), database_.families[family], &first, &last,
                                      /*include_end=*/false);
    }
    return s;
  }

  const StoreDirectory directory_;  // destroyed last: holds the lock while the database closes
  const std::string path_;
  const OutcomeExpiry expiry_;
  Database database_;
};

// ---- Opening ----

absl::Status Validate(const RocksdbStoreOptions& options) {
  if (options.directory.empty()) return absl::InvalidArgumentError("the store needs a folder");
  if (options.outcome_retention < kMinOutcomeRetention) {
    return absl::InvalidArgumentError(absl::StrCat(
        "outcomes must be kept for at least ", absl::FormatDuration(kMinOutcomeRetention), ", not ",
        absl::FormatDuration(options.outcome_retention)));
  }
  return absl::OkStatus();
}

// Opens what is in the folder, or a new store when it is empty. On success `why_wipe` says why the
// store can't be used; the database is then closed.
absl::Status OpenExisting(const StoreDirectory& directory, const RocksdbStoreOptions& options,
                          const OutcomeExpiry& expiry, Database* database, std::string* why_wipe) {
  const auto mark = directory.ReadMark();
  if (!mark.ok()) return mark.status();
  if (*mark) {
    *why_wipe = absl::StrCat("it was marked for that", (*mark)->empty() ? "" : ": ", **mark);
    return absl::OkStatus();
  }
  const std::string path = directory.DatabasePath();
  if (LacksCurrent(path)) {
    *why_wipe = "its file CURRENT is missing";
    return absl::OkStatus();
  }
  const bool is_new = !HasDatabaseFiles(path);
  rocksdb::Status s = OpenDatabase(path, options, expiry, database);
  if (s.ok()) {
    s = is_new ? WriteIdentity(*database, options.source_id)
               : CheckIdentity(*database, options.source_id, why_wipe);
  } else if (s.IsInvalidArgument() && HasUnknownFamilies(path)) {
    *why_wipe = "a later version of esd made it";
    return absl::OkStatus();
  }
  if (s.ok() && why_wipe->empty()) return absl::OkStatus();
  database->Close();
  if (s.ok()) return absl::OkStatus();
  if (is_new || !IsBroken(s)) return ToOpenStatus(path, s);
  *why_wipe = absl::StrCat("it is broken: ", s.ToString());
  return absl::OkStatus();
}

// Replaces whatever is in the folder by a new store. The mark stands until all is done: a crash
// half-way leaves files that may look like a whole, but older, store.
absl::Status Recreate(const StoreDirectory& directory, const RocksdbStoreOptions& options,
                      const OutcomeExpiry& expiry, const std::string& why, Database* database) {
  absl::Status status = StoreDirectory::WriteMark(options.directory, why);
  if (!status.ok()) return status;
  const std::string path = directory.DatabasePath();
  status = RemoveDatabase(path);
  if (!status.ok()) return status;
  rocksdb::Status s = OpenDatabase(path, options, expiry, database);
  if (s.ok()) s = WriteIdentity(*database, options.source_id);
  if (!s.ok()) return ToOpenStatus(path, s);
  return directory.RemoveMark();
}

}  // namespace

absl::StatusOr<OpenedRocksdbStore> OpenRocksdbStore(const RocksdbStoreOptions& options) {
  absl::Status status = Validate(options);
  if (!status.ok()) return status;
  absl::StatusOr<StoreDirectory> directory = StoreDirectory::Hold(options.directory);
  if (!directory.ok()) return directory.status();

  const OutcomeExpiry expiry(options.outcome_retention, options.now);
  Database database;
  OpenedRocksdbStore opened;
  std::string why_wipe;
  status = OpenExisting(*directory, options, expiry, &database, &why_wipe);
  if (!status.ok()) return status;
  if (!why_wipe.empty()) {
    status = Recreate(*directory, options, expiry, why_wipe, &database);
    if (!status.ok()) return status;
    opened.wiped_because = absl::StrCat("the store in ", directory->DatabasePath(),
                                        " was wiped and is rebuilt from its topics: ", why_wipe);
  }
  opened.store =
      std::make_unique<RocksdbSnapshotStore>(*std::move(directory), std::move(database), expiry);
  return opened;
}

absl::Status MarkStoreForRebuild(const std::string& directory, std::string_view why) {
  return StoreDirectory::WriteMark(directory, why);
}

}  // namespace esd
