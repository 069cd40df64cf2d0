// How RocksDB is set up for the embedded log.
#ifndef ESD_ENGINE_LOG_EMBEDDED_LOG_OPTIONS_H_
#define ESD_ENGINE_LOG_EMBEDDED_LOG_OPTIONS_H_

#include <memory>
#include <string>
#include <vector>

namespace rocksdb {
class Env;
struct ColumnFamilyDescriptor;
struct DBOptions;
}  // namespace rocksdb

namespace esd::embedded {

class StoredBegins;

rocksdb::DBOptions MakeDbOptions(const std::string& directory, rocksdb::Env* env);

// In the order of `Family`.
std::vector<rocksdb::ColumnFamilyDescriptor> MakeFamilies(
    const std::shared_ptr<const StoredBegins>& begins);

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_LOG_OPTIONS_H_
