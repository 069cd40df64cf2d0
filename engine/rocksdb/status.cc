#include "engine/rocksdb/status.h"

#include <absl/strings/match.h>
#include <rocksdb/status.h>

namespace esd {

bool IsBroken(const rocksdb::Status& s) {
  if (s.IsPathNotFound()) return true;
  if (!s.IsCorruption()) return false;
  // When it opens a store of many files, RocksDB also calls it corruption that it can't look at
  // one.
  const std::string text = s.ToString();
  return !absl::StrContains(text, "IO error") || absl::StrContains(text, "No such file");
}

}  // namespace esd
