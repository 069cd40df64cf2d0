#include "engine/log/embedded/log_database.h"

#include <absl/random/random.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "engine/base/string_view.h"
#include "engine/log/embedded/log_options.h"
#include "engine/rocksdb/status.h"

namespace esd::embedded {
namespace {

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }

// RocksDB says it in words only.
bool IsLocked(const rocksdb::Status& s) {
  return s.IsIOError() && absl::StrContains(s.ToString(), "lock");
}

struct DirectoryContents {
  bool current = false;   // which names the files of a whole database
  bool data = false;      // files that hold records
  std::string something;  // that isn't RocksDB's
};

DirectoryContents LookAt(const std::string& directory) {
  DirectoryContents found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::string extension = entry.path().extension().string();
    if (name == "CURRENT") {
      found.current = true;
    } else if (extension == ".sst" || extension == ".log") {
      found.data = true;
    } else if (name != "LOCK" && name != "LOG" && name != "LOG.old" && name != "IDENTITY" &&
               name != "lost+found" && extension != ".dbtmp" &&
               !absl::StartsWith(name, "MANIFEST-") && !absl::StartsWith(name, "OPTIONS-")) {
      found.something = name;
    }
  }
  return found;
}

}  // namespace

void StoredBegins::Set(const std::string& topic_key, Offset begin) {
  absl::MutexLock lock(&mutex_);
  begins_[topic_key] = begin;
}

std::map<std::string, Offset, std::less<>> StoredBegins::All() const {
  absl::MutexLock lock(&mutex_);
  return begins_;
}

LogDatabase::LogDatabase(std::string directory, rocksdb::Env* env)
    : directory_(std::move(directory)), env_(env) {}

LogDatabase::~LogDatabase() {
  absl::MutexLock lock(&mutex_);
  Close();
}

absl::StatusOr<std::unique_ptr<LogDatabase>> LogDatabase::Open(const std::string& directory,
                                                               rocksdb::Env* env) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("can't make ", directory, ": ", error.message(),
                                               "; make it writable or choose another directory"));
  }
  std::unique_ptr<LogDatabase> database(new LogDatabase(directory, env));
  if (absl::Status status = database->CheckDirectory(); !status.ok()) return status;
  if (absl::Status status = database->CheckFamilies(); !status.ok()) return status;
  if (const rocksdb::Status s = database->Reopen(); !s.ok()) return database->ToOpenStatus(s);
  if (absl::Status status = database->CheckIdentity(); !status.ok()) return status;
  return database;
}

// Before RocksDB looks at it: that takes a folder without CURRENT for an empty one, and removes the
// files of the old database in silence.
absl::Status LogDatabase::CheckDirectory() const {
  const DirectoryContents found = LookAt(directory_);
  if (found.current) return absl::OkStatus();
  if (found.data) {
    return absl::DataLossError(
        absl::StrCat("the log in ", directory_,
                     " lacks its file CURRENT: put it back from a copy of the folder, or choose "
                     "another directory"));
  }
  if (!found.something.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory_, " holds something that is no log (", found.something,
                     "): choose an empty directory, or one that does not exist"));
  }
  return absl::OkStatus();
}

// Before it is opened: that would add the families that are missing to whatever it is.
absl::Status LogDatabase::CheckFamilies() const {
  if (!LookAt(directory_).current) return absl::OkStatus();
  std::vector<std::string> names;
  const rocksdb::Status s =
      rocksdb::DB::ListColumnFamilies(MakeDbOptions(directory_, env_), directory_, &names);
  if (!s.ok()) return ToOpenStatus(s);
  // Fewer: its making was interrupted, or it is something else; CheckIdentity() tells.
  const bool ours = names.size() <= kFamilyNames.size() &&
                    std::equal(names.begin(), names.end(), kFamilyNames.begin());
  if (ours) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(directory_,
                   " holds another database, or a log of a later version of esd: choose another "
                   "directory, or run the version that made it"));
}

rocksdb::Status LogDatabase::OpenFiles() {
  rocksdb::DB* db = nullptr;
  const rocksdb::Status s = rocksdb::DB::Open(MakeDbOptions(directory_, env_), directory_,
                                              MakeFamilies(begins_), &families_, &db);
  db_.reset(db);
  return s;
}

rocksdb::Status LogDatabase::Reopen() {
  absl::MutexLock lock(&mutex_);
  Close();
  return OpenFiles();
}

void LogDatabase::Close() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  families_.clear();
  db_->Close().PermitUncheckedError();
  db_.reset();
}

absl::Status LogDatabase::CheckIdentity() {
  const auto format = GetMeta(kFormatVersionKey);
  if (!format.ok()) return format.status();
  if (!*format) return WriteIdentity();
  if (**format != kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the log in ", directory_, " has format ", **format, " and this esd reads ",
                     kFormatVersion, ": run the version of esd that made it"));
  }
  const auto source = GetMeta(kSourceIdKey);
  if (!source.ok()) return source.status();
  if (!*source) {
    return absl::DataLossError(absl::StrCat("the log in ", directory_,
                                            " does not say which one it is: put it back from a "
                                            "copy of the folder"));
  }
  source_id_ = **source;
  return absl::OkStatus();
}

