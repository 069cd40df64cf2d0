// The domains that are built into this program. A new one is a line in domains.cc.
#ifndef ESD_CMD_ESD_DOMAINS_H_
#define ESD_CMD_ESD_DOMAINS_H_

#include <memory>
#include <vector>

#include "engine/aggregate/aggregate_type.h"

namespace esd::cmd {

std::vector<std::unique_ptr<AggregateType>> BuiltInDomains();

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_DOMAINS_H_
