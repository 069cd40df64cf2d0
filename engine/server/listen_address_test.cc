#include "engine/server/listen_address.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace esd {
namespace {

TEST(IsLoopbackTest, OnlyWhatNoOtherMachineReachesIsLoopback) {
  for (const char* host :
       {"127.0.0.1", "127.255.255.254", "::1", "localhost", "LOCALHOST", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(IsLoopback({host, 1})) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "126.0.0.1", "128.0.0.1", "::2", "fe80::1",
                           "::ffff:10.0.0.1", "localhost.example.com", "127.0.0.1.example.com"}) {
    EXPECT_FALSE(IsLoopback({host, 1})) << host;
  }
}

TEST(IsWildcardTest, OnlyTheAddressesThatStandForAllAreWildcards) {
  for (const char* host : {"0.0.0.0", "::", "0:0::0", "::ffff:0.0.0.0"})
    EXPECT_TRUE(IsWildcard({host, 1})) << host;
  for (const char* host : {"0.0.0.1", "::1", "127.0.0.1", "esd-0", "::ffff:0.0.0.1"})
    EXPECT_FALSE(IsWildcard({host, 1})) << host;
}

TEST(AdvertisedAddressTest, WhatWasGivenWins) {
  EXPECT_EQ(AdvertisedAddress("esd-0.example.com:443", "0.0.0.0:7070", 7070),
            "esd-0.example.com:443");
  EXPECT_EQ(AdvertisedAddress("[fd00::1]:443", "127.0.0.1:0", 7070), "[fd00::1]:443");
}

TEST(AdvertisedAddressTest, Port0StandsForThePortThatWasPicked) {
  EXPECT_EQ(AdvertisedAddress("esd-0:0", "0.0.0.0:0", 40123), "esd-0:40123");
  EXPECT_EQ(AdvertisedAddress("", "127.0.0.1:0", 40123), "127.0.0.1:40123");
}

TEST(AdvertisedAddressTest, WithoutOneItIsTheAddressThatIsListenedOn) {
  EXPECT_EQ(AdvertisedAddress("", "[::1]:7070", 7070), "[::1]:7070");
  EXPECT_EQ(AdvertisedAddress("", "esd-0:7070", 7070), "esd-0:7070");
}

TEST(AdvertisedAddressTest, AServerOnAllAddressesGoesByTheNameOfItsMachine) {
  char name[256] = {};
  ASSERT_EQ(gethostname(name, sizeof(name) - 1), 0);
  EXPECT_EQ(AdvertisedAddress("", "0.0.0.0:7070", 7070), std::string(name) + ":7070");
  EXPECT_EQ(AdvertisedAddress("", "[::]:7070", 7070), std::string(name) + ":7070");
}

}  // namespace
}  // namespace esd
