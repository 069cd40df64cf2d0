// librdkafka's own mock of a broker, for tests of how its errors are dealt with. It proves nothing
// about transactions or isolation, which it doesn't have: those are tested on real brokers.
#ifndef ESD_ENGINE_LOG_KAFKA_MOCK_CLUSTER_H_
#define ESD_ENGINE_LOG_KAFKA_MOCK_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/log/kafka/kafka_client.h"
#include "engine/log/kafka/topic_table.h"

struct rd_kafka_mock_cluster_s;

namespace esd::kafka {

// Keys of requests; see https://kafka.apache.org/protocol#protocol_api_keys.
inline constexpr int kProduceRequest = 0;
inline constexpr int kHeartbeatRequest = 12;
inline constexpr int kSyncGroupRequest = 14;

// One broker with the topics of the domain `alpha`, one partition each.
class MockCluster {
 public:
  MockCluster();

  // A client's configuration.
  Conf MakeClientConf(const Properties& properties) const;

  const TopicTable& topics() const { return topics_; }

  // The next requests of the kind are answered with these errors (rd_kafka_resp_err_t).
  void FailNext(int request, const std::vector<int>& errors);
  // The next request of the kind is answered so much later.
  void DelayNext(int request, absl::Duration delay);
  // Whether that request has come.
  bool Delayed(int request) const;
  void SetDown();
  void SetUp();

  // The largest batch of records that the command topic takes.
  static constexpr size_t kMaxMessageBytes = 100'000;

 private:
  const Client owner_;
  struct Destroy {
    void operator()(rd_kafka_mock_cluster_s* cluster) const;
  };
  const std::unique_ptr<rd_kafka_mock_cluster_s, Destroy> cluster_;
  const TopicTable topics_;
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_MOCK_CLUSTER_H_
