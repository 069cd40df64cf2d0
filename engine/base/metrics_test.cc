#include "engine/base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace esd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const DomainPartition kPartition{"security", PartitionId{3}};

TEST(MetricsTest, CommandsAreCountedByDomainTypeAndOutcome) {
  Metrics metrics;
  metrics.Commands("security", "RegisterUserCommand", Effect::kAccepted).Increment(2);
  metrics.Commands("security", Metrics::kUnknownType, Effect::kDeadLetter).Increment();
  const std::string text = metrics.Serialize();
  EXPECT_THAT(text, HasSubstr("# TYPE esd_commands_total counter"));
  EXPECT_THAT(
      text,
      HasSubstr(
          R"(esd_commands_total{domain="security",outcome="accepted",type="RegisterUserCommand"} 2)"));
  EXPECT_THAT(
      text,
      HasSubstr(R"(esd_commands_total{domain="security",outcome="dead_letter",type="unknown"} 1)"));
}

TEST(MetricsTest, TheSameLabelsGiveTheSameMetric) {
  Metrics metrics;
  EXPECT_EQ(&metrics.DeadLetters("security", "NULL_KEY"),
            &metrics.DeadLetters("security", "NULL_KEY"));
  EXPECT_NE(&metrics.DeadLetters("security", "NULL_KEY"),
            &metrics.DeadLetters("security", "TOO_LARGE"));
}

TEST(MetricsTest, EveryMetricIsShownUnderItsName) {
  Metrics metrics;
  metrics.DeadLetters("security", "NULL_KEY").Increment();
  metrics.Transactions(TransactionResult::kCommitted).Increment();
  metrics.ProducerReopens("fenced").Increment();
  metrics.transaction_commands().Observe(7);
  metrics.commit_seconds().Observe(0.004);
  metrics.end_to_end_seconds().Observe(0.012);
  metrics.PartitionLag(kPartition).Set(42);
  metrics.PartitionRestored(kPartition).Set(1);
  metrics.RestoreRemainingRecords(kPartition).Set(5);
  metrics.HistoryRemainingRecords(kPartition).Set(7);
  metrics.RestoreRecords(kPartition).Increment(100);
  const std::string text = metrics.Serialize();
  EXPECT_THAT(text, HasSubstr(R"(esd_dead_letters_total{domain="security",reason="NULL_KEY"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(esd_transactions_total{result="committed"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(esd_producer_reopens_total{reason="fenced"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(esd_transaction_commands_bucket{le="10"} 1)"));
  EXPECT_THAT(text, HasSubstr("esd_commit_seconds_sum 0.004"));
  EXPECT_THAT(text, HasSubstr("esd_end_to_end_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr(R"(esd_partition_lag{domain="security",partition="3"} 42)"));
  EXPECT_THAT(text, HasSubstr(R"(esd_partition_restored{domain="security",partition="3"} 1)"));
  EXPECT_THAT(text,
              HasSubstr(R"(esd_restore_remaining_records{domain="security",partition="3"} 5)"));
  EXPECT_THAT(text, HasSubstr(R"(esd_restore_records_total{domain="security",partition="3"} 100)"));
  EXPECT_THAT(text,
              HasSubstr(R"(esd_history_remaining_records{domain="security",partition="3"} 7)"));
  EXPECT_THAT(text, HasSubstr("esd_build_info{version=\"" + std::string(BuildVersion()) + "\"} 1"));
}

TEST(MetricsTest, ARemovedPartitionHasNoGaugesButKeepsItsCounter) {
  Metrics metrics;
  metrics.PartitionLag(kPartition).Set(42);
  metrics.HistoryRemainingRecords(kPartition).Set(7);
  metrics.RestoreRecords(kPartition).Increment();
  metrics.RemovePartition(kPartition);
  metrics.RemovePartition(kPartition);
  const std::string text = metrics.Serialize();
  EXPECT_THAT(text, Not(HasSubstr("esd_partition_lag{")));
  EXPECT_THAT(text, Not(HasSubstr("esd_history_remaining_records{")));
  EXPECT_THAT(text, HasSubstr("esd_restore_records_total{"));
}

TEST(MetricsTest, ThreadsMayCountLookUpAndSerializeAtOnce) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&metrics] {
      for (int n = 0; n < 1'000; ++n) {
        metrics.Commands("security", "RegisterUserCommand", Effect::kAccepted).Increment();
        if (n % 100 == 0) metrics.Serialize();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(metrics.Commands("security", "RegisterUserCommand", Effect::kAccepted).Value(), 4'000);
}

}  // namespace
}  // namespace esd
