// The topics of the domains that a log was opened for: their names, partition counts and limits as
// found at start.
#ifndef ESD_ENGINE_LOG_KAFKA_TOPIC_TABLE_H_
#define ESD_ENGINE_LOG_KAFKA_TOPIC_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "engine/log/log.h"

namespace esd::kafka {

struct TopicFacts {
  std::string name;
  int32_t partitions = 0;        // the dead-letter topic may have another number than the others
  size_t max_message_bytes = 0;  // the topic's limit, which is on a batch of records
  size_t max_record_bytes = 0;
};

struct DomainTopics {
  int32_t partitions = 0;
  std::map<Topic, TopicFacts> topics;
};

// Immutable.
class TopicTable {
 public:
  TopicTable(std::map<std::string, DomainTopics> domains, std::string ownership_topic)
      : domains_(std::move(domains)), ownership_topic_(std::move(ownership_topic)) {
    for (const auto& [domain, facts] : domains_)
      domain_of_.emplace(facts.topics.at(Topic::kCommand).name, domain);
  }

  const std::map<std::string, DomainTopics>& domains() const { return domains_; }
  const DomainTopics& of(const std::string& domain) const { return domains_.at(domain); }
  const std::string& NameOf(const std::string& domain, Topic topic) const {
    return of(domain).topics.at(topic).name;
  }
  const std::string& ownership_topic() const { return ownership_topic_; }

  // The domain that a command topic belongs to.
  const std::string& DomainOf(const std::string& command_topic) const {
    return domain_of_.at(command_topic);
  }

 private:
  const std::map<std::string, DomainTopics> domains_;
  const std::string ownership_topic_;
  std::map<std::string, std::string> domain_of_;
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_TOPIC_TABLE_H_
