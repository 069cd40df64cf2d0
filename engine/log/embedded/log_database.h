// The embedded log's RocksDB: opened, identified, and opened anew when a write has failed.
#ifndef ESD_ENGINE_LOG_EMBEDDED_LOG_DATABASE_H_
#define ESD_ENGINE_LOG_EMBEDDED_LOG_DATABASE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"
#include "engine/log/embedded/log_keys.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Env;
class Status;
class WriteBatch;
}  // namespace rocksdb

namespace esd::embedded {

// The first offsets of topics as they are on disk, for the compaction filter that removes what is
// below. Any thread.
class StoredBegins {
 public:
  void Set(const std::string& topic_key, Offset begin);
  std::map<std::string, Offset, std::less<>> All() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, Offset, std::less<>> begins_ ABSL_GUARDED_BY(mutex_);
};

class LogDatabase {
 public:
  // Errors as of OpenEmbeddedLog().
  static absl::StatusOr<std::unique_ptr<LogDatabase>> Open(const std::string& directory,
                                                           rocksdb::Env* env);
  ~LogDatabase();
  LogDatabase(const LogDatabase&) = delete;
  LogDatabase& operator=(const LogDatabase&) = delete;

  // Keeps the database open. It also keeps the writer from opening it anew, so not for long.
  class Access {
   public:
    explicit Access(const LogDatabase& database) : database_(database), lock_(&database.mutex_) {}
    // Nothing while it is being opened anew.
    rocksdb::DB* db() const { return database_.db_.get(); }
    rocksdb::ColumnFamilyHandle* family(Family family) const { return database_.families_[family]; }

   private:
    const LogDatabase& database_;
    const absl::ReaderMutexLock lock_;
  };

  // Writes the batch, all or nothing, and syncs it. After an error it may be there all the same, or
  // come back later: Reopen(), which makes sure, and look for it.
  rocksdb::Status Write(const Access& access, rocksdb::WriteBatch* batch);

  // Closes the database, if it is open, and opens it as after a crash. Not open after an error. For
  // one thread at a time; waits for whoever has access.
  rocksdb::Status Reopen();

  // Of kMeta; nothing when there is none.
  absl::StatusOr<std::optional<std::string>> GetMeta(std::string_view key) const {
    return Get(kMeta, key);
  }
  // Of any family: a value that is an offset.
  absl::StatusOr<std::optional<Offset>> GetOffset(Family family, std::string_view key) const;
  // The last record's offset; nothing when there is no record.
  absl::StatusOr<std::optional<Offset>> LastOffset(Family family, std::string_view topic_key) const;

  // Removes whole files in which all is below `begin`: quick, and gives their space back.
  void DropFilesBelow(Family family, const std::string& topic_key, Offset begin);

  // What to say of an error of an operation: kDataLoss when what is on disk is broken,
  // kResourceExhausted when the disk is full, else kUnavailable. `what` goes behind "can't".
  absl::Status ToStatus(std::string_view what, const rocksdb::Status& s) const;

  int64_t FreeBytes() const;  // on the file system; the largest number when it can't be told
  const std::string& directory() const { return directory_; }
  const std::string& source_id() const { return source_id_; }
  StoredBegins& begins() { return *begins_; }

 private:
  LogDatabase(std::string directory, rocksdb::Env* env);

  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) const;
  absl::Status CheckDirectory() const;
  absl::Status CheckFamilies() const;
  absl::Status CheckIdentity();
  absl::Status WriteIdentity();
  absl::Status ToOpenStatus(const rocksdb::Status& s) const;
  rocksdb::Status OpenFiles() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string directory_;
  rocksdb::Env* const env_;
  const std::shared_ptr<StoredBegins> begins_ = std::make_shared<StoredBegins>();
  std::string source_id_;

  mutable absl::Mutex mutex_;  // for writing while the database is opened or closed
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;  // by Family; owned by db_ in name only
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_LOG_DATABASE_H_
