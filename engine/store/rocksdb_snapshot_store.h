// The snapshot store on RocksDB: one database per instance, a column family per kind of data.
//
//   esd::RocksdbStoreOptions options;
//   options.directory = "/var/lib/esd";
//   options.source_id = "cluster/group/prefix";
//   auto opened = esd::OpenRocksdbStore(options);
//   if (!opened.ok()) return opened.status();
//   if (!opened->wiped_because.empty()) LOG(WARNING) << opened->wiped_because;
//   auto snapshot = opened->store->GetSnapshot({"security", esd::PartitionId{3}}, "foo@bar.com");
//
// Keys start with the partition, so that a partition can be dropped as a range. Write batches go
// through the write-ahead log but are not synced: with Kafka the changelog is the truth, a `kill
// -9` loses nothing and a power failure at most the tail, which is replayed from the checkpoint.
// While the disk is full, writes are RESOURCE_EXHAUSTED; they succeed again when there is room.
#ifndef ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_H_
#define ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/store/snapshot_store.h"

namespace esd {

struct RocksdbStoreOptions {
  // Data folder of the instance; made, with its parents, when it isn't there. The store uses
  // `store/`, `store.lock` and `store.rebuild` in it and touches nothing else. Only one store can
  // hold it.
  std::string directory;
  // What the store is a copy of: cluster, group and topic prefix. A store made for another source
  // is wiped.
  std::string source_id;
  // Bound on the memory for blocks and write buffers together, over all column families; at least 8
  // MiB is used. It is soft: a flush under way or blocks in use by readers may exceed it for a
  // moment.
  size_t memory_bytes = size_t{256} << 20;
  // Outcomes older than this are no longer found, and their space is freed by and by. At least 24
  // h, so that a retry within a day is recognised.
  absl::Duration outcome_retention = absl::Hours(48);
  // The clock that outcomes expire by; absl::Now() when empty. Called from any thread, RocksDB's
  // own included.
  std::function<absl::Time()> now;
};

struct OpenedRocksdbStore {
  std::unique_ptr<SnapshotStore> store;
  // Why an existing store was wiped and must be rebuilt, as a sentence for the log; empty when it
  // was not.
  std::string wiped_because;
};

// Opens or makes the store. A store of another format, of another source, marked by
// MarkStoreForRebuild() or too broken to open is wiped; a failure of the disk or of permissions
// wipes nothing. Errors: kInvalidArgument for options that can't be meant, kFailedPrecondition when
// the folder is held already (names it and the fix), kPermissionDenied or kUnavailable when it
// can't be made, read or written, kInternal for anything else.
//
// Damage that opening doesn't meet shows as kDataLoss from the function that does, and damage at
// the end of the write-ahead log as an older checkpoint: everything from there on is replayed.
absl::StatusOr<OpenedRocksdbStore> OpenRocksdbStore(const RocksdbStoreOptions& options);

// Leaves a mark in the folder that makes the next OpenRocksdbStore() wipe it: for a store that
// fails with kDataLoss while it is open. `why` ends up in `wiped_because`. May be called while the
// store is open.
absl::Status MarkStoreForRebuild(const std::string& directory, std::string_view why = "");

}  // namespace esd

#endif  // ESD_ENGINE_STORE_ROCKSDB_SNAPSHOT_STORE_H_
