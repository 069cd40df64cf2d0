#include "engine/log/kafka/kafka_membership.h"

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
constexpr absl::Duration kSessionTimeout = absl::Seconds(3);

// Counts what a membership tells.
class CountingListener : public MembershipListener {
 public:
  void OnAssigned(const std::vector<DomainPartition>&) override { Count(&assigned_); }
  void OnRevoked(const std::vector<DomainPartition>&) override {}
  void OnLost(const std::vector<DomainPartition>&) override { Count(&lost_); }
  void OnFailed(const absl::Status&) override {}

  bool AwaitAssigned(int times) { return Await(assigned_, times); }
  bool AwaitLost(int times) { return Await(lost_, times); }

 private:
  void Count(int* count) {
    absl::MutexLock lock(&mutex_);
    ++*count;
  }
  bool Await(const int& count, int times) {
    const auto reached = [&] { return count >= times; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), kDeadline);
  }

  absl::Mutex mutex_;
  int assigned_ = 0;
  int lost_ = 0;
};

class KafkaMembershipTest : public testing::Test {
 protected:
  void Join() {
    StartJoining();
    ASSERT_TRUE(listener_.AwaitAssigned(1));
  }

  void StartJoining() {
    Properties properties = {{"group.id", "esd"},
                             {"partition.assignment.strategy", "cooperative-sticky"},
                             {"session.timeout.ms", absl::StrCat(Milliseconds(kSessionTimeout))},
                             {"heartbeat.interval.ms", "100"}};
    Conf conf = cluster_.MakeClientConf(properties);
    ASSERT_TRUE(membership_.PrepareConf(conf.get()).ok());
    auto consumer = MakeConsumer(std::move(conf));
    ASSERT_TRUE(consumer.ok()) << consumer.status();
    membership_.SetConsumer(*std::move(consumer));
    ASSERT_TRUE(membership_.Join(&listener_).ok());
  }

  // Waits until the member has the lease or doesn't; returns for how long it was seen to be
  // otherwise.
  absl::Duration Await(bool held) {
    const absl::Time begin = absl::Now();
    absl::Time look = begin;
    absl::Time otherwise = begin;
    while (membership_.HoldsLease() != held && look < begin + kDeadline) {
      otherwise = look;
      absl::SleepFor(absl::Milliseconds(1));
      look = absl::Now();
    }
    EXPECT_EQ(membership_.HoldsLease(), held);
    return otherwise - begin;
  }

  MockCluster cluster_;
  OwnershipFollower owners_;
  CountingListener listener_;
  KafkaMembership membership_{&cluster_.topics(), &owners_};
};

TEST_F(KafkaMembershipTest, AMemberHoldsItsLeaseForAsLongAsItIsHeardOf) {
  Join();
  // At once, without waiting for a heartbeat.
  EXPECT_TRUE(membership_.HoldsLease());
  const absl::Time end = absl::Now() + 1.5 * kSessionTimeout;
  while (absl::Now() < end) ASSERT_TRUE(membership_.HoldsLease());
  membership_.Leave(absl::Seconds(5));
  EXPECT_FALSE(membership_.HoldsLease());
}

TEST_F(KafkaMembershipTest, AMemberThatIsNotHeardOfHoldsItsLeaseNoLongerThanTheSession) {
  Join();
  cluster_.SetDown();
  const absl::Duration held = Await(false);
  EXPECT_LE(held, kSessionTimeout);
  EXPECT_GE(held, kSessionTimeout / 2);  // what it had heard is good for that
}

TEST_F(KafkaMembershipTest, AMemberThatTheGroupDoesNotKnowHoldsNoLeaseUntilItJoinedAgain) {
  Join();
  cluster_.FailNext(kHeartbeatRequest, {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID});
  EXPECT_LT(Await(false), kSessionTimeout / 2);
  ASSERT_TRUE(listener_.AwaitLost(1));
  ASSERT_TRUE(listener_.AwaitAssigned(2));
  Await(true);
}

