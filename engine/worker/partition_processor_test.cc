#include "engine/worker/partition_processor.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "domain/security/security.h"
#include "engine/base/murmur2.h"
#include "engine/store/memory_snapshot_store.h"

namespace esd {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int32_t kPartitions = 4;
const std::string kFoo = "foo@bar.com";

std::string Register(const std::string& email, const std::string& name) {
  return absl::StrCat(R"({"type":"RegisterUserCommand","command":{"name":")", name,
                      R"(","email":")", email, R"("}})");
}
std::string Rename(const std::string& email, const std::string& name) {
  return absl::StrCat(R"({"type":"ChangeUserNameCommand","command":{"email":")", email,
                      R"(","newName":")", name, R"("}})");
}
std::string Renamed(const std::string& email, const std::string& name, int version) {
  return absl::StrCat(R"({"type":"UserNameChangedEvent","event":{"email":")", email,
                      R"(","name":")", name, R"(","version":)", version, "}}");
}

// A partition and the commands for it. `Commit()` does what the worker does: ends the batch and
// applies it to the store.
class PartitionProcessorTest : public ::testing::Test {
 protected:
  PartitionProcessorTest() { Open({}); }

  // Begins anew on the same store, as after a restart.
  void Open(RecordLimits limits) {
    ProcessorOptions options{partition_, kPartitions, "security-command", limits};
    processor_ = std::make_unique<PartitionProcessor>(options, type_.get(), codec_.get(), &store_);
  }

  struct Sent {
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::vector<std::pair<std::string, std::string>> headers;
  };

  // Processes the command as the next one of the partition.
  void Send(Sent sent) {
    const Sent& kept = sent_.emplace_back(std::move(sent));
    InputRecord record;
    record.offset = next_;
    next_ = Next(next_);
    if (kept.key) record.key = *kept.key;
    if (kept.value) record.value = *kept.value;
    for (const auto& [name, value] : kept.headers) record.headers.push_back({name, value});
    ASSERT_EQ(processor_->Process(record, now_), absl::OkStatus());
  }
  void Send(const std::string& value,
            std::vector<std::pair<std::string, std::string>> headers = {}) {
    Send({kFoo, value, std::move(headers)});
  }

  void Commit() {
    batch_ = processor_->Finish();
    StoreUpdate update;
    update.partition = partition_;
    update.outcomes = batch_.outcomes;
    for (const OutputRecord& record : batch_.part.records) {
      if (record.topic == Topic::kSnapshot)
        update.snapshots.push_back({*record.key, *record.value});
    }
    update.checkpoint.set_command_offset(batch_.part.next_command_offset.value());
    ASSERT_EQ(store_.Apply({update}), absl::OkStatus());
  }

  // The values that the last batch wrote to a topic.
  std::vector<std::string> Written(Topic topic) const {
    std::vector<std::string> values;
    for (const OutputRecord& record : batch_.part.records) {
      if (record.topic == topic) values.push_back(record.value.value_or("(null)"));
    }
    return values;
  }
  std::vector<std::map<std::string, std::string>> HeadersOf(Topic topic) const {
    std::vector<std::map<std::string, std::string>> all;
    for (const OutputRecord& record : batch_.part.records) {
      if (record.topic != topic) continue;
      auto& headers = all.emplace_back();
      for (const auto& header : record.headers) {
        headers[std::string(header.name)] = header.value.value_or("(null)");
      }
    }
    return all;
  }

  const std::unique_ptr<AggregateType> type_ = MakeAggregateType<security::Security>("security");
  const std::unique_ptr<Codec> codec_ = *Codec::Create(*type_);
  const DomainPartition partition_{"security", PartitionForKey(kFoo, kPartitions)};
  const absl::Time now_ = absl::FromUnixMillis(1'700'000'000'123);
  MemorySnapshotStore store_{absl::Hours(48), [this] { return now_; }};
  std::unique_ptr<PartitionProcessor> processor_;
  std::deque<Sent> sent_;
  Offset next_{100};
  ProcessedBatch batch_;
};

