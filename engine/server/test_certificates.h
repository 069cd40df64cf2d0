// Certificates for tests of TLS, made when the test runs: nothing that is committed expires.
#ifndef ESD_ENGINE_SERVER_TEST_CERTIFICATES_H_
#define ESD_ENGINE_SERVER_TEST_CERTIFICATES_H_

#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace esd {

// A certificate and its key, both as PEM.
struct TestCertificate {
  std::string cert;
  std::string key;
};

struct TestCertificateOptions {
  std::string name = "esd";                                  // the subject's CN
  std::string alt_names = "IP:127.0.0.1";                    // as in OpenSSL's subjectAltName
  std::string extended_key_usage = "serverAuth,clientAuth";  // likewise; empty: none
  absl::Time not_before = absl::Now() - absl::Hours(1);
  absl::Time not_after = absl::Now() + absl::Hours(30 * 24);
  bool weak = false;  // a key that OpenSSL refuses
};

// Signs certificates.
class TestCa {
 public:
  explicit TestCa(const std::string& name);
  ~TestCa();

  const std::string& pem() const { return pem_; }
  TestCertificate Issue(const TestCertificateOptions& options = {}) const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
  std::string pem_;
};

// The key as PEM, encrypted with a passphrase.
std::string Encrypted(const std::string& key_pem);

}  // namespace esd

#endif  // ESD_ENGINE_SERVER_TEST_CERTIFICATES_H_
