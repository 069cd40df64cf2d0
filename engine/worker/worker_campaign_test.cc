// Two instances process thousands of commands while everything fails now and then and partitions
// move; then what is in the topics and in the stores is compared with a model of the domain that
// shares no code with the engine: the invariants of the design.
//
// Runs for some seconds with as many seeds as fit. ESD_TEST_SEED=N runs that one: the commands and
// the disturbances are the same again, how threads take turns is not. ESD_TEST_LONG=1 runs for ten
// minutes.
//
// Turns red at the first seed when pending writes are ignored, when kUnknown is treated as
// committed or as not committed, when the position isn't moved with the effects, and when snapshots
// are written to the store before the commit; after some dozens of seeds when the checkpoint is
// written with them, because the next restore finds most of that and wipes. Also when the listener
// is told before the claim, before the store or for a forwarded command, and when the history's
// offset moves before the rebuild has come to it, or lacks the events of an unknown transaction.
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>
#include <utility>

#include "engine/base/murmur2.h"
#include "engine/worker/reply.h"
#include "engine/worker/worker_test.h"
#include "security/v1/security.pb.h"

namespace esd {
namespace {

constexpr int kUsers = 40;

// --- commands

// What the test knows about a command that it sent.
struct SentCommand {
  enum class Kind { kRegister, kRename, kPoison };
  Kind kind = Kind::kPoison;
  std::string email;
  std::string name;
  std::string id;
  std::optional<int64_t> expected_version;
};

class CommandGenerator {
 public:
  explicit CommandGenerator(std::mt19937_64* random) : random_(*random) {}

  // A record and the partition that it is sent to: its own, mostly.
  std::pair<DomainPartition, TestRecord> Next() {
    SentCommand command;
    command.email = absl::StrCat("user", random_() % kUsers, "@example.com");
    command.name = random_() % 30 == 0 ? "" : absl::StrCat("name", random_() % 5);
    command.kind = random_() % 3 == 0 ? SentCommand::Kind::kRegister : SentCommand::Kind::kRename;
    // Few enough ids for repetitions, with the same payload and with another.
    if (random_() % 4 == 0) command.id = absl::StrCat("id", random_() % 10);
    if (random_() % 8 == 0) command.expected_version = static_cast<int64_t>(random_() % 6) - 1;
    TestRecord record = command.kind == SentCommand::Kind::kRegister
                            ? Register(command.email, command.name, command.id)
                            : Rename(command.email, command.name, command.id);
    if (command.expected_version) {
      record.headers.emplace_back("esd-expected-version", absl::StrCat(*command.expected_version));
    }
    if (random_() % 20 == 0) Poison(&command, &record);
    record.headers.emplace_back("number", absl::StrCat(sent_.size()));
    if (random_() % 2 == 0)
      record.headers.emplace_back("esd-request-id", absl::StrCat("r", sent_.size()));
    PartitionId partition = PartitionForKey(command.email, kTestPartitions);
    if (random_() % 10 == 0) partition = PartitionId{static_cast<int32_t>(random_() % 4)};
    sent_.push_back(std::move(command));
    return {{"security", partition}, std::move(record)};
  }

  const std::vector<SentCommand>& sent() const { return sent_; }

 private:
  void Poison(SentCommand* command, TestRecord* record) {
    command->kind = SentCommand::Kind::kPoison;
    switch (random_() % 3) {
      case 0:
        record->key.reset();
        break;
      case 1:
        record->value.reset();
        break;
      default:
        record->value = R"({"type":"RegisterUser)";
    }
  }

  std::mt19937_64& random_;
  std::vector<SentCommand> sent_;  // by the number in the record's header
};

// --- the model

// What must be in one partition's topics, given its commands.
struct Expectation {
  std::vector<std::string> events;   // "ce_id key value"
  std::vector<std::string> replies;  // "position status detail"
  std::vector<std::string> dead_letters;
  std::vector<std::string> forwarded;                             // "partition number"
  std::map<std::string, std::pair<int64_t, std::string>> states;  // email -> version, name
};

class Model {
 public:
  explicit Model(const std::vector<SentCommand>* sent) : sent_(*sent) {}

