#include "bench/bare_rocksdb.h"

#include <absl/strings/str_cat.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include "bench/waiting.h"
#include "bench/workload.h"

namespace esd::bench {
namespace {

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("bare RocksDB: ", status.ToString()));
}

// Ordered by number, like the offsets of a log.
std::string RecordKey(char topic, int64_t number) {
  return absl::StrCat(std::string(1, topic), absl::Hex(number, absl::kZeroPad16));
}

}  // namespace

BareRocksdb::BareRocksdb() = default;
BareRocksdb::~BareRocksdb() = default;

absl::Status BareRocksdb::Open(const std::string& directory, int64_t users) {
  users_ = users;
  next_ = users;
  rocksdb::Options options;
  options.create_if_missing = true;
  options.error_if_exists = true;
  rocksdb::DB* opened = nullptr;
  if (absl::Status status = ToStatus(rocksdb::DB::Open(options, directory, &opened)); !status.ok())
    return status;
  database_.reset(opened);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> BareRocksdb::Run(int in_flight, absl::Duration time) {
  std::vector<double> times_ms;
  const int64_t end_ns = NowNs() + absl::ToInt64Nanoseconds(time);
  for (int64_t begin_ns = NowNs(); begin_ns < end_ns && !Interrupted();) {
    if (absl::Status status = WriteBatch(in_flight); !status.ok()) return status;
    const int64_t now_ns = NowNs();
    times_ms.push_back(Seconds(now_ns - begin_ns) * 1e3);
    begin_ns = now_ns;
  }
  if (Interrupted()) return absl::CancelledError("interrupted");
  return times_ms;
}

absl::Status BareRocksdb::WriteBatch(int in_flight) {
  rocksdb::WriteBatch batch;
  for (int i = 0; i < in_flight; ++i) {
    const BenchCommand command = MakeCommand(next_, users_);
    batch.Put(RecordKey('c', next_), command.key + command.value);
    batch.Put(RecordKey('e', next_),
              command.key + command.value + std::string(kLogEventHeaderBytes, 'h'));
    batch.Put(RecordKey('s', next_), command.key + std::string(kLogSnapshotBytes, 's'));
    ++next_;
  }
  batch.Put("position", absl::StrCat(next_));
  rocksdb::WriteOptions options;
  options.sync = true;
  return ToStatus(database_->Write(options, &batch));
}

}  // namespace esd::bench