TEST_F(PartitionProcessorTest, ARenameRightAfterARegistrationSeesTheUser) {
  Send(Register(kFoo, "Alex"));
  Send(Rename(kFoo, "Alex1"));
  Commit();
  EXPECT_THAT(
      Written(Topic::kEvent),
      ElementsAre(
          R"({"type":"UserRegisteredEvent","event":{"email":"foo@bar.com","name":"Alex","version":0}})",
          Renamed(kFoo, "Alex1", 1)));
  EXPECT_EQ(batch_.part.next_command_offset, Offset{102});
}

// Red when pending writes are ignored: versions 1, 1, 1.
TEST_F(PartitionProcessorTest, ThreeQuickRenamesGetThreeVersions) {
  Send(Register(kFoo, "Alex"));
  Commit();
  for (const char* name : {"Alex1", "Alex2", "Alex3"}) Send(Rename(kFoo, name));
  Commit();
  EXPECT_THAT(
      Written(Topic::kEvent),
      ElementsAre(Renamed(kFoo, "Alex1", 1), Renamed(kFoo, "Alex2", 2), Renamed(kFoo, "Alex3", 3)));
}

TEST_F(PartitionProcessorTest, AnAggregateIsWrittenOnceInABatchWithItsLastState) {
  Send(Register(kFoo, "Alex"));
  Send(Rename(kFoo, "Alex1"));
  Send(Rename(kFoo, "Alex2"));
  Commit();
  ASSERT_THAT(Written(Topic::kSnapshot), SizeIs(1));
  esd::v1::StoredSnapshot snapshot;
  ASSERT_TRUE(snapshot.ParseFromString(Written(Topic::kSnapshot)[0]));
  ::security::v1::User user;
  ASSERT_TRUE(user.ParseFromString(snapshot.state()));
  EXPECT_EQ(snapshot.version(), 2);
  EXPECT_EQ(user.name(), "Alex2");
}

TEST_F(PartitionProcessorTest, AnEventIsACloudEvent) {
  Send(Register(kFoo, "Alex"), {{"traceparent", "00-abc-def-01"}});
  Commit();
  ASSERT_THAT(HeadersOf(Topic::kEvent), SizeIs(1));
  const std::string position = absl::StrCat(partition_.partition.value(), ":100");
  EXPECT_THAT(
      HeadersOf(Topic::kEvent)[0],
      AllOf(Contains(Pair("ce_specversion", "1.0")), Contains(Pair("ce_id", position + ":0")),
            Contains(Pair("ce_type", "UserRegisteredEvent")),
            Contains(Pair("ce_source", "/esd/security-command")),
            Contains(Pair("ce_subject", kFoo)),
            Contains(Pair("ce_time", "2023-11-14T22:13:20.123Z")),
            Contains(Pair("content-type", "application/json")), Contains(Pair("esd-version", "0")),
            Contains(Pair("esd-causation-id", position)),
            Contains(Pair("traceparent", "00-abc-def-01"))));
}

TEST_F(PartitionProcessorTest, AnAcceptedCommandWithoutAnIdCostsNoReply) {
  Send(Register(kFoo, "Alex"));
  Commit();
  EXPECT_THAT(Written(Topic::kReply), IsEmpty());
}

TEST_F(PartitionProcessorTest, AnAcceptedCommandWithAnIdGetsAReplyWithItsEvents) {
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Commit();
  EXPECT_THAT(
      Written(Topic::kReply),
      ElementsAre(
          R"({"commandId":"c1","status":"ACCEPTED","version":0,"events":[)"
          R"({"type":"UserRegisteredEvent","event":{"email":"foo@bar.com","name":"Alex","version":0}}]})"));
  EXPECT_THAT(HeadersOf(Topic::kEvent)[0], Contains(Pair("esd-causation-id", "c1")));
}

