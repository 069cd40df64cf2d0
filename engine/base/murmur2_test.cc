#include "engine/base/murmur2.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace esd {
namespace {

// The vectors of Kafka's own UtilsTest.testMurmur2.
TEST(Murmur2, AgreesWithKafkasJavaClient) {
  EXPECT_EQ(static_cast<int32_t>(Murmur2("21")), -973932308);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("foobar")), -790332482);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("a-little-bit-long-string")), -985981536);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("a-little-bit-longer-string")), -1486304829);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
            -58897971);
  EXPECT_EQ(static_cast<int32_t>(Murmur2("abc")), 479470107);
}

TEST(Murmur2, PutsEveryKeyIntoAPartitionThatExists) {
  for (int32_t count : {1, 2, 3, 4, 7, 12, 1000}) {
    for (int i = 0; i < 1000; ++i) {
      const PartitionId partition =
          PartitionForKey("user" + std::to_string(i) + "@example.org", count);
      EXPECT_GE(partition.value(), 0);
      EXPECT_LT(partition.value(), count);
    }
  }
}

TEST(Murmur2, SpreadsKeysOverAllPartitions) {
  std::vector<int> hits(8);
  for (int i = 0; i < 8000; ++i) {
    ++hits[static_cast<size_t>(PartitionForKey("user" + std::to_string(i), 8).value())];
  }
  for (int hit : hits) EXPECT_GT(hit, 500);
}

}  // namespace
}  // namespace esd
