// What the store does about a store on disk that is not whole, or not the one that is asked for.
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <rocksdb/db.h>

#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "engine/store/rocksdb_snapshot_store_test.h"
#include "engine/store/snapshot_store_keys.h"

namespace esd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const DomainPartition kPartition = In("security", 3);
const DomainPartition kRebuilt = In("security", 4);
constexpr int kKeys = 2000;
constexpr char kPersonal[] = "foo@bar.com";

std::string Key(int i) { return absl::StrCat(kPersonal, i); }

// Opens the database beside the store's back.
void WithRawDatabase(const std::string& path,
                     const std::function<rocksdb::Status(
                         rocksdb::DB*, const std::vector<rocksdb::ColumnFamilyHandle*>&)>& use) {
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, path, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  for (auto& family : families) family.options.disable_auto_compactions = true;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, path, families, &handles, &db).ok());
  EXPECT_TRUE(use(db, handles).ok());
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  }
  delete db;
}

// A store with kKeys snapshots in files, closed.
class DamagedStore : public testing::Test, public RocksdbStoreFixture {
 protected:
  void SetUp() override {
    ASSERT_EQ(Open(), "");
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_TRUE(store().Apply({Update(kPartition).Put(Key(i), i, RandomText(i)).At(i)}).ok());
    }
    ASSERT_EQ(Reopen(), "");  // turns the log into files
    Close();
    std::ofstream(options().directory + "/instance-id") << "i-am-beside";
    std::ofstream(DatabasePath() + "/notes.txt") << "i-am-inside";
  }

  // Text that doesn't compress, so that the blocks have many bytes.
  static std::string RandomText(int seed) {
    auto state = static_cast<uint32_t>(seed) + 1;
    std::string text;
    for (int i = 0; i < 200; ++i) {
      state = state * 1664525 + 1013904223;
      text.push_back(static_cast<char>(state >> 24));
    }
    return text;
  }

  std::vector<std::string> Files(std::string_view prefix, std::string_view suffix) const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(DatabasePath())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(prefix) && name.ends_with(suffix)) {
        files.push_back(entry.path().string());
      }
    }
    EXPECT_FALSE(files.empty()) << prefix << "*" << suffix;
    return files;
  }

  static std::string ReadAll(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  static void WriteAll(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  }

  // Flips the bits of `count` bytes from `at` on, a share of the file's size.
  static void Garble(const std::string& path, double at, size_t count) {
    std::string text = ReadAll(path);
    const auto start = static_cast<size_t>(at * static_cast<double>(text.size()));
    for (size_t i = start; i < std::min(start + count, text.size()); ++i) {
      text[i] = static_cast<char>(~text[i]);
    }
    WriteAll(path, text);
  }

  // The store was wiped, is empty and works, and what is not its own is still there.
  void ExpectWipedBecause(const std::string& reason) {
    EXPECT_THAT(Open(),
                AllOf(HasSubstr(reason), HasSubstr(DatabasePath()), Not(HasSubstr(kPersonal))));
    ASSERT_EQ(Checkpoint(store(), kPartition), "none");
    ASSERT_EQ(Snapshot(store(), kPartition, Key(0)), "none");
    ASSERT_TRUE(store().Apply({Update(kPartition).Put("k", 1, "new").At(1)}).ok());
    ASSERT_EQ(Reopen(), "") << "once wiped, it stays";
    EXPECT_EQ(Snapshot(store(), kPartition, "k"), "1:new");
    EXPECT_EQ(ReadAll(options().directory + "/instance-id"), "i-am-beside");
    EXPECT_EQ(ReadAll(DatabasePath() + "/notes.txt"), "i-am-inside");
  }

  void ExpectWhole() {
    EXPECT_EQ(Open(), "");
    EXPECT_EQ(Checkpoint(store(), kPartition), absl::StrCat(kKeys - 1));
    EXPECT_EQ(Snapshot(store(), kPartition, Key(7)), absl::StrCat("7:", RandomText(7)));
  }
};

TEST_F(DamagedStore, WithoutDamageIsWhole) { ExpectWhole(); }

// ---- Not the one wanted ----

TEST_F(DamagedStore, OfAnotherSourceIsWiped) {
  options().source_id = "cluster/group/other";
  ExpectWipedBecause("it is a copy of \"cluster/group/\" and not of \"cluster/group/other\"");
}

