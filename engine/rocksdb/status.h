// What an error of RocksDB says of its files.
#ifndef ESD_ENGINE_ROCKSDB_STATUS_H_
#define ESD_ENGINE_ROCKSDB_STATUS_H_

namespace rocksdb {
class Status;
}

namespace esd {

// Whether it failed because of what is in the files, or because they are gone: trying again can't
// help. A disk that is full, can't be read or isn't permitted is none of that: what is on it may be
// whole.
bool IsBroken(const rocksdb::Status& s);

}  // namespace esd

#endif  // ESD_ENGINE_ROCKSDB_STATUS_H_
