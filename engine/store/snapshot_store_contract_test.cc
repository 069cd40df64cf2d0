#include "engine/store/snapshot_store_contract_test.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
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

StoreUpdate::Event Happened(std::string key, int64_t version, std::string text) {
  esd::v1::StoredEvent event;
  event.set_value(std::move(text));
  return {std::move(key), Version{version}, event.SerializeAsString()};
}

Update& Update::Happened(std::string key, int64_t version, std::string text) {
  update_.events.push_back(esd::Happened(std::move(key), version, std::move(text)));
  return *this;
}

Update& Update::HistoryUpTo(int64_t event_offset) {
  update_.history_offset = Offset{event_offset};
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

std::string HistoryOffset(const SnapshotStore& store, const DomainPartition& p) {
  return ToText(store.GetHistoryOffset(p), [](Offset o) { return absl::StrCat(o.value()); });
}

std::string Events(const SnapshotStore& store, const DomainPartition& p, std::string_view key,
                   int64_t from, size_t limit, size_t max_bytes) {
  const auto events = store.ListEvents(p, key, Version{from}, limit, max_bytes);
  if (!events.ok()) return events.status().ToString();
  return absl::StrJoin(*events, " ", [](std::string* out, const SnapshotStore::VersionedEvent& e) {
    absl::StrAppend(out, e.version.value(), ":", e.event.value());
  });
}

std::vector<std::string> Keys(const SnapshotStore& store, const DomainPartition& p,
                              std::string_view prefix, std::string_view from, size_t limit) {
  const auto found = store.ListSnapshots(p, prefix, from, limit);
  if (!found.ok()) return {found.status().ToString()};
  std::vector<std::string> keys;
  for (const SnapshotStore::KeyedSnapshot& entry : *found) keys.push_back(entry.key);
  return keys;
}

namespace {

using std::string_literals::operator""s;
using testing::ElementsAre;
using testing::IsEmpty;

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
                                  .Happened("", 0, "e")
                                  .Happened("\xff\xff", 0x7fffffffffffffff, "e")
                                  .HistoryUpTo(9)
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
      EXPECT_EQ(Events(store(), p, ""), gone ? "" : "0:e");
      EXPECT_EQ(Events(store(), p, "\xff\xff"), gone ? "" : "9223372036854775807:e");
      EXPECT_EQ(HistoryOffset(store(), p), gone ? "none" : "9");
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

// ---- Lists of snapshots ----

TEST_P(SnapshotStoreContract, ListsSnapshotsInTheOrderOfTheirBytes) {
  EXPECT_THAT(Keys(store(), In("a", 0)), IsEmpty());
  ASSERT_TRUE(store()
                  .Apply({Update(In("a", 0))
                              .Put("b", 1, "s")
                              .Put("\xff", 1, "s")
                              .Put("ab", 1, "s")
                              .Put("gone", 1, "s")
                              .Put("a\0"s, 1, "s")
                              .Put("a", 1, "old")
                              .Put("a", 2, "new")
                              .Remove("gone")})
                  .ok());
  EXPECT_THAT(Keys(store(), In("a", 0)), ElementsAre("a", "a\0"s, "ab", "b", "\xff"));
  const auto listed = store().ListSnapshots(In("a", 0), "", "", 1);
  EXPECT_EQ(listed->at(0).snapshot.version(), 2);
  EXPECT_EQ(listed->at(0).snapshot.state(), "new");
}

// Keys, prefixes and cursors that border on each other, every combination against a plain search.
TEST_P(SnapshotStoreContract, ListsWhatBeginsWithThePrefixFromTheCursorOn) {
  const std::vector<std::string> names = {
      ""s,          "\0"s, "\0\0"s,     "\0\xff"s, "a",       "a\0"s,      "a\xff"s, "ab",
      "a\xff\xff"s, "b",   "\xfe\xff"s, "\xff"s,   "\xff\0"s, "\xff\xff"s, "\xff a", "foo@bar.com"};
  Update update(In("a", 255));
  for (const std::string& name : names) {
    update.Put(name, 0, "s");
    for (const DomainPartition& other : {In("a", 254), In("a", 256), In("aa", 255), In("", 255)}) {
      ASSERT_TRUE(store().Apply({Update(other).Put(name, 1, "other")}).ok());
    }
  }
  ASSERT_TRUE(store().Apply({update}).ok());
  std::vector<std::string> cursors = names;
  cursors.insert(cursors.end(), {"a\0\0"s, "c", "\xff\xff\xff"});
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  for (const std::string& prefix : cursors) {
    for (const std::string& from : cursors) {
      for (const size_t limit : {0u, 1u, 3u, 100u}) {
        std::vector<std::string> expected;
        for (const std::string& name : sorted) {
          if (expected.size() < limit && name.starts_with(prefix) && name >= from) {
            expected.push_back(name);
          }
        }
        EXPECT_EQ(Keys(store(), In("a", 255), prefix, from, limit), expected)
            << testing::PrintToString(prefix) << " from " << testing::PrintToString(from)
            << " limit " << limit;
      }
    }
  }
}

TEST_P(SnapshotStoreContract, PagesShowEachKeyOnceAndComeToAnEnd) {
  const std::vector<std::string> names = {""s, "\0"s, "\0\0"s, "a", "a\0"s, "b"};
  Update update(In("a", 0));
  for (const std::string& name : names) update.Put(name, 0, "s");
  ASSERT_TRUE(store().Apply({update}).ok());
  std::vector<std::string> listed;
  std::string from;
  for (size_t page = 0; page < names.size(); ++page) {
    const std::vector<std::string> found = Keys(store(), In("a", 0), "", from, 1);
    ASSERT_EQ(found.size(), 1);
    listed.push_back(found[0]);
    from = SnapshotStore::KeyBehind(found[0]);
  }
  EXPECT_EQ(listed, names);
  EXPECT_THAT(Keys(store(), In("a", 0), "", from, 1), IsEmpty());
}

// ---- History ----

TEST_P(SnapshotStoreContract, HasNoHistoryAtFirst) {
  EXPECT_EQ(HistoryOffset(store(), In("a", 0)), "none");
  EXPECT_EQ(Events(store(), In("a", 0), "k"), "");
  ASSERT_TRUE(store().Apply({Update(In("a", 0)).Put("k", 0, "s").At(3)}).ok());
  EXPECT_EQ(HistoryOffset(store(), In("a", 0)), "none");
}

TEST_P(SnapshotStoreContract, EventsComeWithTheirSnapshotsAndCheckpoint) {
  ASSERT_TRUE(store()
                  .Apply({Update(In("a", 0))
                              .Put("k", 1, "s")
                              .Happened("k", 0, "made")
                              .Happened("l", 0, "made too")
                              .Happened("k", 1, "changed")
                              .HistoryUpTo(4)
                              .At(3)})
                  .ok());
  EXPECT_EQ(Events(store(), In("a", 0), "k"), "0:made 1:changed");
  EXPECT_EQ(Events(store(), In("a", 0), "l"), "0:made too");
  EXPECT_EQ(HistoryOffset(store(), In("a", 0)), "4");
  EXPECT_EQ(Snapshot(store(), In("a", 0), "k"), "1:s");
  EXPECT_EQ(Checkpoint(store(), In("a", 0)), "3");
}

TEST_P(SnapshotStoreContract, KeepsEveryFieldOfAnEvent) {
  esd::v1::StoredEvent event;
  event.set_value(R"({"type":"E","event":{}})");
  event.set_id("3:17:0");
  event.set_type("E");
  event.set_time_ms(1'700'000'000'000);
  event.set_causation_id("c");
  event.set_traceparent("t");
  ASSERT_TRUE(
      store()
          .UpdateHistory(In("a", 0), {{"k", Version{0}, event.SerializeAsString()}}, Offset{1})
          .ok());
  const auto events = store().ListEvents(In("a", 0), "k", Version{0}, 1, 1);
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ(events->at(0).event.SerializeAsString(), event.SerializeAsString());
}

TEST_P(SnapshotStoreContract, EventsAreInTheOrderOfTheirVersions) {
  Update update(In("a", 0));
  for (const int64_t version : {0x100LL, 1LL, 0x7fffffffffffffffLL, 0x100000000LL, 0xffLL, 0LL}) {
    update.Happened("k", version, "e");
  }
  ASSERT_TRUE(store().Apply({update}).ok());
  EXPECT_EQ(Events(store(), In("a", 0), "k"),
            "0:e 1:e 255:e 256:e 4294967296:e 9223372036854775807:e");
  EXPECT_EQ(Events(store(), In("a", 0), "k", 256), "256:e 4294967296:e 9223372036854775807:e");
  EXPECT_EQ(Events(store(), In("a", 0), "k", 257, 1), "4294967296:e");
  EXPECT_EQ(Events(store(), In("a", 0), "k", kNoVersion.value(), 1), "0:e");
}

TEST_P(SnapshotStoreContract, AListOfEventsEndsAtItsLimits) {
  Update update(In("a", 0));
  for (int64_t version = 0; version < 5; ++version) update.Happened("k", version, "12345678");
  ASSERT_TRUE(store().Apply({update}).ok());
  const size_t size = Happened("k", 0, "12345678").value.size();
  const auto count = [&](size_t limit, size_t max_bytes) {
    return store().ListEvents(In("a", 0), "k", Version{0}, limit, max_bytes)->size();
  };
  EXPECT_EQ(count(0, 1000), 0u);
  EXPECT_EQ(count(3, 1000), 3u);
  EXPECT_EQ(count(100, 1000), 5u);
  EXPECT_EQ(count(100, 0), 1u) << "one, or nobody would ever get beyond a large one";
  EXPECT_EQ(count(100, size - 1), 1u);
  EXPECT_EQ(count(100, size), 1u);
  EXPECT_EQ(count(100, size + 1), 2u);
  EXPECT_EQ(count(100, 3 * size), 3u);
}

TEST_P(SnapshotStoreContract, HistoriesOfSimilarKeysAndPartitionsDoNotMix) {
  const std::vector<std::string> keys = {""s,    "\0"s,      "\0\0\0\0\0\0\0\0"s, "k", "k\0"s, "kk",
                                         "\xff", "\xff\xff", "k\0\0\0\0\0\0\0\0"s};
  for (const DomainPartition& p : kAlikePartitions) {
    Update update(p);
    for (const std::string& key : keys) {
      const std::string text = absl::StrCat(ToString(p), testing::PrintToString(key));
      update.Happened(key, 0, text).Happened(key, 1, text);
    }
    update.HistoryUpTo(p.partition.value());
    ASSERT_TRUE(store().Apply({update}).ok());
  }
  for (const DomainPartition& p : kAlikePartitions) {
    EXPECT_EQ(HistoryOffset(store(), p), absl::StrCat(p.partition.value()));
    for (const std::string& key : keys) {
      const std::string text = absl::StrCat(ToString(p), testing::PrintToString(key));
      EXPECT_EQ(Events(store(), p, key), absl::StrCat("0:", text, " 1:", text));
    }
  }
}

TEST_P(SnapshotStoreContract, ARebuildAddsEventsOfWhichSomeAreThere) {
  const DomainPartition p = In("a", 0);
  ASSERT_TRUE(store().UpdateHistory(p, {Happened("k", 0, "e"), Happened("l", 0, "e")}, {}).ok());
  EXPECT_EQ(HistoryOffset(store(), p), "0");
  // A live event, while the rebuild goes on.
  ASSERT_TRUE(store().Apply({Update(p).Happened("k", 2, "e").At(9)}).ok());
  EXPECT_EQ(HistoryOffset(store(), p), "0") << "an update without an offset must not move it";
  ASSERT_TRUE(
      store()
          .UpdateHistory(p, {Happened("k", 0, "e"), Happened("k", 1, "e"), Happened("k", 2, "e")},
                         Offset{7})
          .ok());
  EXPECT_EQ(HistoryOffset(store(), p), "7");
  EXPECT_EQ(Events(store(), p, "k"), "0:e 1:e 2:e");
  EXPECT_EQ(Events(store(), p, "l"), "0:e");
  EXPECT_EQ(Checkpoint(store(), p), "9") << "a rebuild doesn't know the checkpoint";
  ASSERT_TRUE(store().UpdateHistory(p, {}, Offset{8}).ok());
  EXPECT_EQ(HistoryOffset(store(), p), "8");
}

TEST_P(SnapshotStoreContract, DroppingTheHistoryForgetsThatOfAllPartitionsAndNothingElse) {
  harness().SetNow(kNoon);
  ASSERT_TRUE(store().DropHistory().ok()) << "of an empty store";
  for (int round = 0; round < 2; ++round) {
    for (const DomainPartition& p : kAlikePartitions) {
      ASSERT_TRUE(store()
                      .Apply({Update(p)
                                  .Put("k", 0, "s")
                                  .Record("k", "c", "r", kNoon)
                                  .Happened("k", 0, "e")
                                  .HistoryUpTo(1)
                                  .At(7)})
                      .ok());
      EXPECT_EQ(Events(store(), p, "k"), "0:e");
    }
    ASSERT_TRUE(store().DropHistory().ok());
    for (const DomainPartition& p : kAlikePartitions) {
      EXPECT_EQ(Events(store(), p, "k"), "");
      EXPECT_EQ(HistoryOffset(store(), p), "none");
      EXPECT_EQ(Snapshot(store(), p, "k"), "0:s");
      EXPECT_EQ(Outcome(store(), p, "k", "c"), "r");
      EXPECT_EQ(Checkpoint(store(), p), "7");
    }
  }
}

TEST_P(SnapshotStoreContract, AnEventThatIsNoMessageIsDataLoss) {
  ASSERT_TRUE(store().UpdateHistory(In("a", 0), {{"k", Version{0}, "\xff\xff"}}, Offset{1}).ok());
  EXPECT_TRUE(absl::IsDataLoss(store().ListEvents(In("a", 0), "k", Version{0}, 10, 1000).status()));
}

// A rebuild in one thread, live updates in another, of one partition. Whoever reads the offset and
// then the events must find all that it stands for, and live events must not come in part.
TEST_P(SnapshotStoreContract, ARebuildMayRunBesideLiveUpdates) {
  constexpr int64_t kOld = 300;
  constexpr int64_t kLive = 300;
  const DomainPartition p = In("a", 0);
  std::atomic<int> writers = 2;
  std::thread rebuild([&] {
    for (int64_t n = 0; n < kOld; ++n) {
      EXPECT_TRUE(store().UpdateHistory(p, {Happened("old", n, "e")}, Offset{n + 1}).ok());
    }
    --writers;
  });
  std::thread live([&] {
    for (int64_t n = 0; n < kLive; ++n) {
      EXPECT_TRUE(
          store().Apply({Update(p).Put("live", n, "s").Happened("live", n, "e").At(n)}).ok());
    }
    --writers;
  });
  bool last_round = false;
  do {
    last_round = writers == 0;
    const auto offset = store().GetHistoryOffset(p);
    const auto old = store().ListEvents(p, "old", Version{0}, 10'000, size_t{1} << 20);
    EXPECT_GE(static_cast<int64_t>(old->size()), offset->value_or(Offset{0}).value());
    const auto snapshot = store().GetSnapshot(p, "live");
    const auto events = store().ListEvents(p, "live", Version{0}, 10'000, size_t{1} << 20);
    const int64_t live_version = *snapshot ? (*snapshot)->version() : -1;
    EXPECT_GT(static_cast<int64_t>(events->size()), live_version);
  } while (!last_round && !HasFailure());
  rebuild.join();
  live.join();
  EXPECT_EQ(HistoryOffset(store(), p), absl::StrCat(kOld));
  EXPECT_EQ(store().ListEvents(p, "old", Version{0}, 10'000, size_t{1} << 20)->size(),
            size_t{kOld});
}

// What one writer wrote to its partition since the last drop.
struct Model {
  std::map<std::string, int64_t> snapshots;
  std::map<std::string, std::set<int64_t>> events;
};

// Updates in no order, of all sizes, with several entries of one key.
StoreUpdate RandomUpdate(const DomainPartition& p, std::mt19937* random, Model* model) {
  Update update(p);
  const unsigned size = 1u << (*random)() % 8;
  for (unsigned i = 0; i < size; ++i) {
    const std::string key = absl::StrCat((*random)() % 500);
    const auto n = static_cast<int64_t>((*random)() % 1000);
    update.Happened(key, n, "e").Record(key, absl::StrCat(n), "r", kNoon);
    model->events[key].insert(n);
    if (n % 5 == 0) {
      update.Remove(key);
      model->snapshots.erase(key);
    } else {
      update.Put(key, n, "s");
      model->snapshots[key] = n;
    }
  }
  return update;
}

void ExpectSame(const SnapshotStore& store, const DomainPartition& p, const Model& model) {
  std::map<std::string, int64_t> snapshots;
  const auto listed = store.ListSnapshots(p, "", "", 1000);
  for (const auto& entry : *listed) snapshots[entry.key] = entry.snapshot.version();
  EXPECT_EQ(snapshots, model.snapshots);
  for (const auto& [key, versions] : model.events) {
    std::set<int64_t> found;
    const auto events = store.ListEvents(p, key, Version{0}, 1000, size_t{1} << 20);
    for (const auto& event : *events) found.insert(event.version.value());
    EXPECT_EQ(found, versions);
    for (const int64_t n : versions) EXPECT_EQ(Outcome(store, p, key, absl::StrCat(n)), "r");
  }
}

// The store sorts what it writes, and RocksDB inserts it with hints that writers side by side, and
// drops, could upset.
TEST_P(SnapshotStoreContract, RandomUpdatesAndDropsSideBySideLeaveWhatWasWrittenLast) {
  harness().SetNow(kNoon);
  std::vector<std::thread> writers;
  for (int32_t w = 0; w < 3; ++w) {
    writers.emplace_back([this, w] {
      std::mt19937 random(static_cast<unsigned>(w));
      Model model;
      for (int n = 0; n < 100; ++n) {
        ASSERT_TRUE(store().Apply({RandomUpdate(In("a", w), &random, &model)}).ok());
        if (n % 30 != 29) continue;
        ExpectSame(store(), In("a", w), model);
        ASSERT_TRUE(store().DropPartition(In("a", w)).ok());
        model = {};
      }
      ExpectSame(store(), In("a", w), model);
    });
  }
  for (std::thread& writer : writers) writer.join();
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
