#include "engine/server/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/server/test_certificates.h"

namespace esd {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const TlsOptions kOptions{"/tls/cert", "/tls/key", "/tls/clients", "/tls/peers"};

class CheckTlsFilesTest : public testing::Test {
 protected:
  CheckTlsFilesTest() {
    own_ = ca_.Issue();
    files_ = {own_.cert, own_.key, ca_.pem(), ca_.pem()};
  }

  std::string Error() { return std::string(CheckTlsFiles(kOptions, files_).status().message()); }

  // Of files that are fine otherwise.
  std::vector<std::string> Warnings() {
    const auto material = CheckTlsFiles(kOptions, files_);
    EXPECT_TRUE(material.ok()) << material.status();
    return material.ok() ? material->warnings : std::vector<std::string>{"failed"};
  }

  const TestCa ca_{"ca"};
  TestCertificate own_;
  TlsFiles files_;
};

TEST_F(CheckTlsFilesTest, FilesThatFitAreTakenWithoutAWord) { EXPECT_THAT(Warnings(), IsEmpty()); }

TEST_F(CheckTlsFilesTest, WhatIsNotPemIsAnErrorWithFlagFileAndFix) {
  files_.cert = "hello";
  EXPECT_THAT(Error(), AllOf(HasSubstr("--tls-cert: /tls/cert has no certificate"),
                             HasSubstr("BEGIN CERTIFICATE")));
  files_.cert = own_.cert;
  files_.key = own_.cert;
  EXPECT_THAT(Error(), AllOf(HasSubstr("--tls-key: /tls/key has no private key"),
                             HasSubstr("BEGIN PRIVATE KEY")));
  files_.key = "";
  EXPECT_THAT(Error(), HasSubstr("--tls-key: /tls/key has no private key"));
  files_.key = own_.key;
  files_.client_ca = "";
  EXPECT_THAT(Error(), HasSubstr("--tls-client-ca: /tls/clients has no certificate"));
  files_.client_ca = ca_.pem();
  files_.peer_ca = own_.key;
  EXPECT_THAT(Error(), HasSubstr("--tls-peer-ca: /tls/peers has no certificate"));
}

TEST_F(CheckTlsFilesTest, AHalfWrittenFileIsAnError) {
  files_.cert = own_.cert.substr(0, own_.cert.size() / 2);
  EXPECT_THAT(Error(), HasSubstr("--tls-cert: /tls/cert has a broken certificate, number 1"));
  files_.cert = own_.cert + ca_.pem().substr(0, ca_.pem().size() / 2);
  EXPECT_THAT(Error(), HasSubstr("--tls-cert: /tls/cert has a broken certificate, number 2"));
  files_.cert = own_.cert;
  files_.key = own_.key.substr(0, own_.key.size() / 2);
  EXPECT_THAT(Error(), HasSubstr("--tls-key: /tls/key has no private key"));
}

TEST_F(CheckTlsFilesTest, AKeyThatDoesNotFitIsAnError) {
  files_.key = ca_.Issue().key;
  EXPECT_THAT(Error(), HasSubstr("--tls-key: /tls/key is not the key of the first certificate in "
                                 "/tls/cert"));
  files_ = {ca_.pem() + own_.cert, own_.key, ca_.pem(), ca_.pem()};
  EXPECT_THAT(Error(), HasSubstr("put the server's own certificate before those of its CAs"));
}

TEST_F(CheckTlsFilesTest, AKeyWithAPassphraseIsAnErrorAndNobodyIsAsked) {
  files_.key = Encrypted(own_.key);
  EXPECT_THAT(Error(), AllOf(HasSubstr("--tls-key: /tls/key needs a passphrase"),
                             HasSubstr("openssl pkey -in /tls/key -out")));
}

TEST_F(CheckTlsFilesTest, WhatOpensslRefusesLaterIsAnErrorNow) {
  TestCertificateOptions weak;
  weak.weak = true;
  const TestCertificate issued = ca_.Issue(weak);
  files_.cert = issued.cert;
  files_.key = issued.key;
  EXPECT_THAT(Error(), AllOf(HasSubstr("--tls-cert: /tls/cert is not accepted by OpenSSL"),
                             HasSubstr("stronger key")));
}

TEST_F(CheckTlsFilesTest, OneFileMayHoldKeyAndCertificatesInAnyOrder) {
  files_.cert = files_.key = "# made by hand\n" + own_.cert + own_.key + ca_.pem();
  const auto material = CheckTlsFiles(kOptions, files_);
  ASSERT_TRUE(material.ok()) << material.status();
  EXPECT_EQ(material->key_and_chain, own_.key + own_.cert + ca_.pem());
}

TEST_F(CheckTlsFilesTest, NoMessageShowsAKey) {
  files_.cert = own_.key;
  EXPECT_THAT(Error(), Not(HasSubstr(own_.key.substr(30, 20))));
}

TEST_F(CheckTlsFilesTest, InstancesThatWouldRefuseEachOtherAreWarnedAbout) {
  const TestCa other("other");
  files_.client_ca = other.pem();
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("--tls-client-ca: /tls/clients would not let in")));
  files_.client_ca = ca_.pem();
  files_.peer_ca = other.pem();
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("--tls-peer-ca: /tls/peers does not vouch for")));
  files_.peer_ca = ca_.pem();
  TestCertificateOptions for_servers;
  for_servers.extended_key_usage = "serverAuth";
  const TestCertificate issued = ca_.Issue(for_servers);
  files_.cert = issued.cert;
  files_.key = issued.key;
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("may be used for TLS clients")));
}

