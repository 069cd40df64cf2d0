#include "engine/store/rocksdb_snapshot_store.h"

#include <absl/strings/str_cat.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/store/outcome_expiry.h"
#include "engine/store/rocksdb_database.h"
#include "engine/store/rocksdb_options.h"
#include "engine/store/rocksdb_status.h"
#include "engine/store/snapshot_store_directory.h"
#include "engine/store/snapshot_store_keys.h"

namespace esd {
namespace {

constexpr absl::Duration kMinOutcomeRetention = absl::Hours(24);

// Keys begin with the length of the domain's name, which is less.
const rocksdb::Slice kBehindAllKeys("\xff\xff\xff\xff");

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }

std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

rocksdb::Status Garbled(const char* what, Family family) {
  return rocksdb::Status::Corruption(
      absl::StrCat(what, " of its ", kFamilyNames[family], " is garbled"));
}

template <typename Message>
rocksdb::Status ParseValue(Family family, const rocksdb::Slice& value, Message* message) {
  if (message->ParseFromArray(value.data(), static_cast<int>(value.size()))) return {};
  return Garbled("a value", family);
}

// In the order that the entries' keys have in the database.
auto KeyOrder(const StoreUpdate::Snapshot& s) { return std::string_view(s.key); }
auto KeyOrder(const StoreUpdate::Outcome& o) {
  return std::tuple(o.key.size(), std::string_view(o.key), std::string_view(o.command_id));
}
auto KeyOrder(const StoreUpdate::Event& e) {
  return std::tuple(e.key.size(), std::string_view(e.key), e.version);
}

// The entries in the order of their keys, those of the same key as they came. A memtable takes
// sorted entries in two thirds of the time, see `memtable_insert_with_hint_prefix_extractor`.
template <typename Entry>
std::vector<const Entry*> Sorted(const std::vector<Entry>& entries) {
  std::vector<const Entry*> sorted;
  sorted.reserve(entries.size());
  for (const Entry& entry : entries) sorted.push_back(&entry);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Entry* a, const Entry* b) { return KeyOrder(*a) < KeyOrder(*b); });
  return sorted;
}

// The entries of a family in [begin, end), in order. It keeps files and memory of its time from
// being freed: not for long.
class Scan {
 public:
  Scan(const Database& database, Family family, std::string_view begin, std::string_view end,
       rocksdb::ReadOptions options = {})
      : end_(ToSlice(end)) {
    options.iterate_upper_bound = &end_;
    entries_.reset(database.db->NewIterator(options, database.families[family]));
    entries_->Seek(ToSlice(begin));
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // Whether there is an entry; if not, status() says whether that is because of an error.
  bool Valid() const { return entries_->Valid(); }
  void Next() { entries_->Next(); }
  std::string_view key() const { return ToView(entries_->key()); }
  rocksdb::Slice value() const { return entries_->value(); }
  rocksdb::Status status() const { return entries_->status(); }

 private:
  const rocksdb::Slice end_;
  std::unique_ptr<rocksdb::Iterator> entries_;
};

class RocksdbSnapshotStore final : public SnapshotStore {
 public:
  RocksdbSnapshotStore(StoreDirectory directory, Database database, OutcomeExpiry expiry)
      : directory_(std::move(directory)),
        path_(directory_.DatabasePath()),
        expiry_(std::move(expiry)),
        database_(std::move(database)) {}

  absl::StatusOr<std::optional<esd::v1::StoredSnapshot>> GetSnapshot(
      const DomainPartition& partition, std::string_view key) const override {
    StoreKeys keys(partition);
    return Get<esd::v1::StoredSnapshot>(kSnapshots, keys.Snapshot(key));
  }

  absl::StatusOr<std::optional<esd::v1::StoredOutcome>> GetOutcome(
      const DomainPartition& partition, std::string_view key,
      std::string_view command_id) const override {
    StoreKeys keys(partition);
    auto outcome = Get<esd::v1::StoredOutcome>(kOutcomes, keys.Outcome(key, command_id));
    // Whether a compaction has been there must not show.
    if (outcome.ok() && *outcome && (*outcome)->recorded_ms() < expiry_.OldestKeptMs()) {
      return std::nullopt;
    }
    return outcome;
  }

  absl::StatusOr<std::optional<esd::v1::StoredCheckpoint>> GetCheckpoint(
      const DomainPartition& partition) const override {
    StoreKeys keys(partition);
    return Get<esd::v1::StoredCheckpoint>(kCheckpoints, keys.Partition());
  }

