#include "engine/store/rocksdb_snapshot_store_test.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <semaphore>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#ifdef __SANITIZE_THREAD__
// The packaged librocksdb isn't built for the thread sanitizer, which therefore doesn't see its
// atomics and takes what they order for races. The functions named read what an iterator points to,
// RocksDB's own memory, without a copy.
extern "C" const char* __tsan_default_suppressions() {
  return "race:librocksdb.so\nrace:ReadEvents\nrace:ReadSnapshots\n";
}
#endif

namespace esd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Families = std::map<std::string, rocksdb::ColumnFamilyHandle*>;

class RocksdbHarness : public SnapshotStoreHarness {
 public:
  RocksdbHarness() { EXPECT_EQ(fixture_.Open(), ""); }
  SnapshotStore& store() override { return fixture_.store(); }
  absl::Duration outcome_retention() const override { return absl::Hours(48); }
  void SetNow(absl::Time now) override { fixture_.SetNow(now); }

 private:
  RocksdbStoreFixture fixture_;
};

INSTANTIATE_TEST_SUITE_P(Rocksdb, SnapshotStoreContract,
                         testing::Values([]() -> std::unique_ptr<SnapshotStoreHarness> {
                           return std::make_unique<RocksdbHarness>();
                         }));

class RocksdbStore : public testing::Test, public RocksdbStoreFixture {};

const DomainPartition kPartition = In("security", 3);
const DomainPartition kRebuilt = In("security", 4);

// ---- Lifetime ----

TEST_F(RocksdbStore, MakesItsFolderWithItsParents) {
  options().directory += "/not/there/yet";
  EXPECT_EQ(Open(), "");
  EXPECT_TRUE(std::filesystem::is_directory(options().directory));
}

TEST_F(RocksdbStore, KeepsEverythingOverAReopening) {
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(
      store()
          .Apply(
              {Update(kPartition).Put("k", 3, "s").Record("k", "c", "r", absl::UnixEpoch()).At(17)})
          .ok());
  ASSERT_TRUE(
      store()
          .UpdateHistory(kPartition, {Happened("k", 0, "e"), Happened("k", 1, "e")}, Offset{5})
          .ok());
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(Reopen(), "");
    EXPECT_EQ(Snapshot(store(), kPartition, "k"), "3:s");
    EXPECT_EQ(Outcome(store(), kPartition, "k", "c"), "r");
    EXPECT_EQ(Checkpoint(store(), kPartition), "17");
    EXPECT_EQ(Events(store(), kPartition, "k"), "0:e 1:e");
    EXPECT_EQ(HistoryOffset(store(), kPartition), "5");
  }
}

TEST_F(RocksdbStore, ADropLastsOverAReopening) {
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(
      store()
          .Apply({Update(kPartition).Put("k", 3, "s").Happened("k", 3, "e").HistoryUpTo(4).At(17)})
          .ok());
  ASSERT_EQ(Reopen(), "");  // what is in the log goes to a file
  ASSERT_TRUE(store().DropPartition(kPartition).ok());
  ASSERT_EQ(Reopen(), "");
  EXPECT_EQ(Snapshot(store(), kPartition, "k"), "none");
  EXPECT_EQ(Checkpoint(store(), kPartition), "none");
  EXPECT_EQ(Events(store(), kPartition, "k"), "");
  EXPECT_EQ(HistoryOffset(store(), kPartition), "none");
}

TEST_F(RocksdbStore, RefusesARetentionThatIsTooShortForARetry) {
  options().outcome_retention = absl::Hours(23);
  EXPECT_THAT(Open(), AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("24h")));
}

TEST_F(RocksdbStore, RefusesAnEmptyFolderName) {
  options().directory = "";
  EXPECT_THAT(Open(), HasSubstr("INVALID_ARGUMENT"));
}

TEST_F(RocksdbStore, AFolderThatCannotBeMadeIsAnErrorThatNamesIt) {
  const std::string file = options().directory;
  std::ofstream(file) << "a regular file";
  options().directory = file + "/below";
  EXPECT_THAT(Open(), AllOf(HasSubstr("UNAVAILABLE"), HasSubstr(file), HasSubstr("--data-dir")));
}