TEST_F(PartitionProcessorTest, ACommandThatChangesNothingGetsAReplyThatSaysSo) {
  Send(Register(kFoo, "Alex"));
  Send(Rename(kFoo, "Alex"));
  Commit();
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(1));
  EXPECT_THAT(Written(Topic::kReply),
              ElementsAre(absl::StrCat(R"({"commandId":")", partition_.partition.value(),
                                       R"(:101","status":"ACCEPTED","version":0,"events":[]})")));
}

TEST_F(PartitionProcessorTest, ADomainsNoIsAReplyWithTheVersion) {
  Send(Rename(kFoo, "Alex"));
  Send(Register(kFoo, "Alex"));
  Send(Register(kFoo, "Alex"), {{"ce_id", "again"}});
  Commit();
  ASSERT_THAT(Written(Topic::kReply), SizeIs(2));
  EXPECT_THAT(
      Written(Topic::kReply)[0],
      AllOf(HasSubstr(R"("status":"REJECTED","code":"NOT_FOUND","reason":"USER_NOT_FOUND")"),
            Not(HasSubstr("version"))));
  EXPECT_THAT(Written(Topic::kReply)[1],
              AllOf(HasSubstr(R"("commandId":"again","status":"REJECTED","code":"ALREADY_EXISTS")"),
                    HasSubstr(R"("version":0})")));
}

TEST_F(PartitionProcessorTest,
       ASecondCommandWithTheSameIdGetsTheFirstOnesOutcomeAndChangesNothing) {
  Send(Register(kFoo, "Alex"));
  Send(Rename(kFoo, "Alex1"), {{"ce_id", "c1"}});
  Send(Rename(kFoo, "Alex1"), {{"ce_id", "c1"}});
  Commit();
  const std::string first = Written(Topic::kReply)[0];
  EXPECT_THAT(Written(Topic::kReply), ElementsAre(first, first));
  EXPECT_THAT(HeadersOf(Topic::kReply)[1], Contains(Pair("esd-replayed", "true")));
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(2));

  Open({});  // the store remembers
  Send(Rename(kFoo, "Alex2"));
  Send(Rename(kFoo, "Alex1"), {{"ce_id", "c1"}});
  Commit();
  EXPECT_THAT(Written(Topic::kReply), ElementsAre(first));
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(1));
}

TEST_F(PartitionProcessorTest, WhiteSpaceDoesNotMakeAnotherCommand) {
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Send(R"( {"command": {"email":"foo@bar.com", "name":"Alex"}, "type":"RegisterUserCommand"})",
       {{"ce_id", "c1"}});
  Commit();
  EXPECT_EQ(Written(Topic::kReply)[0], Written(Topic::kReply)[1]);
}

TEST_F(PartitionProcessorTest, AnIdThatIsUsedForAnotherPayloadIsAnErrorAndKeepsTheFirstOutcome) {
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Send(Rename(kFoo, "Alex1"), {{"ce_id", "c1"}});
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Commit();
  ASSERT_THAT(Written(Topic::kReply), SizeIs(3));
  EXPECT_THAT(Written(Topic::kReply)[1],
              HasSubstr(R"("code":"INVALID_ARGUMENT","reason":"COMMAND_ID_REUSED")"));
  EXPECT_EQ(Written(Topic::kReply)[2], Written(Topic::kReply)[0]);
  EXPECT_THAT(batch_.outcomes, SizeIs(1));
}

TEST_F(PartitionProcessorTest, TheSameIdMayBeUsedForAnotherAggregate) {
  std::string other;
  for (int i = 0; other.empty(); ++i) {
    const std::string key = absl::StrCat("user", i, "@bar.com");
    if (PartitionForKey(key, kPartitions) == partition_.partition) other = key;
  }
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Send({other, Register(other, "Alex"), {{"ce_id", "c1"}}});
  Commit();
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(2));
}

