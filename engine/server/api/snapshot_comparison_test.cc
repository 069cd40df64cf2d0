// Snapshots of one partition compared with its events, with the domain `security`.
#include "engine/server/api/snapshot_comparison.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <security/v1/security.pb.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "domain/security/security.h"

namespace esd::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class SnapshotComparisonTest : public testing::Test {
 protected:
  // The user's next event.
  void Event(const std::string& user, const std::string& name) {
    Event(user, name, versions_[user]++);
  }
  void Event(const std::string& user, const std::string& name, int64_t version) {
    const char* type = version == 0 ? "UserRegisteredEvent" : "UserNameChangedEvent";
    events_.push_back({user,
                       absl::StrCat(R"({"type":")", type, R"(","event":{"email":")", user,
                                    R"(","name":")", name, R"(","version":)", version, "}}"),
                       absl::StrCat(version)});
  }

  static esd::v1::StoredSnapshot Snapshot(const std::string& user, int64_t version,
                                          const std::string& name) {
    ::security::v1::User state;
    state.set_email(user);
    state.set_name(name);
    esd::v1::StoredSnapshot snapshot;
    snapshot.set_version(version);
    snapshot.set_state(state.SerializeAsString());
    return snapshot;
  }

  // The comparison begins: all events so far are known to have had their effects.
  void Begin(size_t state_bytes = SnapshotComparison::kStateBytes) {
    codec_ = *Codec::Create(*type_);
    comparison_ = std::make_unique<SnapshotComparison>(
        type_.get(), codec_.get(), Offset{static_cast<int64_t>(events_.size())}, state_bytes);
  }
  void Store(const std::string& user, int64_t version, const std::string& name) {
    comparison_->AddStored(user, Snapshot(user, version, name));
  }
  void Changelog(const std::string& user, const std::optional<std::string>& value) {
    InputRecord record;
    record.key = user;
    if (value) record.value = *value;
    comparison_->AddChangelog(record);
  }
  void Changelog(const std::string& user, int64_t version, const std::string& name) {
    Changelog(user, Snapshot(user, version, name).SerializeAsString());
  }
  void Both(const std::string& user, int64_t version, const std::string& name) {
    Store(user, version, name);
    Changelog(user, version, name);
  }

  absl::Status Fold() {
    for (size_t i = 0; i < events_.size(); ++i) {
      InputRecord record;
      record.offset = Offset{static_cast<int64_t>(i)};
      record.key = events_[i].user;
      record.value = events_[i].value;
      record.headers.push_back({"esd-version", events_[i].version});
      if (absl::Status status = comparison_->AddEvent(record); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // What differs, a line for each aggregate: `a store:KIND changelog:KIND -> version name`.
  std::vector<std::string> Differences() {
    std::vector<std::string> lines;
    for (int pass = 0; pass < comparison_->passes(); ++pass) {
      comparison_->BeginPass(pass);
      EXPECT_TRUE(Fold().ok());
      const auto tell = [&](const DifferingAggregate& differing) {
        std::string line = differing.key;
        const auto add = [&](const char* place, const std::optional<SnapshotFault>& fault) {
          if (!fault) return;
          const std::string kind = esd::v1::SnapshotDifference::Kind_Name(fault->kind);
          absl::StrAppend(&line, " ", place, ":", kind.substr(5));
          if (fault->found) absl::StrAppend(&line, "@", fault->found->version.value());
        };
        add("store", differing.store);
        add("changelog", differing.changelog);
        ::security::v1::User state;
        if (differing.expected && state.ParseFromString(differing.expected->state()))
          absl::StrAppend(&line, " -> ", differing.expected->version(), " ", state.name());
        lines.push_back(line);
        return absl::OkStatus();
      };
      EXPECT_TRUE(comparison_->EndPass(tell).ok());
    }
    return lines;
  }

  struct StoredEvent {
    std::string user, value, version;
  };
  const std::unique_ptr<AggregateType> type_ = MakeAggregateType<security::Security>("security");
  std::unique_ptr<Codec> codec_;
  std::unique_ptr<SnapshotComparison> comparison_;
  std::deque<StoredEvent> events_;
  std::map<std::string, int64_t> versions_;
};

TEST_F(SnapshotComparisonTest, WhatTheEventsComeToDoesNotDiffer) {
  Event("a", "Alex");
  Event("b", "Bob");
  Event("a", "Sam");
  Begin();
  Both("a", 1, "Sam");
  Both("b", 0, "Bob");
  EXPECT_THAT(Differences(), IsEmpty());
  EXPECT_EQ(comparison_->aggregate_count(), 2);
  EXPECT_EQ(comparison_->event_count(), 3);
}

// Turns red when snapshots are held against the last event whatever it is.
TEST_F(SnapshotComparisonTest, CommandsThatAreProcessedMeanwhileMakeNoDifference) {
  Event("a", "Alex");
  Begin();
  Changelog("a", 0, "Alex");
  Event("a", "Sam");
  Event("a", "Kim");
  Store("a", 1, "Sam");
  Event("new", "Nick");
  Event("newer", "Nina");
  Store("newer", 0, "Nina");
  Event("a", "Eve");
  EXPECT_THAT(Differences(), IsEmpty());
}

TEST_F(SnapshotComparisonTest, EachKindIsToldInEachPlace) {
  Event("missing", "M");
  Event("stale", "S0");
  Event("stale", "S1");
  Event("ahead", "A");
  Event("state", "N");
  Event("unreadable", "U");
  Begin();
  Changelog("missing", 0, "M");
  Store("stale", 0, "S0");
  Changelog("stale", 1, "S1");
  Store("ahead", 0, "A");
  Changelog("ahead", 7, "A");
  Store("state", 0, "wrong");
  Changelog("state", 0, "N");
  Store("unreadable", 0, "U");
  Changelog("unreadable", "\xff");
  Both("unexpected", 3, "X");
  EXPECT_THAT(Differences(),
              UnorderedElementsAre("missing store:MISSING -> 0 M", "stale store:VERSION@0 -> 1 S1",
                                   "ahead changelog:VERSION@7 -> 0 A", "state store:STATE@0 -> 0 N",
                                   "unreadable changelog:UNREADABLE -> 0 U",
                                   "unexpected store:UNEXPECTED@3 changelog:UNEXPECTED@3"));
}

TEST_F(SnapshotComparisonTest, AStateThatCannotBeParsedIsUnreadable) {
  Event("a", "Alex");
  Begin();
  esd::v1::StoredSnapshot garbled;
  garbled.set_version(0);
  garbled.set_state("\xff");
  comparison_->AddStored("a", garbled);
  Changelog("a", garbled.SerializeAsString());
  EXPECT_THAT(Differences(), ElementsAre("a store:UNREADABLE changelog:UNREADABLE -> 0 Alex"));
}

TEST_F(SnapshotComparisonTest, AVersionThatIsNotMetYetIsNoState) {
  Event("a", "Alex");
  Begin();
  Both("a", -1, "Alex");
  EXPECT_THAT(Differences(), ElementsAre("a store:VERSION@-1 changelog:VERSION@-1 -> 0 Alex"));
}

TEST_F(SnapshotComparisonTest, TheLastRecordOfTheChangelogCounts) {
  Event("a", "Alex");
  Event("b", "Bob");
  Begin();
  Changelog("a", 0, "wrong");
  Changelog("a", 0, "Alex");
  Store("a", 0, "Alex");
  Store("b", 0, "Bob");
  Changelog("b", 0, "Bob");
  Changelog("b", std::nullopt);
  Changelog("gone", 3, "X");
  Changelog("gone", std::nullopt);
  EXPECT_THAT(Differences(), ElementsAre("b changelog:MISSING -> 0 Bob"));
}

// Turns red when states are compared by their bytes.
TEST_F(SnapshotComparisonTest, StatesAreComparedByWhatTheyMean) {
  Event("a", "Alex");
  Begin();
  esd::v1::StoredSnapshot snapshot;
  snapshot.set_version(0);
  // The fields in the other order, the name given twice.
  snapshot.set_state(
      "\x12\x03Sam\x12\x04"
      "Alex\x0a\x01"
      "a");
  comparison_->AddStored("a", snapshot);
  Changelog("a", snapshot.SerializeAsString());
  EXPECT_THAT(Differences(), IsEmpty());
}

TEST_F(SnapshotComparisonTest, InSeveralPassesEachAggregateIsComparedOnce) {
  for (int i = 0; i < 100; ++i) Event(absl::StrCat("user", i), "Alex");
  for (int i = 0; i < 100; ++i) Event(absl::StrCat("user", i), "Sam");
  Begin(/*state_bytes=*/200);
  for (int i = 0; i < 100; ++i) Both(absl::StrCat("user", i), 1, i % 10 == 3 ? "wrong" : "Sam");
  EXPECT_GT(comparison_->passes(), 3);
  EXPECT_EQ(Differences().size(), 10u);
  EXPECT_EQ(comparison_->event_count(), 200);
  EXPECT_EQ(comparison_->aggregate_count(), 100);
}

TEST_F(SnapshotComparisonTest, AGapAmongTheEventsIsToldAsMissing) {
  Event("a", "Alex", 0);
  Event("a", "Sam", 2);
  Begin();
  comparison_->BeginPass(0);
  EXPECT_TRUE(absl::IsOutOfRange(Fold()));
}

TEST_F(SnapshotComparisonTest, AnEventThatTheEngineDoesNotWriteIsTold) {
  Event("a", "Alex", 0);
  Event("a", "Sam", 0);
  Begin();
  comparison_->BeginPass(0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Fold()));
  events_.clear();
  events_.push_back({"a", "{}", "0"});
  Begin();
  comparison_->BeginPass(0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Fold()));
}

}  // namespace
}  // namespace esd::api
