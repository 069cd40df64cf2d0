#include "tests/log/power_loss_env.h"

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>

namespace esd {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

std::string Parent(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().parent_path().string();
}

std::string Normal(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

}  // namespace

class TestDisk::FileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit FileSystem(uint64_t seed)
      : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()), random_(seed) {}

  const char* Name() const override { return "esd.TestDisk"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override;
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext* debug) override;
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override;
  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* debug) override;
  IOStatus GetFreeSpace(const std::string& path, const IOOptions& options, uint64_t* free,
                        IODebugContext* debug) override;
  // Not made safe against a cut: RocksDB isn't set up to use them.
  IOStatus ReopenWritableFile(const std::string&, const FileOptions&,
                              std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("files are not reopened");
  }
  IOStatus ReuseWritableFile(const std::string&, const std::string&, const FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("files are not used again");
  }

  // Whether the operation may be done.
  IOStatus Operate();
  // How many of the bytes fit.
  size_t Fit(size_t size);
  void Appended(const std::string& name, size_t size);
  void Synced(const std::string& name);
  void SyncedDirectory(const std::string& name);

  void CutAfter(int64_t operations) {
    absl::MutexLock lock(&mutex_);
    left_ = operations;
  }
  bool cut() const {
    absl::MutexLock lock(&mutex_);
    return left_ <= 0;
  }
  int64_t operations() const {
    absl::MutexLock lock(&mutex_);
    return operations_;
  }
  void SetRoom(int64_t bytes) {
    absl::MutexLock lock(&mutex_);
    room_ = bytes;
  }
  void FailSyncs(int count) {
    absl::MutexLock lock(&mutex_);
    failing_syncs_ = count;
  }
  bool SyncFails() {
    absl::MutexLock lock(&mutex_);
    return failing_syncs_ > 0 && failing_syncs_-- > 0;
  }
  void SetFreeBytes(int64_t bytes) {
    absl::MutexLock lock(&mutex_);
    free_ = bytes;
  }
  void LosePower();

 private:
  struct File {
    size_t size = 0;
    size_t synced = 0;
  };
  // A new file, or a rename, whose folder wasn't synced yet.
  struct Change {
    std::string path;
    std::string from;                     // of a rename
    std::optional<std::string> replaced;  // by the rename: what was there before
  };
  void Undo(const Change& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  int64_t left_ ABSL_GUARDED_BY(mutex_) = kEndless;
  int64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t room_ ABSL_GUARDED_BY(mutex_) = kEndless;
  int failing_syncs_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t free_ ABSL_GUARDED_BY(mutex_) = kEndless;
  std::map<std::string, File> files_ ABSL_GUARDED_BY(mutex_);
  std::vector<Change> changes_ ABSL_GUARDED_BY(mutex_);  // in their order
};

namespace {

class DiskFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  DiskFile(TestDisk::FileSystem* disk, std::string name,
           std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), name_(std::move(name)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    if (IOStatus s = disk_->Operate(); !s.ok()) return s;
    const size_t fits = disk_->Fit(data.size());
    IOStatus s = target()->Append({data.data(), fits}, options, debug);
    if (s.ok()) disk_->Appended(name_, fits);
    if (s.ok() && fits < data.size()) return IOStatus::NoSpace("the test's disk is full");
    return s;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus s = disk_->Operate(); !s.ok()) return s;
    if (disk_->SyncFails()) return IOStatus::IOError("the test's disk doesn't sync");
    // The test's process doesn't lose its power: the kernel has it.
    IOStatus s = target()->Flush(options, debug);
    if (s.ok()) disk_->Synced(name_);
    return s;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  TestDisk::FileSystem* const disk_;
  const std::string name_;
};

class DiskDirectory : public rocksdb::FSDirectory {
 public:
  DiskDirectory(TestDisk::FileSystem* disk, std::string name)
      : disk_(disk), name_(std::move(name)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    if (IOStatus s = disk_->Operate(); !s.ok()) return s;
    disk_->SyncedDirectory(name_);
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  TestDisk::FileSystem* const disk_;
  const std::string name_;
};

}  // namespace

IOStatus TestDisk::FileSystem::Operate() {
  absl::MutexLock lock(&mutex_);
  ++operations_;
  if (left_ != kEndless && left_ > 0) --left_;
  return left_ > 0 ? IOStatus::OK() : IOStatus::IOError("the test's disk has no power");
}

size_t TestDisk::FileSystem::Fit(size_t size) {
  absl::MutexLock lock(&mutex_);
  if (room_ == kEndless) return size;
  const size_t fits = std::min(size, static_cast<size_t>(room_));
  room_ -= static_cast<int64_t>(fits);
  return fits;
}

void TestDisk::FileSystem::Appended(const std::string& name, size_t size) {
  absl::MutexLock lock(&mutex_);
  files_[name].size += size;
}

void TestDisk::FileSystem::Synced(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  files_[name].synced = files_[name].size;
}