TEST_F(PartitionProcessorTest, OfSeveralCommandsWithOneExpectedVersionOneIsAccepted) {
  Send(Register(kFoo, "Alex"), {{"esd-expected-version", "-1"}});
  for (int i = 0; i < 5; ++i)
    Send(Rename(kFoo, absl::StrCat("Alex", i)), {{"esd-expected-version", "0"}});
  Send(Register(kFoo, "Alex"), {{"esd-expected-version", "-1"}});
  Commit();
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(2));
  ASSERT_THAT(Written(Topic::kReply), SizeIs(5));
  for (const std::string& reply : Written(Topic::kReply)) {
    EXPECT_THAT(reply, AllOf(HasSubstr(R"("code":"ABORTED","reason":"VERSION_MISMATCH")"),
                             HasSubstr(R"("version":1})")));
  }
}

TEST_F(PartitionProcessorTest, AKeyThatContradictsTheCommandIsARejection) {
  Send(Register("bar@foo.com", "Alex"));
  Commit();
  EXPECT_THAT(Written(Topic::kEvent), IsEmpty());
  EXPECT_THAT(Written(Topic::kReply),
              ElementsAre(HasSubstr(R"("code":"INVALID_ARGUMENT","reason":"KEY_MISMATCH")")));
}

TEST_F(PartitionProcessorTest, AMisplacedCommandIsForwardedToItsOwnPartitionAsItIs) {
  std::string other;
  for (int i = 0; other.empty(); ++i) {
    const std::string key = absl::StrCat("user", i, "@bar.com");
    if (PartitionForKey(key, kPartitions) != partition_.partition) other = key;
  }
  Send({other, Register(other, "Alex"), {{"ce_id", "c1"}, {"x", "y"}}});
  Commit();
  ASSERT_THAT(batch_.part.records, SizeIs(1));
  const OutputRecord& copy = batch_.part.records[0];
  EXPECT_EQ(copy.topic, Topic::kCommand);
  EXPECT_EQ(copy.partition, PartitionForKey(other, kPartitions));
  EXPECT_EQ(copy.key, other);
  EXPECT_EQ(copy.value, Register(other, "Alex"));
  EXPECT_THAT(HeadersOf(Topic::kCommand)[0], ElementsAre(Pair("ce_id", "c1"), Pair("x", "y")));
}

struct Poison {
  const char* reason;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::string>> headers;
};

