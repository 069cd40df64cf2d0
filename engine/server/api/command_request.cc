#include "engine/server/api/command_request.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/server/api/errors.h"
#include "engine/worker/command.h"

namespace esd::api {
namespace {

// As the worker's: what is accepted here must not become a dead letter there.
constexpr size_t kMaxPayloadBytes = size_t{1} << 20;

std::optional<google::rpc::Status> CheckFields(const esd::v1::SubmitCommandRequest& request) {
  const std::string& id = request.command_id();
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (id.size() > kMaxCommandIdBytes || !std::all_of(id.begin(), id.end(), printable)) {
    return Invalid("INVALID_COMMAND_ID", absl::StrCat("a command_id has 1 to ", kMaxCommandIdBytes,
                                                      " printable ASCII characters"));
  }
  if (request.has_expected_version() && request.expected_version() < kNoVersion.value()) {
    return Invalid("INVALID_EXPECTED_VERSION",
                   "expected_version is a version: 0, 1, … or -1 for an aggregate without events");
  }
  if (request.payload().content_case() == esd::v1::Payload::CONTENT_NOT_SET) {
    return Invalid("PAYLOAD_MISSING", "the payload is missing: set its json or its protobuf");
  }
  return std::nullopt;
}

std::optional<google::rpc::Status> FromCodec(const absl::Status& status, const Codec& codec) {
  if (!absl::IsInvalidArgument(status)) return FromEngine(status, "decoding the command");
  const std::string reason = ReasonOf(status);
  std::map<std::string, std::string> metadata;
  if (reason == "UNKNOWN_TYPE") metadata["known"] = absl::StrJoin(codec.CommandTypes(), ", ");
  return Invalid(reason, {status.message().data(), status.message().size()}, std::move(metadata));
}

void AddHeaders(const esd::v1::SubmitCommandRequest& request, std::string_view traceparent,
                OutputRecord* record) {
  record->headers.reserve(5);
  if (request.payload().has_protobuf())
    record->headers.push_back({kContentTypeHeader, "application/x-protobuf"});
  if (!request.command_id().empty())
    record->headers.push_back({kCommandIdHeader, request.command_id()});
  if (request.has_expected_version()) {
    record->headers.push_back({kExpectedVersionHeader, absl::StrCat(request.expected_version())});
  }
  if (!traceparent.empty())
    record->headers.push_back({kTraceparentHeader, std::string(traceparent)});
}

}  // namespace

std::optional<google::rpc::Status> Prepare(const Domains& domains,
                                           const esd::v1::SubmitCommandRequest& request,
                                           std::string_view traceparent,
                                           PreparedCommand* prepared) {
  google::rpc::Status error;
  prepared->domain = domains.Find(request.domain(), &error);
  if (prepared->domain == nullptr) return error;
  if (auto wrong = CheckFields(request)) return wrong;

  const bool is_json = request.payload().has_json();
  const std::string& payload = is_json ? request.payload().json() : request.payload().protobuf();
  const AggregateType& type = prepared->domain->type();
  const std::unique_ptr<google::protobuf::Message> command(type.command_prototype().New());
  OutputRecord& record = prepared->record;
  if (payload.size() <= kMaxPayloadBytes) {  // or else it isn't worth decoding
    const CodecPool::Lease codec = prepared->domain->codecs().Borrow();
    const absl::Status status =
        codec->DecodeCommandOfType(request.command_type(), payload,
                                   is_json ? ContentType::kJson : ContentType::kProtobuf, *command);
    if (!status.ok()) return FromCodec(status, *codec);
    record.value = is_json ? codec->CommandEnvelope(request.command_type(), payload)
                           : command->SerializeAsString();
  }
  if (!record.value || record.value->size() > kMaxPayloadBytes) {
    return Invalid("COMMAND_TOO_LARGE", absl::StrCat("a command has at most ", kMaxPayloadBytes,
                                                     " bytes with its type"));
  }
  const std::string_view key = type.KeyOf(*command);
  if (!request.aggregate_key().empty() && request.aggregate_key() != key) {
    return Invalid("KEY_MISMATCH", "aggregate_key isn't the key that the command names");
  }
  prepared->partition = prepared->domain->HomeOf(key);
  prepared->command_id = request.command_id();
  prepared->format = request.payload_format();
  record.topic = Topic::kCommand;
  record.partition = prepared->partition.partition;
  record.key = std::string(key);
  AddHeaders(request, traceparent, &record);
  return std::nullopt;
}

}  // namespace esd::api
