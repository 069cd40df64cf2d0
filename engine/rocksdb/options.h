// How RocksDB is set up wherever it is used.
#ifndef ESD_ENGINE_ROCKSDB_OPTIONS_H_
#define ESD_ENGINE_ROCKSDB_OPTIONS_H_

#include <cstddef>
#include <memory>

namespace rocksdb {
class Cache;
enum CompressionType : unsigned char;
}  // namespace rocksdb

namespace esd {

// One cache for all families, to which write buffers are charged as well: the only true bound over
// many families.
std::shared_ptr<rocksdb::Cache> MakeCache(size_t memory_bytes);

// The best for data that is read as it is written that this RocksDB was built with.
rocksdb::CompressionType BestCompression();

}  // namespace esd

#endif  // ESD_ENGINE_ROCKSDB_OPTIONS_H_
