// Writes protobuf messages as JSON in the form that codec.h describes.
#ifndef ESD_ENGINE_AGGREGATE_JSON_ENCODER_H_
#define ESD_ENGINE_AGGREGATE_JSON_ENCODER_H_

#include <google/protobuf/message.h>

#include <string>

#include "engine/aggregate/json_schema.h"

namespace esd::internal {

// Appends `message`, of the type that `schema` was made for. The same message gives the same text:
// maps are sorted by key.
void AppendJson(const google::protobuf::Message& message, const MessageSchema& schema,
                std::string* json);

}  // namespace esd::internal

#endif  // ESD_ENGINE_AGGREGATE_JSON_ENCODER_H_
