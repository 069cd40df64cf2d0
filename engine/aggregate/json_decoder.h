// Reads envelopes, and commands without one, in the form that codec.h describes. The only file that
// knows the JSON parser is the .cc.
#ifndef ESD_ENGINE_AGGREGATE_JSON_DECODER_H_
#define ESD_ENGINE_AGGREGATE_JSON_DECODER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string_view>

#include "engine/aggregate/json_schema.h"

namespace esd::internal {

// The most levels of objects and arrays in each other, the envelope being the first.
inline constexpr int kMaxDepth = 64;

// What becomes of a field that the .proto file doesn't have, whatever stands in it.
enum class UnknownFields { kReject, kSkip };

// UNKNOWN_TYPE with the types that `schema` knows. `type` is quoted only when it looks like a
// type's name.
absl::Status UnknownType(const EnvelopeSchema& schema, std::string_view type);

// Keeps its buffers from call to call: no allocation of its own in the steady state. Not safe for
// use by several threads.
class JsonDecoder {
 public:
  JsonDecoder();
  ~JsonDecoder();

  // Fills `message`, which must be empty, from a document with an envelope.
  absl::Status DecodeEnvelope(std::string_view json, const EnvelopeSchema& schema,
                              UnknownFields unknown_fields, google::protobuf::Message& message);

  // The same from a document that is only the envelope's body, of the type `member`; the depth
  // counts as if the envelope were there.
  absl::Status DecodeBody(std::string_view json, const EnvelopeSchema& schema,
                          const EnvelopeSchema::Member& member, UnknownFields unknown_fields,
                          google::protobuf::Message& message);

  struct RawEnvelope {
    std::string_view type;
    std::string_view body;
  };
  // The type, and the body as it stands there; views of `json`. The type need not be known, the
  // body may be any object.
  absl::StatusOr<RawEnvelope> SplitEnvelope(std::string_view json, const EnvelopeSchema& schema);

 private:
  struct Parser;
  const std::unique_ptr<Parser> envelope_parser_;
  std::unique_ptr<Parser> body_parser_;  // made when the first comes: most decoders see none
};

}  // namespace esd::internal

#endif  // ESD_ENGINE_AGGREGATE_JSON_DECODER_H_
