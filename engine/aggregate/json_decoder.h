// Reads a command's envelope in the form that codec.h describes. The only file that knows the JSON
// parser is the .cc.
#ifndef ESD_ENGINE_AGGREGATE_JSON_DECODER_H_
#define ESD_ENGINE_AGGREGATE_JSON_DECODER_H_

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string_view>

#include "engine/aggregate/json_schema.h"

namespace esd::internal {

// The most levels of objects and arrays in each other, the envelope being the first.
inline constexpr int kMaxDepth = 64;

// UNKNOWN_TYPE with the types that `schema` knows. `type` is quoted only when it looks like a
// type's name.
absl::Status UnknownType(const EnvelopeSchema& schema, std::string_view type);

// Keeps its buffers from call to call: no allocation of its own in the steady state. Not safe for
// use by several threads.
class JsonDecoder {
 public:
  JsonDecoder();
  ~JsonDecoder();

  // Fills `command`, which must be empty.
  absl::Status DecodeEnvelope(std::string_view json, const EnvelopeSchema& schema,
                              google::protobuf::Message& command);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace esd::internal

#endif  // ESD_ENGINE_AGGREGATE_JSON_DECODER_H_
