// The column families of the store, and how RocksDB is set up for them.
#ifndef ESD_ENGINE_STORE_ROCKSDB_OPTIONS_H_
#define ESD_ENGINE_STORE_ROCKSDB_OPTIONS_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "engine/store/outcome_expiry.h"

namespace rocksdb {
class Cache;
struct ColumnFamilyDescriptor;
struct DBOptions;
}  // namespace rocksdb

namespace esd {

// Index into the column families, in the order in which they are opened. What is in them:
// snapshot_store_keys.h. A family that an older store lacks is made when that is opened.
enum Family : size_t { kMeta, kSnapshots, kOutcomes, kCheckpoints, kHistory, kFamilyCount };
inline constexpr std::array<const char*, kFamilyCount> kFamilyNames = {
    "default", "snapshots", "outcomes", "checkpoints", "history"};

rocksdb::DBOptions MakeDbOptions(const std::string& path, size_t memory_bytes,
                                 const std::shared_ptr<rocksdb::Cache>& cache);

// In the order of `Family`.
std::vector<rocksdb::ColumnFamilyDescriptor> MakeFamilies(
    size_t memory_bytes, const std::shared_ptr<rocksdb::Cache>& cache, const OutcomeExpiry& expiry);

}  // namespace esd

#endif  // ESD_ENGINE_STORE_ROCKSDB_OPTIONS_H_
