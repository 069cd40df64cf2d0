// The snapshot store on RocksDB: one database per instance, a column family per kind of data.
//
// Keys start with the partition, so that a partition can be dropped as a range. Write batches go through the
// write-ahead log but are not synced: with Kafka the changelog is the truth, a `kill -9` loses nothing and a power
// failure at most the tail, which is replayed from the checkpoint.
#ifndef ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_H_
#define ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <memory>
#include <string>

#include "engine/store/snapshot_store.h"

namespace esd {

struct RocksdbStoreOptions {
  // Folder of the database; made when it isn't there. Only one process can hold it.
  std::string directory;
  // What the store is a copy of: cluster, group and topic prefix. A store made for another source is wiped.
  std::string source_id;
  // Bound on the memory for blocks and write buffers together, over all column families.
  size_t memory_bytes = size_t{256} << 20;
  // Outcomes older than this are forgotten by and by. At least 24 h, so that a retry within a day is recognised.
  absl::Duration outcome_retention = absl::Hours(48);
};

struct OpenedRocksdbStore {
  std::unique_ptr<SnapshotStore> store;
  // Why an existing store was wiped and must be rebuilt, as a sentence for the log; empty when it was not.
  std::string wiped_because;
};

// Opens or makes the store. A store of another format, of another source, marked by MarkStoreForRebuild() or too broken
// to open is wiped. Errors: kFailedPrecondition when another process holds the folder (names it and the fix),
// kPermissionDenied or kUnavailable when the folder can't be made or written.
absl::StatusOr<OpenedRocksdbStore> OpenRocksdbStore(const RocksdbStoreOptions& options);

// Leaves a mark in the folder that makes the next OpenRocksdbStore() wipe it: for a store that fails with kDataLoss while
// it is open. May be called while the store is open.
absl::Status MarkStoreForRebuild(const std::string& directory);

}  // namespace esd

#endif  // ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_H_
