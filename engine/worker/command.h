// A command as it came from the log, decoded.
#ifndef ESD_ENGINE_WORKER_COMMAND_H_
#define ESD_ENGINE_WORKER_COMMAND_H_

#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/aggregate/aggregate_type.h"
#include "engine/aggregate/codec.h"
#include "engine/base/types.h"
#include "engine/log/log.h"

namespace esd {

// Headers of a command's record, all optional; the names are part of the topics' contract.
inline constexpr std::string_view kCommandIdHeader = "ce_id";
inline constexpr std::string_view kExpectedVersionHeader = "esd-expected-version";
inline constexpr std::string_view kTraceparentHeader = "traceparent";
inline constexpr std::string_view kContentTypeHeader = "content-type";  // in any case
inline constexpr size_t kMaxCommandIdBytes = 256;
// Set by an instance that waits for the command's outcome: random, and known to it alone. Nothing
// is written because of it, and one that is empty or too long is as good as none.
inline constexpr std::string_view kRequestIdHeader = "esd-request-id";
inline constexpr size_t kMaxRequestIdBytes = 64;

// Valid as long as the record and the decoder's message it refers to.
struct Command {
  const InputRecord* record = nullptr;
  const google::protobuf::Message* payload = nullptr;
  std::string_view type;  // `RegisterUserCommand`
  std::string_view key;
  std::string_view command_id;  // empty: none was given
  // The version that the aggregate must have; kNoVersion: it must not exist yet.
  std::optional<Version> expected_version;
  std::string_view traceparent;
  std::string_view request_id;  // empty: nobody waits
  uint64_t fingerprint = 0;     // of the payload; only with a command id
};

// The request id of a command that may not even be decodable; empty when nobody waits for it.
std::string_view RequestIdOf(const InputRecord& record);

// Decodes one domain's command records. For one thread.
class CommandDecoder {
 public:
  CommandDecoder(const AggregateType* type, Codec* codec, size_t max_value_bytes)
      : codec_(codec),
        max_value_bytes_(max_value_bytes),
        payload_(type->command_prototype().New()) {}

  // The command in `record`; valid until the next call. Errors say why it belongs into the
  // dead-letter topic; their reason (see ReasonOf) is NULL_KEY, NULL_VALUE, COMMAND_TOO_LARGE,
  // UNSUPPORTED_CONTENT_TYPE, INVALID_HEADER or one of the codec's.
  absl::StatusOr<Command> Decode(const InputRecord& record);

 private:
  Codec* const codec_;
  const size_t max_value_bytes_;
  const std::unique_ptr<google::protobuf::Message> payload_;
};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_COMMAND_H_