TEST_F(CheckTlsFilesTest, AnExpiredCertificateIsOnlyWarnedAbout) {
  const absl::Time day = absl::FromUnixSeconds(1'700'000'000);
  TestCertificateOptions options;
  options.not_before = day;
  options.not_after = day + absl::Hours(24 * 30);
  const TestCertificate issued = ca_.Issue(options);
  files_.cert = issued.cert;
  files_.key = issued.key;
  const auto material = CheckTlsFiles(kOptions, files_);
  ASSERT_TRUE(material.ok()) << material.status();
  EXPECT_THAT(material->warnings, IsEmpty());
  const auto at = [&](absl::Duration after) {
    return ValidityWarning(kOptions, *material, day + after);
  };
  EXPECT_THAT(at(-absl::Seconds(1)), HasSubstr("is not valid before 2023-11-14 22:13:20 UTC"));
  EXPECT_THAT(at(absl::Hours(1)), IsEmpty());
  EXPECT_THAT(at(absl::Hours(24 * 24)), HasSubstr("expires at 2023-12-14 22:13:20 UTC"));
  EXPECT_THAT(at(absl::Hours(24 * 31)), HasSubstr("expired at 2023-12-14 22:13:20 UTC"));
}

TEST_F(CheckTlsFilesTest, ACertificateThatDoesNotNameTheHostIsWarnedAbout) {
  TestCertificateOptions options;
  options.alt_names = "DNS:esd-0.example.com,DNS:*.esd.example.com,IP:10.0.0.1,IP:::1";
  const TestCertificate issued = ca_.Issue(options);
  files_.cert = issued.cert;
  files_.key = issued.key;
  const auto material = CheckTlsFiles(kOptions, files_);
  ASSERT_TRUE(material.ok()) << material.status();
  for (const char* host : {"esd-0.example.com", "a.esd.example.com", "10.0.0.1", "::1"})
    EXPECT_THAT(NameWarning(kOptions, *material, host), IsEmpty()) << host;
  for (const char* host : {"esd-1.example.com", "a.b.esd.example.com", "10.0.0.2", "esd-0"}) {
    EXPECT_THAT(
        NameWarning(kOptions, *material, host),
        AllOf(HasSubstr(std::string("does not name ") + host), HasSubstr("--advertised-address")));
  }
}

TEST(ReadTlsFilesTest, AFileThatCanNotBeReadIsAnErrorWithItsFlag) {
  const auto error = [](const TlsOptions& options) {
    return std::string(ReadTlsFiles(options).status().message());
  };
  EXPECT_THAT(error({"/no/cert", "", "", ""}),
              HasSubstr("--tls-cert: /no/cert can't be read: No such file"));
  EXPECT_THAT(error({"", "/no/key", "", ""}), HasSubstr("--tls-key: /no/key can't be read"));
  EXPECT_THAT(error({"", "", "/no/ca", ""}), HasSubstr("--tls-client-ca: /no/ca can't be read"));
  EXPECT_THAT(error({"", "", "", "/no/ca"}), HasSubstr("--tls-peer-ca: /no/ca can't be read"));
  EXPECT_THAT(error({"/", "", "", ""}), HasSubstr("--tls-cert: / is not a regular file"));
  EXPECT_THAT(error({"/dev/zero", "", "", ""}), HasSubstr("is not a regular file"));
}

}  // namespace
}  // namespace esd