// Whatever a command looks like, it is put aside with where it came from, and its neighbours are
// processed.
TEST_F(PartitionProcessorTest, PoisonIsPutAsideWholeAndBlocksNothing) {
  const std::vector<Poison> kinds = {
      {"NULL_KEY", std::nullopt, Register(kFoo, "Alex"), {}},
      {"NULL_VALUE", kFoo, std::nullopt, {}},
      {"MALFORMED_JSON", kFoo, "{", {}},
      {"MALFORMED_JSON", kFoo, "", {}},
      {"UNKNOWN_TYPE", kFoo, R"({"type":"DeleteUserCommand","command":{}})", {}},
      {"UNSUPPORTED_CONTENT_TYPE", kFoo, Register(kFoo, "Alex"), {{"Content-Type", "text/xml"}}},
      {"MALFORMED_PROTOBUF", kFoo, "\xff\xff", {{"Content-Type", "application/x-protobuf"}}},
      {"INVALID_HEADER", kFoo, Register(kFoo, "Alex"), {{"esd-expected-version", "one"}}},
      {"INVALID_HEADER", kFoo, Register(kFoo, "Alex"), {{"esd-expected-version", "-2"}}},
      {"INVALID_HEADER", kFoo, Register(kFoo, "Alex"), {{"ce_id", ""}}},
      {"INVALID_HEADER", kFoo, Register(kFoo, "Alex"), {{"ce_id", "a\nb"}}},
      {"INVALID_HEADER", kFoo, Register(kFoo, "Alex"), {{"ce_id", std::string(257, 'x')}}},
      {"COMMAND_TOO_LARGE", kFoo, std::string((1 << 20) + 1, 'x'), {}},
  };
  Send(Register(kFoo, "Alex"));
  for (const Poison& poison : kinds) {
    SCOPED_TRACE(poison.reason);
    Commit();
    const Offset offset = next_;
    Send({poison.key, poison.value, poison.headers});
    Send(Rename(kFoo, absl::StrCat("after ", offset.value())));
    Commit();
    EXPECT_THAT(Written(Topic::kEvent), SizeIs(1));
    ASSERT_THAT(HeadersOf(Topic::kDeadLetter), SizeIs(1));
    EXPECT_THAT(
        HeadersOf(Topic::kDeadLetter)[0],
        AllOf(Contains(Pair("esd-error-reason", poison.reason)),
              Contains(Pair("esd-error-message", Not(IsEmpty()))),
              Contains(Pair("esd-source-topic", "security-command")),
              Contains(Pair("esd-source-partition", absl::StrCat(partition_.partition.value()))),
              Contains(Pair("esd-source-offset", absl::StrCat(offset.value())))));
    for (const auto& header : poison.headers) {
      EXPECT_THAT(HeadersOf(Topic::kDeadLetter)[0], Contains(Pair(header.first, header.second)));
    }
    EXPECT_EQ(batch_.part.records[0].key, poison.key);
    EXPECT_EQ(batch_.part.records[0].value, poison.value);
  }
}

TEST_F(PartitionProcessorTest, ACommandInProtobufIsTheSameCommand) {
  ::security::v1::Command command;
  command.mutable_register_user()->set_email(kFoo);
  command.mutable_register_user()->set_name("Alex");
  Send(command.SerializeAsString(),
       {{"CONTENT-TYPE", "application/x-protobuf; v=1"}, {"ce_id", "c1"}});
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Commit();
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(1));
  ASSERT_THAT(Written(Topic::kReply), SizeIs(2));
  EXPECT_EQ(Written(Topic::kReply)[0], Written(Topic::kReply)[1]);
}

TEST_F(PartitionProcessorTest, WhatWouldNotFitIntoItsTopicIsARejectionAndChangesNothing) {
  RecordLimits limits;
  limits.event = limits.snapshot = limits.reply = 2'048 + 200;
  Open(limits);
  Send(Register(kFoo, std::string(250, 'x')));
  Send(Rename(kFoo, "Alex"));
  Commit();
  ASSERT_THAT(Written(Topic::kReply), SizeIs(2));
  EXPECT_THAT(Written(Topic::kReply)[0],
              HasSubstr(R"("code":"RESOURCE_EXHAUSTED","reason":"RECORD_TOO_LARGE")"));
  EXPECT_THAT(Written(Topic::kReply)[1], HasSubstr("USER_NOT_FOUND"));
  EXPECT_THAT(Written(Topic::kSnapshot), IsEmpty());
}

// A batch whose transaction was aborted for good is forgotten with the processor; nothing of it
// shows later.
TEST_F(PartitionProcessorTest, WhatWasNotCommittedIsNotThereAfterARestart) {
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  processor_->Finish();
  Open({});
  Send(Rename(kFoo, "Alex1"));
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Commit();
  EXPECT_THAT(Written(Topic::kReply)[0], HasSubstr("USER_NOT_FOUND"));
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(1));
}

TEST_F(PartitionProcessorTest, EveryCommandIsCountedOnceWithItsEffect) {
  Send(Register(kFoo, "Alex"));
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Send("nonsense");
  Commit();
  std::vector<Effect> effects;
  for (const CommandResult& result : batch_.results) effects.push_back(result.effect);
  EXPECT_THAT(effects, ElementsAre(Effect::kAccepted, Effect::kRejected, Effect::kDuplicate,
                                   Effect::kDeadLetter));
}