TEST_F(KafkaMembershipTest, AMemberCanLeaveBeforeItKnowsItsFirstAssignment) {
  cluster_.DelayNext(kSyncGroupRequest, absl::Milliseconds(300));
  StartJoining();
  const absl::Time deadline = absl::Now() + kDeadline;
  while (!cluster_.Delayed(kSyncGroupRequest) && absl::Now() < deadline)
    absl::SleepFor(absl::Milliseconds(1));
  ASSERT_TRUE(cluster_.Delayed(kSyncGroupRequest));
  membership_.Leave(absl::Seconds(5));
  EXPECT_FALSE(membership_.HoldsLease());
  EXPECT_FALSE(membership_.joined());
}

// What the lease knows of errors it knows from these lines alone: this shows that the installed
// librdkafka writes them.
class HeartbeatLogTest : public testing::Test {
 protected:
  HeartbeatLogTest() {
    Conf conf = cluster_.MakeClientConf({{"group.id", "esd"},
                                         {"session.timeout.ms", "4000"},
                                         {"heartbeat.interval.ms", "50"},
                                         {"debug", "cgrp"}});
    rd_kafka_conf_set_opaque(conf.get(), &last_error_);
    rd_kafka_conf_set_log_cb(
        conf.get(), [](const rd_kafka_t* client, int, const char* facility, const char* text) {
          if (client == nullptr) return;
          auto* last_error = static_cast<LastError*>(rd_kafka_opaque(client));
          absl::MutexLock lock(&last_error->mutex);
          if (std::string_view(text).find("heartbeat error") != std::string_view::npos) {
            last_error->error = HeartbeatErrorIn(facility, text);
          } else if (HeartbeatErrorIn(facility, text) != HeartbeatError::kNone) {
            ADD_FAILURE() << facility << ": " << text;
          }
        });
    auto consumer = MakeConsumer(std::move(conf));
    EXPECT_TRUE(consumer.ok()) << consumer.status();
    consumer_ = *std::move(consumer);
    rd_kafka_poll_set_consumer(consumer_.get());
    const PartitionList topics(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(topics.get(), "alpha-command", RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer_.get(), topics.get());
  }

  // What the log says of a heartbeat that is answered with `error`.
  std::optional<HeartbeatError> LogOf(rd_kafka_resp_err_t error) {
    {
      absl::MutexLock lock(&last_error_.mutex);
      last_error_.error.reset();
    }
    cluster_.FailNext(kHeartbeatRequest, {error});
    const absl::Time deadline = absl::Now() + kDeadline;
    for (;;) {
      const Message message(rd_kafka_consumer_poll(consumer_.get(), 20));
      absl::MutexLock lock(&last_error_.mutex);
      if (last_error_.error || absl::Now() >= deadline) return last_error_.error;
    }
  }

 private:
  struct LastError {
    absl::Mutex mutex;
    std::optional<HeartbeatError> error ABSL_GUARDED_BY(mutex);
  };

  MockCluster cluster_;
  LastError last_error_;
  Client consumer_;
};

TEST_F(HeartbeatLogTest, TellsOfEachErrorThatAHeartbeatIsAnsweredWith) {
  EXPECT_EQ(LogOf(RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS), HeartbeatError::kNotAccepted);
  EXPECT_EQ(LogOf(RD_KAFKA_RESP_ERR_NOT_COORDINATOR), HeartbeatError::kNotAccepted);
  EXPECT_EQ(LogOf(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED), HeartbeatError::kNotAccepted);
  EXPECT_EQ(LogOf(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS), HeartbeatError::kNone);
  EXPECT_EQ(LogOf(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID), HeartbeatError::kNotMember);
  EXPECT_EQ(LogOf(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION), HeartbeatError::kNotMember);
  EXPECT_EQ(LogOf(RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID), HeartbeatError::kNotMember);
}

}  // namespace
}  // namespace esd::kafka