TEST_F(DamagedStore, OfAnotherFormatIsWiped) {
  WithRawDatabase(DatabasePath(),
                  [](rocksdb::DB* db, const auto&) { return db->Put({}, "format_version", "2"); });
  ExpectWipedBecause("format 2");
}

TEST_F(DamagedStore, WhoseMakingWasInterruptedIsWiped) {
  WithRawDatabase(DatabasePath(),
                  [](rocksdb::DB* db, const auto&) { return db->Delete({}, "source_id"); });
  ExpectWipedBecause("interrupted");
}

TEST_F(DamagedStore, OfALaterVersionWithMoreFamiliesIsWiped) {
  WithRawDatabase(DatabasePath(), [](rocksdb::DB* db, const auto&) {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    const rocksdb::Status s = db->CreateColumnFamily({}, "timers", &handle);
    return s.ok() ? db->DestroyColumnFamilyHandle(handle) : s;
  });
  ExpectWipedBecause("a later version");
}

TEST_F(DamagedStore, MarkedForRebuildIsWiped) {
  ASSERT_TRUE(MarkStoreForRebuild(options().directory, "the disk lied").ok());
  ExpectWipedBecause("it was marked for that: the disk lied");
}

TEST_F(DamagedStore, MarkedForRebuildWithoutAReasonIsWiped) {
  ASSERT_TRUE(MarkStoreForRebuild(options().directory).ok());
  ExpectWipedBecause("it was marked for that");
}

TEST_F(DamagedStore, CanBeMarkedWhileItIsOpen) {
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(MarkStoreForRebuild(options().directory, "block checksum").ok());
  EXPECT_EQ(Snapshot(store(), kPartition, Key(7)), absl::StrCat("7:", RandomText(7)));
  Close();
  ExpectWipedBecause("block checksum");
}

TEST(MarkStoreForRebuild, OfAFolderThatIsNotThereFails) {
  EXPECT_THAT(MarkStoreForRebuild("/nonexistent/esd").ToString(), HasSubstr("/nonexistent/esd"));
}

// Whatever a crash in the middle of a wipe left, the next opening starts over.
TEST_F(DamagedStore, WhoseWipeWasInterruptedIsWipedAgain) {
  ASSERT_TRUE(MarkStoreForRebuild(options().directory, "half-way").ok());
  for (const std::string& file : Files("", ".log")) std::filesystem::remove(file);
  ExpectWipedBecause("half-way");
}

TEST_F(DamagedStore, IsMarkedUntilItsWipeIsComplete) {
  options().source_id = "cluster/group/other";
  const std::string obstacle = DatabasePath() + "/999999.dbtmp";  // a folder: not removed as a file
  std::filesystem::create_directories(obstacle + "/x");
  EXPECT_THAT(Open(), HasSubstr("UNAVAILABLE"));
  std::filesystem::remove_all(obstacle);
  options().source_id = "cluster/group/";
  ExpectWipedBecause("not of \"cluster/group/other\"");
}

// ---- Broken when opened ----

TEST_F(DamagedStore, WithoutCurrentIsWiped) {
  std::filesystem::remove(DatabasePath() + "/CURRENT");
  ExpectWipedBecause("CURRENT is missing");
}

TEST_F(DamagedStore, WithAGarbledCurrentIsWiped) {
  for (const std::string text : {"", "garbage", "garbage\n", "MANIFEST-999999\n", "MANIFEST-\n"}) {
    SCOPED_TRACE(text);
    WriteAll(DatabasePath() + "/CURRENT", text);
    ExpectWipedBecause("it is broken");
    Close();
  }
}

TEST_F(DamagedStore, WithoutItsManifestIsWiped) {
  for (const std::string& file : Files("MANIFEST-", "")) std::filesystem::remove(file);
  ExpectWipedBecause("it is broken");
}

TEST_F(DamagedStore, WithAGarbledManifestIsWiped) {
  for (const std::string& file : Files("MANIFEST-", "")) Garble(file, 0.3, 20);
  ExpectWipedBecause("it is broken");
}

TEST_F(DamagedStore, WithAnEmptyManifestIsWiped) {
  for (const std::string& file : Files("MANIFEST-", "")) WriteAll(file, "");
  ExpectWipedBecause("it is broken");
}

TEST_F(DamagedStore, WithoutATableIsWiped) {
  std::filesystem::remove(Files("", ".sst").front());
  ExpectWipedBecause("it is broken");
}

