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
  EXPECT_EQ(keys.Events("key"), "\0\0\0\2ab\0\0\1\2\0\0\0\3key"s);
  EXPECT_EQ(keys.Event("key", Version{0x0102030405060708}),
            "\0\0\0\2ab\0\0\1\2\0\0\0\3key\1\2\3\4\5\6\7\10"s);
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

TEST(StoreKeys, ThePartitionIsFoundInEveryKey) {
  StoreKeys keys({"ab", PartitionId{258}});
  const size_t size = keys.Partition().size();
  for (const std::string& key :
       {std::string(keys.Partition()), std::string(keys.Snapshot("k")),
        std::string(keys.Outcome("k", "c")), std::string(keys.Event("k", Version{0}))}) {
    EXPECT_EQ(PartitionSize(key), size);
  }
  EXPECT_EQ(PartitionSize(keys.Partition().substr(0, size - 1)), std::nullopt);
  EXPECT_EQ(PartitionSize(""), std::nullopt);
  EXPECT_EQ(PartitionSize("format_version"), std::nullopt);
}

TEST(StoreKeys, AVersionIsReadBackFromItsBytes) {
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{0xff}, uint64_t{0x8000000000000000}, uint64_t{0xfedcba9876543210}}) {
    std::string bytes;
    AppendBigEndian64(value, &bytes);
    EXPECT_EQ(ParseBigEndian64(bytes), value);
  }
  EXPECT_EQ(ParseBigEndian64("1234567"), std::nullopt);
  EXPECT_EQ(ParseBigEndian64("123456789"), std::nullopt);
}

TEST(StoreKeys, ThePrefixsEndIsTheFirstStringBehindAllThatBeginWithIt) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff\xff"), "b");
  EXPECT_EQ(PrefixEnd("\0\xff"s), "\1");
  EXPECT_EQ(PrefixEnd("a\x7f"), "a\x80");
}

}  // namespace
}  // namespace esd
