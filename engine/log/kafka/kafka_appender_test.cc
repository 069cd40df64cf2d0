#include "engine/log/kafka/kafka_appender.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <utility>
#include <vector>

#include "engine/log/kafka/mock_cluster.h"

namespace esd::kafka {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(30);

OutputRecord Command(std::string value) {
  return {Topic::kCommand, PartitionId{0}, "key", std::move(value), {{"ce_id", "1"}}};
}

class KafkaAppenderTest : public testing::Test {
 protected:
  void Open(const Properties& overrides = {}) {
    auto appender = KafkaAppender::Open(&cluster_.topics(), [this, overrides] {
      Properties properties = AppenderProperties(cluster_.topics());
      properties.merge(AppenderDefaults(cluster_.topics()));
      for (const auto& [name, value] : overrides) properties[name] = value;
      return absl::StatusOr<Conf>(cluster_.MakeClientConf(properties));
    });
    ASSERT_TRUE(appender.ok()) << appender.status();
    appender_ = *std::move(appender);
  }

  absl::StatusOr<Offset> Append(const std::string& value) {
    absl::StatusOr<Offset> result;
    absl::Notification done;
    appender_->Append("alpha", Command(value), [&](absl::StatusOr<Offset> offset) {
      result = std::move(offset);
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
    return result;
  }

  MockCluster cluster_;
  std::unique_ptr<CommandAppender> appender_;
};

TEST_F(KafkaAppenderTest, EachCommandIsToldItsOffset) {
  Open();
  for (int64_t i = 0; i < 5; ++i) {
    const auto offset = Append(absl::StrCat(i));
    ASSERT_TRUE(offset.ok()) << offset.status();
    EXPECT_EQ(*offset, Offset{i});
  }
}

TEST_F(KafkaAppenderTest, ACommandTooLargeForTheTopicIsRefusedAtOnceAndByTheBroker) {
  Open();
  EXPECT_TRUE(
      absl::IsInvalidArgument(Append(std::string(MockCluster::kMaxMessageBytes, 'x')).status()));
  cluster_.FailNext(kProduceRequest, {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  EXPECT_TRUE(absl::IsInvalidArgument(Append("small").status()));
  EXPECT_TRUE(Append("small").ok());
}

TEST_F(KafkaAppenderTest, APassingErrorOfTheBrokerIsNotSeen) {
  Open();
  cluster_.FailNext(kProduceRequest, {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS});
  const auto offset = Append("1");
  ASSERT_TRUE(offset.ok()) << offset.status();
  EXPECT_EQ(*offset, Offset{0});
}

TEST_F(KafkaAppenderTest, ACommandThatTheBrokerRefusesWasNotWritten) {
  Open();
  cluster_.FailNext(kProduceRequest, {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED});
  const absl::Status status = Append("1").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(status.message(), testing::HasSubstr("alpha-command/0"));
  EXPECT_THAT(status.message(), testing::HasSubstr("ACL"));
}

// The broker lost count of the producer's commands, for example.
TEST_F(KafkaAppenderTest, AFatalErrorOfTheProducerDoesNotLast) {
  Open();
  ASSERT_TRUE(Append("before").ok());
  cluster_.FailNext(kProduceRequest, {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER});
  const absl::Status failed = Append("1").status();
  EXPECT_TRUE(absl::IsUnavailable(failed) || absl::IsUnknown(failed)) << failed;
  const absl::Time deadline = absl::Now() + kDeadline;
  absl::StatusOr<Offset> offset = Append("2");
  while (!offset.ok() && absl::Now() < deadline) {
    EXPECT_TRUE(absl::IsUnavailable(offset.status())) << offset.status();
    offset = Append("2");
  }
  ASSERT_TRUE(offset.ok()) << offset.status();
  EXPECT_EQ(*offset, Offset{1});
  EXPECT_TRUE(Append("3").ok());
}

TEST_F(KafkaAppenderTest, WhatIsBeyondTheQueueIsRefusedAndNothingOfItIsWritten) {
  Open({{"queue.buffering.max.messages", "2"}, {"linger.ms", "200"}});
  std::vector<absl::Status> refused;
  absl::Mutex mutex;
  std::vector<Offset> written;
  for (int i = 0; i < 5; ++i) {
    appender_->Append("alpha", Command("x"), [&](absl::StatusOr<Offset> offset) {
      absl::MutexLock lock(&mutex);
      if (offset.ok()) {
        written.push_back(*offset);
      } else {
        refused.push_back(offset.status());
      }
    });
  }
  appender_.reset();
  EXPECT_THAT(written, testing::ElementsAre(Offset{0}, Offset{1}));
  ASSERT_EQ(refused.size(), 3u);
  EXPECT_TRUE(absl::IsResourceExhausted(refused[0])) << refused[0];
}

}  // namespace
}  // namespace esd::kafka
