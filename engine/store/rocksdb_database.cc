#include "engine/store/rocksdb_database.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/rocksdb/log_files.h"
#include "engine/rocksdb/options.h"
#include "engine/rocksdb/status.h"
#include "engine/store/rocksdb_options.h"
#include "engine/store/rocksdb_status.h"

namespace esd {

Database::Database() = default;
Database::Database(Database&& other) noexcept
    : db(std::move(other.db)), families(std::exchange(other.families, {})) {}
Database::~Database() { Close(); }

void Database::Close() {
  for (rocksdb::ColumnFamilyHandle* family : families) {
    db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  families.clear();
  db.reset();
}

namespace {

// Increased with each change of keys, values or families that this code would misread.
constexpr char kFormatVersion[] = "1";
constexpr char kFormatVersionKey[] = "format_version";
constexpr char kSourceIdKey[] = "source_id";

constexpr size_t kMinMemoryBytes = size_t{8} << 20;

rocksdb::Status OpenDatabase(const std::string& path, const RocksdbStoreOptions& options,
                             const OutcomeExpiry& expiry, Database* database) {
  std::error_code ignored;  // RocksDB makes it too, and says why it can't
  std::filesystem::create_directory(path, ignored);
  const size_t memory_bytes = std::max(options.memory_bytes, kMinMemoryBytes);
  const std::shared_ptr<rocksdb::Cache> cache = MakeCache(memory_bytes);
  rocksdb::DB* db = nullptr;
  const rocksdb::Status s =
      rocksdb::DB::Open(MakeDbOptions(path, memory_bytes, cache), path,
                        MakeFamilies(memory_bytes, cache, expiry), &database->families, &db);
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
  options.info_log = MakeInfoLog(path);
  const rocksdb::Status s = rocksdb::DestroyDB(path, options);
  if (!s.ok()) return ToOpenStatus(path, s);
  if (HasDatabaseFiles(path)) {
    return absl::UnavailableError(
        absl::StrCat("files of a broken store can't be removed; remove ", path, " by hand"));
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

absl::Status OpenOrRecreate(const StoreDirectory& directory, const RocksdbStoreOptions& options,
                            const OutcomeExpiry& expiry, Database* database,
                            std::string* wiped_because) {
  const absl::Status status = OpenExisting(directory, options, expiry, database, wiped_because);
  if (!status.ok() || wiped_because->empty()) return status;
  return Recreate(directory, options, expiry, *wiped_because, database);
}

}  // namespace esd
