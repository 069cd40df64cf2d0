// Opens the log that an engine's options ask for.
#ifndef ESD_ENGINE_SERVER_OPEN_LOG_H_
#define ESD_ENGINE_SERVER_OPEN_LOG_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/log/log.h"
#include "engine/server/engine.h"

namespace esd {

struct OpenedLog {
  std::unique_ptr<Log> log;
  std::string instance_id;  // of this instance, in its group
};

// `address`: where other instances reach this one's API. With Kafka, topics that are missing are
// made first if the options say so.
absl::StatusOr<OpenedLog> OpenLog(const EngineOptions& options,
                                  const std::vector<std::string>& domains,
                                  const std::string& address);

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_OPEN_LOG_H_
