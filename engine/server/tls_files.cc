#include "engine/server/tls_files.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

namespace esd {
namespace {

// More than any bundle of CAs takes; a device or a log would go on for ever.
constexpr size_t kMostBytes = size_t{4} << 20;
// Long enough to replace a certificate by hand.
constexpr absl::Duration kExpiresSoon = absl::Hours(7 * 24);

template <auto free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using Store = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

// A file as messages call it.
struct Named {
  const char* flag;
  const std::string& path;
};

absl::Status Invalid(const Named& file, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(file.flag, ": ", file.path, " ", what));
}

// What OpenSSL has to say about its last failure; its list of errors is empty afterwards.
std::string OpensslReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

// Regular files only: a pipe may block, and has nothing more to say at the next look.
absl::Status ReadFile(const Named& file, std::string& contents) {
  contents.clear();
  if (file.path.empty()) return absl::OkStatus();
  const int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat about = {};
  const bool opened = fd >= 0 && fstat(fd, &about) == 0;
  const bool regular = opened && S_ISREG(about.st_mode);
  ssize_t got = opened ? 0 : -1;
  if (regular) {
    char buffer[16'384];
    while ((got = read(fd, buffer, sizeof(buffer))) > 0 && contents.size() <= kMostBytes)
      contents.append(buffer, static_cast<size_t>(got));
  }
  const int error = errno;
  if (fd >= 0) close(fd);
  if (got < 0) {
    return Invalid(file, absl::StrCat("can't be read: ", strerror(error),
                                      "; give a file that this user may read"));
  }
  if (!regular) return Invalid(file, "is not a regular file: give a file in PEM");
  if (contents.size() > kMostBytes)
    return Invalid(file, "is larger than 4 MiB: give a file of certificates or keys in PEM");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Certificate>> ParseCertificates(const Named& file,
                                                           const std::string& pem) {
  ERR_clear_error();
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<Certificate> certificates;
  for (;;) {
    Certificate next(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    certificates.push_back(std::move(next));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = OpensslReason();
  if (!at_end) {
    return Invalid(file, absl::StrCat("has a broken certificate, number ", certificates.size() + 1,
                                      " in it (", reason, "): write the file anew"));
  }
  if (certificates.empty()) {
    return Invalid(file,
                   "has no certificate: it must be PEM, with lines -----BEGIN CERTIFICATE-----");
  }
  return certificates;
}

// Instead of OpenSSL's own, which would ask on the terminal.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::StatusOr<Key> ParseKey(const Named& file, const std::string& pem) {
  ERR_clear_error();
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  bool asked = false;
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, &asked));
  const std::string reason = key == nullptr ? OpensslReason() : "";
  if (key != nullptr) return key;
  if (asked) {
    return Invalid(file, absl::StrCat("needs a passphrase: write it without one, with openssl pkey "
                                      "-in ",
                                      file.path, " -out FILE"));
  }
  return Invalid(file, absl::StrCat("has no private key that can be read (", reason,
                                    "): it must be PEM, with a line -----BEGIN PRIVATE KEY-----"));
}

// Loads them as gRPC will: what OpenSSL refuses must be known before the old ones are given up.
absl::Status CheckPair(const TlsOptions& options, const std::vector<Certificate>& chain,
                       EVP_PKEY* key) {
  const Named cert_file{"--tls-cert", options.cert_file};
  if (X509_check_private_key(chain.front().get(), key) != 1) {
    ERR_clear_error();
    return Invalid({"--tls-key", options.key_file},
                   absl::StrCat("is not the key of the first certificate in ", options.cert_file,
                                ": give the key that belongs to it, and put the server's own "
                                "certificate before those of its CAs"));
  }
  const Context context(SSL_CTX_new(TLS_method()));
  if (SSL_CTX_use_certificate(context.get(), chain.front().get()) != 1) {
    return Invalid(cert_file, absl::StrCat("is not accepted by OpenSSL (", OpensslReason(),
                                           "): make the certificate anew, with a stronger key"));
  }
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) != 1) {
      return Invalid(cert_file, absl::StrCat("has a certificate, number ", i + 1,
                                             " in it, that OpenSSL does not accept (",
                                             OpensslReason(), "): have the CA make it anew"));
    }
  }
  if (SSL_CTX_use_PrivateKey(context.get(), key) != 1) {
    return Invalid({"--tls-key", options.key_file},
                   absl::StrCat("is not accepted by OpenSSL (", OpensslReason(),
                                "): make a key and a certificate anew"));
  }
  return absl::OkStatus();
}

std::string ToPem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  return std::string(data, size);
}

std::string ToPem(const std::vector<Certificate>& certificates) {
  const Bio bio(BIO_new(BIO_s_mem()));
  for (const Certificate& certificate : certificates)
    PEM_write_bio_X509(bio.get(), certificate.get());
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  return std::string(data, size);
}

absl::Time ToTime(const ASN1_TIME* time, absl::Time otherwise) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return otherwise;
  return absl::FromTM(parts, absl::UTCTimeZone());
}

// Why somebody who trusts `authorities` alone would not accept the certificate as `purpose`; empty
// when they would. The time is left out: there is a warning of its own for it.
std::string WhyRefused(const std::vector<Certificate>& chain,
                       const std::vector<Certificate>& authorities, int purpose) {
  const Store store(X509_STORE_new());
  for (const Certificate& authority : authorities)
    X509_STORE_add_cert(store.get(), authority.get());
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> between(
      sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); });
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(between.get(), chain[i].get());
  const StoreContext context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), between.get());
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_NO_CHECK_TIME);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  const bool accepted = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  return accepted ? "" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