TEST_F(DamagedStore, WithATableCutOffIsWiped) {
  for (const std::string& file : Files("", ".sst")) {
    std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  }
  ExpectWipedBecause("it is broken");
}

TEST_F(DamagedStore, WithAGarbledTableFooterIsWiped) {
  for (const std::string& file : Files("", ".sst")) Garble(file, 0.99, 4000);
  ExpectWipedBecause("it is broken");
}

// ---- Broken when it is read ----

TEST_F(DamagedStore, WithAGarbledBlockSaysDataLossWhenItIsReadAndIsWipedOnceMarked) {
  std::string largest;
  for (const std::string& file : Files("", ".sst")) {
    if (largest.empty() || std::filesystem::file_size(file) > std::filesystem::file_size(largest)) {
      largest = file;
    }
  }
  Garble(largest, 0.3, 16);
  ASSERT_EQ(Open(), "") << "blocks of data are only read when they are asked for";
  int lost = 0;
  for (int i = 0; i < kKeys; ++i) {
    const auto found = store().GetSnapshot(kPartition, Key(i));
    if (found.ok()) {
      ASSERT_TRUE(found->has_value());
      ASSERT_EQ((*found)->state(), RandomText(i)) << "a wrong answer is worse than none";
      continue;
    }
    ++lost;
    EXPECT_TRUE(absl::IsDataLoss(found.status()));
    EXPECT_THAT(found.status().ToString(),
                AllOf(HasSubstr("rebuilt"), HasSubstr(DatabasePath()), Not(HasSubstr(kPersonal))));
  }
  EXPECT_GT(lost, 0);
  EXPECT_LT(lost, kKeys / 2);
  ASSERT_TRUE(MarkStoreForRebuild(options().directory, "a block is broken").ok());
  Close();
  ExpectWipedBecause("a block is broken");
}

TEST_F(DamagedStore, AValueThatIsNoMessageIsDataLoss) {
  ASSERT_EQ(Open(), "");
  StoreUpdate update = Update(kPartition).At(kKeys);
  update.snapshots.push_back({Key(0), "\xff\xff"});
  ASSERT_TRUE(store().Apply({update}).ok());
  EXPECT_THAT(Snapshot(store(), kPartition, Key(0)),
              AllOf(HasSubstr("DATA_LOSS"), Not(HasSubstr(kPersonal))));
}

TEST_F(DamagedStore, AnEventThatIsNoMessageIsDataLoss) {
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(
      store().UpdateHistory(kPartition, {{Key(0), Version{0}, "\xff\xff"}}, Offset{1}).ok());
  EXPECT_THAT(Events(store(), kPartition, Key(0)),
              AllOf(HasSubstr("DATA_LOSS"), HasSubstr("history"), Not(HasSubstr(kPersonal))));
}

TEST_F(DamagedStore, AListThatMeetsAValueThatIsNoMessageIsDataLoss) {
  ASSERT_EQ(Open(), "");
  StoreUpdate update = Update(kPartition).At(kKeys);
  update.snapshots.push_back({Key(1), "\xff\xff"});
  ASSERT_TRUE(store().Apply({update}).ok());
  EXPECT_TRUE(absl::IsDataLoss(store().ListSnapshots(kPartition, "", "", 10).status()));
  EXPECT_TRUE(store().ListSnapshots(kPartition, "", "", 1).ok());
}

// What no opening meets: keys and progress that are not the store's.
TEST_F(DamagedStore, AHistoryWithForeignEntriesIsDataLoss) {
  WithRawDatabase(DatabasePath(), [](rocksdb::DB* db, const auto& families) {
    StoreKeys keys(kPartition);
    const std::string progress(keys.Partition());
    const std::string event = std::string(keys.Events(Key(0))) + "1234567";
    for (rocksdb::ColumnFamilyHandle* family : families) {
      if (family->GetName() != "history") continue;
      const rocksdb::Status s = db->Put({}, family, progress, "1234567");
      return s.ok() ? db->Put({}, family, event, "") : s;
    }
    return rocksdb::Status::NotFound("no family for the history");
  });
  ASSERT_EQ(Open(), "");
  EXPECT_THAT(HistoryOffset(store(), kPartition), HasSubstr("DATA_LOSS"));
  EXPECT_THAT(Events(store(), kPartition, Key(0)),
              AllOf(HasSubstr("DATA_LOSS"), Not(HasSubstr(kPersonal))));
  EXPECT_EQ(Snapshot(store(), kPartition, Key(7)), absl::StrCat("7:", RandomText(7)));
}

