// Looks at topics and makes them.
//
//   auto admin = KafkaAdmin::Open("localhost:9092", properties);
//   auto partitions = CheckTopics(**admin, {.domains = {"security"}});
//
// Errors are one sentence that names the fix. Codes: kUnavailable when no broker answers in time,
// kUnauthenticated when it refuses who we are, kPermissionDenied when it refuses what we ask,
// kInvalidArgument for what it will never accept.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_ADMIN_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_ADMIN_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/log/kafka/kafka_admin_topics.h"
#include "engine/log/kafka/kafka_properties.h"

namespace esd::kafka {

// A connection to a cluster. Every function returns within the timeout, plus a second at most. For
// one thread at a time.
class KafkaAdmin {
 public:
  static constexpr absl::Duration kDefaultTimeout = absl::Seconds(30);

  // Doesn't talk to a broker yet. kInvalidArgument for properties that CheckKafkaProperties()
  // refuses.
  static absl::StatusOr<std::unique_ptr<KafkaAdmin>> Open(const std::string& bootstrap_servers,
                                                          const KafkaProperties& properties,
                                                          absl::Duration timeout = kDefaultTimeout);

  ~KafkaAdmin();

  KafkaAdmin(const KafkaAdmin&) = delete;
  KafkaAdmin& operator=(const KafkaAdmin&) = delete;

  // The cluster's id: another cluster at the same address has another one.
  absl::StatusOr<std::string> ClusterId();

  // An entry for each name. A topic that this client may not see looks as if it didn't exist.
  absl::StatusOr<TopicInfos> DescribeTopics(const std::vector<std::string>& names);

  // Makes the topics and waits until every partition has a leader. Returns the names of those that
  // it made; the others were there already, possibly with other partitions and configurations.
  // After an error some may have been made.
  absl::StatusOr<std::vector<std::string>> CreateTopics(const std::vector<TopicSpec>& specs);

 private:
  struct Impl;
  explicit KafkaAdmin(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

// CheckTopicInfos() on the topics as they are.
absl::StatusOr<std::map<std::string, int32_t>> CheckTopics(KafkaAdmin& admin,
                                                           const TopicScope& scope);

// A topic that EnsureTopics() made or found.
struct EnsuredTopic {
  std::string name;
  int32_t partitions = 0;
  bool created = false;
};

// Makes the topics of the scope that are missing; none when one is there with another number of
// partitions (kFailedPrecondition). Safe to be called by several instances at once.
absl::StatusOr<std::vector<EnsuredTopic>> EnsureTopics(KafkaAdmin& admin, const TopicScope& scope,
                                                       int32_t partitions,
                                                       int32_t replication_factor);

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_ADMIN_H_
