// What an address that is listened on means: who can reach it, and under which name.
#ifndef ESD_ENGINE_SERVER_LISTEN_ADDRESS_H_
#define ESD_ENGINE_SERVER_LISTEN_ADDRESS_H_

#include <string>

#include "engine/server/http_server.h"

namespace esd {

// Whether only this machine reaches it: 127.0.0.0/8, ::1 or localhost. Other names are not looked
// up: they count as reachable.
bool IsLoopback(const HostPort& address);

// Whether it stands for every address of the machine: 0.0.0.0 or ::.
bool IsWildcard(const HostPort& address);

// `host:port` at which others reach a server that listens on `listen` and was given `bound_port`.
// `advertised` is EngineOptions::advertised_address: its host and port win, unless it is empty or
// its port is 0. Both addresses must be ones that ParseHostPort() takes.
std::string AdvertisedAddress(const std::string& advertised, const std::string& listen,
                              int bound_port);

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_LISTEN_ADDRESS_H_
