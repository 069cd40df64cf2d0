// The largest records that the embedded log's topics take: those of the topics that esd makes on
// Kafka, so that a domain that runs on one log runs on the other.
#ifndef ESD_ENGINE_LOG_EMBEDDED_RECORD_LIMITS_H_
#define ESD_ENGINE_LOG_EMBEDDED_RECORD_LIMITS_H_

#include <cstddef>

#include "engine/log/log.h"

namespace esd::embedded {

constexpr size_t MaxRecordBytes(Topic topic) {
  switch (topic) {
    case Topic::kCommand:
      return (size_t{1} << 20) + (size_t{64} << 10);
    case Topic::kDeadLetter:
      return (size_t{1} << 20) + (size_t{128} << 10);
    case Topic::kEvent:
    case Topic::kSnapshot:
    case Topic::kReply:
      break;
  }
  return size_t{8} << 20;
}

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_RECORD_LIMITS_H_
