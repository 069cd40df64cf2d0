// What the tests of the RocksDB store share: a fresh folder, a store that opens and closes, a
// second process.
#ifndef ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_TEST_H_
#define ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_TEST_H_

#include <absl/time/time.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/store/rocksdb_snapshot_store.h"
#include "engine/store/snapshot_store_contract_test.h"

namespace esd {

// A folder that goes with the test.
class TempDirectory {
 public:
  TempDirectory() : path_((std::filesystem::temp_directory_path() / "esd-store-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary folder " << path_;
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A store in a folder of its own, which the test opens, closes and opens again.
class RocksdbStoreFixture {
 public:
  RocksdbStoreFixture() : RocksdbStoreFixture("") {}

  // In `directory`, which the caller keeps and removes; in one of its own when that is empty.
  explicit RocksdbStoreFixture(const std::string& directory) {
    if (directory.empty()) own_directory_.emplace();
    options_.directory = own_directory_ ? own_directory_->path() + "/data" : directory;
    options_.source_id = "cluster/group/";
    options_.memory_bytes = size_t{16} << 20;
    options_.now = [this] { return absl::FromUnixMillis(now_ms_); };
  }

  RocksdbStoreOptions& options() { return options_; }
  SnapshotStore& store() { return *opened_.store; }
  void SetNow(absl::Time now) { now_ms_ = absl::ToUnixMillis(now); }
  std::string DatabasePath() const { return options_.directory + "/store"; }

  // Why the store was wiped; empty when it was not, the status when it can't be opened.
  std::string Open() {
    absl::StatusOr<OpenedRocksdbStore> opened = OpenRocksdbStore(options_);
    if (!opened.ok()) return opened.status().ToString();
    opened_ = *std::move(opened);
    return opened_.wiped_because;
  }

  void Close() { opened_.store.reset(); }

  std::string Reopen() {
    Close();
    return Open();
  }

 private:
  std::optional<TempDirectory> own_directory_;
  std::atomic<int64_t> now_ms_ = 0;
  RocksdbStoreOptions options_;
  OpenedRocksdbStore opened_;
};

}  // namespace esd

#endif  // ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_TEST_H_
