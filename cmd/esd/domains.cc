#include "cmd/esd/domains.h"

#include "domain/security/security.h"

namespace esd::cmd {

std::vector<std::unique_ptr<AggregateType>> BuiltInDomains() {
  std::vector<std::unique_ptr<AggregateType>> domains;
  domains.push_back(MakeAggregateType<security::Security>("security"));
  return domains;
}

}  // namespace esd::cmd
