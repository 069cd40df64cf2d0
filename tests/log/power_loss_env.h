// A disk for tests that can lose its power, and that can be full: an Env for RocksDB whose files
// are real ones.
//
//   TestDisk disk(seed);
//   options.env = disk.env();
//   disk.CutAfter(100);        // operations; from then on nothing gets through
//   log.reset();
//   disk.LosePower();          // what was not synced is gone, or a part of it
#ifndef ESD_TESTS_LOG_POWER_LOSS_ENV_H_
#define ESD_TESTS_LOG_POWER_LOSS_ENV_H_

#include <rocksdb/env.h>

#include <cstdint>
#include <memory>

namespace esd {

class TestDisk {
 public:
  explicit TestDisk(uint64_t seed);
  ~TestDisk();
  TestDisk(const TestDisk&) = delete;
  TestDisk& operator=(const TestDisk&) = delete;

  rocksdb::Env* env();

  // Any thread. After so many writes, syncs, renames and the like, all fail and do nothing.
  void CutAfter(int64_t operations);
  bool cut() const;
  // The process is dead and its disk comes back: of each file there is what was synced and, by
  // chance, some of what was not; of the new files and renames whose folders weren't synced, the
  // last ones are undone. A file system with a journal keeps their order, and RocksDB relies on
  // that: CURRENT may name a manifest before the folder of both is synced. Nothing of the disk may
  // be open.
  void LosePower();

  // Any thread. Room for so many bytes more: a write beyond that is done in part and fails.
  void SetRoom(int64_t bytes);
  void FailSyncs(int count);         // the next ones, of files, do nothing and fail
  void SetFreeBytes(int64_t bytes);  // what the file system says
  int64_t operations() const;

  class FileSystem;

 private:
  const std::shared_ptr<FileSystem> file_system_;
  const std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_POWER_LOSS_ENV_H_
