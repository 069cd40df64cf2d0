// Which topics a domain and a group have, how each is configured, and what must be true of them.
// Nothing here talks to a broker; kafka_admin.h does.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_ADMIN_TOPICS_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_ADMIN_TOPICS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace esd::kafka {

// A topic to be made.
struct TopicSpec {
  std::string name;
  int32_t partitions = 1;
  int32_t replication_factor = 1;
  std::map<std::string, std::string> configs;  // as of `kafka-configs --entity-type topics`
};

// A topic as it is.
struct TopicInfo {
  bool exists = false;
  int32_t partitions = 0;                    // 0 when it doesn't exist
  std::optional<int64_t> max_message_bytes;  // nothing when the broker doesn't tell us
};
using TopicInfos = std::map<std::string, TopicInfo>;

// Bounds on what is written to the topics, in bytes of a batch of records. A command is at most 1
// MiB; the command's topic leaves room for its headers, the dead letter's for ours on top of them,
// so that any command can become a dead letter.
inline constexpr int64_t kCommandTopicMaxMessageBytes = (int64_t{1} << 20) + (int64_t{64} << 10);
inline constexpr int64_t kDeadLetterTopicMaxMessageBytes =
    (int64_t{1} << 20) + (int64_t{128} << 10);
inline constexpr int64_t kOtherTopicMaxMessageBytes = int64_t{8} << 20;
// What a dead-letter topic must at least take beyond its command topic.
inline constexpr int64_t kDeadLetterHeaderBytes = int64_t{16} << 10;

// The domains and the group that a question is about.
struct TopicScope {
  std::vector<std::string> domains;
  std::string prefix;
  std::string group = "esd";
};

// The five topics of a domain.
std::vector<TopicSpec> DomainTopicSpecs(std::string_view domain, std::string_view prefix,
                                        int32_t partitions, int32_t replication_factor);

// The topic in which the instances of a group note who owns which partition.
TopicSpec OwnershipTopicSpec(std::string_view group, std::string_view prefix,
                             int32_t replication_factor);

// All of them: every domain's, then the group's.
std::vector<TopicSpec> AllTopicSpecs(const TopicScope& scope, int32_t partitions,
                                     int32_t replication_factor);
std::vector<std::string> AllTopicNames(const TopicScope& scope);

// Whether an engine can run on topics like these; `infos` has an entry for each of AllTopicNames().
// Returns each domain's number of partitions. FAILED_PRECONDITION, with names, counts and the fix,
// when a topic is missing, when a domain's topics differ in their numbers of partitions (the
// dead-letter topic may), or when a dead-letter topic takes less than the command topic's largest
// message and kDeadLetterHeaderBytes.
absl::StatusOr<std::map<std::string, int32_t>> CheckTopicInfos(const TopicScope& scope,
                                                               const TopicInfos& infos);

// Which of `specs` have to be made, given what is there. FAILED_PRECONDITION, with names and
// counts, when a topic is there with another number of partitions: it can't be changed, because it
// decides where an aggregate lives. `exempt` are topics whose number doesn't matter.
absl::StatusOr<std::vector<TopicSpec>> MissingTopics(const std::vector<TopicSpec>& specs,
                                                     const TopicInfos& infos,
                                                     const std::vector<std::string>& exempt);

// Topics whose number of partitions doesn't matter once they are there: no aggregate lives in them.
std::vector<std::string> TopicsOfAnyPartitionCount(const TopicScope& scope);

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_ADMIN_TOPICS_H_
