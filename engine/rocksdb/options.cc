#include "engine/rocksdb/options.h"

#include <rocksdb/cache.h>
#include <rocksdb/compression_type.h>
#include <rocksdb/convenience.h>

#include <algorithm>
#include <vector>

namespace esd {

std::shared_ptr<rocksdb::Cache> MakeCache(size_t memory_bytes) {
  rocksdb::LRUCacheOptions options;
  options.capacity = memory_bytes;
  // By default a small cache is split so far that one family's index and filter blocks push each
  // other out of their shard: p99 of reads becomes many times worse. Few threads read here, so few
  // shards do.
  options.num_shard_bits = 2;
  return rocksdb::NewLRUCache(options);
}

rocksdb::CompressionType BestCompression() {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  for (const auto wanted : {rocksdb::kLZ4Compression, rocksdb::kSnappyCompression}) {
    if (std::find(supported.begin(), supported.end(), wanted) != supported.end()) return wanted;
  }
  return rocksdb::kNoCompression;
}

}  // namespace esd
