#include "cmd/esd/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace esd::cmd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ErrorOf(std::string_view text) {
  return std::string(ParseConfig(text, "esd.toml").status().message());
}

TEST(ParseConfigTest, ReadsStringsNumbersWordsAndArraysWithTheirLines) {
  const auto parsed = ParseConfig(
      "# esd\n\ngroup = \"a # \\\"b\\\"\"  # why\nworkers = 2\r\nbootstrap-servers = a:1,b:2 # "
      "two\n"
      "kafka = [ \"linger.ms=1\", # fast\n  'sasl.password=a\\b#c',\n]\ncreate-topics = true",
      "esd.toml");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ(parsed->size(), 5);
  EXPECT_EQ((*parsed)[0].key, "group");
  EXPECT_EQ((*parsed)[0].line, 3);
  EXPECT_THAT((*parsed)[0].values, ElementsAre("a # \"b\""));
  EXPECT_THAT((*parsed)[1].values, ElementsAre("2"));
  EXPECT_THAT((*parsed)[2].values, ElementsAre("a:1,b:2"));
  EXPECT_THAT((*parsed)[3].values, ElementsAre("linger.ms=1", "sasl.password=a\\b#c"));
  EXPECT_THAT((*parsed)[4].values, ElementsAre("true"));
  EXPECT_EQ((*parsed)[4].line, 9);
}

TEST(ParseConfigTest, AnAddressInBracketsNeedsQuotes) {
  EXPECT_THAT(ErrorOf("http-listen = [::1]:7071\n"),
              HasSubstr("unexpected text after the value of http-listen"));
  EXPECT_THAT((*ParseConfig("http-listen = \"[::1]:7071\"\n", "esd.toml"))[0].values,
              ElementsAre("[::1]:7071"));
}

TEST(ParseConfigTest, AnEmptyFileIsFine) { EXPECT_TRUE(ParseConfig("", "esd.toml")->empty()); }

TEST(ParseConfigTest, ErrorsNameFileAndLine) {
  EXPECT_THAT(ErrorOf("a = 1\nb\n"), HasSubstr("esd.toml:2: expected key = value"));
  EXPECT_THAT(ErrorOf("[serve]\n"), HasSubstr("esd.toml:1: there are no [sections]"));
  EXPECT_THAT(ErrorOf("a = 1\na = 2\n"),
              HasSubstr("esd.toml:2: a stands there twice, first in line 1"));
  EXPECT_THAT(ErrorOf("a =\n"), HasSubstr("esd.toml:1: the value is missing"));
  EXPECT_THAT(ErrorOf("a = # b\n"), HasSubstr("the value is missing"));
  EXPECT_THAT(ErrorOf("a = \"x\nb = 1\n"), HasSubstr("esd.toml:1: the string has no end"));
  EXPECT_THAT(ErrorOf("a = [1, 2\n"), HasSubstr("the array has no end"));
  EXPECT_THAT(ErrorOf("a = [1 2]\n"), HasSubstr("expected ',' or ']'"));
  EXPECT_THAT(ErrorOf("a = \"\\q\"\n"), HasSubstr("escape"));
  EXPECT_THAT(ErrorOf("a = \"\\"), HasSubstr("escape"));
  EXPECT_THAT(ErrorOf("a.b = 1\n"), HasSubstr("expected key = value"));
}

TEST(ParseConfigTest, ErrorsShowNoValue) {
  EXPECT_THAT(ErrorOf("kafka = \"sasl.password=hunter2\" hunter2\n"), Not(HasSubstr("hunter2")));
}

TEST(LoadConfigTest, AFileThatIsNotThereIsAnErrorWithItsName) {
  EXPECT_THAT(std::string(LoadConfig("/no/such.toml").status().message()),
              HasSubstr("/no/such.toml: No such file"));
}

}  // namespace
}  // namespace esd::cmd