// ---- Broken log ----

// The log that holds the last updates: written here, as SetUp leaves an empty one.
class DamagedLog : public DamagedStore {
 protected:
  static constexpr int kLogged = 500;

  void SetUp() override {
    DamagedStore::SetUp();
    ASSERT_EQ(Open(), "");
    for (int i = 0; i < kLogged; ++i) {
      ASSERT_TRUE(
          store().UpdateHistory(kRebuilt, {Happened("k", i, RandomText(i))}, Offset{i + 1}).ok());
      ASSERT_TRUE(store()
                      .Apply({Update(kPartition)
                                  .Put(absl::StrCat("logged", i), i, RandomText(i))
                                  .Record("k", absl::StrCat(i), "r", absl::UnixEpoch())
                                  .Happened("k", i, RandomText(i))
                                  .HistoryUpTo(i + 1)
                                  .At(kKeys + i)})
                      .ok());
    }
    Close();
  }

  std::string Log() const {
    std::string largest;
    for (const std::string& file : Files("", ".log")) {
      if (largest.empty() ||
          std::filesystem::file_size(file) > std::filesystem::file_size(largest)) {
        largest = file;
      }
    }
    return largest;
  }

  // Everything up to the checkpoint is there and nothing behind it, in every family.
  void ExpectOneConsistentPoint(int64_t* checkpoint) {
    *checkpoint = (*store().GetCheckpoint(kPartition))->command_offset();
    for (int i = 0; i < kLogged; ++i) {
      const bool there = kKeys + i <= *checkpoint;
      ASSERT_EQ(Snapshot(store(), kPartition, absl::StrCat("logged", i)) != "none", there) << i;
      ASSERT_EQ(Outcome(store(), kPartition, "k", absl::StrCat(i)) != "none", there) << i;
      ASSERT_EQ(Events(store(), kPartition, "k", i, 1) != "", there) << i;
    }
    ASSERT_EQ(HistoryOffset(store(), kPartition), absl::StrCat(*checkpoint - kKeys + 1));
    const auto rebuilt = store().GetHistoryOffset(kRebuilt);
    ASSERT_EQ(store().ListEvents(kRebuilt, "k", Version{0}, kLogged, size_t{1} << 20)->size(),
              static_cast<size_t>((*rebuilt)->value()));
  }
};

TEST_F(DamagedLog, InTheMiddleBringsBackTheConsistentPointBeforeTheDamage) {
  Garble(Log(), 0.5, 16);
  ASSERT_EQ(Open(), "");
  int64_t checkpoint = 0;
  ExpectOneConsistentPoint(&checkpoint);
  EXPECT_GE(checkpoint, kKeys + kLogged / 3);
  EXPECT_LT(checkpoint, kKeys + kLogged * 2 / 3);

  // What is applied from there on is not mixed with what was behind the damage.
  ASSERT_TRUE(store().Apply({Update(kPartition).Put("after", 1, "s").At(checkpoint)}).ok());
  ASSERT_EQ(Reopen(), "");
  int64_t again = 0;
  ExpectOneConsistentPoint(&again);
  EXPECT_EQ(again, checkpoint);
  EXPECT_EQ(Snapshot(store(), kPartition, "after"), "1:s");
}

TEST_F(DamagedLog, AtItsEndBringsBackTheConsistentPointBeforeTheDamage) {
  for (int cut = 0; cut < 5; ++cut) {
    const std::string log = Log();
    std::filesystem::resize_file(log, std::filesystem::file_size(log) - 7);
    ASSERT_EQ(Open(), "");
    int64_t checkpoint = 0;
    ExpectOneConsistentPoint(&checkpoint);
    EXPECT_EQ(checkpoint, kKeys + kLogged - 2 + cut);
    ASSERT_TRUE(store()
                    .Apply({Update(kPartition)
                                .Put(absl::StrCat("logged", kLogged - 1), 0, "s")
                                .Record("k", absl::StrCat(kLogged - 1), "r", absl::UnixEpoch())
                                .Happened("k", kLogged - 1, "e")
                                .HistoryUpTo(kLogged + cut)
                                .At(kKeys + kLogged - 1 + cut)})
                    .ok());
    ASSERT_TRUE(
        store()
            .Apply({Update(kPartition).HistoryUpTo(kLogged + 1 + cut).At(kKeys + kLogged + cut)})
            .ok());
    Close();
  }
}

