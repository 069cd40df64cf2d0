// Messages of the API as JSON, for programs.
#ifndef ESD_CMD_ESD_CLIENT_MESSAGE_JSON_H_
#define ESD_CMD_ESD_CLIENT_MESSAGE_JSON_H_

#include <google/protobuf/message.h>

#include <string>
#include <utility>
#include <vector>

namespace esd::cmd {

// The message as one line of JSON: names and enums as in protobuf's own JSON form, but
//
//   - every field without presence is written, zero and empty ones too;
//   - 64-bit integers are numbers, not strings;
//   - an esd.v1.Payload is the JSON value that is in it;
//   - `bytes` are a string where they are UTF-8; otherwise base64, under the name with Base64
//   behind
//     it.
std::string ToJson(const google::protobuf::Message& message);

// The members of that object, without braces; empty for a message without any.
std::string JsonMembers(const google::protobuf::Message& message);

// 2026-01-02T03:04:05.678Z
std::string Rfc3339(int64_t seconds, int nanos);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_MESSAGE_JSON_H_