TEST_F(RocksdbStore, AFileInThePlaceOfTheDatabaseIsAnErrorAndIsNotTouched) {
  std::filesystem::create_directories(options().directory);
  std::ofstream(DatabasePath()) << "somebody's";
  EXPECT_THAT(Open(), AllOf(HasSubstr("UNAVAILABLE"), HasSubstr(DatabasePath())));
  EXPECT_EQ(std::filesystem::file_size(DatabasePath()), 10u);
}

// ---- What is on disk ----

// Opens a database that nobody holds, beside the store's back.
void WithRawDatabase(const std::string& path,
                     const std::function<void(rocksdb::DB*, const Families&)>& use) {
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies({}, path, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : names)
    descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions());
  for (auto& descriptor : descriptors) descriptor.options.disable_auto_compactions = true;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open({}, path, descriptors, &handles, &db).ok());
  Families families;
  for (size_t i = 0; i < names.size(); ++i) families[names[i]] = handles[i];
  use(db, families);
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  }
  delete db;
}

// Entries of the family on disk, whether the store shows them or not.
int EntriesOnDisk(const std::string& path, const std::string& family) {
  int count = 0;
  WithRawDatabase(path, [&](rocksdb::DB* db, const Families& families) {
    std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}, families.at(family)));
    for (it->SeekToFirst(); it->Valid(); it->Next()) ++count;
    EXPECT_TRUE(it->status().ok());
  });
  return count;
}

// ---- History ----

// A store of before there was a history.
TEST_F(RocksdbStore, AnOlderStoreWithoutAHistoryKeepsItsDataAndGetsAnEmptyOne) {
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(
      store()
          .Apply(
              {Update(kPartition).Put("k", 3, "s").Record("k", "c", "r", absl::UnixEpoch()).At(17)})
          .ok());
  Close();
  WithRawDatabase(DatabasePath(), [](rocksdb::DB* db, const Families& families) {
    EXPECT_TRUE(db->DropColumnFamily(families.at("history")).ok());
  });
  ASSERT_EQ(Open(), "");
  EXPECT_EQ(Snapshot(store(), kPartition, "k"), "3:s");
  EXPECT_EQ(Outcome(store(), kPartition, "k", "c"), "r");
  EXPECT_EQ(Checkpoint(store(), kPartition), "17");
  EXPECT_EQ(HistoryOffset(store(), kPartition), "none");
  ASSERT_TRUE(store().UpdateHistory(kPartition, {Happened("k", 0, "e")}, Offset{1}).ok());
  ASSERT_EQ(Reopen(), "");
  EXPECT_EQ(Events(store(), kPartition, "k"), "0:e");
}

TEST_F(RocksdbStore, DroppingTheHistoryFreesItsSpaceForGood) {
  options().memory_bytes = 1;  // the least, so that there are files of several levels
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(store().Apply({Update(kPartition).Put("k", 3, "s").At(17)}).ok());
  for (int64_t n = 0; n < 4000; ++n) {
    const std::string key = absl::StrCat("k", n * 7919 % 4000);
    ASSERT_TRUE(
        store()
            .UpdateHistory(kPartition, {Happened(key, 0, std::string(4000, 'x'))}, Offset{n + 1})
            .ok());
  }
  ASSERT_TRUE(store().DropHistory().ok());
  EXPECT_EQ(HistoryOffset(store(), kPartition), "none");
  EXPECT_EQ(Events(store(), kPartition, "k7"), "");
  Close();
  WithRawDatabase(DatabasePath(), [](rocksdb::DB* db, const Families& families) {
    uint64_t bytes = 1;
    EXPECT_TRUE(db->GetIntProperty(families.at("history"),
                                   rocksdb::DB::Properties::kTotalSstFilesSize, &bytes));
    EXPECT_EQ(bytes, 0u);
  });
  ASSERT_EQ(Open(), "");
  EXPECT_EQ(HistoryOffset(store(), kPartition), "none");
  EXPECT_EQ(Events(store(), kPartition, "k7"), "");
  EXPECT_EQ(Snapshot(store(), kPartition, "k"), "3:s");
}

// ---- Expiry ----

