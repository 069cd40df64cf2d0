// What a CommandAppender must do.
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <thread>

#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"

namespace esd {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// Of answers that must all tell an offset.
std::vector<Offset> OffsetsOf(const std::vector<absl::StatusOr<Offset>>& answers) {
  std::vector<Offset> offsets;
  for (const auto& answer : answers) {
    EXPECT_TRUE(answer.ok()) << answer.status();
    offsets.push_back(answer.value_or(Offset{-1}));
  }
  return offsets;
}

}  // namespace

TEST_P(LogContract, AppendedCommandsComeToTheWorkerInOrderAtTheOffsetsThatWereTold) {
  const auto a = Open("a");
  const std::vector<DomainPartition> partitions = {kAlpha0, kBeta1, kAlpha1};
  for (const auto& partition : partitions) {
    ASSERT_TRUE(a->worker->Start(partition, Offset{0}).ok());
  }
  harness().Append(kAlpha0, {{"key", "before", {}, {}, 0}});
  Appending appending(*a->log);
  std::map<DomainPartition, std::vector<std::string>> expected = {{kAlpha0, {"before"}}};
  for (int i = 0; i < 300; ++i) {
    const DomainPartition& partition = partitions[static_cast<size_t>(i) % 3];
    appending.Append(partition, absl::StrCat(i));
    expected[partition].push_back(absl::StrCat(i));
  }
  const std::vector<Offset> told = OffsetsOf(appending.Await());
  for (auto& [partition, commands] : PollAll(*a->worker, 301)) {
    EXPECT_EQ(ValuesOf(commands), expected[partition]) << ToString(partition);
    for (const TestRecord& command : commands) {
      int number = 0;
      if (!absl::SimpleAtoi(*command.value, &number)) continue;  // not one of ours
      EXPECT_EQ(command.offset, told.at(static_cast<size_t>(number)));
    }
  }
}

TEST_P(LogContract, AppendedCommandsComeAsTheyWereMade) {
  const auto a = Open("a");
  std::string binary;
  for (int i = 0; i < 256; ++i) binary.push_back(static_cast<char>(i));
  const PartitionId home = kAlpha0.partition;
  Appending appending(*a->log);
  {
    // What it is made of need not outlive the call.
    const std::string name = "h";
    OutputRecord all{Topic::kCommand, home, binary, binary, {}};
    all.headers = {{name, binary}, {name, "again"}, {"e", ""}, {"n", std::nullopt}};
    appending.Append("alpha", all);
  }
  appending.Append("alpha", {Topic::kCommand, home, std::nullopt, "no key", {}});
  appending.Append("alpha", {Topic::kCommand, home, "no value", std::nullopt, {}});
  appending.Append("alpha", {Topic::kCommand, home, "", "", {}});
  EXPECT_THAT(OffsetsOf(appending.Await()),
              ElementsAre(Offset{0}, Offset{1}, Offset{2}, Offset{3}));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  const auto commands = PollAll(*a->worker, 4)[kAlpha0];
  ASSERT_THAT(commands, SizeIs(4));
  EXPECT_EQ(commands[0].key, binary);
  EXPECT_EQ(commands[0].value, binary);
  using Headers = std::vector<std::pair<std::string, std::optional<std::string>>>;
  EXPECT_EQ(commands[0].headers,
            (Headers{{"h", binary}, {"h", "again"}, {"e", ""}, {"n", std::nullopt}}));
  EXPECT_EQ(commands[1].key, std::nullopt);
  EXPECT_EQ(commands[1].value, "no key");
  EXPECT_EQ(commands[2].key, "no value");
  EXPECT_EQ(commands[2].value, std::nullopt);
  EXPECT_EQ(commands[3].key, "");
  EXPECT_EQ(commands[3].value, "");
}

