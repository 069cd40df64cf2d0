#include "engine/store/snapshot_store_contract_test.h"

#include <absl/strings/str_cat.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/store/memory_snapshot_store.h"

namespace esd {

Update& Update::Put(std::string key, int64_t version, std::string state) {
  esd::v1::StoredSnapshot snapshot;
  snapshot.set_version(version);
  snapshot.set_state(std::move(state));
  update_.snapshots.push_back({std::move(key), snapshot.SerializeAsString()});
  return *this;
}

Update& Update::Remove(std::string key) {
  update_.snapshots.push_back({std::move(key), ""});
  return *this;
}

Update& Update::Record(std::string key, std::string command_id, std::string reply, absl::Time at) {
  esd::v1::StoredOutcome outcome;
  outcome.set_reply(std::move(reply));
  outcome.set_recorded_ms(absl::ToUnixMillis(at));
  update_.outcomes.push_back({std::move(key), std::move(command_id), std::move(outcome)});
  return *this;
}

Update& Update::At(int64_t command_offset) {
  update_.checkpoint.set_command_offset(command_offset);
  return *this;
}

namespace {

template <typename Message, typename Format>
std::string ToText(const absl::StatusOr<std::optional<Message>>& found, Format format) {
  if (!found.ok()) return found.status().ToString();
  return *found ? format(**found) : "none";
}

}  // namespace

std::string Snapshot(const SnapshotStore& store, const DomainPartition& p, std::string_view key) {
  return ToText(store.GetSnapshot(p, key), [](const esd::v1::StoredSnapshot& s) {
    return absl::StrCat(s.version(), ":", s.state());
  });
}

std::string Outcome(const SnapshotStore& store, const DomainPartition& p, std::string_view key,
                    std::string_view command_id) {
  return ToText(store.GetOutcome(p, key, command_id),
                [](const esd::v1::StoredOutcome& o) { return o.reply(); });
}

std::string Checkpoint(const SnapshotStore& store, const DomainPartition& p) {
  return ToText(store.GetCheckpoint(p), [](const esd::v1::StoredCheckpoint& c) {
    return absl::StrCat(c.command_offset());
  });
}

namespace {

using std::string_literals::operator""s;

const absl::Time kNoon = absl::FromUnixSeconds(1'700'000'000);

TEST_P(SnapshotStoreContract, KnowsNothingAtFirst) {
  EXPECT_EQ(Snapshot(store(), In("a", 0), "k"), "none");
  EXPECT_EQ(Outcome(store(), In("a", 0), "k", "c"), "none");
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "none");
}

TEST_P(SnapshotStoreContract, FindsWhatWasApplied) {
  harness().SetNow(kNoon);
  ASSERT_TRUE(
      store()
          .Apply({Update(In("a", 0)).Put("k", 3, "state").Record("k", "c", "reply", kNoon).At(17)})
          .ok());
  EXPECT_EQ(Snapshot(store(), In("a", 0), "k"), "3:state");
  EXPECT_EQ(Outcome(store(), In("a", 0), "k", "c"), "reply");
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "17");
}

TEST_P(SnapshotStoreContract, KeepsEveryFieldOfAnOutcomeAndOfACheckpoint) {
  harness().SetNow(kNoon);
  StoreUpdate update = Update(In("a", 0)).Record("k", "c", "reply", kNoon).At(1);
  update.outcomes[0].outcome.set_fingerprint(0xfedcba9876543210);
  update.checkpoint.set_snapshot_offset(2);
  update.checkpoint.set_reply_offset(3);
  ASSERT_TRUE(store().Apply({update}).ok());
  EXPECT_EQ((*store().GetOutcome(In("a", 0), "k", "c"))->SerializeAsString(),
            update.outcomes[0].outcome.SerializeAsString());
  EXPECT_EQ((*store().GetCheckpoint(In("a", 0)))->SerializeAsString(),
            update.checkpoint.SerializeAsString());
}

TEST_P(SnapshotStoreContract, TheLastEntryOfAKeyWins) {
  ASSERT_TRUE(store()
                  .Apply({Update(In("a", 0)).Put("k", 0, "first").Put("k", 1, "second").At(1),
                          Update(In("a", 0)).Put("k", 2, "third").At(2)})
                  .ok());
  EXPECT_EQ(Snapshot(store(), In("a", 0), "k"), "2:third");
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "2");
}

TEST_P(SnapshotStoreContract, AnEmptyValueRemovesTheAggregate) {
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).Put("k", 0, "x").Put("l", 0, "y").At(1)}).ok());
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).Remove("k").At(2)}).ok());
  EXPECT_EQ(Snapshot(store(), In("a", 0), "k"), "none");
  EXPECT_EQ(Snapshot(store(), In("a", 0), "l"), "0:y");
}

