// TLS from files, which may be replaced while the server runs.
//
//   auto tls = TlsCredentials::Load(options.tls);
//   if (!tls.ok()) return tls.status();
//   builder.AddListeningPort(options.grpc_listen, (*tls)->server(), &port);
#ifndef ESD_ENGINE_SERVER_TLS_CREDENTIALS_H_
#define ESD_ENGINE_SERVER_TLS_CREDENTIALS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "engine/server/tls_options.h"

namespace esd {

// Looks at the files twice a second, on a thread of its own. New ones count for connections that
// are made about 2 s later; open connections stay. What can't be used (half written, a key that
// doesn't fit, a file that is gone) is logged once, and the last good ones stay in use.
//
// Must outlive the server and the channels that are made with its credentials: nothing is reloaded
// after it, and new connections fail.
class TlsCredentials {
 public:
  // Insecure credentials when TLS is off. INVALID_ARGUMENT for files that can't be read, aren't PEM
  // or don't fit together; the message names the flag, the file and the fix. A certificate that has
  // expired, or is not valid yet, is only warned about in the log: clocks differ, and it may be
  // replaced.
  static absl::StatusOr<std::unique_ptr<TlsCredentials>> Load(const TlsOptions& options);
  ~TlsCredentials();

  TlsCredentials(const TlsCredentials&) = delete;
  TlsCredentials& operator=(const TlsCredentials&) = delete;

  // For the server's port. Thread-safe, as is peer().
  std::shared_ptr<grpc::ServerCredentials> server() const;

  // For channels to other instances: shows our certificate and checks theirs. The host that a
  // channel is made for must be among the names in the other's certificate.
  std::shared_ptr<grpc::ChannelCredentials> peer() const;

  // Warns in the log when the certificate does not name `host`, at which other instances reach this
  // one: now, and each time that the files are replaced. Does nothing when TLS is off.
  void ExpectName(const std::string& host);

 private:
  struct Impl;
  explicit TlsCredentials(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_TLS_CREDENTIALS_H_
