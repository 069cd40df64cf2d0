// A record as tests put it in and read it back: owns what it holds.
#ifndef ESD_TESTS_LOG_TEST_RECORD_H_
#define ESD_TESTS_LOG_TEST_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/log/log.h"

namespace esd {

struct TestRecord {
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;  // nothing: a null value
  // As it was read.
  Offset offset{};
  int64_t timestamp_ms = 0;

  // Of the first header with that name.
  std::optional<std::string> HeaderValue(std::string_view name) const {
    for (const auto& [candidate, text] : headers) {
      if (candidate == name) return text;
    }
    return std::nullopt;
  }

  static TestRecord Of(const InputRecord& record) {
    TestRecord copy;
    if (record.key) copy.key.emplace(*record.key);
    if (record.value) copy.value.emplace(*record.value);
    for (const Header& header : record.headers) {
      auto& [name, value] = copy.headers.emplace_back(header.name, std::nullopt);
      if (header.value) value.emplace(*header.value);
    }
    copy.offset = record.offset;
    copy.timestamp_ms = record.timestamp_ms;
    return copy;
  }
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_TEST_RECORD_H_