  absl::Status Apply(const std::vector<StoreUpdate>& updates) override {
    rocksdb::WriteBatch batch;
    rocksdb::Status s;
    for (const StoreUpdate& update : updates) {
      s = Add(update, &batch);
      if (!s.ok()) break;
    }
    if (s.ok()) s = Write(SortedWrite(), &batch);
    return ToStatus("write", path_, s);
  }

  absl::Status DropPartition(const DomainPartition& partition) override {
    StoreKeys keys(partition);
    const std::string begin(keys.Partition());
    const std::string end = PartitionEnd(partition);
    rocksdb::Status s = DropRange(begin, end);
    if (s.ok()) s = ReclaimRange(begin, end);
    return ToStatus("drop a partition of", path_, s);
  }

  absl::StatusOr<std::vector<KeyedSnapshot>> ListSnapshots(const DomainPartition& partition,
                                                           std::string_view prefix,
                                                           std::string_view from,
                                                           size_t limit) const override {
    StoreKeys keys(partition);
    const std::string end = PrefixEnd(keys.Snapshot(prefix));
    const std::string begin(keys.Snapshot(std::max(prefix, from)));
    std::vector<KeyedSnapshot> found;
    if (begin >= end || limit == 0) return found;
    const rocksdb::Status s = ReadSnapshots(begin, end, keys.Partition().size(), limit, &found);
    if (!s.ok()) return ToStatus("read", path_, s);
    return found;
  }

  absl::StatusOr<std::vector<VersionedEvent>> ListEvents(const DomainPartition& partition,
                                                         std::string_view key, Version from,
                                                         size_t limit,
                                                         size_t max_bytes) const override {
    StoreKeys keys(partition);
    const std::string end = PrefixEnd(keys.Events(key));
    const std::string begin(keys.Event(key, std::max(from, Version{0})));
    std::vector<VersionedEvent> found;
    if (limit == 0) return found;
    const rocksdb::Status s =
        ReadEvents(begin, end, keys.Events(key).size(), limit, max_bytes, &found);
    if (!s.ok()) return ToStatus("read", path_, s);
    return found;
  }

  absl::StatusOr<std::optional<Offset>> GetHistoryOffset(
      const DomainPartition& partition) const override {
    StoreKeys keys(partition);
    rocksdb::PinnableSlice value;
    const rocksdb::Status s = database_.db->Get(
        rocksdb::ReadOptions(), database_.families[kHistory], ToSlice(keys.Partition()), &value);
    if (s.IsNotFound()) return std::nullopt;
    if (!s.ok()) return ToStatus("read", path_, s);
    const std::optional<uint64_t> offset = ParseBigEndian64(ToView(value));
    if (!offset) return ToStatus("read", path_, Garbled("the progress", kHistory));
    return Offset{static_cast<int64_t>(*offset)};
  }

  absl::Status UpdateHistory(const DomainPartition& partition,
                             const std::vector<StoreUpdate::Event>& events, Offset next) override {
    StoreKeys keys(partition);
    rocksdb::WriteBatch batch;
    rocksdb::Status s = AddEvents(events, &keys, &batch);
    if (s.ok()) s = AddHistoryOffset(next, &keys, &batch);
    rocksdb::WriteOptions options = SortedWrite();
    // While compactions lag behind, RocksDB slows such a write down before it gets into line with
    // the others.
    options.low_pri = true;
    if (s.ok()) s = Write(options, &batch);
    return ToStatus("write the history of", path_, s);
  }

  absl::Status DropHistory() override {
    rocksdb::Status s;
    if (!IsEmpty(kHistory, &s) && s.ok()) {
      rocksdb::WriteBatch batch;
      s = batch.DeleteRange(database_.families[kHistory], rocksdb::Slice(), kBehindAllKeys);
      if (s.ok()) s = database_.db->Write(rocksdb::WriteOptions(), &batch);
      if (s.ok()) s = ReclaimHistory();
    }
    return ToStatus("drop the history of", path_, s);
  }

 private:
  // After a write that found no room, RocksDB takes none until it is told to go on. What failed may
  // come back with the log after a crash: it is written again, as the log that this is a copy of
  // has it.
  rocksdb::Status Write(const rocksdb::WriteOptions& options, rocksdb::WriteBatch* batch) {
    const rocksdb::Status s = database_.db->Write(options, batch);
    if (!s.IsNoSpace()) return s;
    const rocksdb::Status resumed = database_.db->Resume();
    return resumed.ok() ? database_.db->Write(options, batch) : s;
  }