  Expectation Run(int32_t partition, const std::vector<TestRecord>& commands) {
    Expectation expected;
    outcomes_.clear();
    for (const TestRecord& record : commands) {
      const std::string number = *record.HeaderValue("number");
      const SentCommand& command = sent_[static_cast<size_t>(std::stoi(number))];
      const std::string position = absl::StrCat(partition, ":", record.offset.value());
      const PartitionId home = PartitionForKey(command.email, kTestPartitions);
      if (command.kind == SentCommand::Kind::kPoison) {
        expected.dead_letters.push_back(position);
      } else if (home != PartitionId{partition}) {
        expected.forwarded.push_back(absl::StrCat(home.value(), " ", number));
      } else {
        Process(command, position, &expected);
      }
    }
    return expected;
  }

 private:
  struct Outcome {
    std::string payload;
    std::string reply;
  };

  void Process(const SentCommand& command, const std::string& position, Expectation* expected) {
    const bool is_register = command.kind == SentCommand::Kind::kRegister;
    const std::string payload = absl::StrCat(is_register, command.name);
    if (!command.id.empty()) {
      const auto earlier = outcomes_.find({command.email, command.id});
      if (earlier != outcomes_.end()) {
        expected->replies.push_back(absl::StrCat(
            position, " ",
            earlier->second.payload == payload ? earlier->second.reply : "COMMAND_ID_REUSED"));
        return;
      }
    }
    const auto it = expected->states.find(command.email);
    const bool exists = it != expected->states.end();
    const int64_t version = exists ? it->second.first : -1;
    std::string reply = "ACCEPTED";
    if (command.expected_version && *command.expected_version != version) {
      reply = "VERSION_MISMATCH";
    } else if (command.name.empty()) {
      reply = "INVALID_NAME";
    } else if (is_register && exists) {
      reply = "USER_ALREADY_EXISTS";
    } else if (!is_register && !exists) {
      reply = "USER_NOT_FOUND";
    }
    const bool event = reply == "ACCEPTED" && (is_register || it->second.second != command.name);
    if (event) {
      const std::string value = is_register ? Registered(command.email, command.name)
                                            : Renamed(command.email, command.name, version + 1);
      expected->events.push_back(absl::StrCat(position, ":0 ", command.email, " ", value));
      expected->states[command.email] = {version + 1, command.name};
    }
    if (!event || !command.id.empty()) {
      expected->replies.push_back(absl::StrCat(position, " ", reply));
    }
    if (!command.id.empty()) outcomes_[{command.email, command.id}] = {payload, reply};
  }

  const std::vector<SentCommand>& sent_;
  std::map<std::pair<std::string, std::string>, Outcome> outcomes_;
};

// What a reply record says: ACCEPTED, or the reason of the rejection.
std::string VerdictOf(const std::string& reply) {
  if (reply.find(R"("status":"ACCEPTED")") != std::string::npos) return "ACCEPTED";
  const std::string marker = R"("reason":")";
  const size_t begin = reply.find(marker) + marker.size();
  return reply.substr(begin, reply.find('"', begin) - begin);
}

// --- who listens

// What listeners were told of commands, in all lives of all instances.
class Answers {
 public:
  struct Answer {
    Effect effect = Effect::kAccepted;
    std::string request_id;
    std::string reply;
    std::optional<Offset> answered_offset;

    friend bool operator==(const Answer&, const Answer&) = default;
  };

  void Add(const DomainPartition& partition, const CommandResult& result) {
    Answer answer{result.effect, std::string(result.request_id), result.reply,
                  result.answered_offset};
    absl::MutexLock lock(&mutex_);
    const auto [it, is_new] = answers_[partition].emplace(result.offset, answer);
    // A former owner, and the present one: both are right.
    EXPECT_TRUE(is_new || it->second == answer)
        << ToString(partition) << " " << result.offset.value() << ": " << it->second.reply
        << " and " << answer.reply;
  }

  std::map<Offset, Answer> Of(const DomainPartition& partition) const {
    absl::MutexLock lock(&mutex_);
    const auto it = answers_.find(partition);
    return it == answers_.end() ? std::map<Offset, Answer>() : it->second;
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<DomainPartition, std::map<Offset, Answer>> answers_ ABSL_GUARDED_BY(mutex_);
};

// Checks the order of the calls, and that what it is told is committed and in the store.
class CheckingListener : public PartitionListener {
 public:
  CheckingListener(const MemoryCluster* cluster, const SnapshotStore* store, Answers* answers)
      : cluster_(*cluster), store_(*store), answers_(*answers) {}
  ~CheckingListener() override {
    EXPECT_TRUE(serving_.empty()) << ToString(serving_.begin()->first) << " was not stopped";
  }

