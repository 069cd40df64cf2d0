#include "engine/server/listen_address.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

namespace esd {
namespace {

bool AsIpv4(const std::string& host, in_addr& address) {
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool AsIpv6(const std::string& host, in6_addr& address) {
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// The machine's name; its loopback address when it has none.
std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "127.0.0.1";
  return name;
}

}  // namespace

bool IsLoopback(const HostPort& address) {
  in_addr v4 = {};
  if (AsIpv4(address.host, v4)) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6 = {};
  if (AsIpv6(address.host, v6)) {
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  }
  return absl::AsciiStrToLower(address.host) == "localhost";
}

bool IsWildcard(const HostPort& address) {
  in_addr v4 = {};
  if (AsIpv4(address.host, v4)) return v4.s_addr == INADDR_ANY;
  in6_addr v6 = {};
  return AsIpv6(address.host, v6) &&
         (IN6_IS_ADDR_UNSPECIFIED(&v6) || absl::EqualsIgnoreCase(address.host, "::ffff:0.0.0.0"));
}

std::string AdvertisedAddress(const std::string& advertised, const std::string& listen,
                              int bound_port) {
  const auto port = static_cast<uint16_t>(bound_port);
  if (const auto given = ParseHostPort(advertised); given.ok())
    return ToString({given->host, given->port == 0 ? port : given->port});
  const auto listens = ParseHostPort(listen);
  if (!listens.ok() || IsWildcard(*listens)) return ToString({HostName(), port});
  return ToString({listens->host, port});
}

}  // namespace esd
