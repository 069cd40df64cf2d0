// The domains that this instance serves, by name.
#ifndef ESD_ENGINE_WORKER_DOMAIN_REGISTRY_H_
#define ESD_ENGINE_WORKER_DOMAIN_REGISTRY_H_

#include <map>
#include <memory>
#include <string>

#include "engine/aggregate/aggregate_type.h"

namespace esd {

using DomainRegistry = std::map<std::string, std::unique_ptr<AggregateType>>;

}  // namespace esd

#endif  // ESD_ENGINE_WORKER_DOMAIN_REGISTRY_H_