  void OnAssigned(const DomainPartition& partition) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(serving_.emplace(partition, false).second) << ToString(partition);
  }
  void OnServing(const DomainPartition& partition) override {
    EXPECT_TRUE(cluster_.Committed(partition).has_value());
    absl::MutexLock lock(&mutex_);
    const auto it = serving_.find(partition);
    ASSERT_NE(it, serving_.end()) << ToString(partition);
    EXPECT_FALSE(std::exchange(it->second, true)) << ToString(partition);
  }
  void OnCommitted(const CommittedPart& part) override {
    const Offset committed = cluster_.Committed(part.partition).value_or(Offset{-1});
    const auto checkpoint = store_.GetCheckpoint(part.partition);
    for (const CommandResult& result : part.results) {
      EXPECT_LT(result.offset, committed);
      EXPECT_LT(result.offset.value(), (*checkpoint)->command_offset());
      answers_.Add(part.partition, result);
    }
    absl::MutexLock lock(&mutex_);
    const auto it = serving_.find(part.partition);
    EXPECT_TRUE(it != serving_.end() && it->second) << ToString(part.partition);
  }
  void OnLag(const DomainPartition& partition, int64_t) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(serving_.contains(partition)) << ToString(partition);
  }
  void OnStopped(const DomainPartition& partition) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(serving_.erase(partition), 1u) << ToString(partition);
  }

 private:
  const MemoryCluster& cluster_;
  const SnapshotStore& store_;
  Answers& answers_;
  absl::Mutex mutex_;
  std::map<DomainPartition, bool> serving_ ABSL_GUARDED_BY(mutex_);
};

// --- the campaign

class Campaign {
 public:
  explicit Campaign(uint64_t seed)
      : random_(seed),
        generator_(&random_),
        cluster_({.partitions = {{"security", kTestPartitions}}}) {
    rate_ = 0.01 * static_cast<double>(1 + random_() % 8);
    for (const char* id : {"a", "b"}) Restart(id);
  }