TEST_P(SnapshotStoreContract, OneApplyServesSeveralPartitions) {
  ASSERT_TRUE(store()
                  .Apply({Update(In("a", 0)).Put("k", 0, "x").At(5),
                          Update(In("a", 1)).Put("k", 1, "y").At(6)})
                  .ok());
  EXPECT_EQ(Snapshot(store(), In("a", 0), "k"), "0:x");
  EXPECT_EQ(Snapshot(store(), In("a", 1), "k"), "1:y");
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "5");
  EXPECT_EQ(Checkpoint(store(), In("a", 1)), "6");
}

TEST_P(SnapshotStoreContract, ACheckpointMayMoveAlone) {
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).At(1)}).ok());
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).At(2)}).ok());
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "2");
}

// Names whose bytes, put one after the other, could be taken for each other.
const std::vector<DomainPartition> kAlikePartitions = {
    In("a", 0),  In("a", 1),   In("a", 255),  In("a", 256),       In("ab", 0),   In("ab", 1),
    In("b", 1),  In("a", 'b'), In("", 0),     In("a\0"s, 1),      In("\0"s, 97), In("a", 65536),
    In("aa", 1), In("a", 257), In("\xff", 1), In("a", 0x7fffffff)};

TEST_P(SnapshotStoreContract, PartitionsWithSimilarNamesDoNotMix) {
  for (size_t i = 0; i < kAlikePartitions.size(); ++i) {
    const auto n = static_cast<int64_t>(i);
    ASSERT_TRUE(store().Apply({Update(kAlikePartitions[i]).Put("k", n, "s").At(n)}).ok());
  }
  for (size_t i = 0; i < kAlikePartitions.size(); ++i) {
    EXPECT_EQ(Snapshot(store(), kAlikePartitions[i], "k"), absl::StrCat(i, ":s"));
    EXPECT_EQ(Checkpoint(store(), kAlikePartitions[i]), absl::StrCat(i));
  }
}

TEST_P(SnapshotStoreContract, KeysOfAnyBytesDoNotMix) {
  const std::vector<std::string> keys = {""s, "\0"s, "\0\0"s, "k", "k\0"s, "\xff\xff", "kk"};
  Update update(In("a", 0));
  for (size_t i = 0; i < keys.size(); ++i) update.Put(keys[i], static_cast<int64_t>(i), "s");
  ASSERT_TRUE(store().Apply({update.At(1)}).ok());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(Snapshot(store(), In("a", 0), keys[i]), absl::StrCat(i, ":s"));
  }
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "1") << "an empty key must not be the checkpoint";
}

TEST_P(SnapshotStoreContract, TheSameBytesSplitDifferentlyAreDifferentCommands) {
  harness().SetNow(kNoon);
  ASSERT_TRUE(store()
                  .Apply({Update(In("a", 0))
                              .Record("k", "lm", "1", kNoon)
                              .Record("kl", "m", "2", kNoon)
                              .Record("", "klm", "3", kNoon)
                              .Record("k\0"s, "\0lm"s, "4", kNoon)
                              .Record("k", "\0\0lm"s, "5", kNoon)})
                  .ok());
  EXPECT_EQ(Outcome(store(), In("a", 0), "k", "lm"), "1");
  EXPECT_EQ(Outcome(store(), In("a", 0), "kl", "m"), "2");
  EXPECT_EQ(Outcome(store(), In("a", 0), "", "klm"), "3");
  EXPECT_EQ(Outcome(store(), In("a", 0), "k\0"s, "\0lm"s), "4");
  EXPECT_EQ(Outcome(store(), In("a", 0), "k", "\0\0lm"s), "5");
  EXPECT_EQ(Outcome(store(), In("a", 0), "klm", ""), "none");
}

TEST_P(SnapshotStoreContract, DroppingAPartitionForgetsAllOfItAndNothingOfItsNeighbours) {
  harness().SetNow(kNoon);
  for (const DomainPartition& dropped : kAlikePartitions) {
    for (const DomainPartition& p : kAlikePartitions) {
      ASSERT_TRUE(store()
                      .Apply({Update(p)
                                  .Put("", 0, "s")
                                  .Put("\xff\xff\xff\xff", 0, "s")
                                  .Record("\xff\xff", "\xff\xff", "r", kNoon)
                                  .At(7)})
                      .ok());
    }
    ASSERT_TRUE(store().DropPartition(dropped).ok());
    for (const DomainPartition& p : kAlikePartitions) {
      const bool gone = p == dropped;
      SCOPED_TRACE(absl::StrCat(ToString(p), " after the drop of ", ToString(dropped)));
      EXPECT_EQ(Snapshot(store(), p, ""), gone ? "none" : "0:s");
      EXPECT_EQ(Snapshot(store(), p, "\xff\xff\xff\xff"), gone ? "none" : "0:s");
      EXPECT_EQ(Outcome(store(), p, "\xff\xff", "\xff\xff"), gone ? "none" : "r");
      EXPECT_EQ(Checkpoint(store(), p), gone ? "none" : "7");
    }
  }
}

