#include "engine/server/api/event_message.h"

#include <string>

namespace esd::api {

absl::Status ToEvent(DomainApi& domain, std::string_view aggregate_key, Version version,
                     const esd::v1::StoredEvent& stored, esd::v1::PayloadFormat format,
                     esd::v1::Event* event) {
  event->set_id(stored.id());
  event->set_type(stored.type());
  event->set_version(version.value());
  event->set_aggregate_key(std::string(aggregate_key));
  event->mutable_time()->set_seconds(stored.time_ms() / 1'000);
  event->mutable_time()->set_nanos(static_cast<int32_t>(stored.time_ms() % 1'000) * 1'000'000);
  event->set_causation_id(stored.causation_id());
  event->set_traceparent(stored.traceparent());
  const absl::StatusOr<Codec::EventParts> parts =
      domain.codecs().Borrow()->SplitEvent(stored.value());
  if (!parts.ok()) return parts.status();
  return domain.WriteEvent(parts->type, parts->json, format, event->mutable_payload());
}

}  // namespace esd::api