  void Run() {
    constexpr int kSteps = 40;
    for (int step = 0; step < kSteps; ++step) {
      SendSome();
      Disturb();
      RestartFailed();
      AssignOrphans();
      absl::SleepFor(absl::Microseconds(random_() % 3'000));
    }
    Settle();
    if (!testing::Test::HasFailure()) Check();
  }

 private:
  DomainPartition AnyPartition() { return P(static_cast<int32_t>(random_() % kTestPartitions)); }
  std::string AnyInstance() { return random_() % 2 == 0 ? "a" : "b"; }

  void SendSome() {
    std::vector<std::pair<DomainPartition, TestRecord>> commands(random_() % 60);
    for (auto& command : commands) command = generator_.Next();
    cluster_.AppendTogether(commands);
  }

  // One of the things that happen to a group.
  void Disturb() {
    const DomainPartition partition = AnyPartition();
    const std::string owner = cluster_.OwnerOf(partition).value_or("");
    const std::string other = owner == "a" ? "b" : "a";
    switch (random_() % 12) {
      case 0:
      case 1:  // handed over in good order
        if (!owner.empty()) cluster_.Revoke(owner, {partition});
        break;
      case 2:  // gone, and the owner is told
        if (!owner.empty()) cluster_.Lose(owner, {partition});
        break;
      case 3:  // gone, and the owner hears of it later
        if (owner.empty()) break;
        cluster_.Expel(owner, {partition});
        cluster_.Assign(other, {partition});
        if (random_() % 2 == 0) absl::SleepFor(absl::Microseconds(random_() % 5'000));
        cluster_.TellLost(owner, {partition});
        break;
      case 4:  // the process dies, in the middle of whatever it does
        Kill(AnyInstance());
        break;
      case 5:  // a clean restart
        Restart(AnyInstance());
        break;
      default:
        break;
    }
  }

  void Kill(const std::string& id) {
    instances_.at(id)->log().Sever();
    instances_[id].reset();
    listeners_[id].reset();
    if (random_() % 3 == 0) stores_[id] = std::make_unique<HookedStore>();
    Restart(id);
  }

  void Restart(const std::string& id) {
    instances_[id].reset();
    if (stores_[id] == nullptr) stores_[id] = std::make_unique<HookedStore>();
    // A rebuild of the history takes so long that it is often cut short.
    stores_[id]->OnUpdateHistory([](const auto&) { absl::SleepFor(absl::Milliseconds(10)); });
    listeners_[id] = std::make_unique<CheckingListener>(&cluster_, stores_[id].get(), &answers_);
    TestInstanceOptions options;
    options.workers = 1 + static_cast<int>(random_() % 2);
    options.seed = random_();
    options.listener = listeners_[id].get();
    options.history = random_() % 6 != 0;
    instances_[id] = std::make_unique<TestInstance>(&cluster_, id, stores_[id].get(), options);
    FaultLog& log = instances_[id]->log();
    log.SetLose([this, id](const DomainPartition& partition) {
      cluster_.Expel(id, {partition});
      cluster_.TellLostSoon(id, {partition});
    });
    log.SetRates(FaultRates::All(rate_));
  }

  // As whoever supervises the process does.
  void RestartFailed() {
    for (const char* id : {"a", "b"}) {
      if (instances_.at(id)->failure().ok()) continue;
      ++failures_[std::string(instances_.at(id)->failure().message()).substr(0, 60)];
      Restart(id);
    }
  }

  void AssignOrphans() {
    for (int32_t i = 0; i < kTestPartitions; ++i) {
      if (!cluster_.OwnerOf(P(i))) cluster_.Assign(AnyInstance(), {P(i)});
    }
  }

  // No more faults, until everything is processed.
  void Settle() {
    const absl::Time deadline = absl::Now() + kTestDeadline;
    for (const char* id : {"a", "b"}) instances_.at(id)->log().SetRates({});
    // Twice: a partition that was looked at first may be forwarded a command by one that is looked
    // at later.
    while (!Settled() || !Settled()) {
      RestartFailed();
      for (const char* id : {"a", "b"}) instances_.at(id)->log().SetRates({});
      AssignOrphans();
      if (absl::Now() > deadline) return Complain();
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  bool Settled() const {
    for (int32_t i = 0; i < kTestPartitions; ++i) {
      const auto commands = cluster_.Read(P(i), Topic::kCommand);
      const auto committed = cluster_.Committed(P(i));
      const auto owner = cluster_.OwnerOf(P(i));
      if (!owner || !committed) return false;
      if (!commands.empty() && *committed <= commands.back().offset) return false;
      const auto checkpoint = stores_.at(*owner)->GetCheckpoint(P(i));
      if (!checkpoint.ok() || !checkpoint->has_value()) return false;
      if (Offset{(*checkpoint)->command_offset()} != *committed) return false;
      const auto history = StatusOf(instances_.at(*owner)->history(), P(i)).state;
      if (history != HistoryStatus::State::kOff && history != HistoryStatus::State::kComplete)
        return false;
    }
    return true;
  }

  void Complain() const {
    for (int32_t i = 0; i < kTestPartitions; ++i) {
      const std::string owner = cluster_.OwnerOf(P(i)).value_or("nobody");
      ADD_FAILURE() << "not settled: " << ToString(P(i)) << ", owner " << owner << ", committed "
                    << cluster_.Committed(P(i)).value_or(Offset{-1}).value() << " of "
                    << cluster_.End(P(i), Topic::kCommand).value()
                    << ", history: " << StatusOf(instances_.at(owner)->history(), P(i)).remaining
                    << " remain " << StatusOf(instances_.at(owner)->history(), P(i)).message;
    }
  }

  void Check() {
    Model model(&generator_.sent());
    std::multiset<std::string> forwarded;  // "partition number", as they should have arrived
    std::multiset<std::string> seen;       // all commands that are there
    for (int32_t i = 0; i < kTestPartitions; ++i) {
      SCOPED_TRACE(ToString(P(i)));
      const auto commands = cluster_.Read(P(i), Topic::kCommand);
      const Expectation expected = model.Run(i, commands);
      CheckTopics(P(i), expected);
      CheckStates(P(i), expected);
      CheckHistory(P(i));
      CheckAnswers(P(i), commands);
      forwarded.insert(expected.forwarded.begin(), expected.forwarded.end());
      for (const TestRecord& command : commands) {
        seen.insert(absl::StrCat(i, " ", *command.HeaderValue("number")));
      }
    }
    // Each command was sent once; the rest are the forwarded ones, each of them once.
    EXPECT_EQ(seen.size(), generator_.sent().size() + forwarded.size());
    for (const std::string& copy : forwarded) EXPECT_EQ(seen.count(copy), 1u) << copy;
  }

  // Where the two part, with what stands there; empty when they are equal.
  static std::string FirstDifference(const std::vector<std::string>& found,
                                     const std::vector<std::string>& expected) {
    const auto [a, b] = std::mismatch(found.begin(), found.end(), expected.begin(), expected.end());
    if (a == found.end() && b == expected.end()) return "";
    return absl::StrCat("at ", a - found.begin(), " of ", found.size(), ": found ",
                        a == found.end() ? "nothing" : *a, ", expected ",
                        b == expected.end() ? "nothing" : *b, " (", expected.size(), " in all)");
  }

  void CheckTopics(const DomainPartition& partition, const Expectation& expected) const {
    std::vector<std::string> events;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kEvent)) {
      events.push_back(
          absl::StrCat(*record.HeaderValue("ce_id"), " ", *record.key, " ", *record.value));
    }
    EXPECT_EQ(FirstDifference(events, expected.events), "");
    std::vector<std::string> replies;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kReply)) {
      replies.push_back(
          absl::StrCat(*record.HeaderValue("esd-source-position"), " ", VerdictOf(*record.value)));
    }
    EXPECT_EQ(FirstDifference(replies, expected.replies), "");
    std::vector<std::string> dead_letters;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kDeadLetter)) {
      dead_letters.push_back(absl::StrCat(*record.HeaderValue("esd-source-partition"), ":",
                                          *record.HeaderValue("esd-source-offset")));
    }
    EXPECT_EQ(FirstDifference(dead_letters, expected.dead_letters), "");
  }

