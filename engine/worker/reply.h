// The reply record: JSON that says what became of a command. Its form is part of the topics'
// contract.
#ifndef ESD_ENGINE_WORKER_REPLY_H_
#define ESD_ENGINE_WORKER_REPLY_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"

namespace esd {

// Headers of a reply record.
//
// `esd-source-position: <partition>:<offset>` of the command that is answered.
inline constexpr std::string_view kSourcePositionHeader = "esd-source-position";
// `esd-command-fingerprint: <16 hex digits>`: this reply is the outcome of its command id, kept for
// later commands with the same id. Replies without it are not: repeated ones, and those to a
// command that reuses an id.
inline constexpr std::string_view kFingerprintHeader = "esd-command-fingerprint";
// `esd-replayed: true`: the outcome of an earlier command with the same id, once more.
inline constexpr std::string_view kReplayedHeader = "esd-replayed";

// {"commandId":"…","status":"ACCEPTED","version":3,"events":[…]}; `events` are JSON envelopes,
// `version` is the aggregate's now and left out when it has none.
std::string AcceptedReply(std::string_view command_id, Version version,
                          const std::vector<std::string>& events);

// {"commandId":"…","status":"REJECTED","code":"NOT_FOUND","reason":"USER_NOT_FOUND","message":"…","version":3}
std::string RejectedReply(std::string_view command_id, const absl::Status& reason, Version version);

// A reply's value, taken apart.
struct Reply {
  struct Event {
    std::string type;
    std::string json;  // the event's own object, without the envelope
  };
  std::string command_id;
  bool accepted = false;
  Version version = kNoVersion;
  std::vector<Event> events;                           // of an accepted command
  absl::StatusCode code = absl::StatusCode::kUnknown;  // the rest of a rejected one
  std::string reason;
  std::string message;
};

// The inverse of the two above. kDataLoss when it isn't a reply.
absl::StatusOr<Reply> ParseReply(std::string_view json);

// A fingerprint in the form of its header, and back; false when the text isn't one.
std::string FormatFingerprint(uint64_t fingerprint);
bool ParseFingerprint(std::string_view text, uint64_t* fingerprint);

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_REPLY_H_
