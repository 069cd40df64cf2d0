#include "engine/server/api/domains.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "engine/base/murmur2.h"
#include "engine/base/string_view.h"
#include "engine/server/api/errors.h"

namespace esd::api {

DomainPartition DomainApi::HomeOf(std::string_view key) const {
  return {type().name(), PartitionForKey(key, partition_count_)};
}

absl::Status DomainApi::WriteEvent(std::string_view type, std::string_view json,
                                   esd::v1::PayloadFormat format, esd::v1::Payload* payload) {
  if (format != esd::v1::PAYLOAD_FORMAT_PROTOBUF) {
    payload->set_json(std::string(json));
    return absl::OkStatus();
  }
  const CodecPool::Lease codec = codecs_.Borrow();
  const std::unique_ptr<google::protobuf::Message> event(codecs_.type().event_prototype().New());
  const std::string envelope =
      absl::StrCat(R"({"type":")", ToAbsl(type), R"(","event":)", ToAbsl(json), "}");
  if (absl::Status status = codec->DecodeEvent(envelope, *event); !status.ok()) return status;
  const google::protobuf::OneofDescriptor* oneof = event->GetDescriptor()->oneof_decl(0);
  const google::protobuf::FieldDescriptor* set =
      event->GetReflection()->GetOneofFieldDescriptor(*event, oneof);
  event->GetReflection()->GetMessage(*event, set).SerializeToString(payload->mutable_protobuf());
  return absl::OkStatus();
}

void DomainApi::WriteState(const google::protobuf::Message& state, esd::v1::PayloadFormat format,
                           esd::v1::Payload* payload) {
  if (format == esd::v1::PAYLOAD_FORMAT_PROTOBUF) {
    state.SerializeToString(payload->mutable_protobuf());
  } else {
    codecs_.Borrow()->EncodeMessage(state, payload->mutable_json());
  }
}

Domains::Domains(const Log& log, const DomainRegistry& registry) {
  for (const auto& [name, type] : registry) {
    domains_[name] = std::make_unique<DomainApi>(type.get(), log.PartitionCount(name));
  }
}

DomainApi* Domains::Find(const std::string& name, google::rpc::Status* error) const {
  const auto it = domains_.find(name);
  if (it != domains_.end()) return it->second.get();
  const std::string known = absl::StrJoin(
      domains_, ", ", [](std::string* out, const auto& entry) { *out += entry.first; });
  *error =
      Invalid("UNKNOWN_DOMAIN", absl::StrCat("there is no such domain; this engine has: ", known),
              {{"known", known}});
  return nullptr;
}

std::optional<google::rpc::Status> CheckKey(std::string_view key) {
  if (key.empty()) {
    return Invalid("KEY_MISSING", "the aggregate's key is missing");
  }
  if (key.size() > kMaxKeyBytes) {
    return Invalid("KEY_TOO_LARGE", absl::StrCat("a key has at most ", kMaxKeyBytes, " bytes"));
  }
  return std::nullopt;
}

}  // namespace esd::api
