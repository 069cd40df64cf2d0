// Records as the embedded log keeps them: esd.v1.StoredRecord in protobuf's binary form, written
// and read without the message between, because each record passes here and its parts are only
// looked at.
#ifndef ESD_ENGINE_LOG_EMBEDDED_RECORD_CODEC_H_
#define ESD_ENGINE_LOG_EMBEDDED_RECORD_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/log/log.h"

namespace esd::embedded {

// Bytes of key, value and headers: what limits on a record's size are about.
size_t SizeOf(const OutputRecord& record);

std::string EncodeRecord(const OutputRecord& record, int64_t timestamp_ms);

// Fills in all but the offset; the views refer to `encoded`. False when that is no record.
bool DecodeRecord(std::string_view encoded, InputRecord* record);

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_RECORD_CODEC_H_