// --- whoever waits for a command

// Nothing is written because somebody waits.
TEST_F(PartitionProcessorTest,
       WhoeverWaitsForACommandWithoutAnIdIsToldItsEventsAndNothingIsWritten) {
  Send(Register(kFoo, "Alex"), {{"esd-request-id", "r1"}});
  Commit();
  EXPECT_THAT(Written(Topic::kReply), IsEmpty());
  EXPECT_THAT(batch_.outcomes, IsEmpty());
  EXPECT_THAT(HeadersOf(Topic::kEvent)[0], Not(Contains(Pair(testing::_, "r1"))));
  ASSERT_THAT(batch_.results, SizeIs(1));
  EXPECT_EQ(batch_.results[0].request_id, "r1");
  EXPECT_EQ(batch_.results[0].answered_offset, Offset{100});
  EXPECT_EQ(
      batch_.results[0].reply,
      absl::StrCat(
          R"({"commandId":")", partition_.partition.value(),
          R"(:100","status":"ACCEPTED","version":0,"events":[)"
          R"({"type":"UserRegisteredEvent","event":{"email":"foo@bar.com","name":"Alex","version":0}}]})"));
}

TEST_F(PartitionProcessorTest, WhoeverWaitsIsToldTheReplyThatIsWritten) {
  Send(Rename(kFoo, "Alex"), {{"esd-request-id", "r1"}});
  Send(Register(kFoo, "Alex"), {{"esd-request-id", "r2"}, {"ce_id", "c1"}});
  Send(Rename(kFoo, "Alex"), {{"esd-request-id", "r3"}});
  Commit();
  ASSERT_THAT(Written(Topic::kReply), SizeIs(3));
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(batch_.results[i].request_id, absl::StrCat("r", i + 1));
    EXPECT_EQ(batch_.results[i].reply, Written(Topic::kReply)[i]);
    EXPECT_EQ(batch_.results[i].answered_offset, batch_.results[i].offset);
  }
  EXPECT_EQ(batch_.results[0].effect, Effect::kRejected);
  EXPECT_EQ(batch_.results[0].reason, "USER_NOT_FOUND");
}

TEST_F(PartitionProcessorTest,
       WhoeverWaitsForARepetitionIsToldTheFirstOutcomeAndWhereItsCommandIs) {
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}, {"esd-request-id", "r1"}});
  Commit();
  const std::string first = Written(Topic::kReply)[0];
  EXPECT_EQ(batch_.results[1].reply, first);
  EXPECT_EQ(batch_.results[1].answered_offset, Offset{100});

  Open({});  // the store remembers
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}, {"esd-request-id", "r2"}});
  Send(Rename(kFoo, "Alex"), {{"ce_id", "c1"}, {"esd-request-id", "r3"}});
  Commit();
  EXPECT_EQ(batch_.results[0].effect, Effect::kDuplicate);
  EXPECT_EQ(batch_.results[0].request_id, "r2");
  EXPECT_EQ(batch_.results[0].reply, first);
  EXPECT_EQ(batch_.results[0].answered_offset, Offset{100});
  // Another payload: about this command, not the first one.
  EXPECT_EQ(batch_.results[1].reason, "COMMAND_ID_REUSED");
  EXPECT_THAT(batch_.results[1].reply, HasSubstr("COMMAND_ID_REUSED"));
  EXPECT_EQ(batch_.results[1].answered_offset, Offset{103});
}

