// Dead letters taken apart, and the commands that are made of them.
#include "engine/server/api/dead_letters.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/murmur2.h"
#include "engine/server/api/pages.h"

namespace esd::api {
namespace {

using ::testing::ElementsAre;

constexpr int32_t kPartitions = 4;
constexpr PartitionId kHere{1};

InputRecord Letter(std::vector<Header> own) {
  InputRecord record;
  record.offset = Offset{7};
  record.timestamp_ms = 1'700'000'000'123;
  record.key = "key";
  record.value = "value";
  record.headers = std::move(own);
  record.headers.insert(record.headers.end(), {{"esd-error-reason", "UNKNOWN_TYPE"},
                                               {"esd-error-message", "there is none"},
                                               {"esd-source-topic", "security-command"},
                                               {"esd-source-partition", "3"},
                                               {"esd-source-offset", "12"}});
  return record;
}

std::vector<std::string> NamesOf(const OutputRecord& command) {
  std::vector<std::string> names;
  for (const auto& header : command.headers)
    names.push_back(absl::StrCat(std::string(header.name), "=", header.value.value_or("(null)")));
  return names;
}

TEST(DeadLettersTest, TheEnginesHeadersAreTakenApartAndTheCommandsOwnStay) {
  const esd::v1::DeadLetter letter =
      ToDeadLetter(kHere, Letter({{"ce_id", "1"}, {"traceparent", std::nullopt}}));
  EXPECT_EQ(letter.partition(), 1);
  EXPECT_EQ(letter.offset(), 7);
  EXPECT_EQ(letter.reason(), "UNKNOWN_TYPE");
  EXPECT_EQ(letter.message(), "there is none");
  EXPECT_EQ(letter.source_topic(), "security-command");
  EXPECT_EQ(letter.source_partition(), 3);
  EXPECT_EQ(letter.source_offset(), 12);
  EXPECT_EQ(letter.time().seconds(), 1'700'000'000);
  EXPECT_EQ(letter.time().nanos(), 123'000'000);
  ASSERT_EQ(letter.headers_size(), 2);
  EXPECT_EQ(letter.headers(0).name(), "ce_id");
  EXPECT_FALSE(letter.headers(1).has_value());
}

TEST(DeadLettersTest, WhatOthersWroteIsMadeUtf8ForTheAnswer) {
  InputRecord record;
  record.headers = {{"\xff", "\xff"}, {"esd-error-reason", "A\xc3("}, {"esd-source-offset", "x"}};
  const esd::v1::DeadLetter letter = ToDeadLetter(kHere, record);
  EXPECT_EQ(letter.headers(0).name(), "\xEF\xBF\xBD");
  EXPECT_EQ(letter.headers(0).value(), "\xff");
  EXPECT_EQ(letter.reason(), "A\xEF\xBF\xBD(");
  EXPECT_EQ(letter.source_offset(), -1);
  EXPECT_EQ(letter.source_partition(), -1);
  EXPECT_FALSE(letter.has_key());
  EXPECT_FALSE(letter.has_value());
  EXPECT_FALSE(letter.SerializeAsString().empty());
}

// Somebody sent a dead letter again with all its headers, and it became one again.
TEST(DeadLettersTest, OfHeadersThatAreThereTwiceTheLastIsTheEngines) {
  const InputRecord record = Letter({{"esd-error-reason", "OLD"}, {"esd-source-offset", "1"}});
  EXPECT_EQ(ToDeadLetter(kHere, record).reason(), "UNKNOWN_TYPE");
  EXPECT_THAT(NamesOf(CommandOf(record, kHere, kPartitions)),
              ElementsAre("esd-error-reason=OLD", "esd-source-offset=1"));
}

// Turns red when it is kept: whoever waits for the first one might be answered with the second.
TEST(DeadLettersTest, NobodyWaitsForACommandThatIsReplayed) {
  const InputRecord record = Letter({{"ce_id", "1"}, {"esd-request-id", "abc"}});
  EXPECT_THAT(NamesOf(CommandOf(record, kHere, kPartitions)), ElementsAre("ce_id=1"));
  EXPECT_EQ(ToDeadLetter(kHere, record).headers_size(), 1);
}

TEST(DeadLettersTest, ACommandGoesToItsKeysPartitionOrBackToItsOwn) {
  InputRecord record = Letter({});
  const PartitionId home = PartitionForKey("key", kPartitions);
  const PartitionId elsewhere{(home.value() + 1) % kPartitions};
  EXPECT_EQ(CommandOf(record, elsewhere, kPartitions).partition, home);
  record.key.reset();
  EXPECT_EQ(CommandOf(record, kHere, kPartitions).partition, PartitionId{3});
  EXPECT_EQ(CommandOf(record, kHere, /*partition_count=*/2).partition, kHere);
  record.headers.clear();
  EXPECT_EQ(CommandOf(record, kHere, kPartitions).partition, kHere);
}

TEST(DeadLettersTest, ATokenIsForTheSameQuestion) {
  esd::v1::ListDeadLettersRequest request;
  request.set_domain("security");
  request.set_partition(2);
  esd::v1::DeadLetterPageToken token;
  ASSERT_FALSE(ReadPage(request, kPartitions, &token));
  EXPECT_EQ(token.partition(), 2);
  token.set_offset(5);
  request.set_page_token(WriteToken(token));
  esd::v1::DeadLetterPageToken again;
  ASSERT_FALSE(ReadPage(request, kPartitions, &again));
  EXPECT_EQ(again.offset(), 5);
  request.clear_partition();
  EXPECT_TRUE(ReadPage(request, kPartitions, &again));
  request.set_partition(2);
  token.set_partition(3);
  request.set_page_token(WriteToken(token));
  EXPECT_TRUE(ReadPage(request, kPartitions, &again));
}

}  // namespace
}  // namespace esd::api