  void CheckStates(const DomainPartition& partition, const Expectation& expected) const {
    std::map<std::string, esd::v1::StoredSnapshot> changelog;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kSnapshot)) {
      EXPECT_TRUE(changelog[*record.key].ParseFromString(*record.value));
    }
    const auto stored = stores_.at(*cluster_.OwnerOf(partition))->Snapshots(partition);
    for (const auto* snapshots :
         std::initializer_list<const decltype(changelog)*>{&changelog, &stored}) {
      std::map<std::string, std::pair<int64_t, std::string>> states;
      for (const auto& [email, snapshot] : *snapshots) {
        ::security::v1::User user;
        EXPECT_TRUE(user.ParseFromString(snapshot.state()));
        EXPECT_EQ(user.email(), email);
        states[email] = {snapshot.version(), user.name()};
      }
      EXPECT_EQ(states, expected.states) << (snapshots == &stored ? "store" : "changelog");
    }
  }

  // The history has what the event topic says, and nothing else.
  void CheckHistory(const DomainPartition& partition) const {
    const std::string owner = *cluster_.OwnerOf(partition);
    if (instances_.at(owner)->history() == nullptr) return;
    std::map<std::string, std::vector<std::string>> topic;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kEvent)) {
      absl::Time time;
      EXPECT_TRUE(
          absl::ParseTime(absl::RFC3339_full, *record.HeaderValue("ce_time"), &time, nullptr));
      topic[*record.key].push_back(absl::StrCat(*record.HeaderValue("esd-version"), " ",
                                                *record.HeaderValue("ce_id"), " ",
                                                *record.HeaderValue("esd-causation-id"), " ",
                                                absl::ToUnixMillis(time), " ", *record.value));
    }
    for (int i = 0; i < kUsers; ++i) {
      const std::string email = absl::StrCat("user", i, "@example.com");
      std::vector<std::string> history;
      const auto events =
          stores_.at(owner)->ListEvents(partition, email, Version{0}, 1'000'000, size_t{1} << 40);
      EXPECT_TRUE(events.ok());
      for (const auto& [version, event] : *events) {
        history.push_back(absl::StrCat(version.value(), " ", event.id(), " ", event.causation_id(),
                                       " ", event.time_ms(), " ", event.value()));
      }
      EXPECT_EQ(FirstDifference(history, topic[email]), "") << email;
    }
  }

  // Whoever waited was told what is in the topics.
  void CheckAnswers(const DomainPartition& partition, const std::vector<TestRecord>& commands) {
    std::map<Offset, const TestRecord*> sent;
    for (const TestRecord& command : commands) sent[command.offset] = &command;
    const auto position = [&](Offset offset) {
      return absl::StrCat(partition.partition.value(), ":", offset.value());
    };
    std::map<std::string, std::string> replies;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kReply))
      replies[*record.HeaderValue("esd-source-position")] = *record.value;
    std::map<std::string, std::string> events;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kEvent))
      events[*record.HeaderValue("ce_id")] = *record.value;
    std::map<std::string, std::string> dead_letters;
    for (const TestRecord& record : cluster_.Read(partition, Topic::kDeadLetter))
      dead_letters[*record.HeaderValue("esd-source-offset")] =
          *record.HeaderValue("esd-error-message");

    for (const auto& [offset, answer] : answers_.Of(partition)) {
      SCOPED_TRACE(position(offset));
      const bool forwarded = answer.effect == Effect::kForwarded;
      EXPECT_EQ(answer.request_id,
                forwarded ? "" : sent.at(offset)->HeaderValue("esd-request-id").value_or(""));
      if (answer.request_id.empty()) {
        EXPECT_EQ(answer.reply, "");
        continue;
      }
      ++answered_;
      if (answer.effect == Effect::kDeadLetter) {
        EXPECT_EQ(answer.reply, dead_letters.at(absl::StrCat(offset.value())));
        continue;
      }
      const auto reply = ParseReply(answer.reply);
      ASSERT_TRUE(reply.ok()) << reply.status();
      if (const auto written = replies.find(position(offset)); written != replies.end()) {
        EXPECT_EQ(answer.reply, written->second);
      } else {
        EXPECT_EQ(answer.effect, Effect::kAccepted);
        ASSERT_EQ(reply->events.size(), 1u);
        EXPECT_EQ(absl::StrCat(R"({"type":")", reply->events[0].type, R"(","event":)",
                               reply->events[0].json, "}"),
                  events.at(position(offset) + ":0"));
      }
      ASSERT_TRUE(answer.answered_offset.has_value());
      if (answer.effect == Effect::kDuplicate) {
        EXPECT_LT(*answer.answered_offset, offset);
        EXPECT_EQ(answer.reply, replies.at(position(*answer.answered_offset)));
      } else {
        EXPECT_EQ(*answer.answered_offset, offset);
      }
    }
  }

 public:
  int answered() const { return answered_; }

  // What ended workers, and how often: none of it may be anything but what was injected.
  const std::map<std::string, int>& failures() const { return failures_; }

 private:
  std::mt19937_64 random_;
  CommandGenerator generator_;
  double rate_ = 0;
  std::map<std::string, int> failures_;
  MemoryCluster cluster_;
  std::map<std::string, std::unique_ptr<HookedStore>> stores_;
  Answers answers_;
  int answered_ = 0;
  std::map<std::string, std::unique_ptr<CheckingListener>> listeners_;
  std::map<std::string, std::unique_ptr<TestInstance>> instances_;
};

