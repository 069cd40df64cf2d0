// The domains as the API sees them: with codecs, and with errors for callers.
#ifndef ESD_ENGINE_SERVER_API_DOMAINS_H_
#define ESD_ENGINE_SERVER_API_DOMAINS_H_

#include <google/protobuf/message.h>
#include <google/rpc/status.pb.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/aggregate/aggregate_type.h"
#include "engine/base/types.h"
#include "engine/log/log.h"
#include "engine/server/api/codec_pool.h"
#include "engine/worker/domain_registry.h"
#include "esd/v1/resources.pb.h"

namespace esd::api {

// Largest key that a query may ask for, in bytes; Kafka's records have no larger ones by default.
inline constexpr size_t kMaxKeyBytes = size_t{1} << 20;

// One domain.
class DomainApi {
 public:
  DomainApi(const AggregateType* type, int32_t partition_count)
      : codecs_(type), partition_count_(partition_count) {}

  const AggregateType& type() const { return codecs_.type(); }
  int32_t partition_count() const { return partition_count_; }
  CodecPool& codecs() { return codecs_; }

  // The partition in which the aggregate lives.
  DomainPartition HomeOf(std::string_view key) const;

  // Fills `payload` with an event, given its type and its own JSON. An error says what can't be
  // read.
  absl::Status WriteEvent(std::string_view type, std::string_view json,
                          esd::v1::PayloadFormat format, esd::v1::Payload* payload);

  // Fills `payload` with a state.
  void WriteState(const google::protobuf::Message& state, esd::v1::PayloadFormat format,
                  esd::v1::Payload* payload);

 private:
  CodecPool codecs_;
  const int32_t partition_count_;
};

// All domains of the instance. Any thread.
class Domains {
 public:
  Domains(const Log& log, const DomainRegistry& registry);

  // Null, and `*error` filled, when there is none with that name.
  DomainApi* Find(const std::string& name, google::rpc::Status* error) const;

  const std::map<std::string, std::unique_ptr<DomainApi>>& all() const { return domains_; }

 private:
  std::map<std::string, std::unique_ptr<DomainApi>> domains_;
};

// Nothing when the key can be one of an aggregate.
std::optional<google::rpc::Status> CheckKey(std::string_view key);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_DOMAINS_H_
