#include "engine/base/logging.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/time/time.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "engine/base/json_string.h"

namespace esd {
namespace {

constexpr char kTextPattern[] = "%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v";

class JsonLogFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const auto level = spdlog::level::to_string_view(message.level);
    std::string json = absl::StrCat(
        "{\"time\":\"",
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(message.time),
                         absl::UTCTimeZone()),
        "\",\"level\":\"", absl::string_view(level.data(), level.size()), "\",\"message\":");
    AppendJsonString({message.payload.data(), message.payload.size()}, &json);
    absl::StrAppend(&json, ",\"thread\":", message.thread_id, "}\n");
    line.append(json.data(), json.data() + json.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return MakeJsonLogFormatter(); }
};

}  // namespace

std::unique_ptr<spdlog::formatter> MakeJsonLogFormatter() {
  return std::make_unique<JsonLogFormatter>();
}

absl::Status CheckLogLevel(std::string_view level) {
  if (std::find(std::begin(kLogLevels), std::end(kLogLevels), level) != std::end(kLogLevels)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "no log level is called '", std::string(level), "': choose one of ",
      absl::StrJoin(kLogLevels, ", ",
                    [](std::string* out, std::string_view name) { out->append(name); })));
}

absl::Status SetUpLogging(std::string_view level, LogFormat format) {
  if (absl::Status status = CheckLogLevel(level); !status.ok()) return status;
  if (format == LogFormat::kAuto)
    format = isatty(STDERR_FILENO) ? LogFormat::kText : LogFormat::kJson;
  std::shared_ptr<spdlog::logger> logger;
  if (format == LogFormat::kText) {
    logger = std::make_shared<spdlog::logger>(
        "", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    logger->set_pattern(kTextPattern);
  } else {
    logger =
        std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_formatter(MakeJsonLogFormatter());
  }
  logger->set_level(spdlog::level::from_str(std::string(level)));
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

}  // namespace esd
