#include "engine/log/kafka/kafka_admin_topics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/log/topic_names.h"

namespace esd::kafka {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

const TopicScope kScope{.domains = {"security"}, .prefix = "test.", .group = "esd"};

// The topics as `esd topics create` makes them.
TopicInfos AsCreated(int32_t partitions) {
  TopicInfos infos;
  for (const TopicSpec& spec : AllTopicSpecs(kScope, partitions, 1)) {
    infos[spec.name] = {true, spec.partitions, std::stoll(spec.configs.at("max.message.bytes"))};
  }
  return infos;
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(TopicNamesTest, PrefixAndDomainStandBeforeTheKind) {
  EXPECT_EQ(TopicName("", "security", Topic::kDeadLetter), "security-dead-letter");
  EXPECT_THAT(
      AllTopicNames(kScope),
      ElementsAre("test.security-command", "test.security-event", "test.security-snapshot",
                  "test.security-reply", "test.security-dead-letter", "test.esd-ownership"));
  EXPECT_EQ(OwnershipTopicName("", "other"), "other-ownership");
}

TEST(TopicSpecsTest, EventsAreKeptForEverAndSnapshotsCompacted) {
  const auto specs = DomainTopicSpecs("security", "", 8, 1);
  ASSERT_EQ(specs.size(), 5);
  EXPECT_THAT(specs[0].configs, AllOf(Contains(Pair("cleanup.policy", "delete")),
                                      Contains(Pair("retention.ms", "604800000")),
                                      Contains(Pair("max.message.bytes", "1114112"))));
  EXPECT_THAT(specs[1].configs,
              AllOf(Contains(Pair("retention.ms", "-1")), Contains(Pair("retention.bytes", "-1")),
                    Contains(Pair("cleanup.policy", "delete"))));
  EXPECT_THAT(specs[2].configs, Contains(Pair("cleanup.policy", "compact")));
  EXPECT_THAT(specs[3].configs, Contains(Pair("retention.ms", "172800000")));
  EXPECT_THAT(specs[4].configs, AllOf(Contains(Pair("retention.ms", "1209600000")),
                                      Contains(Pair("max.message.bytes", "1179648"))));
  for (const auto& spec : specs) EXPECT_EQ(spec.partitions, 8) << spec.name;
}

TEST(TopicSpecsTest, TheOwnershipTopicHasOnePartitionAndIsCompacted) {
  const TopicSpec spec = OwnershipTopicSpec("esd", "", 3);
  EXPECT_EQ(spec.name, "esd-ownership");
  EXPECT_EQ(spec.partitions, 1);
  EXPECT_THAT(spec.configs, Contains(Pair("cleanup.policy", "compact")));
}

TEST(TopicSpecsTest, WithThreeReplicasTwoMustHaveARecord) {
  EXPECT_THAT(DomainTopicSpecs("security", "", 1, 3)[0].configs,
              Contains(Pair("min.insync.replicas", "2")));
  EXPECT_THAT(DomainTopicSpecs("security", "", 1, 2)[0].configs,
              Contains(Pair("min.insync.replicas", "1")));
}

TEST(CheckTopicInfosTest, TopicsAsCreatedAreFine) {
  const auto partitions = CheckTopicInfos(kScope, AsCreated(4));
  ASSERT_TRUE(partitions.ok()) << partitions.status();
  EXPECT_THAT(*partitions, ElementsAre(Pair("security", 4)));
}

TEST(CheckTopicInfosTest, MissingTopicsAreNamedWithTheCommandThatMakesThem) {
  TopicInfos infos = AsCreated(4);
  infos["test.security-event"] = {};
  infos["test.esd-ownership"] = {};
  const absl::Status status = CheckTopicInfos(kScope, infos).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("test.security-event, test.esd-ownership"));
  EXPECT_THAT(MessageOf(status),
              HasSubstr("esd topics create --domain security --topic-prefix test."));
  EXPECT_THAT(MessageOf(status), Not(HasSubstr("security-command")));
}

TEST(CheckTopicInfosTest, DifferentCountsAreNamedEach) {
  TopicInfos infos = AsCreated(4);
  infos["test.security-reply"].partitions = 2;
  const absl::Status status = CheckTopicInfos(kScope, infos).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("test.security-command has 4"));
  EXPECT_THAT(MessageOf(status), HasSubstr("test.security-reply has 2"));
}

TEST(CheckTopicInfosTest, DeadLetterAndOwnershipTopicsMayHaveAnyCount) {
  TopicInfos infos = AsCreated(4);
  infos["test.security-dead-letter"].partitions = 1;
  infos["test.esd-ownership"].partitions = 50;
  EXPECT_TRUE(CheckTopicInfos(kScope, infos).ok());
}

TEST(CheckTopicInfosTest, ADeadLetterTopicThatIsTooSmallIsRefusedWithTheFix) {
  TopicInfos infos = AsCreated(4);
  infos["test.security-command"].max_message_bytes = 1'048'588;
  infos["test.security-dead-letter"].max_message_bytes = 1'048'588 + 16 * 1024 - 1;
  const absl::Status status = CheckTopicInfos(kScope, infos).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status),
              HasSubstr("kafka-configs --alter --entity-type topics --entity-name "
                        "test.security-dead-letter --add-config max.message.bytes="));
  ++*infos["test.security-dead-letter"].max_message_bytes;
  EXPECT_TRUE(CheckTopicInfos(kScope, infos).ok());
}

TEST(CheckTopicInfosTest, SizesThatTheBrokerDoesNotTellAreNotChecked) {
  TopicInfos infos = AsCreated(4);
  infos["test.security-dead-letter"].max_message_bytes.reset();
  EXPECT_TRUE(CheckTopicInfos(kScope, infos).ok());
}

TEST(MissingTopicsTest, OnlyWhatIsNotThereIsToBeMade) {
  TopicInfos infos = AsCreated(4);
  infos["test.security-event"] = {};
  const auto missing = MissingTopics(AllTopicSpecs(kScope, 4, 1), infos, {});
  ASSERT_TRUE(missing.ok());
  ASSERT_EQ(missing->size(), 1);
  EXPECT_EQ((*missing)[0].name, "test.security-event");
}

TEST(MissingTopicsTest, AnotherCountIsRefusedUnlessItDoesNotMatter) {
  TopicInfos infos = AsCreated(4);
  const auto specs = AllTopicSpecs(kScope, 8, 1);
  const absl::Status status =
      MissingTopics(specs, infos, TopicsOfAnyPartitionCount(kScope)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("8 asked for"));
  EXPECT_THAT(MessageOf(status), HasSubstr("test.security-command has 4"));
  EXPECT_THAT(MessageOf(status), Not(HasSubstr("dead-letter")));
}

}  // namespace
}  // namespace esd::kafka
