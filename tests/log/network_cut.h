// Cuts Kafka clients of this process off from their brokers, as a network that swallows everything
// does: what they send is gone, what is sent to them does not come, and nothing tells them.
//
// Stands between librdkafka and the C library: it defines sendmsg() and recvmsg(), which the linker
// prefers to the C library's. Only for programs that test the Kafka log; without TLS.
#ifndef ESD_TESTS_LOG_NETWORK_CUT_H_
#define ESD_TESTS_LOG_NETWORK_CUT_H_

#include <string>

namespace esd {

// All clients with the client id, also those that connect later.
void CutOffClients(const std::string& client_id);

// Their connections break, at last, and new ones work.
void ReconnectClients(const std::string& client_id);

}  // namespace esd

#endif  // ESD_TESTS_LOG_NETWORK_CUT_H_
