// Retention, and the compaction of snapshots.
#include "engine/log/embedded/log_maintenance.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include <map>

#include "engine/log/embedded/embedded_log_test.h"

namespace esd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogMaintenanceTest : public EmbeddedLogTest {
 protected:
  void AppendCommands(int count) {
    Appending appending(log());
    for (int i = 0; i < count; ++i) appending.Append(kAlpha0, absl::StrCat(i));
    for (const auto& answer : appending.Await()) EXPECT_TRUE(answer.ok()) << answer.status();
  }

  void CommitSnapshot(const std::string& key, const std::string& value) {
    TransactionPart part = Part(kAlpha0, 0);
    part.records.push_back({Topic::kSnapshot, kAlpha0.partition, key, value, {}});
    ASSERT_TRUE(Committed(worker().Commit({{part}})));
  }

  std::map<std::string, std::string> SnapshotsByKey() {
    std::map<std::string, std::string> found;
    for (const TestRecord& record : Snapshots(log(), kAlpha0)) found[*record.key] = *record.value;
    return found;
  }
};

TEST_F(LogMaintenanceTest, ProcessedCommandsGoAfterTheirRetentionAndOthersStay) {
  Open();
  AppendCommands(5'000);
  ASSERT_TRUE(Committed(worker().Commit({{Part(kAlpha0, 4'000)}})));
  log().Maintain(absl::Now() + options_.command_retention - absl::Minutes(1));
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kCommand).begin, Offset{0});
  log().Maintain(absl::Now() + options_.command_retention + absl::Minutes(1));
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kCommand).begin, Offset{4'000});
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kCommand).end, Offset{5'000});
  ASSERT_TRUE(worker().Start(kAlpha0, Offset{4'000}).ok());
  EXPECT_THAT(PollAll(worker(), 1'000)[kAlpha0], SizeIs(1'000));
  // And it is so after a restart.
  Close();
  Open();
  EXPECT_EQ(OpenOk(log(), kAlpha0).command_begin, Offset{4'000});
}

TEST_F(LogMaintenanceTest, CommandsOfAPartitionThatWasNeverProcessedStay) {
  Open();
  AppendCommands(10);
  log().Maintain(absl::Now() + absl::Hours(24 * 365));
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kCommand).begin, Offset{0});
}

TEST_F(LogMaintenanceTest, OffsetsGoOnBehindATopicThatIsEmptyAfterItsRetention) {
  Open();
  ASSERT_TRUE(Committed(worker().Commit(
      {{Part(kAlpha0, 0, {Topic::kReply, Topic::kReply, Topic::kDeadLetter, Topic::kEvent})}})));
  log().Maintain(absl::Now() + absl::Hours(24 * 365));
  const TopicBounds replies = BoundsOk(log(), kAlpha0, Topic::kReply);
  EXPECT_EQ(replies.begin, Offset{2});
  EXPECT_EQ(replies.end, Offset{2});
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kDeadLetter).begin, Offset{1});
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kEvent).begin, Offset{0}) << "events stay";
  Close();
  Open();
  const CommitResult next = worker().Commit({{Part(kAlpha0, 0, {Topic::kReply})}});
  ASSERT_TRUE(Committed(next));
  EXPECT_EQ(next.written[0].reply_end, Offset{3});
}

TEST_F(LogMaintenanceTest, TheLastSnapshotOfEachKeyStays) {
  Open();
  for (int i = 0; i < 30; ++i) CommitSnapshot(absl::StrCat("key", i % 3), absl::StrCat(i));
  log().Maintain(absl::Now());
  EXPECT_THAT(ValuesOf(Snapshots(log(), kAlpha0)), ElementsAre("27", "28", "29"));
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kSnapshot).end, Offset{30});
  // What was compacted before is compacted with what comes later, and after a restart as well.
  Close();
  Open();
  CommitSnapshot("key1", "30");
  CommitSnapshot("key9", "31");
  log().Maintain(absl::Now());
  EXPECT_THAT(ValuesOf(Snapshots(log(), kAlpha0)), ElementsAre("27", "29", "30", "31"));
}

TEST_F(LogMaintenanceTest, MoreSnapshotsThanAStepTakesAreCompacted) {
  Open();
  std::map<std::string, std::string> expected;
  for (int transaction = 0; transaction < 5; ++transaction) {
    TransactionPart part = Part(kAlpha0, 0);
    for (int i = 0; i < 1'000; ++i) {
      const std::string key = absl::StrCat("key", (i * 7) % 600);
      const std::string value = absl::StrCat(transaction, ":", i);
      part.records.push_back({Topic::kSnapshot, kAlpha0.partition, key, value, {}});
      expected[key] = value;
    }
    ASSERT_TRUE(Committed(worker().Commit({{part}})));
  }
  log().Maintain(absl::Now());
  EXPECT_THAT(Snapshots(log(), kAlpha0), SizeIs(expected.size()));
  EXPECT_EQ(SnapshotsByKey(), expected);
}

TEST_F(LogMaintenanceTest, AReplayOverWhatWasCompactedComesToItsEnd) {
  Open();
  for (int i = 0; i < 10; ++i) CommitSnapshot("key", absl::StrCat(i));
  log().Maintain(absl::Now());
  EXPECT_THAT(ReplayOk(log(), kAlpha0, Topic::kSnapshot, Offset{0}, Offset{5}), IsEmpty());
  EXPECT_THAT(ValuesOf(ReplayOk(log(), kAlpha0, Topic::kSnapshot, Offset{5}, Offset{10})),
              ElementsAre("9"));
}

}  // namespace
}  // namespace esd