TEST_F(PartitionProcessorTest, WhereTheFirstCommandIsMayNotBeKnownOfAnOldOutcome) {
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}});
  batch_ = processor_->Finish();
  ASSERT_THAT(batch_.outcomes, SizeIs(1));
  EXPECT_EQ(batch_.outcomes[0].outcome.command_offset(), 100);
  StoreUpdate update;
  update.partition = partition_;
  update.outcomes = batch_.outcomes;
  update.outcomes[0].outcome.clear_command_offset();
  ASSERT_EQ(store_.Apply({update}), absl::OkStatus());
  Open({});
  Send(Register(kFoo, "Alex"), {{"ce_id", "c1"}, {"esd-request-id", "r1"}});
  Commit();
  EXPECT_EQ(batch_.results[0].effect, Effect::kDuplicate);
  EXPECT_EQ(batch_.results[0].answered_offset, std::nullopt);
}

TEST_F(PartitionProcessorTest, WhoeverWaitsForADeadLetterIsToldWhy) {
  Send({std::nullopt, Register(kFoo, "Alex"), {{"esd-request-id", "r1"}}});
  Send("{", {{"esd-request-id", "r2"}});
  Send(Register(kFoo, "Alex"), {{"esd-expected-version", "x"}, {"esd-request-id", "r3"}});
  Commit();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(batch_.results[i].effect, Effect::kDeadLetter);
    EXPECT_EQ(batch_.results[i].request_id, absl::StrCat("r", i + 1));
    EXPECT_EQ(batch_.results[i].reply, HeadersOf(Topic::kDeadLetter)[i]["esd-error-message"]);
    EXPECT_EQ(batch_.results[i].reason, HeadersOf(Topic::kDeadLetter)[i]["esd-error-reason"]);
    EXPECT_EQ(batch_.results[i].answered_offset, batch_.results[i].offset);
  }
}

// The copy is what will be processed.
TEST_F(PartitionProcessorTest, WhoeverWaitsForAForwardedCommandIsAnsweredByItsCopy) {
  std::string other;
  for (int i = 0; other.empty(); ++i) {
    const std::string key = absl::StrCat("user", i, "@bar.com");
    if (PartitionForKey(key, kPartitions) != partition_.partition) other = key;
  }
  Send({other, Register(other, "Alex"), {{"esd-request-id", "r1"}}});
  Commit();
  EXPECT_THAT(HeadersOf(Topic::kCommand)[0], ElementsAre(Pair("esd-request-id", "r1")));
  EXPECT_EQ(batch_.results[0].effect, Effect::kForwarded);
  EXPECT_EQ(batch_.results[0].request_id, "");
}

TEST_F(PartitionProcessorTest, ARequestIdThatIsNoneIsIgnored) {
  Send(Register(kFoo, "Alex"), {{"esd-request-id", ""}});
  Send(Rename(kFoo, "Alex1"), {{"esd-request-id", std::string(kMaxRequestIdBytes + 1, 'x')}});
  Send(Rename(kFoo, "Alex2"), {{"ce_id", "c1"}});
  Send("{", {{"esd-request-id", std::string(kMaxRequestIdBytes + 1, 'x')}});
  Commit();
  EXPECT_THAT(Written(Topic::kEvent), SizeIs(3));
  for (const CommandResult& result : batch_.results) {
    EXPECT_EQ(result.request_id, "");
    EXPECT_EQ(result.reply, "");
    EXPECT_EQ(result.answered_offset, std::nullopt);
  }
}

TEST_F(PartitionProcessorTest, WhatBecomesOfACommandDoesNotDependOnWhoWaits) {
  RecordLimits limits;
  limits.reply = 2'048 + 100;  // too little for a reply with its event
  Open(limits);
  Send(Register(kFoo, "Alex"), {{"esd-request-id", "r1"}});
  Send(Rename(kFoo, "Alex1"), {{"ce_id", "c1"}, {"esd-request-id", "r2"}});
  Commit();
  EXPECT_EQ(batch_.results[0].effect, Effect::kAccepted);
  EXPECT_THAT(batch_.results[0].reply, HasSubstr("UserRegisteredEvent"));
  EXPECT_EQ(batch_.results[1].reason, "RECORD_TOO_LARGE");
}

}  // namespace
}  // namespace esd