TEST_P(SnapshotStoreContract, ADroppedPartitionCanComeBack) {
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).Put("k", 0, "old").Put("l", 0, "old").At(1)}).ok());
  ASSERT_TRUE(store().DropPartition(In("a", 0)).ok());
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).Put("k", 5, "new").At(9)}).ok());
  EXPECT_EQ(Snapshot(store(), In("a", 0), "k"), "5:new");
  EXPECT_EQ(Snapshot(store(), In("a", 0), "l"), "none");
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "9");
}

TEST_P(SnapshotStoreContract, DroppingAnUnknownPartitionIsFine) {
  EXPECT_TRUE(store().DropPartition(In("a", 0)).ok());
}

TEST_P(SnapshotStoreContract, AnOutcomeIsFoundUntilItsRetentionIsOver) {
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).Record("k", "c", "reply", kNoon)}).ok());
  harness().SetNow(kNoon + harness().outcome_retention());
  EXPECT_EQ(Outcome(store(), In("a", 0), "k", "c"), "reply");
  harness().SetNow(kNoon + harness().outcome_retention() + absl::Milliseconds(1));
  EXPECT_EQ(Outcome(store(), In("a", 0), "k", "c"), "none");
}

// Every update gives all keys and the checkpoint the same number. A reader that reads the keys
// after the checkpoint must find at least that number; one that reads them before, at most.
TEST_P(SnapshotStoreContract, ReadersNeverSeePartOfAnUpdate) {
  constexpr int kUpdates = 2000;
  const DomainPartition p = In("a", 0);
  const auto update = [&](int64_t n) { return Update(p).Put("k", n, "s").Put("l", n, "s").At(n); };
  ASSERT_TRUE(store().Apply({update(0)}).ok());
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      do {
        const int64_t before = (*store().GetSnapshot(p, "l"))->version();
        const int64_t checkpoint = (*store().GetCheckpoint(p))->command_offset();
        const int64_t after = (*store().GetSnapshot(p, "k"))->version();
        ASSERT_LE(before, checkpoint);
        ASSERT_LE(checkpoint, after);
      } while (!done);
    });
  }
  for (int64_t n = 1; n <= kUpdates; ++n) EXPECT_TRUE(store().Apply({update(n)}).ok());
  done = true;
  for (std::thread& reader : readers) reader.join();
}

TEST_P(SnapshotStoreContract, PartitionsCanBeWrittenAndDroppedSideBySide) {
  std::vector<std::thread> writers;
  for (int32_t w = 0; w < 3; ++w) {
    writers.emplace_back([this, w] {
      for (int64_t n = 1; n <= 60; ++n) {
        ASSERT_TRUE(store().Apply({Update(In("a", w)).Put("k", n, "s").At(n)}).ok());
        if (n % 20 != 0) continue;
        ASSERT_TRUE(store().DropPartition(In("a", w)).ok());
        ASSERT_EQ(Checkpoint(store(), In("a", w)), "none");
      }
      ASSERT_TRUE(store().Apply({Update(In("a", w)).Put("k", w, "end").At(w)}).ok());
    });
  }
  for (std::thread& writer : writers) writer.join();
  for (int32_t w = 0; w < 3; ++w) {
    EXPECT_EQ(Snapshot(store(), In("a", w), "k"), absl::StrCat(w, ":end"));
  }
}

class MemoryHarness : public SnapshotStoreHarness {
 public:
  SnapshotStore& store() override { return store_; }
  absl::Duration outcome_retention() const override { return kRetention; }
  void SetNow(absl::Time now) override { now_ms_ = absl::ToUnixMillis(now); }

 private:
  static constexpr absl::Duration kRetention = absl::Hours(48);

  std::atomic<int64_t> now_ms_ = 0;
  MemorySnapshotStore store_{kRetention, [this] { return absl::FromUnixMillis(now_ms_); }};
};

INSTANTIATE_TEST_SUITE_P(Memory, SnapshotStoreContract,
                         testing::Values([]() -> std::unique_ptr<SnapshotStoreHarness> {
                           return std::make_unique<MemoryHarness>();
                         }));

}  // namespace
}  // namespace esd