// Whether instances with these options would accept each other.
std::vector<std::string> PeerWarnings(const TlsOptions& options,
                                      const std::vector<Certificate>& chain,
                                      const std::vector<Certificate>& client_ca,
                                      const std::vector<Certificate>& peer_ca) {
  std::vector<std::string> warnings;
  if (!client_ca.empty()) {
    if (const std::string why = WhyRefused(chain, client_ca, X509_PURPOSE_SSL_CLIENT); !why.empty())
      warnings.push_back(absl::StrCat(
          "--tls-client-ca: ", options.client_ca_file,
          " would not let in a client with the "
          "certificate of --tls-cert (",
          why,
          "): other instances refuse the calls that this one "
          "forwards, unless its CA is in their files and it may be used for TLS clients"));
  }
  if (!peer_ca.empty()) {
    const bool own = !options.peer_ca_file.empty();
    if (const std::string why = WhyRefused(chain, peer_ca, X509_PURPOSE_SSL_SERVER); !why.empty())
      warnings.push_back(absl::StrCat(
          own ? "--tls-peer-ca: " : "--tls-client-ca: ",
          own ? options.peer_ca_file : options.client_ca_file,
          " does not vouch for the certificate of --tls-cert (", why,
          "): other instances with "
          "this file can't forward calls to this one; name the CA of the instances' certificates "
          "with --tls-peer-ca"));
  }
  return warnings;
}

}  // namespace

absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsOptions& options) {
  TlsFiles files;
  for (const auto& [file, contents] :
       {std::pair<Named, std::string*>  //
        {{"--tls-cert", options.cert_file}, &files.cert},
        {{"--tls-key", options.key_file}, &files.key},
        {{"--tls-client-ca", options.client_ca_file}, &files.client_ca},
        {{"--tls-peer-ca", options.peer_ca_file}, &files.peer_ca}}) {
    if (absl::Status status = ReadFile(file, *contents); !status.ok()) return status;
  }
  if (options.peer_ca_file.empty()) files.peer_ca = files.client_ca;
  return files;
}

absl::StatusOr<TlsMaterial> CheckTlsFiles(const TlsOptions& options, const TlsFiles& files) {
  auto chain = ParseCertificates({"--tls-cert", options.cert_file}, files.cert);
  if (!chain.ok()) return chain.status();
  auto key = ParseKey({"--tls-key", options.key_file}, files.key);
  if (!key.ok()) return key.status();
  if (absl::Status status = CheckPair(options, *chain, key->get()); !status.ok()) return status;
  std::vector<Certificate> client_ca;
  if (!options.client_ca_file.empty()) {
    auto parsed = ParseCertificates({"--tls-client-ca", options.client_ca_file}, files.client_ca);
    if (!parsed.ok()) return parsed.status();
    client_ca = *std::move(parsed);
  }
  std::vector<Certificate> peer_ca;
  if (!options.peer_ca_file.empty() || !options.client_ca_file.empty()) {
    auto parsed = ParseCertificates({"--tls-peer-ca", options.peer_ca_file}, files.peer_ca);
    if (!parsed.ok()) return parsed.status();
    peer_ca = *std::move(parsed);
  }
  TlsMaterial material;
  material.key_and_chain = ToPem(key->get()) + ToPem(*chain);
  material.client_ca = ToPem(client_ca);
  material.peer_ca = ToPem(peer_ca);
  material.not_before = ToTime(X509_get0_notBefore(chain->front().get()), absl::InfinitePast());
  material.not_after = ToTime(X509_get0_notAfter(chain->front().get()), absl::InfiniteFuture());
  material.warnings = PeerWarnings(options, *chain, client_ca, peer_ca);
  return material;
}

std::string ValidityWarning(const TlsOptions& options, const TlsMaterial& material,
                            absl::Time now) {
  const auto warning = [&](const char* what, absl::Time when, const char* then) {
    return absl::StrCat("--tls-cert: the certificate in ", options.cert_file, " ", what, " ",
                        absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", when, absl::UTCTimeZone()), then);
  };
  if (now < material.not_before) {
    return warning("is not valid before", material.not_before,
                   ": clients refuse it until then; replace it, or set the clock");
  }
  if (now > material.not_after) {
    return warning("expired at", material.not_after,
                   ": clients refuse it; replace the files, no restart is needed");
  }
  if (now > material.not_after - kExpiresSoon) {
    return warning("expires at", material.not_after, ": replace the files, no restart is needed");
  }
  return "";
}

std::string NameWarning(const TlsOptions& options, const TlsMaterial& material,
                        const std::string& host) {
  const Named file{"--tls-cert", options.cert_file};
  const auto chain = ParseCertificates(file, material.key_and_chain);
  if (!chain.ok()) return "";  // not in a material that was made here
  X509* own = chain->front().get();
  const bool named = X509_check_ip_asc(own, host.c_str(), 0) == 1 ||
                     X509_check_host(own, host.data(), host.size(), 0, nullptr) == 1;
  ERR_clear_error();
  if (named) return "";
  return absl::StrCat("--tls-cert: the certificate in ", options.cert_file, " does not name ", host,
                      ", at which other instances reach this one: they can't forward calls to it; "
                      "add it to the certificate's alternative names, or give one of them with "
                      "--advertised-address");
}

}  // namespace esd
