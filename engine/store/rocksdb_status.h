// What an error of RocksDB means to whoever runs the store.
#ifndef ESD_ENGINE_STORE_ROCKSDB_STATUS_H_
#define ESD_ENGINE_STORE_ROCKSDB_STATUS_H_

#include <absl/status/status.h>

#include <string>

namespace rocksdb {
class Status;
}

namespace esd {

// For an operation on an open store: kDataLoss when it is broken, kResourceExhausted when its disk
// is full, else kInternal. The text says
// what to do, and never has a key. `what` goes behind "can't".
absl::Status ToStatus(const char* what, const std::string& path, const rocksdb::Status& s);

// For opening a store: kUnavailable when it can't be read or written, else kInternal.
absl::Status ToOpenStatus(const std::string& path, const rocksdb::Status& s);

}  // namespace esd

#endif  // ESD_ENGINE_STORE_ROCKSDB_STATUS_H_
