// What may be opened as a log, and what is left after the process was killed.
#include "engine/log/embedded/log_database.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/embedded/embedded_log_test.h"

namespace esd {
namespace {

using ::testing::HasSubstr;

class LogDatabaseTest : public EmbeddedLogTest {
 protected:
  LogDatabaseTest() { options_.env = nullptr; }

  absl::Status OpenStatus() { return TryOpen().status(); }

  // Changes what the closed log says of itself.
  void SetMeta(const std::string& key, const std::string& value) {
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const char* name : embedded::kFamilyNames)
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, options_.directory, families, &handles, &opened).ok());
    const std::unique_ptr<rocksdb::DB> db(opened);
    EXPECT_TRUE(db->Put({}, handles[embedded::kMeta], key, value).ok());
    for (rocksdb::ColumnFamilyHandle* handle : handles) {
      EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    }
  }
};

TEST_F(LogDatabaseTest, ADirectoryThatIsInUseIsRefusedWithWhatToDo) {
  Open();
  const absl::Status status = OpenStatus();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(options_.directory));
  EXPECT_THAT(std::string(status.message()), HasSubstr("another esd runs there"));
  Close();
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(LogDatabaseTest, ALogOfALaterFormatIsRefusedAndLeftAsItIs) {
  Open();
  Close();
  SetMeta(embedded::kFormatVersionKey, "2");
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = OpenStatus();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("has format 2"));
  }
}

TEST_F(LogDatabaseTest, WhatIsNoLogIsRefusedAndLeftAsItIs) {
  std::filesystem::create_directories(options_.directory);
  const std::string file = options_.directory + "/letter.txt";
  std::ofstream(file) << "dear";
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenStatus())) << OpenStatus();
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_FALSE(std::filesystem::exists(options_.directory + "/CURRENT"));
}

TEST_F(LogDatabaseTest, AnotherDatabaseIsRefusedAndLeftAsItIs) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* opened = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, options_.directory, &opened).ok());
  EXPECT_TRUE(opened->Put({}, "theirs", "value").ok());
  delete opened;
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenStatus())) << OpenStatus();
  ASSERT_TRUE(rocksdb::DB::Open(options, options_.directory, &opened).ok())
      << "families were added to it";
  std::string value;
  EXPECT_TRUE(opened->Get({}, "theirs", &value).ok());
  delete opened;
}

TEST_F(LogDatabaseTest, ALogWithoutItsCurrentFileIsNotTakenForAnEmptyFolder) {
  Open();
  Close();
  std::filesystem::remove(options_.directory + "/CURRENT");
  EXPECT_TRUE(absl::IsDataLoss(OpenStatus())) << OpenStatus();
}

TEST_F(LogDatabaseTest, APartitionCountOnceChosenStays) {
  Open();
  Close();
  options_.partitions = 7;
  options_.domains.push_back("gamma");
  const auto opened = TryOpen();
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->PartitionCount("alpha"), 2);
  EXPECT_EQ((*opened)->PartitionCount("gamma"), 7);
}

// The child tells the number of each command that it was told is durable.
TEST_F(LogDatabaseTest, WhatWasAcknowledgedBeforeAKillIsThere) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto opened = TryOpen();
    auto appender = (*opened)->OpenAppender();
    for (int32_t i = 0;; ++i) {
      (*appender)->Append("alpha", Output(Topic::kCommand, PartitionId{0}, absl::StrCat(i)),
                          [i, fd = pipe_fds[1]](const absl::StatusOr<Offset>& offset) {
                            if (offset.ok() && write(fd, &i, sizeof(i)) != sizeof(i)) _exit(1);
                          });
    }
  }
  close(pipe_fds[1]);
  int32_t last = -1;
  while (last < 2'000 && read(pipe_fds[0], &last, sizeof(last)) == sizeof(last)) {
  }
  kill(child, SIGKILL);
  for (int32_t next = 0; read(pipe_fds[0], &next, sizeof(next)) == sizeof(next);) last = next;
  waitpid(child, nullptr, 0);
  close(pipe_fds[0]);
  EXPECT_GE(last, 2'000);
  ASSERT_NO_FATAL_FAILURE(Open());
  const TopicBounds bounds = BoundsOk(log(), kAlpha0, Topic::kCommand);
  EXPECT_GT(bounds.end, Offset{last});
  const auto commands = ReplayOk(log(), kAlpha0, Topic::kCommand, Offset{0}, bounds.end);
  ASSERT_EQ(commands.size(), static_cast<size_t>(bounds.end.value()));
  for (size_t i = 0; i < commands.size(); ++i) {
    ASSERT_EQ(commands[i].value, absl::StrCat(i));
  }
}

}  // namespace
}  // namespace esd
