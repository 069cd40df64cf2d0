// The database of the RocksDB store: opened when what is in the folder is the store that is asked
// for, made anew when it is another one or broken.
#ifndef ESD_ENGINE_STORE_ROCKSDB_DATABASE_H_
#define ESD_ENGINE_STORE_ROCKSDB_DATABASE_H_

#include <absl/status/status.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/store/outcome_expiry.h"
#include "engine/store/rocksdb_snapshot_store.h"
#include "engine/store/snapshot_store_directory.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace esd {

struct Database {
  std::unique_ptr<rocksdb::DB> db;
  // By `Family`. Owned by `db` in name only: they must be destroyed before it.
  std::vector<rocksdb::ColumnFamilyHandle*> families;

  Database();
  Database(Database&& other) noexcept;
  Database& operator=(Database&&) = delete;
  ~Database();

  void Close();
};

// Opens the database of the folder. When it can't be used it is wiped, and `wiped_because` says
// why, as a part of a sentence; it stays empty otherwise. Errors as of OpenRocksdbStore().
absl::Status OpenOrRecreate(const StoreDirectory& directory, const RocksdbStoreOptions& options,
                            const OutcomeExpiry& expiry, Database* database,
                            std::string* wiped_because);

}  // namespace esd

#endif  // ESD_ENGINE_STORE_ROCKSDB_DATABASE_H_
