// Writes JSON strings: for events, replies, log lines and the output of commands.
#ifndef ESD_ENGINE_BASE_JSON_STRING_H_
#define ESD_ENGINE_BASE_JSON_STRING_H_

#include <string>
#include <string_view>

namespace esd {

// Appends `text` as a JSON string, quotes included. The result is valid whatever the bytes are:
// each byte that is not part of a well-formed UTF-8 sequence becomes U+FFFD.
void AppendJsonString(std::string_view text, std::string* out);

// `text` with each byte that is not part of a well-formed UTF-8 sequence replaced by U+FFFD: what
// others wrote, for protobuf's strings.
std::string ToUtf8(std::string_view text);

// `text` as a JSON string, quotes included.
std::string JsonString(std::string_view text);

}  // namespace esd

#endif  // ESD_ENGINE_BASE_JSON_STRING_H_