// Several logs, because the families were flushed at different times: each log holds what some of
// them still need.
class DamagedLogs : public DamagedStore {
 protected:
  static constexpr int kUpdates = 4000;

  void SetUp() override {
    options().memory_bytes = 1;  // the least
    DamagedStore::SetUp();
    ASSERT_EQ(Open(), "");
    for (int i = 0; i < kUpdates; ++i) {
      const std::string key = absl::StrCat("logged", i);
      Update update(kPartition);
      update.Put(key, i, std::string(1000, 'x')).Record("k", key, "r", absl::UnixEpoch());
      update.Happened(key, 0, "live");
      ASSERT_TRUE(store().Apply({update.At(kKeys + i)}).ok());
      ASSERT_TRUE(
          store()
              .UpdateHistory(kPartition, {Happened("old", i, std::string(500, 'x'))}, Offset{i + 1})
              .ok());
      // A drop makes RocksDB take note of all full logs: from then on it notices when one is gone.
      // What only a person can do before that, remove a full log while nothing else is damaged, is
      // not looked for.
      if (i == kUpdates - 100) {
        ASSERT_TRUE(store().DropPartition(In("other", 0)).ok());
      }
    }
    Close();
    std::filesystem::copy(options().directory, options().directory + ".undamaged",
                          std::filesystem::copy_options::recursive);
  }

  void Restore() {
    Close();
    std::filesystem::remove_all(options().directory);
    std::filesystem::copy(options().directory + ".undamaged", options().directory,
                          std::filesystem::copy_options::recursive);
  }

  // Whether it was wiped; if not, then it stands at one point.
  bool IsWipedOrConsistent() {
    const std::string wiped = Open();
    if (!wiped.empty()) {
      EXPECT_THAT(wiped, HasSubstr("it is broken"));
      return true;
    }
    const auto checkpoint = store().GetCheckpoint(kPartition);
    EXPECT_TRUE(checkpoint.ok() && *checkpoint);
    for (int i = 0; i < kUpdates && !HasFailure(); ++i) {
      const std::string key = absl::StrCat("logged", i);
      const bool there = kKeys + i <= (*checkpoint)->command_offset();
      EXPECT_EQ(Snapshot(store(), kPartition, key) != "none", there) << key;
      EXPECT_EQ(Outcome(store(), kPartition, "k", key) != "none", there) << key;
      EXPECT_EQ(Events(store(), kPartition, key) != "", there) << key;
    }
    ExpectHistoryUpToItsProgress();
    return false;
  }

  void ExpectHistoryUpToItsProgress() {
    const auto progress = store().GetHistoryOffset(kPartition);
    const auto events =
        store().ListEvents(kPartition, "old", Version{0}, kUpdates + 1, size_t{100} << 20);
    ASSERT_TRUE(progress.ok() && events.ok());
    EXPECT_EQ(static_cast<int64_t>(events->size()), progress->value_or(Offset{0}).value());
  }

  // Puts all data into files of the last level and the newest progress into one of the first, from
  // where the space of dropped data isn't freed at once.
  void Compact() {
    WithRawDatabase(DatabasePath(), [](rocksdb::DB* db, const auto& families) {
      rocksdb::Status s;
      for (rocksdb::ColumnFamilyHandle* family : families) {
        if (s.ok()) s = db->CompactRange({}, family, nullptr, nullptr);
      }
      return s;
    });
    ASSERT_EQ(Open(), "");
    ASSERT_TRUE(store().UpdateHistory(kPartition, {}, Offset{kUpdates}).ok());
    ASSERT_EQ(Reopen(), "");
  }

  uintmax_t BytesOfTables() const {
    uintmax_t bytes = 0;
    for (const std::string& table : Files("", ".sst")) bytes += std::filesystem::file_size(table);
    return bytes;
  }

  // Opens again without what was logged since; `sizes` are those of before.
  std::string ReopenWithoutLog(const std::map<std::string, uintmax_t>& sizes) {
    Close();
    for (const std::string& log : Files("", ".log")) {
      const auto size = sizes.find(log);
      std::filesystem::resize_file(log, size == sizes.end() ? 0 : size->second);
    }
    return Open();
  }

