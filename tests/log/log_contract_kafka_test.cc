// The log's contract on Kafka. Needs a broker, whose address is in ESD_TEST_BOOTSTRAP:
//
//   ESD_TEST_BOOTSTRAP=$(scripts/kafka start) build/debug/bin/log_contract_test
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <arpa/inet.h>
#include <librdkafka/rdkafka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "engine/log/kafka/kafka_admin.h"
#include "engine/log/kafka/kafka_log.h"
#include "engine/log/topic_names.h"
#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"
#include "tests/log/network_cut.h"

namespace esd {
namespace {

constexpr int kTimeoutMs = 20'000;

// Instances notice each other soon.
const kafka::KafkaProperties kProperties = {{"heartbeat.interval.ms", "200"}};

std::string Bootstrap() {
  const char* bootstrap = std::getenv("ESD_TEST_BOOTSTRAP");
  if (bootstrap == nullptr) {
    std::fprintf(stderr, "set ESD_TEST_BOOTSTRAP to the host:port of a broker\n");
    std::abort();
  }
  return bootstrap;
}

struct Destroy {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
using Producer = std::unique_ptr<rd_kafka_t, Destroy>;

Producer MakeProducer(const std::map<std::string, std::string>& properties) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512] = "";
  for (const auto& [name, value] : properties) {
    EXPECT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof(error)),
              RD_KAFKA_CONF_OK)
        << error;
  }
  rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    if (message->_private != nullptr)
      *static_cast<rd_kafka_resp_err_t*>(message->_private) = message->err;
  });
  Producer producer(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error)));
  EXPECT_NE(producer, nullptr) << error;
  return producer;
}

testing::AssertionResult Ok(rd_kafka_error_t* error) {
  if (error == nullptr) return testing::AssertionSuccess();
  auto result = testing::AssertionFailure() << rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  return result;
}

void Produce(rd_kafka_t* producer, const std::string& topic, PartitionId partition,
             const TestRecord& record, rd_kafka_resp_err_t* delivered) {
  rd_kafka_headers_t* headers = rd_kafka_headers_new(record.headers.size());
  for (const auto& [name, text] : record.headers) {
    rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()),
                        text ? text->data() : nullptr,
                        static_cast<ssize_t>(text ? text->size() : 0));
  }
  const void* key = record.key ? record.key->data() : nullptr;
  const size_t key_size = record.key ? record.key->size() : 0;
  const void* value = record.value ? record.value->data() : nullptr;
  const size_t value_size = record.value ? record.value->size() : 0;
  const auto error = rd_kafka_producev(
      producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition.value()),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_size),
      RD_KAFKA_V_VALUE(const_cast<void*>(value), value_size), RD_KAFKA_V_HEADERS(headers),
      RD_KAFKA_V_OPAQUE(delivered), RD_KAFKA_V_END);
  EXPECT_EQ(error, RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_err2str(error);
}

// Appends as Kafka's protocol does: big-endian, strings with their length.
void AppendInt(int64_t value, int bytes, std::string* out) {
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(value >> (8 * i)));
}
void AppendString(const std::string& text, std::string* out) {
  AppendInt(static_cast<int64_t>(text.size()), 2, out);
  out->append(text);
}

// Sends a LeaveGroup request, version 1, for any member, and returns the error code; see
// https://kafka.apache.org/protocol#The_Messages_LeaveGroup.
int LeaveGroup(const std::string& address, const std::string& group, const std::string& member) {
  std::string body;
  AppendInt(13, 2, &body);  // api key
  AppendInt(1, 2, &body);   // version
  AppendInt(7, 4, &body);   // correlation id
  AppendString("contract-test", &body);
  AppendString(group, &body);
  AppendString(member, &body);
  std::string request;
  AppendInt(static_cast<int64_t>(body.size()), 4, &request);
  request += body;

  const size_t colon = address.rfind(':');
  sockaddr_in broker{};
  broker.sin_family = AF_INET;
  broker.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &broker.sin_addr);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  int error = -1;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&broker), sizeof(broker)) == 0 &&
      write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
    // Length, correlation id, throttle time, error code.
    unsigned char response[14];
    if (recv(fd, response, sizeof(response), MSG_WAITALL) == sizeof(response)) {
      error = response[12] << 8 | response[13];
    }
  }
  close(fd);
  return error;
}

