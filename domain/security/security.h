// The domain `security`: users, registered by e-mail address, with a name that can be changed. What
// it accepts and rejects is written at the messages in proto/security/v1/security.proto.
#ifndef ESD_DOMAIN_SECURITY_SECURITY_H_
#define ESD_DOMAIN_SECURITY_SECURITY_H_

#include <absl/status/statusor.h>

#include <string_view>
#include <vector>

#include "engine/aggregate/aggregate_type.h"
#include "security/v1/security.pb.h"

namespace esd::security {

class Security {
 public:
  using Command = ::security::v1::Command;
  using Event = ::security::v1::Event;
  using State = ::security::v1::User;

  // The user's e-mail address.
  static std::string_view KeyOf(const Command& command);
  static absl::StatusOr<std::vector<Event>> Decide(const State* state, const Command& command,
                                                   const DecideContext& context);
  static void Evolve(State& state, const Event& event);
};

}  // namespace esd::security

#endif  // ESD_DOMAIN_SECURITY_SECURITY_H_
