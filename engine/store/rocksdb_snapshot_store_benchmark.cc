// What the store costs over the bare RocksDB operation. Each iteration does both, one after the
// other, so that whatever else the machine does meets both: `ratio` is ours to theirs, the reported
// time is ours.
//
// The bare side reads into a pinned slice and writes a ready batch of the same keys and values to
// one column family; the store's side also makes the keys, parses the message, and writes the
// checkpoint. BM_ApplyWithEvents alone compares with the store itself: what the history adds.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <benchmark/benchmark.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/store/rocksdb_snapshot_store.h"
#include "engine/store/snapshot_store_keys.h"

namespace esd {
namespace {

constexpr int kAggregates = 100'000;
constexpr int kReadsPerIteration = 100;
constexpr size_t kMemoryBytes = size_t{256} << 20;

const DomainPartition kPartition{"security", PartitionId{3}};

std::string Key(int64_t i) { return absl::StrCat("user", i, "@example.org"); }

std::string Value(int64_t version) {
  esd::v1::StoredSnapshot snapshot;
  snapshot.set_version(version);
  snapshot.set_state(std::string(150, 'x'));
  return snapshot.SerializeAsString();
}

// Both databases, filled with the same aggregates, which are in files and in the cache.
class Pair {
 public:
  Pair() : path_((std::filesystem::temp_directory_path() / "esd-bench-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) abort();
    OpenBoth();
    StoreUpdate update{.partition = kPartition, .snapshots = {}, .outcomes = {}, .checkpoint = {}};
    rocksdb::WriteBatch batch;
    StoreKeys keys(kPartition);
    for (int i = 0; i < kAggregates; ++i) {
      update.snapshots.push_back({Key(i), Value(i)});
      const std::string key(keys.Snapshot(Key(i)));
      if (!batch.Put(key, Value(i)).ok()) abort();
    }
    if (!store_->Apply({update}).ok() || !bare_->Write({}, &batch).ok()) abort();
    OpenBoth();  // turns the logs into files
  }
  ~Pair() {
    store_.reset();
    bare_.reset();
    std::filesystem::remove_all(path_);
  }

  SnapshotStore& store() { return *store_; }
  rocksdb::DB& bare() { return *bare_; }

 private:
  void OpenBoth() {
    store_.reset();
    bare_.reset();
    RocksdbStoreOptions options;
    options.directory = path_ + "/ours";
    options.source_id = "benchmark";
    options.memory_bytes = kMemoryBytes;
    auto opened = OpenRocksdbStore(options);
    if (!opened.ok()) abort();
    store_ = std::move(opened->store);

    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(kMemoryBytes, 2);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    rocksdb::Options bare;
    bare.create_if_missing = true;
    bare.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    bare.compression = rocksdb::kLZ4Compression;
    bare.write_buffer_size = kMemoryBytes / 8;  // as ours: larger ones take longer to insert into
    rocksdb::DB* db = nullptr;
    if (!rocksdb::DB::Open(bare, path_ + "/bare", &db).ok()) abort();
    bare_.reset(db);
  }

  std::string path_;
  std::unique_ptr<SnapshotStore> store_;
  std::unique_ptr<rocksdb::DB> bare_;
};

template <typename F>
absl::Duration Time(F&& f) {
  const int64_t start = absl::GetCurrentTimeNanos();
  f();
  return absl::Nanoseconds(absl::GetCurrentTimeNanos() - start);
}

// Runs `ours` and `bare` by turns; each does `items` operations.
template <typename Ours, typename Bare>
void Compare(benchmark::State& state, int64_t items, Ours&& ours, Bare&& bare) {
  absl::Duration ours_total;
  absl::Duration bare_total;
  for (auto _ : state) {
    const absl::Duration took = Time(ours);
    state.SetIterationTime(absl::ToDoubleSeconds(took));
    ours_total += took;
    bare_total += Time(bare);
  }
  const auto all = static_cast<double>(state.iterations() * items);
  state.counters["ns_per_item"] = absl::ToDoubleNanoseconds(ours_total) / all;
  state.counters["bare_ns_per_item"] = absl::ToDoubleNanoseconds(bare_total) / all;
  state.counters["ratio"] = absl::FDivDuration(ours_total, bare_total);
}

// Reads aggregates `first`, `first + stride`, …, kReadsPerIteration of them per turn.
void BM_GetSnapshot(benchmark::State& state, int64_t first) {
  Pair pair;
  std::vector<std::string> names;
  std::vector<std::string> bare_keys;
  StoreKeys keys(kPartition);
  for (int64_t i = 0; i < kReadsPerIteration; ++i) {
    names.push_back(Key(first + i * (kAggregates / kReadsPerIteration)));
    bare_keys.emplace_back(keys.Snapshot(names.back()));
  }
  Compare(
      state, kReadsPerIteration,
      [&] {
        for (const std::string& name : names) {
          benchmark::DoNotOptimize(pair.store().GetSnapshot(kPartition, name));
        }
      },
      [&] {
        for (const std::string& key : bare_keys) {
          rocksdb::PinnableSlice value;
          benchmark::DoNotOptimize(
              pair.bare().Get({}, pair.bare().DefaultColumnFamily(), key, &value));
        }
      });
}
BENCHMARK_CAPTURE(BM_GetSnapshot, hot, 0)->UseManualTime();
BENCHMARK_CAPTURE(BM_GetSnapshot, absent, kAggregates)->UseManualTime();

// Absent outcomes: what every command with an id asks first.
void BM_GetOutcomeAbsent(benchmark::State& state) {
  Pair pair;
  StoreKeys keys(kPartition);
  const std::string bare_key(keys.Outcome("user1@example.org", "00000000-0000"));
  Compare(
      state, 1,
      [&] {
        benchmark::DoNotOptimize(
            pair.store().GetOutcome(kPartition, "user1@example.org", "00000000-0000"));
      },
      [&] {
        rocksdb::PinnableSlice value;
        benchmark::DoNotOptimize(
            pair.bare().Get({}, pair.bare().DefaultColumnFamily(), bare_key, &value));
      });
}
BENCHMARK(BM_GetOutcomeAbsent)->UseManualTime();

// As before, while the last outcomes are still in memory: the usual case under load.
void BM_GetOutcomeAbsentUnderLoad(benchmark::State& state) {
  Pair pair;
  StoreUpdate update{.partition = kPartition, .snapshots = {}, .outcomes = {}, .checkpoint = {}};
  rocksdb::WriteBatch batch;
  StoreKeys keys(kPartition);
  esd::v1::StoredOutcome outcome;
  outcome.set_reply(std::string(100, 'x'));
  outcome.set_recorded_ms(absl::ToUnixMillis(absl::Now()));
  for (int i = 0; i < kAggregates / 2; ++i) {
    update.outcomes.push_back({Key(i), "00000000-0000", outcome});
    const std::string key(keys.Outcome(Key(i), "00000000-0000"));
    if (!batch.Put(key, outcome.SerializeAsString()).ok()) abort();
  }
  if (!pair.store().Apply({update}).ok() || !pair.bare().Write({}, &batch).ok()) abort();
  std::vector<std::string> names;
  std::vector<std::string> bare_keys;
  for (int i = 0; i < kReadsPerIteration; ++i) {
    names.push_back(Key(int64_t{i} * 499));
    bare_keys.emplace_back(keys.Outcome(names.back(), "00000000-0001"));
  }
  Compare(
      state, kReadsPerIteration,
      [&] {
        for (const std::string& name : names) {
          benchmark::DoNotOptimize(pair.store().GetOutcome(kPartition, name, "00000000-0001"));
        }
      },
      [&] {
        for (const std::string& key : bare_keys) {
          rocksdb::PinnableSlice value;
          benchmark::DoNotOptimize(
              pair.bare().Get({}, pair.bare().DefaultColumnFamily(), key, &value));
        }
      });
}
BENCHMARK(BM_GetOutcomeAbsentUnderLoad)->UseManualTime();

void BM_Apply(benchmark::State& state) {
  Pair pair;
  const int64_t size = state.range(0);
  StoreUpdate update{.partition = kPartition, .snapshots = {}, .outcomes = {}, .checkpoint = {}};
  std::vector<std::string> bare_keys;
  StoreKeys keys(kPartition);
  for (int64_t i = 0; i < size; ++i) {
    update.snapshots.push_back({Key(i * (kAggregates / size)), Value(i)});
    bare_keys.emplace_back(keys.Snapshot(update.snapshots.back().key));
  }
  const std::vector<StoreUpdate> updates = {update};
  Compare(
      state, size,
      [&] {
        if (!pair.store().Apply(updates).ok()) abort();
      },
      [&] {
        rocksdb::WriteBatch batch;
        for (size_t i = 0; i < bare_keys.size(); ++i) {
          if (!batch.Put(bare_keys[i], updates[0].snapshots[i].value).ok()) abort();
        }
        if (!pair.bare().Write({}, &batch).ok()) abort();
      });
}
BENCHMARK(BM_Apply)->Arg(1)->Arg(100)->Arg(10'000)->UseManualTime();

std::string EventValue() {
  esd::v1::StoredEvent event;
  event.set_value(R"({"type":"UserNameChangedEvent","event":{"email":"user12345@example.org",)"
                  R"("name":"Alexandra","version":12}})");
  event.set_id("3:1234567:0");
  event.set_type("UserNameChangedEvent");
  event.set_time_ms(1'700'000'000'000);
  event.set_causation_id("3:1234567");
  event.set_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  return event.SerializeAsString();
}

// An update with an event for each snapshot, as commands of aggregates in no order make it, next to
// the same one without the events.
void BM_ApplyWithEvents(benchmark::State& state) {
  Pair pair;
  const int64_t size = state.range(0);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < size; ++i) order.push_back(i * (kAggregates / size));
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  StoreUpdate update{.partition = kPartition, .snapshots = {}, .outcomes = {}, .checkpoint = {}};
  for (const int64_t i : order) update.snapshots.push_back({Key(i), Value(i)});
  const std::vector<StoreUpdate> without = {update};
  for (const int64_t i : order) update.events.push_back({Key(i), Version{0}, EventValue()});
  update.history_offset = Offset{0};
  std::vector<StoreUpdate> with = {update};
  Compare(
      state, size,
      [&] {
        if (!pair.store().Apply(with).ok()) abort();
      },
      [&] {
        for (StoreUpdate::Event& event : with[0].events) event.version = Next(event.version);
        if (!pair.store().Apply(without).ok()) abort();
      });
}
BENCHMARK(BM_ApplyWithEvents)->Arg(1)->Arg(100)->Arg(10'000)->UseManualTime();

}  // namespace
}  // namespace esd