TEST(WorkerCampaign, EveryCommandHasExactlyOneEffectWhateverFails) {
  spdlog::set_level(spdlog::level::off);
  const char* given = std::getenv("ESD_TEST_SEED");
  const bool is_long = std::getenv("ESD_TEST_LONG") != nullptr;
  uint64_t seed = std::random_device()();
  if (given != nullptr) {
    ASSERT_TRUE(absl::SimpleAtoi(given, &seed)) << "ESD_TEST_SEED isn't a number: " << given;
  }

  std::map<std::string, int> failures;
  int runs = 0;
  int answered = 0;
  const absl::Time end = absl::Now() + (is_long ? absl::Minutes(10) : absl::Seconds(15));
  do {
    SCOPED_TRACE(absl::StrCat("ESD_TEST_SEED=", seed));
    Campaign campaign(seed);
    campaign.Run();
    for (const auto& [failure, count] : campaign.failures()) failures[failure] += count;
    answered += campaign.answered();
    ++runs;
    ++seed;
  } while (given == nullptr && absl::Now() < end && !HasFailure());
  std::printf("%d seeds up to %llu, %d waiters answered\n", runs,
              static_cast<unsigned long long>(seed - 1), answered);
  for (const auto& [failure, count] : failures) {
    std::printf("%5d workers ended: %s\n", count, failure.c_str());
  }
}

}  // namespace
}  // namespace esd
