// What stands in the files of TlsOptions: read, checked, and brought into one form.
#ifndef ESD_ENGINE_SERVER_TLS_FILES_H_
#define ESD_ENGINE_SERVER_TLS_FILES_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>
#include <vector>

#include "engine/server/tls_options.h"

namespace esd {

// The files as they are; empty where no file is named.
struct TlsFiles {
  std::string cert;
  std::string key;
  std::string client_ca;
  std::string peer_ca;  // of `client_ca_file` when `peer_ca_file` is empty

  bool operator==(const TlsFiles&) const = default;
};

// Files that OpenSSL takes, with nothing in them but what is needed.
struct TlsMaterial {
  std::string key_and_chain;  // PEM: the key, the certificate, those between it and its CA
  std::string client_ca;      // PEM; empty: none
  std::string peer_ca;        // PEM; empty: none
  absl::Time not_before;      // the certificate is valid from here
  absl::Time not_after;       // to here
  // What lets TLS work, but not for everyone: one sentence each, with the fix.
  std::vector<std::string> warnings;
};

// INVALID_ARGUMENT for a file that can't be read, naming the flag, the file and the fix.
absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsOptions& options);

// INVALID_ARGUMENT for what isn't PEM, a key that doesn't fit the certificate or needs a
// passphrase, and what OpenSSL refuses as too weak; likewise.
absl::StatusOr<TlsMaterial> CheckTlsFiles(const TlsOptions& options, const TlsFiles& files);

// What to say about the time that the certificate is valid for; empty when `now` is well inside it.
std::string ValidityWarning(const TlsOptions& options, const TlsMaterial& material, absl::Time now);

// What to say when the certificate does not name `host`, at which other instances reach this one;
// empty when it does.
std::string NameWarning(const TlsOptions& options, const TlsMaterial& material,
                        const std::string& host);

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_TLS_FILES_H_
