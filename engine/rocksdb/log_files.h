// The files that RocksDB writes besides its tables, made safe: the write-ahead log against a power
// failure, its own log against a full disk.
#ifndef ESD_ENGINE_ROCKSDB_LOG_FILES_H_
#define ESD_ENGINE_ROCKSDB_LOG_FILES_H_

#include <memory>
#include <string>

namespace rocksdb {
class EventListener;
class Logger;
}  // namespace rocksdb

namespace esd {

// Syncs a log file once it is full, before the next one gets its first record.
//
// RocksDB does so only when it flushes the data, some time later. A power failure in between may
// keep records of the newer file and lose the end of the older one, and recovery sees no gap when
// the older one ends between two records: then a checkpoint would vouch for data that is gone.
// RocksDB calls this on the thread whose write filled the memtable, and lets no other write in
// until it returns.
std::shared_ptr<rocksdb::EventListener> MakeFullLogSyncer(const std::string& path);

// Writes what RocksDB says to `<path>/LOG`, for people who look into a slow disk, and keeps the one
// before as LOG.old.
//
// RocksDB has such a log too, but aborts the process in it when the disk is full, if it was built
// with assertions, as Debian's is. Here a line that can't be written is dropped.
std::shared_ptr<rocksdb::Logger> MakeInfoLog(const std::string& path);

}  // namespace esd

#endif  // ESD_ENGINE_ROCKSDB_LOG_FILES_H_
