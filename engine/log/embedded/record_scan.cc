#include "engine/log/embedded/record_scan.h"

#include <absl/strings/str_cat.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <memory>

#include "engine/log/embedded/record_codec.h"
#include "engine/log/topic_names.h"

namespace esd::embedded {
namespace {

absl::Status OutOfRange(const TopicLog& log, Offset begin, Offset end, Offset asked) {
  return absl::OutOfRangeError(absl::StrCat(
      TopicName("", log.partition.domain, log.topic), "/", log.partition.partition.value(), " has ",
      begin.value(), " to ", end.value(), ", not ", asked.value(), ": read from what is there"));
}

// Reads ahead of nothing: what is read is mostly what was written a moment ago.
rocksdb::Status Scan(const LogDatabase::Access& access, const TopicLog& log, Offset from,
                     Offset end, PollBudget* budget, RecordMemory* memory,
                     std::vector<InputRecord>* records, Offset* next) {
  const std::string end_key = RecordKey(log.key, end);
  const rocksdb::Slice bound = end_key;
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> entries(
      access.db()->NewIterator(options, access.family(FamilyOf(log.topic))));
  for (entries->Seek(RecordKey(log.key, from)); entries->Valid(); entries->Next()) {
    if (!budget->Allows()) return entries->status();
    const rocksdb::Slice key = entries->key();
    const std::string& encoded = memory->emplace_back(entries->value().ToString());
    InputRecord& record = records->emplace_back();
    record.offset = OffsetOf({key.data(), key.size()});
    if (!DecodeRecord(encoded, &record)) {
      return rocksdb::Status::Corruption(
          absl::StrCat("record ", record.offset.value(), " is garbled"));
    }
    *next = Next(record.offset);
    ++budget->records;
    budget->bytes += encoded.size();
  }
  if (entries->status().ok()) *next = end;
  return entries->status();
}

}  // namespace

absl::Status CheckRange(const LogState& state, const TopicLog& log, Offset from) {
  absl::ReaderMutexLock lock(&state.mutex);
  if (from >= log.begin && from <= log.end) return absl::OkStatus();
  return OutOfRange(log, log.begin, log.end, from);
}

absl::Status ScanRecords(const LogDatabase& database, const LogState& state, const TopicLog& log,
                         Offset from, Offset end, PollBudget* budget, RecordMemory* memory,
                         std::vector<InputRecord>* records, Offset* next) {
  *next = from;
  if (from >= end || !budget->Allows()) return absl::OkStatus();
  {
    const LogDatabase::Access access(database);
    if (access.db() == nullptr) {
      absl::ReaderMutexLock lock(&state.mutex);
      return absl::UnavailableError(
          absl::StrCat("the log is being opened anew: ", state.trouble.message()));
    }
    const rocksdb::Status s = Scan(access, log, from, end, budget, memory, records, next);
    if (!s.ok()) return database.ToStatus("read", s);
  }
  // Retention may have removed some of it meanwhile.
  return CheckRange(state, log, from);
}

}  // namespace esd::embedded
