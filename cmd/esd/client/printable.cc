#include "cmd/esd/client/printable.h"

#include <absl/strings/str_format.h>
#include <simdjson.h>

#include <algorithm>

namespace esd::cmd {
namespace {

bool IsAction(unsigned code_point) {
  const bool control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
  const bool line = code_point == 0x2028 || code_point == 0x2029;
  const bool direction = code_point == 0x200E || code_point == 0x200F || code_point == 0x061C ||
                         (code_point >= 0x202A && code_point <= 0x202E) ||
                         (code_point >= 0x2066 && code_point <= 0x2069);
  return control || line || direction;
}

std::string Escaped(unsigned code_point) {
  switch (code_point) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return code_point < 0x100 ? absl::StrFormat("\\x%02x", code_point)
                                : absl::StrFormat("\\u%04x", code_point);
  }
}

// Length of the sequence that a lead byte begins; 0 when it can't begin one.
size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

// Of a well-formed sequence.
unsigned CodePoint(std::string_view sequence) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(sequence[i]));
  };
  if (sequence.size() == 1) return byte(0);
  unsigned code_point = byte(0) & (0xFFU >> (sequence.size() + 1));
  for (size_t i = 1; i < sequence.size(); ++i) code_point = (code_point << 6) | (byte(i) & 0x3F);
  return code_point;
}

}  // namespace

bool IsUtf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string Printable(std::string_view text) {
  std::string printable;
  printable.reserve(text.size());
  while (!text.empty()) {
    const size_t length = SequenceLength(static_cast<unsigned char>(text[0]));
    if (length == 0 || length > text.size() || !IsUtf8(text.substr(0, length))) {
      absl::StrAppendFormat(&printable, "\\x%02x", static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    const std::string_view sequence = text.substr(0, length);
    const unsigned code_point = CodePoint(sequence);
    printable += IsAction(code_point) ? Escaped(code_point) : std::string(sequence);
    text.remove_prefix(length);
  }
  return printable;
}

size_t Width(std::string_view printable) {
  return static_cast<size_t>(std::count_if(printable.begin(), printable.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace esd::cmd
