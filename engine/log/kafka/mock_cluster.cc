#include "engine/log/kafka/mock_cluster.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <cstdio>
#include <cstdlib>

#include "engine/log/topic_names.h"

namespace esd::kafka {
namespace {

constexpr int kBroker = 1;

[[noreturn]] void Die(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

Client MakeOwner() {
  auto conf = MakeConf({}, {}, {});
  if (!conf.ok()) Die(conf.status());
  auto owner = MakeProducer(*std::move(conf));
  if (!owner.ok()) Die(owner.status());
  return *std::move(owner);
}

std::map<std::string, DomainTopics> Topics() {
  DomainTopics alpha{1, {}};
  for (const Topic topic : kAllTopics) {
    alpha.topics[topic] = {TopicName("", "alpha", topic), 1, MockCluster::kMaxMessageBytes,
                           MockCluster::kMaxMessageBytes - 512};
  }
  return {{"alpha", alpha}};
}

}  // namespace

void MockCluster::Destroy::operator()(rd_kafka_mock_cluster_s* cluster) const {
  rd_kafka_mock_cluster_destroy(cluster);
}

MockCluster::MockCluster()
    : owner_(MakeOwner()),
      cluster_(rd_kafka_mock_cluster_new(owner_.get(), kBroker)),
      topics_(Topics(), OwnershipTopicName("", "esd")) {
  for (const auto& [topic, facts] : topics_.of("alpha").topics) {
    if (const auto error = rd_kafka_mock_topic_create(cluster_.get(), facts.name.c_str(), 1, 1))
      Die(ToStatus(error, "make a topic"));
  }
}

Conf MockCluster::MakeClientConf(const Properties& properties) const {
  auto conf = MakeConf({}, properties,
                       {{"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster_.get())}});
  if (!conf.ok()) Die(conf.status());
  return *std::move(conf);
}

void MockCluster::FailNext(int request, const std::vector<int>& errors) {
  std::vector<rd_kafka_resp_err_t> codes;
  for (const int error : errors) codes.push_back(static_cast<rd_kafka_resp_err_t>(error));
  rd_kafka_mock_push_request_errors_array(cluster_.get(), static_cast<int16_t>(request),
                                          codes.size(), codes.data());
}

void MockCluster::DelayNext(int request, absl::Duration delay) {
  rd_kafka_mock_broker_push_request_error_rtts(cluster_.get(), kBroker,
                                               static_cast<int16_t>(request), 1,
                                               RD_KAFKA_RESP_ERR_NO_ERROR, Milliseconds(delay));
}

bool MockCluster::Delayed(int request) const {
  size_t waiting = 1;
  rd_kafka_mock_broker_error_stack_cnt(cluster_.get(), kBroker, static_cast<int16_t>(request),
                                       &waiting);
  return waiting == 0;
}

void MockCluster::SetDown() { rd_kafka_mock_broker_set_down(cluster_.get(), kBroker); }
void MockCluster::SetUp() { rd_kafka_mock_broker_set_up(cluster_.get(), kBroker); }

}  // namespace esd::kafka
