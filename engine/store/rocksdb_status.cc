#include "engine/store/rocksdb_status.h"

#include <absl/strings/str_cat.h>
#include <rocksdb/status.h>

#include "engine/rocksdb/status.h"

namespace esd {

namespace {

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

}  // namespace

absl::Status ToStatus(const char* what, const std::string& path, const rocksdb::Status& s) {
  if (s.ok()) return absl::OkStatus();
  if (IsBroken(s)) return absl::DataLossError(Describe(what, path, s));
  if (s.IsNoSpace()) return absl::ResourceExhaustedError(Describe(what, path, s));
  return absl::InternalError(Describe(what, path, s));
}

absl::Status ToOpenStatus(const std::string& path, const rocksdb::Status& s) {
  if (s.IsIOError() || s.IsCorruption()) return absl::UnavailableError(Describe("open", path, s));
  return absl::InternalError(Describe("open", path, s));
}

}  // namespace esd