void TestDisk::FileSystem::SyncedDirectory(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(changes_, [&](const Change& change) { return Parent(change.path) == name; });
}

IOStatus TestDisk::FileSystem::NewWritableFile(const std::string& name, const FileOptions& options,
                                               std::unique_ptr<rocksdb::FSWritableFile>* file,
                                               IODebugContext* debug) {
  if (IOStatus s = Operate(); !s.ok()) return s;
  std::unique_ptr<rocksdb::FSWritableFile> made;
  IOStatus s = target()->NewWritableFile(name, options, &made, debug);
  if (!s.ok()) return s;
  const std::string path = Normal(name);
  absl::MutexLock lock(&mutex_);
  files_[path] = {};
  changes_.push_back({path, "", std::nullopt});
  *file = std::make_unique<DiskFile>(this, path, std::move(made));
  return s;
}

IOStatus TestDisk::FileSystem::NewDirectory(const std::string& name, const IOOptions&,
                                            std::unique_ptr<rocksdb::FSDirectory>* directory,
                                            IODebugContext*) {
  std::string path = Normal(name);
  if (path.ends_with('/')) path.pop_back();
  *directory = std::make_unique<DiskDirectory>(this, path);
  return IOStatus::OK();
}

IOStatus TestDisk::FileSystem::RenameFile(const std::string& from, const std::string& to,
                                          const IOOptions& options, IODebugContext* debug) {
  if (IOStatus s = Operate(); !s.ok()) return s;
  Change rename{Normal(to), Normal(from), std::nullopt};
  if (std::ifstream before(to, std::ios::binary); before) {
    std::ostringstream text;
    text << before.rdbuf();
    rename.replaced = text.str();
  }
  IOStatus s = target()->RenameFile(from, to, options, debug);
  if (!s.ok()) return s;
  absl::MutexLock lock(&mutex_);
  if (const auto file = files_.find(rename.from); file != files_.end()) {
    files_[rename.path] = file->second;
    files_.erase(rename.from);
  }
  changes_.push_back(std::move(rename));
  return s;
}

IOStatus TestDisk::FileSystem::DeleteFile(const std::string& name, const IOOptions& options,
                                          IODebugContext* debug) {
  if (IOStatus s = Operate(); !s.ok()) return s;
  IOStatus s = target()->DeleteFile(name, options, debug);
  if (!s.ok()) return s;
  absl::MutexLock lock(&mutex_);
  files_.erase(Normal(name));
  return s;
}

IOStatus TestDisk::FileSystem::GetFreeSpace(const std::string& path, const IOOptions& options,
                                            uint64_t* free, IODebugContext* debug) {
  absl::MutexLock lock(&mutex_);
  if (free_ == kEndless) return target()->GetFreeSpace(path, options, free, debug);
  *free = static_cast<uint64_t>(free_);
  return IOStatus::OK();
}

void TestDisk::FileSystem::LosePower() {
  absl::MutexLock lock(&mutex_);
  for (size_t undone = random_() % (changes_.size() + 1); undone > 0; --undone) {
    Undo(changes_.back());
    changes_.pop_back();
  }
  std::error_code ignored;
  for (const auto& [path, file] : files_) {
    if (file.synced == file.size) continue;
    const size_t kept = file.synced + random_() % (file.size - file.synced + 1);
    std::filesystem::resize_file(path, kept, ignored);
  }
  files_.clear();
  changes_.clear();
  left_ = kEndless;
}

void TestDisk::FileSystem::Undo(const Change& change) {
  std::error_code ignored;
  const auto file = files_.find(change.path);
  if (change.from.empty()) {
    std::filesystem::remove(change.path, ignored);
  } else {
    std::filesystem::rename(change.path, change.from, ignored);
    if (file != files_.end()) files_[change.from] = file->second;
    if (change.replaced)
      std::ofstream(change.path, std::ios::binary | std::ios::trunc) << *change.replaced;
  }
  files_.erase(change.path);
}

TestDisk::TestDisk(uint64_t seed)
    : file_system_(std::make_shared<FileSystem>(seed)),
      env_(rocksdb::NewCompositeEnv(file_system_)) {}
TestDisk::~TestDisk() = default;

rocksdb::Env* TestDisk::env() { return env_.get(); }
void TestDisk::CutAfter(int64_t operations) { file_system_->CutAfter(operations); }
bool TestDisk::cut() const { return file_system_->cut(); }
void TestDisk::LosePower() { file_system_->LosePower(); }
void TestDisk::SetRoom(int64_t bytes) { file_system_->SetRoom(bytes); }
void TestDisk::FailSyncs(int count) { file_system_->FailSyncs(count); }
void TestDisk::SetFreeBytes(int64_t bytes) { file_system_->SetFreeBytes(bytes); }
int64_t TestDisk::operations() const { return file_system_->operations(); }

}  // namespace esd
