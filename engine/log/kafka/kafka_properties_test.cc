#include "engine/log/kafka/kafka_properties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace esd::kafka {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

std::string WriteFile(const std::string& contents) {
  const std::string path = testing::TempDir() + "kafka_properties_test.properties";
  std::ofstream(path) << contents;
  return path;
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(LoadKafkaPropertiesTest, ReadsLinesAndSkipsCommentsAndBlankLines) {
  const auto properties = LoadKafkaProperties(WriteFile(
      "# broker\n\n security.protocol = sasl_ssl \r\nsasl.password=a=b#c\nsasl.username=\n"));
  ASSERT_TRUE(properties.ok()) << properties.status();
  EXPECT_THAT(*properties, ElementsAre(Pair("sasl.password", "a=b#c"), Pair("sasl.username", ""),
                                       Pair("security.protocol", "sasl_ssl")));
}

TEST(LoadKafkaPropertiesTest, ErrorsNameFileAndLineButNotWhatStandsThere) {
  const std::string path = WriteFile("linger.ms=1\n\nhunter2\n");
  const absl::Status status = LoadKafkaProperties(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(status), HasSubstr(path + ":3: "));
  EXPECT_THAT(MessageOf(status), Not(HasSubstr("hunter2")));
}

TEST(LoadKafkaPropertiesTest, AKeyThatStandsThereTwiceIsAnError) {
  EXPECT_THAT(MessageOf(LoadKafkaProperties(WriteFile("linger.ms=1\nlinger.ms=2\n")).status()),
              HasSubstr(":2: linger.ms stands there twice"));
}

TEST(LoadKafkaPropertiesTest, AMissingFileAndADirectoryAreErrors) {
  EXPECT_EQ(LoadKafkaProperties("/no/such/file").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(LoadKafkaProperties(testing::TempDir()).ok());
}

TEST(IsSecretTest, KnowsPasswordsKeysAndTokens) {
  for (const char* key :
       {"sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem",
        "sasl.oauthbearer.client.secret", "sasl.jaas.config", "SASL.Password", "my.secret.thing"}) {
    EXPECT_TRUE(IsSecret(key)) << key;
  }
  for (const char* key : {"sasl.username", "ssl.key.location", "ssl.ca.location", "linger.ms",
                          "sasl.oauthbearer.token.endpoint.url"}) {
    EXPECT_FALSE(IsSecret(key)) << key;
  }
}

TEST(CheckKafkaPropertiesTest, WhatLibrdkafkaTakesIsTaken) {
  EXPECT_TRUE(CheckKafkaProperties({{"session.timeout.ms", "6000"},
                                    {"transaction.timeout.ms", "10000"},
                                    {"sasl.password", "hunter2"},
                                    {"compression.type", "lz4"},
                                    {"message.timeout.ms", "9000"}})
                  .ok());
}

TEST(CheckKafkaPropertiesTest, AnUnknownPropertyOrABadValueIsRefusedInLibrdkafkasWords) {
  const absl::Status unknown = CheckKafkaProperties({{"sesion.timeout.ms", "6000"}});
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(unknown),
              HasSubstr("No such configuration property: \"sesion.timeout.ms\""));
  const absl::Status bad = CheckKafkaProperties({{"session.timeout.ms", "soon"}});
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(bad), HasSubstr("session.timeout.ms"));
}

TEST(CheckKafkaPropertiesTest, WhatCanOnlyBeSetByAProgramIsRefused) {
  EXPECT_FALSE(CheckKafkaProperties({{"dr_msg_cb", "0x1"}}).ok());
}

TEST(CheckKafkaPropertiesTest, ARefusedSecretIsNotShown) {
  const absl::Status status =
      CheckKafkaProperties({{"ssl.key.pem", "hunter2"}, {"ssl.password.unknown", "hunter2"}});
  EXPECT_THAT(MessageOf(status), Not(HasSubstr("hunter2")));
}

TEST(CheckKafkaPropertiesTest, WhatTheEngineControlsIsRefusedWithTheFlagToUse) {
  EXPECT_THAT(MessageOf(CheckKafkaProperties({{"group.id", "x"}})), HasSubstr("use --group"));
  EXPECT_THAT(MessageOf(CheckKafkaProperties({{"bootstrap.servers", "x"}})),
              HasSubstr("use --bootstrap-servers"));
  EXPECT_THAT(MessageOf(CheckKafkaProperties({{"group.instance.id", "x"}})),
              HasSubstr("use --instance-id"));
  for (const char* key : {"isolation.level", "enable.auto.commit", "transactional.id",
                          "partition.assignment.strategy", "partitioner", "enable.idempotence",
                          "acks", "request.required.acks"}) {
    const absl::Status status = CheckKafkaProperties({{key, "x"}});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << key;
    EXPECT_THAT(MessageOf(status), HasSubstr("can't be set")) << key;
  }
}

}  // namespace
}  // namespace esd::kafka