TEST_P(LogContract, ACommandThatIsTooLargeIsRefusedAndTheOthersAreNot) {
  const auto a = Open("a");
  const size_t largest = a->log->MaxRecordBytes("alpha", Topic::kCommand);
  const std::string fits = Noise(largest - 100);
  Appending appending(*a->log);
  appending.Append(kAlpha0, "before");
  appending.Append(kAlpha0, Noise(largest + 10'000));
  appending.Append(kAlpha0, std::string(largest + 10'000, 'x'));  // compressed, it would fit
  appending.Append(kAlpha0, fits);
  appending.Append(kAlpha0, "behind");
  const auto answers = appending.Await();
  EXPECT_TRUE(absl::IsInvalidArgument(answers[1].status())) << answers[1].status();
  EXPECT_TRUE(absl::IsInvalidArgument(answers[2].status())) << answers[2].status();
  EXPECT_THAT(OffsetsOf({answers[0], answers[3], answers[4]}),
              ElementsAre(Offset{0}, Offset{1}, Offset{2}));
  ASSERT_TRUE(a->worker->Start(kAlpha0, Offset{0}).ok());
  const auto values = ValuesOf(PollAll(*a->worker, 3)[kAlpha0]);
  EXPECT_TRUE(values == (std::vector<std::string>{"before", fits, "behind"}));
}

TEST_P(LogContract, SeveralThreadsAppendAtTheSameTimeAndEachKeepsItsOrder) {
  const auto a = Open("a");
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  Appending appending(*a->log);
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          appending.Append(i % 2 == 0 ? kAlpha0 : kAlpha1, absl::StrCat(thread * kEach + i));
        }
      });
    }
  }
  OffsetsOf(appending.Await());
  for (const auto& partition : {kAlpha0, kAlpha1}) {
    ASSERT_TRUE(a->worker->Start(partition, Offset{0}).ok());
  }
  std::set<int> seen;
  for (const auto& [partition, commands] : PollAll(*a->worker, kThreads * kEach)) {
    std::vector<int> last(kThreads, -1);
    for (const TestRecord& command : commands) {
      int number = -1;
      ASSERT_TRUE(absl::SimpleAtoi(*command.value, &number));
      EXPECT_TRUE(seen.insert(number).second) << number << " was appended twice";
      int& before = last[static_cast<size_t>(number / kEach)];
      EXPECT_LT(before, number);
      before = number;
    }
  }
  EXPECT_THAT(seen, SizeIs(kThreads * kEach));
}

TEST_P(LogContract, AnAppenderThatGoesAnswersWhatWaitsFirst) {
  const auto a = Open("a");
  constexpr size_t kCommands = 2'000;
  Appending appending(*a->log);
  for (size_t i = 0; i < kCommands; ++i) appending.Append(kAlpha0, absl::StrCat(i));
  const auto answers = appending.Close();
  ASSERT_THAT(answers, SizeIs(kCommands));
  // There is nothing in their way here.
  const std::vector<Offset> told = OffsetsOf(answers);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(BoundsOk(*a->log, kAlpha0, Topic::kCommand).end, Offset{kCommands});
}

TEST_P(LogContract, AnAnswerMayAppendTheNextCommand) {
  const auto a = Open("a");
  absl::Mutex mutex;
  std::vector<absl::StatusOr<Offset>> answers;
  {
    auto appender = a->log->OpenAppender();
    ASSERT_TRUE(appender.ok()) << appender.status();
    const OutputRecord command = Output(Topic::kCommand, kAlpha0.partition, "value");
    (*appender)->Append("alpha", command, [&](const absl::StatusOr<Offset>& first) {
      (*appender)->Append("alpha", command, [&, first](const absl::StatusOr<Offset>& second) {
        absl::MutexLock lock(&mutex);
        answers = {first, second};
      });
    });
    absl::MutexLock lock(&mutex);
    const auto answered = [&] { return !answers.empty(); };
    ASSERT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&answered), kContractDeadline));
  }
  EXPECT_THAT(OffsetsOf(answers), ElementsAre(Offset{0}, Offset{1}));
}

TEST_P(SharedLogContract, AppendersOfSeveralInstancesDoNotDisturbEachOtherNorWorkers) {
  const auto a = OpenOwner("a");
  const auto b = Open("b");
  Appending first(*a->log);
  Appending second(*a->log);
  Appending third(*b->log);
  for (int i = 0; i < 20; ++i) {
    for (Appending* each : {&first, &second, &third}) each->Append(kAlpha0, absl::StrCat(i));
    ASSERT_TRUE(Committed(a->worker->Commit({{Part(kAlpha0, i + 1, {Topic::kSnapshot})}})));
  }
  for (Appending* each : {&first, &second, &third}) OffsetsOf(each->Await());
  EXPECT_EQ(BoundsOk(*b->log, kAlpha0, Topic::kCommand).end, Offset{60});
}

}  // namespace esd
