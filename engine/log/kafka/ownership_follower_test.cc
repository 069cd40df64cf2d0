#include "engine/log/kafka/ownership_follower.h"

#include <absl/time/clock.h>
#include <gtest/gtest.h>

#include <deque>
#include <utility>
#include <vector>

#include "esd/v1/stored.pb.h"

namespace esd::kafka {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(30);
const DomainPartition kFirst{"alpha", PartitionId{0}};
const DomainPartition kSecond{"alpha", PartitionId{1}};

using KeyAndValue = std::pair<std::string, std::string>;

KeyAndValue Owned(const DomainPartition& partition, const std::string& instance,
                  int64_t generation = 0, bool released = false) {
  esd::v1::OwnershipRecord record;
  record.set_instance(instance);
  record.set_address(instance + ":7070");
  record.set_generation(generation);
  record.set_released(released);
  return {ToString(partition), record.SerializeAsString()};
}
KeyAndValue Released(const DomainPartition& partition, const std::string& instance) {
  return Owned(partition, instance, 0, true);
}

// What readers return, in order: the script of a test.
struct Script {
  absl::Mutex mutex;
  std::deque<absl::StatusOr<KeyAndValue>> polls ABSL_GUARDED_BY(mutex);
  // Where readers began.
  std::vector<std::optional<Offset>> opened ABSL_GUARDED_BY(mutex);

  void Add(absl::StatusOr<KeyAndValue> poll) {
    absl::MutexLock lock(&mutex);
    polls.push_back(std::move(poll));
  }
};

class ScriptedReader : public LogReader {
 public:
  explicit ScriptedReader(Script* script) : script_(script) {}

  absl::Status Start(PartitionId, Offset) override { return absl::OkStatus(); }
  void Stop(PartitionId) override {}
  void Wake() override {}
  absl::StatusOr<Polled> Poll(const PollLimits&, absl::Duration wait) override {
    absl::MutexLock lock(&script_->mutex);
    const auto any = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !script_->polls.empty(); };
    if (!script_->mutex.AwaitWithTimeout(absl::Condition(&any), wait)) return Polled{};
    auto next = std::move(script_->polls.front());
    script_->polls.pop_front();
    if (!next.ok()) return next.status();
    auto memory = std::make_shared<KeyAndValue>(*std::move(next));
    InputRecord record;
    record.key = memory->first;
    if (!memory->second.empty()) record.value = memory->second;
    return Polled{{{PartitionId{0}, {record}, Offset{1}}}, memory};
  }

 private:
  Script* const script_;
};

class OwnershipFollowerTest : public testing::Test {
 protected:
  void Start(Offset from = Offset{0}) {
    const auto open = [this](std::optional<Offset> begin) {
      absl::MutexLock lock(&script_.mutex);
      script_.opened.push_back(begin);
      return absl::StatusOr<std::unique_ptr<LogReader>>(std::make_unique<ScriptedReader>(&script_));
    };
    ASSERT_TRUE(follower_.Start(open, from).ok());
  }

  std::string OwnerOf(const DomainPartition& partition) const {
    const auto owner = follower_.OwnerOf(partition);
    return owner ? owner->instance : "nobody";
  }
  void ExpectOwner(const DomainPartition& partition, const std::string& instance) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (OwnerOf(partition) != instance && absl::Now() < deadline)
      absl::SleepFor(absl::Milliseconds(1));
    EXPECT_EQ(OwnerOf(partition), instance);
  }

  Script script_;
  OwnershipFollower follower_;
};

TEST_F(OwnershipFollowerTest, TheLastRecordOfAPartitionTellsItsOwner) {
  Start();
  EXPECT_EQ(OwnerOf(kFirst), "nobody");
  script_.Add(Owned(kFirst, "a", 3));
  ExpectOwner(kFirst, "a");
  EXPECT_EQ(follower_.OwnerOf(kFirst)->address, "a:7070");
  EXPECT_EQ(follower_.OwnerOf(kFirst)->generation, 3);
  EXPECT_EQ(OwnerOf(kSecond), "nobody");
  script_.Add(Owned(kFirst, "b", 4));
  ExpectOwner(kFirst, "b");
  script_.Add(Released(kFirst, "b"));
  ExpectOwner(kFirst, "nobody");
  script_.Add(Owned(kFirst, "c", 5));
  ExpectOwner(kFirst, "c");
  script_.Add(KeyAndValue{ToString(kFirst), ""});  // a tombstone
  ExpectOwner(kFirst, "nobody");
}

TEST_F(OwnershipFollowerTest, ItGoesOnFromWhatIsKnownAlready) {
  const auto [key, value] = Owned(kFirst, "a");
  follower_.Apply(key, value);
  follower_.Apply("alpha", "\x08\x02");  // the domain's partition count
  EXPECT_EQ(OwnerOf(kFirst), "a");
  Start(Offset{7});
  script_.Add(Owned(kSecond, "b"));
  ExpectOwner(kSecond, "b");
  EXPECT_EQ(OwnerOf(kFirst), "a");
  absl::MutexLock lock(&script_.mutex);
  EXPECT_EQ(script_.opened, std::vector<std::optional<Offset>>{Offset{7}});
}

TEST_F(OwnershipFollowerTest, AnErrorThatPassesIsWaitedOut) {
  Start();
  script_.Add(absl::UnavailableError("no broker"));
  script_.Add(Owned(kFirst, "a"));
  ExpectOwner(kFirst, "a");
  absl::MutexLock lock(&script_.mutex);
  EXPECT_EQ(script_.opened.size(), 1u);
}

TEST_F(OwnershipFollowerTest, APositionThatIsGoneIsReadAgainFromTheBeginning) {
  Start(Offset{7});
  script_.Add(absl::OutOfRangeError("gone"));
  script_.Add(Owned(kFirst, "a"));
  ExpectOwner(kFirst, "a");
  absl::MutexLock lock(&script_.mutex);
  EXPECT_EQ(script_.opened, (std::vector<std::optional<Offset>>{Offset{7}, std::nullopt}));
}

}  // namespace
}  // namespace esd::kafka
