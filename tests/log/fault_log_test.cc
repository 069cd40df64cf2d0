// What a FaultLog gives of appenders, readers and bounds.
#include "tests/log/fault_log.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/log/log_contract_language.h"
#include "tests/log/memory_log.h"

namespace esd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FaultLogTest : public testing::Test {
 protected:
  std::vector<std::string> Commands() { return ValuesOf(cluster_.Read(kAlpha0, Topic::kCommand)); }

  MemoryCluster cluster_{{.partitions = {{"alpha", 1}}}};
  FaultLog log_{cluster_.OpenInstance("a"), /*seed=*/7};
};

TEST_F(FaultLogTest, EachAnswerToAnAppendIsGivenAsTheScriptSaysAndMeansWhatItSays) {
  log_.ScriptAppends({AppendFault::kUnavailable, AppendFault::kResourceExhausted,
                      AppendFault::kUnknownDone, AppendFault::kUnknownNotDone, AppendFault::kNone});
  Appending appending(log_);
  for (int i = 0; i < 6; ++i) appending.Append(kAlpha0, absl::StrCat(i));
  const auto answers = appending.Await();
  EXPECT_TRUE(absl::IsUnavailable(answers[0].status()));
  EXPECT_TRUE(absl::IsResourceExhausted(answers[1].status()));
  EXPECT_TRUE(absl::IsUnknown(answers[2].status()));
  EXPECT_TRUE(absl::IsUnknown(answers[3].status()));
  EXPECT_TRUE(answers[4].ok() && answers[5].ok());
  EXPECT_THAT(Commands(), ElementsAre("2", "4", "5"));
}

TEST_F(FaultLogTest, AnAppendThatTheLogRefusesIsRefusedThoughTheAnswerWasToGetLost) {
  log_.ScriptAppends({AppendFault::kUnknownDone});
  Appending appending(log_);
  appending.Append(kAlpha0, std::string(size_t{2} << 20, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(appending.Await()[0].status()));
}

TEST_F(FaultLogTest, ChanceGivesEveryAnswerAndEachOneIsTrue) {
  Appending appending(log_);
  log_.SetRates(FaultRates::All(0.1));
  for (int i = 0; i < 500; ++i) appending.Append(kAlpha0, absl::StrCat(i));
  const auto answers = appending.Await();
  std::multiset<std::string> written;
  for (const std::string& value : Commands()) written.insert(value);
  for (size_t i = 0; i < answers.size(); ++i) {
    const size_t times = written.count(absl::StrCat(i));
    if (answers[i].ok()) {
      EXPECT_EQ(times, 1u);
    } else if (absl::IsUnknown(answers[i].status())) {
      EXPECT_LE(times, 1u);
    } else {
      EXPECT_EQ(times, 0u);
    }
  }
  for (int i = 0; i < 500; ++i) {
    const absl::Status status = log_.Bounds(kAlpha0, Topic::kCommand).status();
    EXPECT_TRUE(status.ok() || absl::IsUnavailable(status));
    (void)log_.OpenAppender();
    (void)log_.OpenReader("alpha", Topic::kEvent);
  }
  const auto given = log_.given();
  for (const char* name : {"append unavailable", "append exhausted", "append unknown but done",
                           "append unknown, not done", "bounds unavailable",
                           "open appender unavailable", "open reader unavailable"}) {
    EXPECT_TRUE(given.contains(name)) << name;
  }
}

TEST_F(FaultLogTest, AReaderBehindFaultsLosesNothing) {
  for (int i = 0; i < 200; ++i) {
    cluster_.Append(kAlpha0, Topic::kEvent, {"key", absl::StrCat(i), {}, {}, 0});
  }
  Reading reading(log_, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  log_.SetRates(FaultRates::All(0.3));
  reading.AwaitRecords(kAlpha0, 200, {.max_records = 5});
  EXPECT_EQ(reading.values(kAlpha0), ValuesOf(Numbered(0, 200)));
  EXPECT_TRUE(log_.given().contains("read unavailable"));
  EXPECT_TRUE(log_.given().contains("read empty"));
}

TEST_F(FaultLogTest, CallsFailAsOftenAsTold) {
  log_.FailBounds(2);
  log_.FailOpenAppenders(1);
  log_.FailOpenReaders(1);
  EXPECT_TRUE(absl::IsUnavailable(log_.Bounds(kAlpha0, Topic::kEvent).status()));
  EXPECT_TRUE(absl::IsUnavailable(log_.Bounds(kAlpha0, Topic::kEvent).status()));
  EXPECT_TRUE(log_.Bounds(kAlpha0, Topic::kEvent).ok());
  EXPECT_TRUE(absl::IsUnavailable(log_.OpenAppender().status()));
  EXPECT_TRUE(log_.OpenAppender().ok());
  EXPECT_TRUE(absl::IsUnavailable(log_.OpenReader("alpha", Topic::kEvent).status()));
  const auto reader = log_.OpenReader("alpha", Topic::kEvent);
  ASSERT_TRUE(reader.ok());
  log_.FailReads(1);
  EXPECT_TRUE(absl::IsUnavailable((*reader)->Poll({}, absl::ZeroDuration()).status()));
  EXPECT_TRUE((*reader)->Poll({}, absl::ZeroDuration()).ok());
}

TEST_F(FaultLogTest, ADeadProcessAppendsAndReadsNothing) {
  cluster_.Append(kAlpha0, Topic::kEvent, {"key", "value", {}, {}, 0});
  Appending appending(log_);
  Reading reading(log_, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  log_.Sever();
  appending.Append(kAlpha0, "0");
  EXPECT_TRUE(absl::IsUnavailable(appending.Await()[0].status()));
  EXPECT_THAT(Commands(), IsEmpty());
  EXPECT_FALSE(reading.AwaitError().ok());
  EXPECT_FALSE(log_.Bounds(kAlpha0, Topic::kEvent).ok());
  EXPECT_FALSE(log_.OpenAppender().ok());
  EXPECT_FALSE(log_.OpenReader("alpha", Topic::kEvent).ok());
}

}  // namespace
}  // namespace esd