  static rocksdb::WriteOptions SortedWrite() {
    rocksdb::WriteOptions options;
    options.memtable_insert_hint_per_batch = true;  // the same for writes side by side
    return options;
  }

  template <typename Message>
  absl::StatusOr<std::optional<Message>> Get(Family family, std::string_view key) const {
    rocksdb::PinnableSlice value;
    const rocksdb::Status s =
        database_.db->Get(rocksdb::ReadOptions(), database_.families[family], ToSlice(key), &value);
    if (s.IsNotFound()) return std::nullopt;
    if (!s.ok()) return ToStatus("read", path_, s);
    std::optional<Message> message(std::in_place);
    const rocksdb::Status parsed = ParseValue(family, value, &*message);
    if (!parsed.ok()) return ToStatus("read", path_, parsed);
    return message;
  }

  // Names of what is found begin at byte `name_begin` of the keys.
  rocksdb::Status ReadSnapshots(std::string_view begin, std::string_view end, size_t name_begin,
                                size_t limit, std::vector<KeyedSnapshot>* found) const {
    rocksdb::ReadOptions options;
    // Whoever lists reads everything once; it would drive out what commands read again.
    options.fill_cache = false;
    Scan scan(database_, kSnapshots, begin, end, options);
    for (; scan.Valid(); scan.Next()) {
      KeyedSnapshot& entry = found->emplace_back();
      entry.key = scan.key().substr(name_begin);
      const rocksdb::Status s = ParseValue(kSnapshots, scan.value(), &entry.snapshot);
      if (!s.ok()) return s;
      if (found->size() == limit) break;
    }
    return scan.status();
  }

  // Versions begin at byte `version_begin` of the keys.
  rocksdb::Status ReadEvents(std::string_view begin, std::string_view end, size_t version_begin,
                             size_t limit, size_t max_bytes,
                             std::vector<VersionedEvent>* found) const {
    size_t bytes = 0;
    Scan scan(database_, kHistory, begin, end);
    for (; scan.Valid(); scan.Next()) {
      const std::optional<uint64_t> version = ParseBigEndian64(scan.key().substr(version_begin));
      if (!version) return Garbled("a key", kHistory);
      VersionedEvent& entry = found->emplace_back();
      entry.version = Version{static_cast<int64_t>(*version)};
      const rocksdb::Status s = ParseValue(kHistory, scan.value(), &entry.event);
      if (!s.ok()) return s;
      bytes += scan.value().size();
      if (found->size() == limit || bytes >= max_bytes) break;
    }
    return scan.status();
  }

  rocksdb::Status Add(const StoreUpdate& update, rocksdb::WriteBatch* batch) const {
    StoreKeys keys(update.partition);
    rocksdb::Status s;
    for (const StoreUpdate::Snapshot* snapshot : Sorted(update.snapshots)) {
      const rocksdb::Slice key = ToSlice(keys.Snapshot(snapshot->key));
      s = snapshot->value.empty()
              ? batch->Delete(database_.families[kSnapshots], key)
              : batch->Put(database_.families[kSnapshots], key, snapshot->value);
      if (!s.ok()) return s;
    }
    std::string value;
    for (const StoreUpdate::Outcome* outcome : Sorted(update.outcomes)) {
      outcome->outcome.SerializeToString(&value);
      s = batch->Put(database_.families[kOutcomes],
                     ToSlice(keys.Outcome(outcome->key, outcome->command_id)), value);
      if (!s.ok()) return s;
    }
    s = AddEvents(update.events, &keys, batch);
    if (s.ok() && update.history_offset) s = AddHistoryOffset(*update.history_offset, &keys, batch);
    if (!s.ok()) return s;
    update.checkpoint.SerializeToString(&value);
    return batch->Put(database_.families[kCheckpoints], ToSlice(keys.Partition()), value);
  }

  rocksdb::Status AddEvents(const std::vector<StoreUpdate::Event>& events, StoreKeys* keys,
                            rocksdb::WriteBatch* batch) const {
    rocksdb::Status s;
    for (const StoreUpdate::Event* event : Sorted(events)) {
      s = batch->Put(database_.families[kHistory], ToSlice(keys->Event(event->key, event->version)),
                     event->value);
      if (!s.ok()) break;
    }
    return s;
  }

