// Sets up spdlog for the process. Elsewhere logging is plain spdlog:
//
//   SetUpLogging("info");
//   spdlog::info("partition {} is restored", ToString(partition));
//
// Messages go to stderr, which is never used for data. On a terminal they are lines for people;
// otherwise each is one JSON object on a line of its own:
//
//   {"time":"2024-05-01T12:00:00.123Z","level":"info","message":"…","thread":4711}
//
// `time` is UTC; `thread` is the kernel's thread id. No key of an aggregate goes into a message at
// a level above debug: it may be personal data.
#ifndef ESD_ENGINE_BASE_LOGGING_H_
#define ESD_ENGINE_BASE_LOGGING_H_

#include <absl/status/status.h>
#include <spdlog/formatter.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string_view>

namespace esd {

enum class LogFormat {
  kAuto,  // kText when stderr is a terminal, else kJson
  kText,
  kJson,
};

// The names of the levels, from the most to the least talkative.
inline constexpr std::string_view kLogLevels[] = {"trace", "debug", "info", "warning", "error"};

// INVALID_ARGUMENT unless `level` is one of kLogLevels.
absl::Status CheckLogLevel(std::string_view level);

// Replaces spdlog's default logger, so it is for the main thread before others log. May be called
// again. INVALID_ARGUMENT unless `level` is one of kLogLevels.
absl::Status SetUpLogging(std::string_view level, LogFormat format = LogFormat::kAuto);

// The formatter of kJson, for other sinks than stderr.
std::unique_ptr<spdlog::formatter> MakeJsonLogFormatter();

}  // namespace esd

#endif  // ESD_ENGINE_BASE_LOGGING_H_
