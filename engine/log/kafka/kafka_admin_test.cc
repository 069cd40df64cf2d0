// Needs a broker that is not used for anything else:
//
//   ESD_TEST_BOOTSTRAP=$(scripts/kafka start) build/debug/bin/kafka_admin_broker_test
#include "engine/log/kafka/kafka_admin.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "engine/log/topic_names.h"

namespace esd::kafka {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

// Each test has topics of its own.
class KafkaAdminTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* broker = std::getenv("ESD_TEST_BOOTSTRAP");
    ASSERT_NE(broker, nullptr) << "set ESD_TEST_BOOTSTRAP to the host:port of a broker, as "
                                  "`scripts/kafka start` prints it";
    bootstrap_ = broker;
    auto admin = KafkaAdmin::Open(bootstrap_, {});
    ASSERT_TRUE(admin.ok()) << admin.status();
    admin_ = *std::move(admin);
    static int tests = 0;
    scope_ = {.domains = {"security", "orders"},
              .prefix = absl::StrCat("admin-", getpid(), "-", absl::ToUnixMillis(absl::Now()), "-",
                                     tests++, "."),
              .group = "esd"};
  }

  std::string Name(const std::string& domain, Topic topic) const {
    return TopicName(scope_.prefix, domain, topic);
  }

  std::string bootstrap_;
  std::unique_ptr<KafkaAdmin> admin_;
  TopicScope scope_;
};

TEST_F(KafkaAdminTest, TheClusterHasOneId) {
  const auto id = admin_->ClusterId();
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_THAT(*id, SizeIs(22));
  EXPECT_EQ(*(*KafkaAdmin::Open(bootstrap_, {}))->ClusterId(), *id);
}

TEST_F(KafkaAdminTest, WhatWasMadeIsSeenAtOnceWithItsCountsAndSizes) {
  const auto ensured = EnsureTopics(*admin_, scope_, 3, 1);
  ASSERT_TRUE(ensured.ok()) << ensured.status();
  EXPECT_THAT(*ensured, AllOf(SizeIs(11), Each(Field(&EnsuredTopic::created, true))));
  const auto partitions = CheckTopics(*admin_, scope_);
  ASSERT_TRUE(partitions.ok()) << partitions.status();
  EXPECT_THAT(*partitions, ElementsAre(Pair("orders", 3), Pair("security", 3)));
  const auto infos = admin_->DescribeTopics(AllTopicNames(scope_));
  ASSERT_TRUE(infos.ok()) << infos.status();
  EXPECT_EQ(infos->at(Name("security", Topic::kCommand)).max_message_bytes,
            kCommandTopicMaxMessageBytes);
  EXPECT_EQ(infos->at(Name("security", Topic::kEvent)).max_message_bytes,
            kOtherTopicMaxMessageBytes);
  EXPECT_EQ(infos->at(OwnershipTopicName(scope_.prefix, "esd")).partitions, 1);
}

TEST_F(KafkaAdminTest, MakingTopicsAgainChangesNothing) {
  ASSERT_TRUE(EnsureTopics(*admin_, scope_, 2, 1).ok());
  const auto again = EnsureTopics(*admin_, scope_, 2, 1);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(*again, AllOf(SizeIs(11), Each(Field(&EnsuredTopic::created, false))));
}

TEST_F(KafkaAdminTest, AnotherCountIsRefusedAndNothingIsMade) {
  TopicScope one = scope_;
  one.domains = {"security"};
  ASSERT_TRUE(EnsureTopics(*admin_, one, 2, 1).ok());
  const absl::Status status = EnsureTopics(*admin_, scope_, 3, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr(Name("security", Topic::kCommand) + " has 2"));
  const auto infos = admin_->DescribeTopics({Name("orders", Topic::kCommand)});
  ASSERT_TRUE(infos.ok()) << infos.status();
  EXPECT_FALSE(infos->begin()->second.exists);
}

TEST_F(KafkaAdminTest, SeveralInstancesMayMakeThemAtOnce) {
  std::vector<std::thread> instances;
  std::vector<absl::Status> results(4);
  for (absl::Status& result : results) {
    instances.emplace_back([this, &result] {
      result = EnsureTopics(**KafkaAdmin::Open(bootstrap_, {}), scope_, 2, 1).status();
    });
  }
  for (auto& instance : instances) instance.join();
  for (const absl::Status& result : results) EXPECT_TRUE(result.ok()) << result;
}

TEST_F(KafkaAdminTest, ATopicThatIsNotThereIsReportedAndNotMade) {
  const std::string name = Name("security", Topic::kEvent);
  for (int i = 0; i < 2; ++i) {
    const auto infos = admin_->DescribeTopics({name});
    ASSERT_TRUE(infos.ok()) << infos.status();
    EXPECT_FALSE(infos->at(name).exists);
  }
  const absl::Status status = CheckTopics(*admin_, scope_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr(name));
}

TEST_F(KafkaAdminTest, TooManyReplicasAreRefusedWithTheFlagToChange) {
  const absl::Status status = EnsureTopics(*admin_, scope_, 1, 3).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(status), HasSubstr("--replication-factor"));
}

TEST_F(KafkaAdminTest, AnIllegalNameIsRefused) {
  const absl::Status status = admin_->CreateTopics({{.name = "no spaces", .configs = {}}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST_F(KafkaAdminTest, MakingNoTopicsIsFine) {
  const auto created = admin_->CreateTopics({});
  ASSERT_TRUE(created.ok());
  EXPECT_THAT(*created, IsEmpty());
}

TEST_F(KafkaAdminTest, ASaslClientOfAPlainBrokerFailsInTime) {
  auto admin = KafkaAdmin::Open(bootstrap_,
                                {{"security.protocol", "sasl_plaintext"},
                                 {"sasl.mechanism", "PLAIN"},
                                 {"sasl.username", "u"},
                                 {"sasl.password", "hunter2"}},
                                absl::Seconds(3));
  ASSERT_TRUE(admin.ok()) << admin.status();
  const absl::Time begin = absl::Now();
  const absl::Status status = (*admin)->DescribeTopics({"x"}).status();
  EXPECT_FALSE(status.ok());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_THAT(MessageOf(status), testing::Not(HasSubstr("hunter2")));
}

// No broker is needed for these.

TEST(KafkaAdminWithoutBrokerTest, AnUnreachableBrokerIsReportedInTimeWithTheFix) {
  auto admin = KafkaAdmin::Open("127.0.0.1:1", {}, absl::Seconds(1));
  ASSERT_TRUE(admin.ok()) << admin.status();
  const absl::Time begin = absl::Now();
  const absl::Status status = (*admin)->DescribeTopics({"x"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      MessageOf(status),
      HasSubstr("can't reach a Kafka broker at 127.0.0.1:1 within 1s: check --bootstrap-servers"));
  EXPECT_EQ((*admin)->ClusterId().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ((*admin)->CreateTopics({{.name = "x", .configs = {}}}).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(7));
}

TEST(KafkaAdminWithoutBrokerTest, BadPropertiesAreRefusedBeforeAnythingIsTried) {
  EXPECT_EQ(KafkaAdmin::Open("127.0.0.1:1", {{"linger", "1"}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace esd::kafka
