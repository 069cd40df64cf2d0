#include "engine/server/test_certificates.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <utility>

namespace esd {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

Bio MakeBio() { return {BIO_new(BIO_s_mem()), BIO_free}; }

std::string Contents(const Bio& bio) {
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio.get(), &data));
  return std::string(data, size);
}

std::string Pem(X509* certificate) {
  const Bio bio = MakeBio();
  EXPECT_EQ(PEM_write_bio_X509(bio.get(), certificate), 1);
  return Contents(bio);
}

std::string Pem(EVP_PKEY* key) {
  const Bio bio = MakeBio();
  EXPECT_EQ(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr), 1);
  return Contents(bio);
}

Key MakeKey(bool weak) { return {weak ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256"), EVP_PKEY_free}; }

void SetTime(ASN1_TIME* field, absl::Time time) {
  EXPECT_NE(ASN1_TIME_set(field, absl::ToTimeT(time)), nullptr);
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  EXPECT_NE(extension, nullptr) << value;
  EXPECT_EQ(X509_add_ext(certificate, extension, -1), 1);
  X509_EXTENSION_free(extension);
}

// Everything but issuer, extensions and signature.
Certificate MakeCertificate(EVP_PKEY* key, const TestCertificateOptions& options) {
  static std::atomic<int64_t> next_serial = 1;
  Certificate certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate.get()), next_serial++);
  SetTime(X509_getm_notBefore(certificate.get()), options.not_before);
  SetTime(X509_getm_notAfter(certificate.get()), options.not_after);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(options.name.c_str()), -1, -1,
                             0);
  return certificate;
}

}  // namespace

struct TestCa::Impl {
  Key key = MakeKey(false);
  Certificate certificate{nullptr, X509_free};
};

TestCa::TestCa(const std::string& name) : impl_(std::make_unique<Impl>()) {
  TestCertificateOptions options;
  options.name = name;
  impl_->certificate = MakeCertificate(impl_->key.get(), options);
  X509* ca = impl_->certificate.get();
  X509_set_issuer_name(ca, X509_get_subject_name(ca));
  AddExtension(ca, ca, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign");
  EXPECT_GT(X509_sign(ca, impl_->key.get(), EVP_sha256()), 0);
  pem_ = Pem(ca);
}

TestCa::~TestCa() = default;

TestCertificate TestCa::Issue(const TestCertificateOptions& options) const {
  const Key key = MakeKey(options.weak);
  const Certificate certificate = MakeCertificate(key.get(), options);
  X509* ca = impl_->certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(ca));
  AddExtension(certificate.get(), ca, NID_subject_alt_name, options.alt_names);
  if (!options.extended_key_usage.empty())
    AddExtension(certificate.get(), ca, NID_ext_key_usage, options.extended_key_usage);
  EXPECT_GT(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()), 0);
  return {Pem(certificate.get()), Pem(key.get())};
}

std::string Encrypted(const std::string& key_pem) {
  const Bio in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())), BIO_free);
  const Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const Bio out = MakeBio();
  unsigned char passphrase[] = "hunter2";
  EXPECT_EQ(PEM_write_bio_PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), passphrase,
                                     sizeof(passphrase) - 1, nullptr, nullptr),
            1);
  return Contents(out);
}

}  // namespace esd