TEST_F(RocksdbStore, CompactionFreesTheSpaceOfExpiredOutcomesOnly) {
  const absl::Time start = absl::FromUnixSeconds(1'700'000'000);
  const absl::Time later = start + options().outcome_retention + absl::Seconds(1);
  SetNow(later);
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(
      store()
          .Apply(
              {Update(kPartition).Record("k", "old", "r", start).Record("k", "young", "r", later)})
          .ok());
  // Each opening turns the log into a file, and RocksDB compacts every few files.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  int left = 3;
  while (left == 3 && absl::Now() < deadline) {
    ASSERT_TRUE(store().Apply({Update(kPartition).Record("k", "written again", "r", later)}).ok());
    ASSERT_EQ(Reopen(), "");
    Close();
    left = EntriesOnDisk(DatabasePath(), "outcomes");
    ASSERT_EQ(Open(), "");
  }
  EXPECT_EQ(left, 2);
  EXPECT_EQ(Outcome(store(), kPartition, "k", "young"), "r");
}

// ---- Other process ----

// Runs the test `name` of this binary in a process of its own, with `directory` for its data, and
// reads the lines that it prints. A plain fork() would do without RocksDB's threads.
class ChildProcess {
 public:
  ChildProcess(const std::string& name, const std::string& directory) {
    int ends[2];
    if (pipe(ends) != 0) ADD_FAILURE() << "no pipe";
    const std::string filter = "--gtest_filter=*" + name;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      setenv("ESD_STORE_TEST_CHILD_DIRECTORY", directory.c_str(), 1);
      execl("/proc/self/exe", "store_test", filter.c_str(), "--gtest_also_run_disabled_tests",
            static_cast<char*>(nullptr));
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    Kill();
    fclose(output_);
  }

  // The next line that starts with `word`, without it; "end" when there is none.
  std::string Next(const std::string& word) {
    char line[256];
    while (fgets(line, sizeof(line), output_) != nullptr) {
      std::string text(line);
      if (!text.empty() && text.back() == '\n') text.pop_back();
      if (text.starts_with(word)) return text.substr(word.size());
    }
    return "end";
  }

  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  FILE* output_ = nullptr;
};

// The folder that the parent gives; empty when there is no parent.
std::string ParentsDirectory() {
  const char* directory = getenv("ESD_STORE_TEST_CHILD_DIRECTORY");
  return directory == nullptr ? "" : directory;
}

class StoreTestChild : public testing::Test, public RocksdbStoreFixture {
 protected:
  StoreTestChild() : RocksdbStoreFixture(ParentsDirectory()) {
    options().memory_bytes = 1;  // the least, so that files are written all the time
  }

  void SetUp() override {
    if (ParentsDirectory().empty()) GTEST_SKIP() << "run by another test";
  }

  // Adds to the history of another partition from where it stands, beside all else and no faster.
  void RebuildForEver() {
    const auto at = store().GetHistoryOffset(kRebuilt);
    if (!at.ok()) abort();
    absl::Status status;
    for (int64_t n = at->value_or(Offset{0}).value(); status.ok(); ++n) {
      live_updates_.acquire();
      status =
          store().UpdateHistory(kRebuilt, {Happened("k", n, std::string(500, 'x'))}, Offset{n + 1});
    }
    abort();  // which the parent notices
  }

  // Prints a line for the parent at once.
  static void Say(const std::string& line) {
    const std::string text = line + "\n";
    ASSERT_EQ(write(STDOUT_FILENO, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  std::counting_semaphore<> live_updates_{0};
};

constexpr int64_t kKeysPerUpdate = 10;

std::string KeyOf(int64_t n, int64_t i) { return absl::StrCat("key", n * kKeysPerUpdate + i); }

// The bodies of the other processes.
TEST_F(StoreTestChild, DISABLED_HoldsTheStore) {
  const std::string failure = Open();
  Say("opened:" + failure);
  if (failure.empty()) pause();
}

TEST_F(StoreTestChild, DISABLED_WritesUntilItIsKilled) {
  const std::string failure = Open();
  Say("opened:" + failure);
  ASSERT_EQ(failure, "");
  const auto at = store().GetCheckpoint(kPartition);
  ASSERT_TRUE(at.ok());
  std::thread rebuild([this] { RebuildForEver(); });
  for (int64_t n = *at ? (*at)->command_offset() + 1 : 0;; ++n) {
    Update update(kPartition);
    for (int64_t i = 0; i < kKeysPerUpdate; ++i) update.Put(KeyOf(n, i), n, std::string(500, 'x'));
    update.Record(KeyOf(n, 0), "c", absl::StrCat(n), absl::UnixEpoch());
    update.Happened("live", n, "e").HistoryUpTo(n + 1);
    live_updates_.release();
    ASSERT_TRUE(store().Apply({update.At(n)}).ok());
    Say(absl::StrCat("applied:", n));
  }
}

TEST_F(RocksdbStore, AnotherProcessThatHoldsItIsNamedWithTheFix) {
  ChildProcess child("DISABLED_HoldsTheStore", options().directory);
  ASSERT_EQ(child.Next("opened:"), "");
  EXPECT_THAT(Open(), AllOf(HasSubstr("FAILED_PRECONDITION"), HasSubstr(options().directory),
                            HasSubstr("another esd"), HasSubstr("--data-dir")));
  child.Kill();
  EXPECT_EQ(Open(), "");
}

TEST_F(RocksdbStore, ASecondOpeningInTheSameProcessIsRefused) {
  ASSERT_EQ(Open(), "");
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenRocksdbStore(options()).status()));
  Close();
  EXPECT_EQ(Open(), "");
}

TEST_F(RocksdbStore, ARefusedOpenerDoesNotWipeAMarkedStore) {
  ASSERT_EQ(Open(), "");
  ASSERT_TRUE(store().Apply({Update(kPartition).Put("k", 3, "s").At(17)}).ok());
  ASSERT_TRUE(MarkStoreForRebuild(options().directory).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenRocksdbStore(options()).status()));
  EXPECT_EQ(Snapshot(store(), kPartition, "k"), "3:s");
}

class KilledStore : public RocksdbStore {
 protected:
  // The history has `count` events of the aggregate, without a gap.
  void ExpectEvents(const DomainPartition& p, std::string_view key, int64_t count) {
    Version next{0};
    while (!HasFailure()) {
      const auto events = store().ListEvents(p, key, next, 1000, size_t{1} << 20);
      ASSERT_TRUE(events.ok());
      for (const SnapshotStore::VersionedEvent& event : *events) {
        ASSERT_EQ(event.version, next);
        next = Next(next);
      }
      if (events->empty()) break;
    }
    EXPECT_EQ(next.value(), count);
  }
};

// Every update that was acknowledged is there, nothing is there in part, and the checkpoint tells
// which are there. The small memory makes RocksDB flush its families at different times, which the
// log has to make up for.
TEST_F(KilledStore, KillingTheProcessLosesNothingAndLeavesNothingInPart) {
  int64_t last = -1;
  for (const int64_t updates : {1, 300, 700, 2000}) {
    int64_t acknowledged = -1;
    ChildProcess child("DISABLED_WritesUntilItIsKilled", options().directory);
    ASSERT_EQ(child.Next("opened:"), "") << "a killed store must not be wiped";
    for (int64_t i = 0; i < updates; ++i) {
      ASSERT_TRUE(absl::SimpleAtoi(child.Next("applied:"), &acknowledged));
    }
    child.Kill();
    for (std::string line = child.Next("applied:"); line != "end"; line = child.Next("applied:")) {
      // A line that was cut off by the kill is below the ones before.
      int64_t n = 0;
      if (absl::SimpleAtoi(line, &n)) acknowledged = std::max(acknowledged, n);
    }

    ASSERT_EQ(Reopen(), "");
    ASSERT_TRUE(absl::SimpleAtoi(Checkpoint(store(), kPartition), &last));
    EXPECT_GE(last, acknowledged);
    for (int64_t n = 0; n <= last + 5; ++n) {
      for (int64_t i = 0; i < kKeysPerUpdate; ++i) {
        const auto found = store().GetSnapshot(kPartition, KeyOf(n, i));
        ASSERT_TRUE(found.ok());
        ASSERT_EQ(found->has_value(), n <= last) << "update " << n << " of " << last;
      }
      ASSERT_EQ(Outcome(store(), kPartition, KeyOf(n, 0), "c"),
                n <= last ? absl::StrCat(n) : "none");
    }
    EXPECT_EQ(HistoryOffset(store(), kPartition), absl::StrCat(last + 1));
    ExpectEvents(kPartition, "live", last + 1);
    ExpectEvents(kRebuilt, "k", store().GetHistoryOffset(kRebuilt)->value_or(Offset{0}).value());
    Close();
  }
}

}  // namespace
}  // namespace esd
