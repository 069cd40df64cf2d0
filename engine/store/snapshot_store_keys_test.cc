#include "engine/store/snapshot_store_keys.h"

#include <gtest/gtest.h>

#include <string>

namespace esd {
namespace {

using std::string_literals::operator""s;

// Stores on disk have these bytes: a change of them needs another format version.
TEST(StoreKeys, HaveTheBytesOfTheFormat) {
  StoreKeys keys({"ab", PartitionId{258}});
  EXPECT_EQ(keys.Partition(), "\0\0\0\2ab\0\0\1\2"s);
  EXPECT_EQ(keys.Snapshot("key"), "\0\0\0\2ab\0\0\1\2key"s);
  EXPECT_EQ(keys.Outcome("key", "id"), "\0\0\0\2ab\0\0\1\2\0\0\0\3keyid"s);
  EXPECT_EQ(PartitionEnd({"ab", PartitionId{258}}), "\0\0\0\2ab\0\0\1\3"s);
}

TEST(StoreKeys, CanBeAskedInAnyOrder) {
  StoreKeys keys({"ab", PartitionId{1}});
  const std::string snapshot(keys.Snapshot("a long key"));
  const std::string partition(keys.Partition());
  EXPECT_EQ(keys.Snapshot("a long key"), snapshot);
  EXPECT_EQ(keys.Partition(), partition);
}

TEST(StoreKeys, ThePartitionsRangeHoldsEveryKeyOfItAndNoneOfTheNext) {
  for (int32_t n : {0, 1, 255, 256, 0x7ffffffe}) {
    const DomainPartition p{"a", PartitionId{n}};
    StoreKeys keys(p);
    EXPECT_LT(std::string(keys.Snapshot(std::string(300, '\xff'))), PartitionEnd(p));
    EXPECT_GE(std::string(keys.Snapshot("")), std::string(StoreKeys(p).Partition()));
    EXPECT_EQ(StoreKeys({"a", PartitionId{n + 1}}).Partition(), PartitionEnd(p));
  }
}

}  // namespace
}  // namespace esd
