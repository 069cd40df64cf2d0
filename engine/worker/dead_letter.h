// Headers that a dead letter's record has besides the command's own: why, and where it stood. The
// names are part of the topics' contract.
#ifndef ESD_ENGINE_WORKER_DEAD_LETTER_H_
#define ESD_ENGINE_WORKER_DEAD_LETTER_H_

#include <array>
#include <string_view>

namespace esd {

inline constexpr std::string_view kErrorReasonHeader = "esd-error-reason";
inline constexpr std::string_view kErrorMessageHeader = "esd-error-message";
inline constexpr std::string_view kSourceTopicHeader = "esd-source-topic";
inline constexpr std::string_view kSourcePartitionHeader = "esd-source-partition";
inline constexpr std::string_view kSourceOffsetHeader = "esd-source-offset";
inline constexpr std::array<std::string_view, 5> kDeadLetterHeaders = {
    kErrorReasonHeader, kErrorMessageHeader, kSourceTopicHeader, kSourcePartitionHeader,
    kSourceOffsetHeader};

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_DEAD_LETTER_H_