class KafkaTransaction : public OpenTransaction {
 public:
  explicit KafkaTransaction(Producer producer) : producer_(std::move(producer)) {}

  bool Commit() override {
    return static_cast<bool>(Ok(rd_kafka_commit_transaction(producer_.get(), kTimeoutMs)));
  }
  void Abort() override {
    EXPECT_TRUE(Ok(rd_kafka_abort_transaction(producer_.get(), kTimeoutMs)));
  }

 private:
  const Producer producer_;
};

// Topics of its own for each test, made in one go.
class KafkaHarness : public SharedLogContractHarness {
 public:
  KafkaHarness() : bootstrap_(Bootstrap()) {
    static int tests = 0;
    prefix_ = absl::StrCat("contract-", getpid(), "-", absl::ToUnixMillis(absl::Now()), "-",
                           tests++, ".");
    auto admin = kafka::KafkaAdmin::Open(bootstrap_, {});
    EXPECT_TRUE(admin.ok()) << admin.status();
    group_ = absl::StrCat("group-", getpid(), "-", tests);
    const auto made = kafka::EnsureTopics(**admin, {{"alpha", "beta"}, prefix_, group_}, 2, 1);
    EXPECT_TRUE(made.ok()) << made.status();
    producer_ = MakeProducer(
        {{"bootstrap.servers", bootstrap_}, {"linger.ms", "0"}, {"message.max.bytes", "10000000"}});
  }

