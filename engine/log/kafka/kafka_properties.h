// Properties of librdkafka that users may give: from files, from the command line, and which of
// them are allowed.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_PROPERTIES_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_PROPERTIES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace esd::kafka {

// Name and value as in librdkafka's CONFIGURATION.md.
using KafkaProperties = std::map<std::string, std::string>;

// Reads `key=value`, with blanks around either left out. INVALID_ARGUMENT without a '=' or a key;
// the message holds nothing of the text, which may be a secret.
absl::StatusOr<std::pair<std::string, std::string>> ParseKafkaProperty(std::string_view text);

// Reads a file with one `key=value` on a line, and comments on lines that start with '#', as for
// `kcat -F`. Errors name the file and the line and print no value: NOT_FOUND or PERMISSION_DENIED
// when the file can't be read, INVALID_ARGUMENT for a line that is neither, or a key that stands
// there twice.
absl::StatusOr<KafkaProperties> LoadKafkaProperties(const std::string& path);

// Whether the value is a password, a key or a token, and so is never to be shown.
bool IsSecret(std::string_view key);

// Whether the engine's clients can be given these properties. INVALID_ARGUMENT for a property that
// librdkafka doesn't know or a value that it refuses, in its words, and for a property that the
// engine must control (which flag to use instead, or why it is fixed). Never shows the value of a
// secret.
absl::Status CheckKafkaProperties(const KafkaProperties& properties);

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_PROPERTIES_H_
