#include "engine/rocksdb/log_files.h"

#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <fcntl.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

namespace esd {
namespace {

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

}  // namespace

std::shared_ptr<rocksdb::EventListener> MakeFullLogSyncer(const std::string& path) {
  return std::make_shared<FullLogSyncer>(path);
}

std::shared_ptr<rocksdb::Logger> MakeInfoLog(const std::string& path) {
  return std::make_shared<InfoLog>(path);
}

}  // namespace esd
