// Synced write batches of RocksDB with nothing around them: what the embedded log can be compared
// with.
#ifndef ESD_BENCH_BARE_ROCKSDB_H_
#define ESD_BENCH_BARE_ROCKSDB_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rocksdb {
class DB;
}

namespace esd::bench {

// For one thread.
class BareRocksdb {
 public:
  BareRocksdb();
  ~BareRocksdb();

  // Makes the database in `directory`, which must not exist, on the disk that the engine uses.
  absl::Status Open(const std::string& directory, int64_t users);

  // Writes commands for `time`, `in_flight` of them in each batch, which is synced to the disk. Of
  // each: the command, its event and the user's snapshot, as the engine's log has them, and once
  // per batch the position. Returns the milliseconds that each batch has taken.
  absl::StatusOr<std::vector<double>> Run(int in_flight, absl::Duration time);

 private:
  absl::Status WriteBatch(int in_flight);

  std::unique_ptr<rocksdb::DB> database_;
  int64_t users_ = 0;
  int64_t next_ = 0;
};

}  // namespace esd::bench

#endif  // ESD_BENCH_BARE_ROCKSDB_H_