  std::map<std::string, uintmax_t> LogSizes() const {
    std::map<std::string, uintmax_t> sizes;
    for (const std::string& log : Files("", ".log")) sizes[log] = std::filesystem::file_size(log);
    return sizes;
  }
};

TEST_F(DamagedLogs, AnyOfThemNeverLeavesFamiliesAtDifferentPoints) {
  const std::vector<std::string> logs = Files("", ".log");
  ASSERT_GE(logs.size(), 2u);
  const std::vector<std::function<void(const std::string&)>> damages = {
      [](const std::string& log) { std::filesystem::remove(log); },
      [](const std::string& log) { WriteAll(log, ""); },
      [](const std::string& log) { Garble(log, 0.0, 16); },
      [](const std::string& log) { Garble(log, 0.5, 16); },
      [](const std::string& log) {
        std::filesystem::resize_file(log, std::filesystem::file_size(log) / 2);
      }};
  int wiped = 0;
  for (const std::string& log : logs) {
    for (size_t damage = 0; damage < damages.size(); ++damage) {
      SCOPED_TRACE(absl::StrCat(log, " damage ", damage));
      Restore();
      damages[damage](log);
      wiped += IsWipedOrConsistent() ? 1 : 0;
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(wiped, 0);
}

// Removed files are gone at once, but what a log says may be lost with the power.
TEST_F(DamagedLogs, LostRightAfterADropLeaveNoCheckpointWithoutItsData) {
  Compact();
  const std::map<std::string, uintmax_t> sizes = LogSizes();
  const uintmax_t bytes = BytesOfTables();
  ASSERT_TRUE(store().DropPartition(kPartition).ok());
  EXPECT_LT(BytesOfTables(), bytes / 10) << "the space of a dropped partition is not freed";
  ReopenWithoutLog(sizes);  // wiped is fine: the lost logs may have been synced
  const bool dropped = Checkpoint(store(), kPartition) == "none";
  EXPECT_EQ(Snapshot(store(), kPartition, Key(0)) == "none", dropped);
  EXPECT_EQ(Outcome(store(), kPartition, "k", "logged0") == "none", dropped);
  ExpectHistoryUpToItsProgress();
}

// ---- Nothing may be wiped ----

TEST_F(DamagedStore, WhoseFilesCannotBeReadIsNotWiped) {
  // Root may read everything, but nobody opens a folder as a file.
  const std::string current = DatabasePath() + "/CURRENT";
  const std::string text = ReadAll(current);
  std::filesystem::remove(current);
  std::filesystem::create_directory(current);
  EXPECT_THAT(Open(), HasSubstr("UNAVAILABLE"));
  std::filesystem::remove(current);
  WriteAll(current, text);
  ExpectWhole();
}

TEST_F(DamagedStore, WithATableThatCannotBeReadIsNotWiped) {
  // More tables than RocksDB opens at once: it treats those beyond in another way.
  WithRawDatabase(DatabasePath(), [](rocksdb::DB* db, const auto&) {
    rocksdb::Status s;
    for (int i = 0; i < 20 && s.ok(); ++i) {
      s = db->Put({}, "more", absl::StrCat(i));
      if (s.ok()) s = db->Flush({});
    }
    return s;
  });
  for (const std::string& table : Files("", ".sst")) {
    SCOPED_TRACE(table);
    std::filesystem::rename(table, table + ".away");
    // Too many links to follow: an I/O error that root gets as well.
    std::filesystem::create_symlink(table, table);
    EXPECT_THAT(Open(), AllOf(HasSubstr("UNAVAILABLE"), HasSubstr("Too many levels"),
                              HasSubstr("check the disk"), Not(HasSubstr("wiped"))));
    std::filesystem::remove(table);
    std::filesystem::rename(table + ".away", table);
  }
  ExpectWhole();
}

TEST_F(DamagedStore, WhoseTablesGoWhileItIsOpenSaysDataLoss) {
  ASSERT_EQ(Open(), "");
  for (const std::string& table : Files("", ".sst")) std::filesystem::resize_file(table, 100);
  EXPECT_THAT(Snapshot(store(), kPartition, Key(kKeys / 2)), HasSubstr("DATA_LOSS"));
}

}  // namespace
}  // namespace esd
