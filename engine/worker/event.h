// Headers of an event's record: CloudEvents 1.0, Kafka protocol binding, binary content mode, and a
// few of our own. The names are part of the topics' contract.
#ifndef ESD_ENGINE_WORKER_EVENT_H_
#define ESD_ENGINE_WORKER_EVENT_H_

#include <string_view>

namespace esd {

inline constexpr std::string_view kEventIdHeader = "ce_id";  // `<partition>:<offset>:<index>`
inline constexpr std::string_view kEventTypeHeader = "ce_type";
inline constexpr std::string_view kEventTimeHeader = "ce_time";  // RFC 3339
inline constexpr std::string_view kEventVersionHeader = "esd-version";
// The id of the command that caused it, or `<partition>:<offset>` of one without.
inline constexpr std::string_view kCausationIdHeader = "esd-causation-id";

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_EVENT_H_
