// What is left when the power goes, at any moment.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "engine/log/embedded/embedded_log_test.h"

namespace esd {
namespace {

// Two workers that commit transactions over two partitions each, and appenders beside them, until
// nothing gets through any more. What was answered is remembered over all restarts.
class PowerLossTest : public EmbeddedLogTest {
 protected:
  // Of one worker: transaction i writes the value i to all topics of both of its partitions, which
  // stand in different domains.
  struct Committing {
    DomainPartition first, second;
    int64_t acknowledged = 0;  // all below it
    int64_t tried = 0;
  };
  // Commands of one appender's, by their number, with the offset that was told.
  struct Appended {
    DomainPartition partition;
    std::map<int64_t, Offset> acknowledged;
    std::map<int64_t, bool> refused;
    int64_t next = 0;
  };

  void Work(WorkerLog* worker, Committing* work) {
    while (!disk_.cut()) {
      const std::string value = absl::StrCat(work->acknowledged);
      const std::vector<Topic> topics = {Topic::kEvent, Topic::kSnapshot, Topic::kReply};
      work->tried = work->acknowledged + 1;
      const CommitResult result =
          worker->Commit({{Part(work->first, work->acknowledged + 1, topics, value),
                           Part(work->second, work->acknowledged + 1, topics, value)}});
      if (result.outcome != CommitOutcome::kCommitted) return;
      ++work->acknowledged;
    }
  }

  void AppendMany(CommandAppender* appender, Appended* work) {
    absl::Mutex mutex;
    int waiting = 0;
    const auto few = [&] { return waiting < 20; };
    const auto none = [&] { return waiting == 0; };
    while (!disk_.cut()) {
      const int64_t number = work->next++;
      {
        absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(&few));
        ++waiting;
      }
      appender->Append(work->partition.domain,
                       Output(Topic::kCommand, work->partition.partition, absl::StrCat(number)),
                       [&, number](const absl::StatusOr<Offset>& offset) {
                         absl::MutexLock lock(&mutex);
                         --waiting;
                         if (offset.ok()) work->acknowledged[number] = *offset;
                         if (!offset.ok() && !absl::IsUnknown(offset.status())) {
                           work->refused[number] = true;
                         }
                       });
    }
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&none));
  }

  // Until the power is cut.
  void RunWorkload() {
    auto second = log().OpenWorker(1);
    auto appender = log().OpenAppender();
    if (!second.ok() || !appender.ok()) return;  // it was cut already
    std::jthread first_worker([&] { Work(&worker(), &first_); });
    std::jthread second_worker([&] { Work(second->get(), &second_); });
    std::jthread first_appender([&] { AppendMany(appender->get(), &commands_); });
    std::jthread second_appender([&] { AppendMany(appender->get(), &more_commands_); });
    std::jthread maintenance([&] {
      while (!disk_.cut()) log().Maintain(absl::Now());
    });
  }

  // Whether the log could be opened, as owner with a worker: the power may go meanwhile.
  bool OpenUnlessCut() {
    auto opened = TryOpen();
    if (!opened.ok()) {
      EXPECT_TRUE(disk_.cut()) << opened.status();
      return false;
    }
    log_ = opened->get();
    instance_ = nullptr;
    auto worker = (*opened)->OpenWorker(0);
    if (!worker.ok()) {
      EXPECT_TRUE(disk_.cut()) << worker.status();
      return false;
    }
    instance_ =
        std::make_unique<ContractInstance>(*std::move(opened), *std::move(worker), "a", &timeline_);
    instance_->Join();
    instance_->listener.AwaitOwned(kAllPartitionCount);
    return true;
  }

  void Check(Committing* work) {
    const int64_t position = OpenOk(log(), work->first).committed.value_or(Offset{0}).value();
    EXPECT_GE(position, work->acknowledged);
    EXPECT_LE(position, work->tried);
    for (const auto& partition : {work->first, work->second}) {
      EXPECT_EQ(OpenOk(log(), partition).committed.value_or(Offset{0}).value(), position);
      const TopicBounds events = BoundsOk(log(), partition, Topic::kEvent);
      const TopicBounds replies = BoundsOk(log(), partition, Topic::kReply);
      const TopicBounds snapshots = BoundsOk(log(), partition, Topic::kSnapshot);
      EXPECT_EQ(events.end.value(), position);
      EXPECT_EQ(replies.end.value(), position);
      EXPECT_EQ(snapshots.end.value(), position);
      int64_t next = 0;
      for (const TestRecord& event :
           ReplayOk(log(), partition, Topic::kEvent, Offset{0}, events.end)) {
        EXPECT_EQ(event.offset, Offset{next});
        EXPECT_EQ(event.value, absl::StrCat(next));
        ++next;
      }
      EXPECT_EQ(next, position);
      const auto last = Snapshots(log(), partition);
      ASSERT_EQ(last.empty(), position == 0);
      if (position > 0) {
        EXPECT_EQ(last.back().value, absl::StrCat(position - 1));
      }
    }
    work->acknowledged = position;
  }

  void Check(Appended* work) {
    const TopicBounds bounds = BoundsOk(log(), work->partition, Topic::kCommand);
    std::map<int64_t, Offset> found;
    int64_t next = 0;
    for (const TestRecord& command :
         ReplayOk(log(), work->partition, Topic::kCommand, Offset{0}, bounds.end)) {
      EXPECT_EQ(command.offset, Offset{next++});
      const int64_t number = std::stoll(*command.value);
      EXPECT_TRUE(found.emplace(number, command.offset).second) << number << " is there twice";
      EXPECT_FALSE(work->refused.contains(number)) << number << " was refused, and is there";
    }
    EXPECT_EQ(next, bounds.end.value());
    for (const auto& [number, offset] : work->acknowledged) {
      ASSERT_TRUE(found.contains(number)) << number << " was acknowledged, and is gone";
      EXPECT_EQ(found.at(number), offset);
    }
  }

  void CheckAll() {
    Check(&first_);
    Check(&second_);
    Check(&commands_);
    Check(&more_commands_);
  }

  Committing first_{kAlpha0, kBeta0};
  Committing second_{kAlpha1, kBeta1};
  Appended commands_{kAlpha0, {}, {}};
  Appended more_commands_{kBeta1, {}, {}};
};

TEST_F(PowerLossTest, NothingAcknowledgedIsLostAndTransactionsAreWholeWheneverThePowerGoes) {
  const char* const long_form = std::getenv("ESD_TEST_LONG");
  const int rounds = long_form != nullptr ? 1'000 : 25;
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  int in_work = 0;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    // Some within the opening, most within the work.
    disk_.CutAfter(static_cast<int64_t>(random() % 10 == 0 ? random() % 40 : random() % 400));
    if (OpenUnlessCut()) {
      RunWorkload();
      ++in_work;
    }
    Close();
    disk_.LosePower();
    ASSERT_NO_FATAL_FAILURE(Open());
    CheckAll();
    Close();
  }
  EXPECT_GT(in_work, rounds / 2);
  EXPECT_GT(first_.acknowledged, rounds);
}

}  // namespace
}  // namespace esd
