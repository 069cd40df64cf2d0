// The folder of a store on disk: who holds it, and whether what is in it must be rebuilt. Knows no
// database.
//
//   <directory>/store/         the database's own folder
//   <directory>/store.lock     locked by the process that holds the store; never removed
//   <directory>/store.rebuild  there while the database is not to be trusted; its text says why
//
// Whatever else is in <directory> is not touched.
#ifndef ESD_ENGINE_STORE_SNAPSHOT_STORE_DIRECTORY_H_
#define ESD_ENGINE_STORE_SNAPSHOT_STORE_DIRECTORY_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>

namespace esd {

// Holds the folder, from Hold() to its destruction; the end of the process, however it ends, frees
// it too.
//
// This lock is taken before the database's own, because wiping frees that one: without ours another
// process could open the store while its files are removed.
class StoreDirectory {
 public:
  // Makes the folder when it isn't there. Errors: kFailedPrecondition when it is held already, by
  // another process or by this one; kPermissionDenied and kUnavailable when it can't be made or
  // written.
  static absl::StatusOr<StoreDirectory> Hold(const std::string& directory);

  StoreDirectory(StoreDirectory&& other) noexcept;
  StoreDirectory& operator=(StoreDirectory&&) = delete;
  ~StoreDirectory();

  std::string DatabasePath() const { return directory_ + "/store"; }

  // The text of the mark; nothing when there is no mark.
  absl::StatusOr<std::optional<std::string>> ReadMark() const;

  // Removes the mark.
  absl::Status RemoveMark() const;

  // Leaves the mark, so that a power failure can't undo it. Needs no holder.
  static absl::Status WriteMark(const std::string& directory, std::string_view why);

 private:
  StoreDirectory(std::string directory, int lock_fd)
      : directory_(std::move(directory)), lock_fd_(lock_fd) {}

  std::string directory_;
  int lock_fd_;  // -1 after a move
};

}  // namespace esd

#endif  // ESD_ENGINE_STORE_SNAPSHOT_STORE_DIRECTORY_H_
