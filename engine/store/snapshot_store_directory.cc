#include "engine/store/snapshot_store_directory.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace esd {
namespace {

// Enough for a sentence; more of a mark is not read.
constexpr size_t kMaxMarkBytes = 4096;

std::string MarkPath(const std::string& directory) { return directory + "/store.rebuild"; }

absl::Status FileError(int error, const char* what, const std::string& path) {
  const std::string message = absl::StrCat("can't ", what, " ", path, ": ", std::strerror(error));
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(
          absl::StrCat(message, "; make it writable for this user or give another --data-dir"));
    case ENOSPC:
    case EDQUOT:
      return absl::UnavailableError(
          absl::StrCat(message, "; free space there or give another --data-dir"));
    default:
      return absl::UnavailableError(absl::StrCat(message, "; give another --data-dir"));
  }
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Makes additions and removals of files in the folder survive a power failure.
absl::Status SyncDirectory(const std::string& directory) {
  const FileDescriptor fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return FileError(errno, "sync", directory);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StoreDirectory> StoreDirectory::Hold(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return FileError(error.value(), "make the folder", directory);

  const std::string path = directory + "/store.lock";
  FileDescriptor fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (fd.get() < 0) return FileError(errno, "write", path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FileError(errno, "lock", path);
    return absl::FailedPreconditionError(
        absl::StrCat("the folder ", directory,
                     " is in use: another esd runs there; stop it or give another --data-dir"));
  }
  return StoreDirectory(directory, fd.release());
}

StoreDirectory::StoreDirectory(StoreDirectory&& other) noexcept
    : directory_(std::move(other.directory_)), lock_fd_(std::exchange(other.lock_fd_, -1)) {}

StoreDirectory::~StoreDirectory() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

absl::StatusOr<std::optional<std::string>> StoreDirectory::ReadMark() const {
  const std::string path = MarkPath(directory_);
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOENT) return std::nullopt;
    return FileError(errno, "read", path);
  }
  std::string text(kMaxMarkBytes, '\0');
  const ssize_t size = read(fd.get(), text.data(), text.size());
  if (size < 0) return FileError(errno, "read", path);
  text.resize(static_cast<size_t>(size));
  return text;
}

absl::Status StoreDirectory::RemoveMark() const {
  const std::string path = MarkPath(directory_);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return FileError(errno, "remove", path);
  return SyncDirectory(directory_);
}

absl::Status StoreDirectory::WriteMark(const std::string& directory, std::string_view why) {
  const std::string path = MarkPath(directory);
  const FileDescriptor fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0) return FileError(errno, "write", path);
  const std::string_view text = why.substr(0, kMaxMarkBytes);
  // Only that the file is there counts: a text cut off by a full disk is still a mark.
  if (write(fd.get(), text.data(), text.size()) < 0 && errno != ENOSPC && errno != EDQUOT) {
    return FileError(errno, "write", path);
  }
  if (fsync(fd.get()) != 0) return FileError(errno, "sync", path);
  return SyncDirectory(directory);
}

}  // namespace esd
