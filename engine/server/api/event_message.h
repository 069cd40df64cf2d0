// An event of the history or the event topic as the API shows it.
#ifndef ESD_ENGINE_SERVER_API_EVENT_MESSAGE_H_
#define ESD_ENGINE_SERVER_API_EVENT_MESSAGE_H_

#include <absl/status/status.h>

#include <string_view>

#include "engine/base/types.h"
#include "engine/server/api/domains.h"
#include "esd/v1/resources.pb.h"
#include "esd/v1/stored.pb.h"

namespace esd::api {

// Fills `*event`. An error says why the event can't be written in that format.
absl::Status ToEvent(DomainApi& domain, std::string_view aggregate_key, Version version,
                     const esd::v1::StoredEvent& stored, esd::v1::PayloadFormat format,
                     esd::v1::Event* event);

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_EVENT_MESSAGE_H_