  std::unique_ptr<Log> OpenInstance(const std::string& instance) override {
    kafka::KafkaLogOptions options;
    options.bootstrap_servers = bootstrap_;
    options.properties = kProperties;
    options.group = group_;
    options.topic_prefix = prefix_;
    options.domains = {"alpha", "beta"};
    options.instance_id = instance;
    options.address = AddressOf(instance);
    // A broker may not know yet that it leads the partitions of topics just made.
    const absl::Time deadline = absl::Now() + kContractDeadline;
    auto log = kafka::OpenKafkaLog(options);
    while (absl::IsUnavailable(log.status()) && absl::Now() < deadline) {
      log = kafka::OpenKafkaLog(options);
    }
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  void Append(const DomainPartition& partition, const std::vector<TestRecord>& records) override {
    FetchMetadata(NameOf(partition, Topic::kCommand));
    std::vector<rd_kafka_resp_err_t> delivered(records.size(), RD_KAFKA_RESP_ERR__TIMED_OUT);
    for (size_t i = 0; i < records.size(); ++i) {
      Produce(producer_.get(), NameOf(partition, Topic::kCommand), partition.partition, records[i],
              &delivered[i]);
    }
    rd_kafka_flush(producer_.get(), kTimeoutMs);
    for (const auto error : delivered) EXPECT_EQ(error, RD_KAFKA_RESP_ERR_NO_ERROR);
  }

  void Truncate(const DomainPartition& partition, Topic topic, Offset begin) override {
    rd_kafka_topic_partition_list_t* before = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(before, NameOf(partition, topic).c_str(),
                                      partition.partition.value())
        ->offset = begin.value();
    rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(before);
    rd_kafka_queue_t* queue = rd_kafka_queue_new(producer_.get());
    rd_kafka_DeleteRecords(producer_.get(), &request, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, kTimeoutMs);
    EXPECT_TRUE(event != nullptr && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
    if (event != nullptr) rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(before);
  }

  // As an administrator does it; librdkafka has no call for it.
  void Expel(const std::string& instance) override {
    const std::vector<std::string> ids = MembersOf(ClientIdOf(instance));
    ASSERT_EQ(ids.size(), 1u);
    EXPECT_EQ(LeaveGroup(bootstrap_, group_, ids[0]), 0);
  }

  // KafkaLog's own default, the shortest that brokers allow.
  absl::Duration SessionTimeout() const override { return absl::Seconds(6); }

  void CutOff(const std::string& instance) override { CutOffClients(ClientIdOf(instance)); }
  void Reconnect(const std::string& instance) override { ReconnectClients(ClientIdOf(instance)); }

  std::unique_ptr<OpenTransaction> BeginAs(const std::string& instance,
                                           const DomainPartition& partition) override {
    // The transactional id as KafkaLog makes it.
    Producer dead =
        MakeProducer({{"bootstrap.servers", bootstrap_},
                      {"transactional.id", absl::StrCat(prefix_, group_, "-", instance, "-0")},
                      {"transaction.timeout.ms", "60000"}});
    EXPECT_TRUE(Ok(rd_kafka_init_transactions(dead.get(), kTimeoutMs)));
    EXPECT_TRUE(Ok(rd_kafka_begin_transaction(dead.get())));
    std::vector<rd_kafka_resp_err_t> delivered(2, RD_KAFKA_RESP_ERR__TIMED_OUT);
    size_t i = 0;
    for (const Topic topic : {Topic::kEvent, Topic::kSnapshot}) {
      Produce(dead.get(), NameOf(partition, topic), partition.partition,
              {"key", "left open", {}, {}, 0}, &delivered[i++]);
    }
    rd_kafka_flush(dead.get(), kTimeoutMs);
    for (const auto error : delivered) EXPECT_EQ(error, RD_KAFKA_RESP_ERR_NO_ERROR);
    return std::make_unique<KafkaTransaction>(std::move(dead));
  }

 private:
  // As KafkaLog makes it.
  static std::string ClientIdOf(const std::string& instance) { return "esd-" + instance; }

  std::string NameOf(const DomainPartition& partition, Topic topic) const {
    return esd::TopicName(prefix_, partition.domain, topic);
  }

  // Otherwise the first record for a topic waits for up to a second.
  void FetchMetadata(const std::string& name) {
    if (!known_.insert(name).second) return;
    rd_kafka_topic_t* topic = rd_kafka_topic_new(producer_.get(), name.c_str(), nullptr);
    const rd_kafka_metadata_t* metadata = nullptr;
    if (rd_kafka_metadata(producer_.get(), 0, topic, &metadata, kTimeoutMs) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
  }

  // Ids of the group's members with that client id.
  std::vector<std::string> MembersOf(const std::string& client_id) {
    const rd_kafka_group_list* groups = nullptr;
    EXPECT_EQ(rd_kafka_list_groups(producer_.get(), group_.c_str(), &groups, kTimeoutMs),
              RD_KAFKA_RESP_ERR_NO_ERROR);
    std::vector<std::string> ids;
    for (int i = 0; groups != nullptr && i < groups->group_cnt; ++i) {
      const rd_kafka_group_info& group = groups->groups[i];
      for (int j = 0; j < group.member_cnt; ++j) {
        if (group.members[j].client_id == client_id) ids.emplace_back(group.members[j].member_id);
      }
    }
    if (groups != nullptr) rd_kafka_group_list_destroy(groups);
    return ids;
  }

  const std::string bootstrap_;
  std::string prefix_;
  std::string group_;
  Producer producer_;
  std::set<std::string> known_;  // topics whose metadata the producer has
};

std::unique_ptr<SharedLogContractHarness> MakeKafkaHarness() {
  return std::make_unique<KafkaHarness>();
}

INSTANTIATE_TEST_SUITE_P(Kafka, LogContract, testing::Values(&MakeKafkaHarness));
INSTANTIATE_TEST_SUITE_P(Kafka, SharedLogContract, testing::Values(&MakeKafkaHarness));

// --- a broker that can't be reached

// What was answered is what is in the topic, whenever the commands get through or not.
TEST(KafkaLog, CommandsThatDoNotGetThroughAreAnsweredInTimeAndAsItIs) {
  KafkaHarness harness;
  const auto a = harness.OpenInstance("a");
  Appending appending(*a);
  appending.Append(kAlpha0, "0");
  appending.Await();
  harness.CutOff("a");
  const absl::Time begin = absl::Now();
  for (int i = 1; i < 50; ++i) appending.Append(kAlpha0, absl::StrCat(i));
  auto answers = appending.Await();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(12));
  harness.Reconnect("a");
  EXPECT_TRUE(Eventually([&] {
    appending.Append(kAlpha0, absl::StrCat(answers.size()));
    answers = appending.Await();
    return answers.back().ok();
  }));

  const auto b = harness.OpenInstance("b");
  Reading reading(*b, Topic::kCommand);
  reading.Start(kAlpha0, 0);
  reading.AwaitNext(kAlpha0, BoundsOk(*b, kAlpha0, Topic::kCommand).end);
  std::map<size_t, int> written;
  for (const std::string& value : reading.values(kAlpha0)) ++written[std::stoul(value)];
  for (size_t i = 0; i < answers.size(); ++i) {
    const absl::Status status = answers[i].status();
    if (status.ok()) {
      EXPECT_EQ(written[i], 1) << i;
    } else if (absl::IsUnknown(status)) {
      EXPECT_LE(written[i], 1) << i;
    } else {
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      EXPECT_EQ(written[i], 0) << i;
    }
  }
}

TEST(KafkaLog, AnAppenderThatGoesWhileNothingGetsThroughAnswersInTime) {
  KafkaHarness harness;
  const auto a = harness.OpenInstance("a");
  Appending appending(*a);
  harness.CutOff("a");
  for (int i = 0; i < 50; ++i) appending.Append(kAlpha0, absl::StrCat(i));
  const absl::Time begin = absl::Now();
  for (const auto& answer : appending.Close()) {
    EXPECT_TRUE(absl::IsUnavailable(answer.status()) || absl::IsUnknown(answer.status()))
        << answer.status();
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(12));
  harness.Reconnect("a");
}

TEST(KafkaLog, WhoReadsAndFollowsTheOwnersGoesOnByItselfWhenTheBrokerIsBack) {
  KafkaHarness harness;
  RecordingListener::Timeline timeline;
  ContractInstance b(harness.OpenInstance("b"), "b", &timeline);
  b.Join();
  b.listener.AwaitOwned(kAllPartitionCount);
  CommitEvents(*b.worker, kAlpha0, {"1"});
  const auto a = harness.OpenInstance("a");
  Reading reading(*a, Topic::kEvent);
  reading.Start(kAlpha0, 0);
  reading.AwaitRecords(kAlpha0, 1);

  harness.CutOff("a");
  TransactionPart claim = Part(kAlpha0, 2, {Topic::kEvent}, "2");
  claim.ownership = OwnershipMark::kClaim;
  ASSERT_TRUE(Committed(CommitAtLast(*b.worker, {{claim}})));
  const absl::Time begin = absl::Now();
  EXPECT_EQ(reading.Poll({}, absl::Seconds(1)), 0u);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  const absl::Status bounds = a->Bounds(kAlpha0, Topic::kEvent).status();
  EXPECT_TRUE(absl::IsUnavailable(bounds)) << bounds;
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
  EXPECT_EQ(a->membership().OwnerOf(kAlpha0), std::nullopt);

  harness.Reconnect("a");
  reading.AwaitRecords(kAlpha0, 2);
  EXPECT_EQ(reading.values(kAlpha0)[1], "2");
  EXPECT_TRUE(Eventually([&] { return a->membership().OwnerOf(kAlpha0).has_value(); }));
}

}  // namespace
}  // namespace esd
