// What KafkaLog does beyond the log's contract (tests/log). Needs a broker, whose address is in
// ESD_TEST_BOOTSTRAP.
#include "engine/log/kafka/kafka_log.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/blocking_counter.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "engine/log/kafka/kafka_admin.h"
#include "engine/log/topic_names.h"

namespace esd::kafka {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(60);
const DomainPartition kAlpha0{"alpha", PartitionId{0}};

class IgnoringListener : public MembershipListener {
 public:
  void OnAssigned(const std::vector<DomainPartition>&) override {
    if (!assigned_.HasBeenNotified()) assigned_.Notify();
  }
  void OnRevoked(const std::vector<DomainPartition>&) override {}
  void OnLost(const std::vector<DomainPartition>&) override {}
  void OnFailed(const absl::Status& error) override { ADD_FAILURE() << error; }
  bool AwaitAssigned() { return assigned_.WaitForNotificationWithTimeout(kDeadline); }

 private:
  absl::Notification assigned_;
};

// A log of the domain `alpha` with one partition, whose command and event topic take batches of
// 100,000 bytes only.
class SmallTopicsTest : public testing::Test {
 protected:
  SmallTopicsTest() {
    const char* bootstrap = std::getenv("ESD_TEST_BOOTSTRAP");
    if (bootstrap == nullptr) {
      std::fprintf(stderr, "set ESD_TEST_BOOTSTRAP to the host:port of a broker\n");
      std::abort();
    }
    const std::string id = absl::StrCat("log-", getpid(), "-", absl::ToUnixMillis(absl::Now()));
    const TopicScope scope{{"alpha"}, id + ".", id};
    auto specs = AllTopicSpecs(scope, 1, 1);
    for (TopicSpec& spec : specs) {
      for (const Topic topic : {Topic::kCommand, Topic::kEvent}) {
        if (spec.name == TopicName(scope.prefix, "alpha", topic))
          spec.configs["max.message.bytes"] = "100000";
      }
    }
    auto admin = KafkaAdmin::Open(bootstrap, {});
    EXPECT_TRUE(admin.ok()) << admin.status();
    const auto made = (*admin)->CreateTopics(specs);
    EXPECT_TRUE(made.ok()) << made.status();

    KafkaLogOptions options;
    options.bootstrap_servers = bootstrap;
    options.topic_prefix = scope.prefix;
    options.group = scope.group;
    options.domains = scope.domains;
    options.instance_id = "a";
    // A broker may not know yet that it leads the partitions of topics just made.
    auto log = OpenKafkaLog(options);
    for (const absl::Time deadline = absl::Now() + kDeadline;
         absl::IsUnavailable(log.status()) && absl::Now() < deadline;) {
      log = OpenKafkaLog(options);
    }
    EXPECT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
  }

  // Text that no compression makes small.
  std::string Noise(size_t size) {
    std::string text(size, 0);
    for (char& byte : text) byte = static_cast<char>(random_());
    return text;
  }

  std::unique_ptr<Log> log_;
  std::minstd_rand random_{1};
};

TEST_F(SmallTopicsTest, CommandsThatEachFitAreNeverRefusedTogether) {
  constexpr int kCommands = 500;
  absl::BlockingCounter answers(kCommands);
  const auto appender = log_->OpenAppender();
  ASSERT_TRUE(appender.ok()) << appender.status();
  for (int i = 0; i < kCommands; ++i) {
    (*appender)->Append("alpha", {Topic::kCommand, PartitionId{0}, "key", Noise(2'000), {}},
                        [&](const absl::StatusOr<Offset>& offset) {
                          EXPECT_TRUE(offset.ok()) << offset.status();
                          answers.DecrementCount();
                        });
  }
  answers.Wait();
}

TEST_F(SmallTopicsTest, ATransactionOfManyEventsThatEachFitIsCommitted) {
  const auto worker = log_->OpenWorker(0);
  ASSERT_TRUE(worker.ok()) << worker.status();
  IgnoringListener listener;
  ASSERT_TRUE(log_->membership().Join(&listener).ok());
  ASSERT_TRUE(listener.AwaitAssigned());
  TransactionPart part{kAlpha0, Offset{0}, OwnershipMark::kNone, {}};
  for (int i = 0; i < 500; ++i)
    part.records.push_back({Topic::kEvent, kAlpha0.partition, "key", Noise(2'000), {}});
  const CommitResult result = (*worker)->Commit({{part}});
  EXPECT_EQ(result.outcome, CommitOutcome::kCommitted) << result.reason;
  log_->membership().Leave(absl::Seconds(5));
}

}  // namespace
}  // namespace esd::kafka
