// What happens when the disk is full, and when there is room again.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "engine/log/embedded/embedded_log_test.h"

namespace esd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();

class LogDiskFullTest : public EmbeddedLogTest {
 protected:
  absl::StatusOr<Offset> AppendOne(const std::string& value) {
    Appending appending(log());
    appending.Append(kAlpha0, value);
    return appending.Await()[0];
  }

  std::vector<std::string> Commands() {
    return ValuesOf(ReplayOk(log(), kAlpha0, Topic::kCommand, Offset{0},
                             BoundsOk(log(), kAlpha0, Topic::kCommand).end));
  }
};

TEST_F(LogDiskFullTest, CommandsAreRefusedBelowTheReserveAndTakenWhenThereIsRoom) {
  options_.min_free_bytes = int64_t{64} << 20;
  disk_.SetFreeBytes(int64_t{65} << 20);
  Open();
  Appending appending(log());
  appending.Append(kAlpha0, "0");
  EXPECT_TRUE(appending.Await()[0].ok());
  disk_.SetFreeBytes(int64_t{63} << 20);
  EXPECT_TRUE(Eventually([&] { return absl::IsResourceExhausted(AppendOne("x").status()); }));
  const absl::Status refused = AppendOne("x").status();
  EXPECT_TRUE(IsLogFull(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("free space"));
  // Transactions go on: there is room for what was accepted.
  EXPECT_TRUE(Committed(worker().Commit({{Part(kAlpha0, 1, {Topic::kEvent})}})));
  disk_.SetFreeBytes(int64_t{65} << 20);
  EXPECT_TRUE(Eventually([&] { return AppendOne("last").ok(); }));
  EXPECT_EQ(Commands().back(), "last");
}

TEST_F(LogDiskFullTest, WhatFindsNoRoomIsNotWrittenAndAllGoesOnWithoutARestart) {
  Open();
  ASSERT_TRUE(Committed(worker().Commit({{Part(kAlpha0, 1, {Topic::kSnapshot}, "1")}})));
  disk_.SetRoom(100);
  const CommitResult refused =
      worker().Commit({{Part(kAlpha0, 2, {Topic::kSnapshot, Topic::kReply}, Noise(10'000))}});
  // The log could not be opened anew either, so nobody knows yet.
  ASSERT_NE(refused.outcome, CommitOutcome::kCommitted);
  ASSERT_NE(refused.outcome, CommitOutcome::kLost);
  EXPECT_THAT(refused.reason, HasSubstr("free space"));
  // From here on it is certain: nothing is written.
  const CommitResult second = worker().Commit({{Part(kAlpha0, 2, {Topic::kSnapshot}, "bad")}});
  EXPECT_EQ(second.outcome, CommitOutcome::kAborted) << second.reason;
  EXPECT_TRUE(second.no_room);
  EXPECT_TRUE(absl::IsResourceExhausted(worker().Reopen())) << worker().Reopen();
  const absl::Status append = AppendOne("bad").status();
  EXPECT_TRUE(IsLogFull(append)) << append;

  disk_.SetRoom(kEndless);
  EXPECT_TRUE(Eventually([&] { return worker().Reopen().ok(); }));
  const auto committed = worker().CommittedOffset(kAlpha0);
  ASSERT_TRUE(committed.ok()) << committed.status();
  const bool was_written = **committed == Offset{2};
  EXPECT_EQ(was_written, refused.outcome == CommitOutcome::kUnknown && was_written);
  ASSERT_TRUE(Committed(worker().Commit({{Part(kAlpha0, 3, {Topic::kSnapshot}, "3")}})));
  EXPECT_TRUE(AppendOne("command").ok());
  EXPECT_THAT(Commands(), ElementsAre("command"));
  const auto before = ValuesOf(Snapshots(log(), kAlpha0));
  EXPECT_THAT(before, SizeIs(was_written ? 3 : 2));
  // What did not happen doesn't come back.
  Close();
  Open();
  EXPECT_EQ(ValuesOf(Snapshots(log(), kAlpha0)), before);
  EXPECT_THAT(Commands(), ElementsAre("command"));
}

// Room for a random number of bytes, again and again: the record of a batch is cut off anywhere.
TEST_F(LogDiskFullTest, WhereverAWriteIsCutOffTheAnswerIsWhatHappened) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 random(seed);
  Open();
  int64_t position = 0;
  std::vector<std::string> expected;
  int refusals = 0;
  for (int round = 0; round < 8 && !HasFailure(); ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    disk_.SetRoom(static_cast<int64_t>(random() % 20'000));
    for (bool full = false; !full;) {
      const std::string value = absl::StrCat(position, " ", Noise(1'000));
      const CommitResult result =
          worker().Commit({{Part(kAlpha0, position + 1, {Topic::kEvent}, value)}});
      full = result.outcome != CommitOutcome::kCommitted;
      if (full) {
        ++refusals;
        disk_.SetRoom(kEndless);
        ASSERT_TRUE(Eventually([&] { return worker().Reopen().ok(); }));
        const bool moved = **worker().CommittedOffset(kAlpha0) == Offset{position + 1};
        EXPECT_FALSE(moved && result.outcome == CommitOutcome::kAborted);
        if (!moved) continue;
      }
      ++position;
      expected.push_back(value);
    }
    if (round % 5 == 4) {
      Close();
      Open();
    }
    EXPECT_EQ(ValuesOf(ReplayOk(log(), kAlpha0, Topic::kEvent, Offset{0},
                                BoundsOk(log(), kAlpha0, Topic::kEvent).end)),
              expected);
  }
  EXPECT_GE(refusals, 8);
}

// All of it is in the file, and still it might be gone after a crash: the answer must not come
// before that is certain.
TEST_F(LogDiskFullTest, AfterASyncThatFailedTheAnswerIsWhatHappened) {
  Open();
  ASSERT_TRUE(Committed(worker().Commit({{Part(kAlpha0, 1, {Topic::kEvent}, "1")}})));
  disk_.FailSyncs(1);
  const CommitResult result = worker().Commit({{Part(kAlpha0, 2, {Topic::kEvent}, "2")}});
  ASSERT_TRUE(result.outcome == CommitOutcome::kCommitted ||
              result.outcome == CommitOutcome::kAborted)
      << result.reason;
  const bool written = result.outcome == CommitOutcome::kCommitted;
  EXPECT_EQ(**worker().CommittedOffset(kAlpha0), Offset{written ? 2 : 1});
  Close();
  disk_.LosePower();
  Open();
  EXPECT_EQ(OpenOk(log(), kAlpha0).committed, Offset{written ? 2 : 1});
  EXPECT_EQ(BoundsOk(log(), kAlpha0, Topic::kEvent).end, Offset{written ? 2 : 1});
}

TEST_F(LogDiskFullTest, ReadersAndPollsGoOnOverAFullDisk) {
  Open();
  ASSERT_TRUE(AppendOne("0").ok());
  ASSERT_TRUE(Committed(worker().Commit({{Part(kAlpha0, 0, {Topic::kEvent}, "0")}})));
  ASSERT_TRUE(worker().Start(kAlpha0, Offset{0}).ok());
  Reading reading(log(), Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 1);
  disk_.SetRoom(0);
  EXPECT_NE(worker().Commit({{Part(kAlpha0, 0, {Topic::kEvent}, "x")}}).outcome,
            CommitOutcome::kCommitted);
  const absl::Time begin = absl::Now();
  reading.Poll({}, absl::Milliseconds(200));
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(190)) << "a poll must not spin";
  disk_.SetRoom(kEndless);
  ASSERT_TRUE(Eventually([&] { return worker().Reopen().ok(); }));
  EXPECT_THAT(ValuesOf(PollAll(worker(), 1)[kAlpha0]), ElementsAre("0"));
  const size_t events = reading.records(kAlpha0).size();
  ASSERT_TRUE(Committed(worker().Commit({{Part(kAlpha0, 0, {Topic::kEvent}, "1")}})));
  EXPECT_TRUE(Eventually([&] {
    reading.Poll();
    return reading.records(kAlpha0).size() > events && reading.values(kAlpha0).back() == "1";
  }));
}

}  // namespace
}  // namespace esd