  rocksdb::Status AddHistoryOffset(Offset next, StoreKeys* keys, rocksdb::WriteBatch* batch) const {
    std::string value;
    AppendBigEndian64(static_cast<uint64_t>(next.value()), &value);
    return batch->Put(database_.families[kHistory], ToSlice(keys->Partition()), value);
  }

  rocksdb::Status DropRange(const std::string& begin, const std::string& end) {
    rocksdb::WriteBatch batch;
    rocksdb::Status s = batch.Delete(database_.families[kCheckpoints], begin);
    for (const Family family : {kSnapshots, kOutcomes, kHistory}) {
      if (s.ok()) s = batch.DeleteRange(database_.families[family], begin, end);
    }
    return s.ok() ? database_.db->Write(rocksdb::WriteOptions(), &batch) : s;
  }

  // Frees the space of whole files at once; what is left of the range goes with the next
  // compactions.
  rocksdb::Status ReclaimRange(const std::string& begin, const std::string& end) {
    // Files are removed for good at once, but the batch that dropped their partition may still be
    // lost with the log. A checkpoint, or a history's progress, that came back then would vouch for
    // data that is gone: put the batch on disk first. A flush syncs the log that it ends.
    rocksdb::Status s =
        database_.db->Flush(rocksdb::FlushOptions(), database_.families[kCheckpoints]);
    const rocksdb::Slice first = begin;
    const rocksdb::Slice last = end;
    for (const Family family : {kSnapshots, kOutcomes, kHistory}) {
      if (!s.ok()) break;
      s = rocksdb::DeleteFilesInRange(database_.db.get(), database_.families[family], &first, &last,
                                      /*include_end=*/false);
    }
    return s;
  }

  // Whether nothing is left of it, in memory and on disk.
  bool IsEmpty(Family family, rocksdb::Status* s) const {
    uint64_t bytes_in_files = 0;
    if (!database_.db->GetIntProperty(database_.families[family],
                                      rocksdb::DB::Properties::kTotalSstFilesSize,
                                      &bytes_in_files) ||
        bytes_in_files > 0) {
      return false;
    }
    const Scan scan(database_, family, "", ToView(kBehindAllKeys));
    *s = scan.status();
    return s->ok() && !scan.Valid();
  }

  // Frees the space of the history, all of which is deleted.
  rocksdb::Status ReclaimHistory() {
    rocksdb::ColumnFamilyHandle* history = database_.families[kHistory];
    // As for a partition: the batch first, so that the progress can't come back without its files.
    rocksdb::Status s = database_.db->Flush(rocksdb::FlushOptions(), history);
    if (s.ok()) {
      s = rocksdb::DeleteFilesInRange(database_.db.get(), history, nullptr, nullptr);
    }
    // What is left are the files of the last flushes, of bounded size.
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    return s.ok() ? database_.db->CompactRange(options, history, nullptr, nullptr) : s;
  }

  const StoreDirectory directory_;  // destroyed last: holds the lock while the database closes
  const std::string path_;
  const OutcomeExpiry expiry_;
  Database database_;
};

absl::Status Validate(const RocksdbStoreOptions& options) {
  if (options.directory.empty()) return absl::InvalidArgumentError("the store needs a folder");
  if (options.outcome_retention < kMinOutcomeRetention) {
    return absl::InvalidArgumentError(absl::StrCat(
        "outcomes must be kept for at least ", absl::FormatDuration(kMinOutcomeRetention), ", not ",
        absl::FormatDuration(options.outcome_retention)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OpenedRocksdbStore> OpenRocksdbStore(const RocksdbStoreOptions& options) {
  absl::Status status = Validate(options);
  if (!status.ok()) return status;
  absl::StatusOr<StoreDirectory> directory = StoreDirectory::Hold(options.directory);
  if (!directory.ok()) return directory.status();

  const OutcomeExpiry expiry(options.outcome_retention, options.now);
  Database database;
  std::string why_wipe;
  status = OpenOrRecreate(*directory, options, expiry, &database, &why_wipe);
  if (!status.ok()) return status;
  OpenedRocksdbStore opened;
  if (!why_wipe.empty()) {
    opened.wiped_because = absl::StrCat("the store in ", directory->DatabasePath(),
                                        " was wiped and is rebuilt from its topics: ", why_wipe);
  }
  opened.store =
      std::make_unique<RocksdbSnapshotStore>(*std::move(directory), std::move(database), expiry);
  return opened;
}

absl::Status MarkStoreForRebuild(const std::string& directory, std::string_view why) {
  return StoreDirectory::WriteMark(directory, why);
}

}  // namespace esd
