// How topics are named, in every log; nowhere else is a topic's name put together.
#ifndef ESD_ENGINE_LOG_TOPIC_NAMES_H_
#define ESD_ENGINE_LOG_TOPIC_NAMES_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/log/log.h"

namespace esd {

// Kafka's bound on a topic's name. Legal characters: ASCII letters and digits, '.', '_' and '-'.
inline constexpr size_t kMaxTopicNameBytes = 249;

// `command`, `event`, …: what stands behind the domain in a topic's name.
constexpr std::string_view TopicSuffix(Topic topic) {
  switch (topic) {
    case Topic::kCommand:
      return "command";
    case Topic::kEvent:
      return "event";
    case Topic::kSnapshot:
      return "snapshot";
    case Topic::kReply:
      return "reply";
    case Topic::kDeadLetter:
      return "dead-letter";
  }
  return "";
}

// `<prefix>security-command`
inline std::string TopicName(std::string_view prefix, std::string_view domain, Topic topic) {
  std::string name(prefix);
  name.append(domain).append("-").append(TopicSuffix(topic));
  return name;
}

// `<prefix>esd-ownership`: one topic per group, `esd` being the default group.
inline std::string OwnershipTopicName(std::string_view prefix, std::string_view group) {
  std::string name(prefix);
  name.append(group).append("-ownership");
  return name;
}

}  // namespace esd

#endif  // ESD_ENGINE_LOG_TOPIC_NAMES_H_