absl::Status LogDatabase::WriteIdentity() {
  if (db_->GetLatestSequenceNumber() > 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory_, " holds a database that is no log of esd: choose another directory"));
  }
  absl::BitGen random;
  source_id_ = absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
  rocksdb::WriteBatch batch;
  rocksdb::Status s = batch.Put(families_[kMeta], kFormatVersionKey, kFormatVersion);
  if (s.ok()) s = batch.Put(families_[kMeta], kSourceIdKey, source_id_);
  if (s.ok()) s = Write(Access(*this), &batch);
  return s.ok() ? absl::OkStatus() : ToOpenStatus(s);
}

rocksdb::Status LogDatabase::Write(const Access& access, rocksdb::WriteBatch* batch) {
  if (access.db() == nullptr) return rocksdb::Status::Incomplete("the log is not open");
  rocksdb::WriteOptions options;
  options.sync = true;
  return access.db()->Write(options, batch);
}

absl::StatusOr<std::optional<Offset>> LogDatabase::GetOffset(Family family,
                                                             std::string_view key) const {
  const auto value = Get(family, key);
  if (!value.ok()) return value.status();
  if (!*value) return std::nullopt;
  const std::optional<uint64_t> number = ParseBigEndian64(**value);
  if (number) return Offset{static_cast<int64_t>(*number)};
  return ToStatus("read", rocksdb::Status::Corruption("an offset is garbled"));
}

absl::StatusOr<std::optional<std::string>> LogDatabase::Get(Family family,
                                                            std::string_view key) const {
  const Access access(*this);
  if (access.db() == nullptr) return ToStatus("read", rocksdb::Status::Incomplete("it is closed"));
  std::string value;
  const rocksdb::Status s = access.db()->Get({}, access.family(family), ToSlice(key), &value);
  if (s.IsNotFound()) return std::nullopt;
  if (!s.ok()) return ToStatus("read", s);
  return value;
}

absl::StatusOr<std::optional<Offset>> LogDatabase::LastOffset(Family family,
                                                              std::string_view topic_key) const {
  const Access access(*this);
  if (access.db() == nullptr) return ToStatus("read", rocksdb::Status::Incomplete("it is closed"));
  const std::string last = RecordKey(topic_key, Offset{std::numeric_limits<int64_t>::max()});
  const std::unique_ptr<rocksdb::Iterator> records(
      access.db()->NewIterator({}, access.family(family)));
  records->SeekForPrev(last);
  if (!records->status().ok()) return ToStatus("read", records->status());
  if (!records->Valid() || !records->key().starts_with(ToSlice(topic_key))) return std::nullopt;
  const rocksdb::Slice key = records->key();
  return OffsetOf({key.data(), key.size()});
}

void LogDatabase::DropFilesBelow(Family family, const std::string& topic_key, Offset begin) {
  const Access access(*this);
  if (access.db() == nullptr) return;
  const std::string first_key = RecordKey(topic_key, Offset{0});
  const std::string last_key = RecordKey(topic_key, begin);
  const rocksdb::Slice first = first_key;
  const rocksdb::Slice last = last_key;
  // Only to have the space sooner: compactions remove what is left of it.
  rocksdb::DeleteFilesInRange(access.db(), access.family(family), &first, &last,
                              /*include_end=*/false)
      .PermitUncheckedError();
}

int64_t LogDatabase::FreeBytes() const {
  uint64_t free = 0;
  rocksdb::Env* const env = env_ != nullptr ? env_ : rocksdb::Env::Default();
  constexpr auto kMost = std::numeric_limits<int64_t>::max();
  if (!env->GetFreeSpace(directory_, &free).ok()) return kMost;
  return static_cast<int64_t>(std::min(free, static_cast<uint64_t>(kMost)));
}

absl::Status LogDatabase::ToStatus(std::string_view what, const rocksdb::Status& s) const {
  const std::string message =
      absl::StrCat("can't ", ToAbsl(what), " the log in ", directory_, ": ", s.ToString());
  if (s.IsNoSpace()) {
    return absl::ResourceExhaustedError(
        absl::StrCat(message, "; the disk is full: free space in ", directory_));
  }
  if (IsBroken(s)) {
    return absl::DataLossError(absl::StrCat(
        message, "; stop esd, check the disk and put the folder back from a copy of it"));
  }
  return absl::UnavailableError(absl::StrCat(message, "; check the disk of ", directory_));
}

absl::Status LogDatabase::ToOpenStatus(const rocksdb::Status& s) const {
  if (IsLocked(s)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the log in ", directory_,
                     " is in use: another esd runs there; stop it or choose another directory"));
  }
  return ToStatus("open", s);
}

}  // namespace esd::embedded
