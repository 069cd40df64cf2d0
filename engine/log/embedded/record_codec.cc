#include "engine/log/embedded/record_codec.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <optional>

#include "esd/v1/stored.pb.h"

namespace esd::embedded {
namespace {

using esd::v1::StoredRecord;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr uint32_t TagOf(int field, WireFormatLite::WireType type) {
  return WireFormatLite::MakeTag(field, type);
}
constexpr uint32_t BytesTag(int field) {
  return TagOf(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

// Every tag here fits a byte.
constexpr size_t kTagBytes = 1;

size_t BytesFieldSize(size_t size) {
  return kTagBytes + CodedOutputStream::VarintSize32(static_cast<uint32_t>(size)) + size;
}

size_t HeaderSize(const OutputRecord::OwnedHeader& header) {
  return BytesFieldSize(header.name.size()) +
         (header.value ? BytesFieldSize(header.value->size()) : 0);
}

uint8_t* WriteSize(int field, size_t size, uint8_t* out) {
  out = CodedOutputStream::WriteTagToArray(BytesTag(field), out);
  return CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), out);
}

uint8_t* WriteBytes(int field, std::string_view bytes, uint8_t* out) {
  out = WriteSize(field, bytes.size(), out);
  return CodedOutputStream::WriteRawToArray(bytes.data(), static_cast<int>(bytes.size()), out);
}

bool ReadBytes(CodedInputStream* in, std::string_view* bytes) {
  uint32_t size = 0;
  if (!in->ReadVarint32(&size)) return false;
  const void* data = nullptr;
  int available = 0;
  in->GetDirectBufferPointerInline(&data, &available);
  if (size > static_cast<uint32_t>(available)) return false;
  *bytes =
      size == 0 ? std::string_view("") : std::string_view(static_cast<const char*>(data), size);
  return in->Skip(static_cast<int>(size));
}

CodedInputStream Input(std::string_view bytes) {
  return CodedInputStream(reinterpret_cast<const uint8_t*>(bytes.data()),
                          static_cast<int>(bytes.size()));
}

bool DecodeHeader(std::string_view encoded, Header* header) {
  CodedInputStream in = Input(encoded);
  while (const uint32_t tag = in.ReadTag()) {
    bool read = false;
    switch (tag) {
      case BytesTag(StoredRecord::Header::kNameFieldNumber):
        read = ReadBytes(&in, &header->name);
        break;
      case BytesTag(StoredRecord::Header::kValueFieldNumber):
        read = ReadBytes(&in, &header->value.emplace());
        break;
      default:
        read = WireFormatLite::SkipField(&in, tag);
    }
    if (!read) return false;
  }
  return in.ConsumedEntireMessage();
}

}  // namespace

size_t SizeOf(const OutputRecord& record) {
  size_t size = (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  for (const auto& header : record.headers) {
    size += header.name.size() + (header.value ? header.value->size() : 0);
  }
  return size;
}

std::string EncodeRecord(const OutputRecord& record, int64_t timestamp_ms) {
  const auto timestamp = static_cast<uint64_t>(timestamp_ms);
  size_t size = kTagBytes + CodedOutputStream::VarintSize64(timestamp);
  if (record.key) size += BytesFieldSize(record.key->size());
  if (record.value) size += BytesFieldSize(record.value->size());
  for (const auto& header : record.headers) size += BytesFieldSize(HeaderSize(header));

  std::string encoded(size, '\0');
  auto* out = reinterpret_cast<uint8_t*>(encoded.data());
  out = CodedOutputStream::WriteTagToArray(
      TagOf(StoredRecord::kTimestampMsFieldNumber, WireFormatLite::WIRETYPE_VARINT), out);
  out = CodedOutputStream::WriteVarint64ToArray(timestamp, out);
  if (record.key) out = WriteBytes(StoredRecord::kKeyFieldNumber, *record.key, out);
  if (record.value) out = WriteBytes(StoredRecord::kValueFieldNumber, *record.value, out);
  for (const auto& header : record.headers) {
    out = WriteSize(StoredRecord::kHeadersFieldNumber, HeaderSize(header), out);
    out = WriteBytes(StoredRecord::Header::kNameFieldNumber, header.name, out);
    if (header.value) out = WriteBytes(StoredRecord::Header::kValueFieldNumber, *header.value, out);
  }
  return encoded;
}

bool DecodeRecord(std::string_view encoded, InputRecord* record) {
  CodedInputStream in = Input(encoded);
  while (const uint32_t tag = in.ReadTag()) {
    bool read = false;
    uint64_t timestamp = 0;
    std::string_view header;
    switch (tag) {
      case TagOf(StoredRecord::kTimestampMsFieldNumber, WireFormatLite::WIRETYPE_VARINT):
        read = in.ReadVarint64(&timestamp);
        record->timestamp_ms = static_cast<int64_t>(timestamp);
        break;
      case BytesTag(StoredRecord::kKeyFieldNumber):
        read = ReadBytes(&in, &record->key.emplace());
        break;
      case BytesTag(StoredRecord::kValueFieldNumber):
        read = ReadBytes(&in, &record->value.emplace());
        break;
      case BytesTag(StoredRecord::kHeadersFieldNumber):
        read = ReadBytes(&in, &header) && DecodeHeader(header, &record->headers.emplace_back());
        break;
      default:
        read = WireFormatLite::SkipField(&in, tag);
    }
    if (!read) return false;
  }
  return in.ConsumedEntireMessage();
}

}  // namespace esd::embedded
