// Which files hold the certificates; apart from tls_credentials.h, so that whoever only fills in
// options needs no gRPC.
#ifndef ESD_ENGINE_SERVER_TLS_OPTIONS_H_
#define ESD_ENGINE_SERVER_TLS_OPTIONS_H_

#include <string>

namespace esd {

// All files are PEM and may hold several certificates. Without `cert_file` there is no TLS, neither
// for clients nor between instances, and the others must be empty.
struct TlsOptions {
  // The server's certificate, followed by those between it and its CA, and its private key. Also
  // shown to other instances that ask for one. Both or none.
  std::string cert_file;
  std::string key_file;
  // Clients, other instances among them, must have a certificate of one of these CAs (mTLS). Empty:
  // they aren't asked for one.
  std::string client_ca_file;
  // CAs that sign the certificates of the instances, for calls that are forwarded. Empty:
  // `client_ca_file`, else the system's roots.
  std::string peer_ca_file;

  bool enabled() const { return !cert_file.empty(); }
};

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_TLS_OPTIONS_H_
