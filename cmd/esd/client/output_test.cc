#include "cmd/esd/client/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <sstream>
#include <string>

#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/printable.h"
#include "esd/v1/admin_service.pb.h"
#include "esd/v1/resources.pb.h"

namespace esd::cmd {
namespace {

TEST(PrintableTest, WhatATerminalWouldActOnIsSpelledOut) {
  EXPECT_EQ(Printable("a\x1b[31m\n\t\r\x7f"
                      "b"),
            "a\\x1b[31m\\n\\t\\r\\x7f"
            "b");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "1m"),
            "\\x9b"
            "1m")
      << "a C1 control";
  EXPECT_EQ(Printable("\xE2\x80\xAE"), "\\u202e") << "right to left";
  EXPECT_EQ(Printable(std::string(1, '\0')), "\\x00");
}

TEST(PrintableTest, AllElseStaysAsItIs) {
  EXPECT_EQ(Printable("Zoë 日本 🎉 \\ \""), "Zoë 日本 🎉 \\ \"");
  EXPECT_EQ(Printable(""), "");
}

TEST(PrintableTest, BytesThatAreNotUtf8AreShownAsBytes) {
  EXPECT_EQ(Printable("a\xFFz"), "a\\xffz");
  EXPECT_EQ(Printable("\xC3"), "\\xc3") << "cut off";
  EXPECT_EQ(Printable("\xE0\x80\xAF"), "\\xe0\\x80\\xaf") << "overlong";
}

TEST(PrintableTest, WidthCountsCodePoints) {
  EXPECT_EQ(Width("Zoë"), 3U);
  EXPECT_EQ(Width(""), 0U);
}

TEST(TableTest, ColumnsAreAsWideAsWhatIsInThemAndLinesEndWithoutBlanks) {
  std::ostringstream out;
  Table table(out, false, {"KEY", "N", "STATE"});
  table.Add({"Zoë@example.org", "1", "{}"});
  table.Add({"b", "100", ""});
  table.Flush();
  EXPECT_EQ(out.str(),
            "KEY              N    STATE\n"
            "Zoë@example.org  1    {}\n"
            "b                100\n");
}

TEST(TableTest, ThereIsNoHeaderWithoutRowsAndOneWithMany) {
  std::ostringstream out;
  Table table(out, false, {"A", "B"});
  table.Flush();
  EXPECT_EQ(out.str(), "");
  table.Add({"1", "2"});
  table.Flush();
  table.Add({"333", "4"});
  table.Flush();
  EXPECT_EQ(out.str(), "A  B\n1  2\n333  4\n");
  EXPECT_EQ(table.rows(), 2U);
}

TEST(TableTest, ColourStandsAroundTheTextAndNotAroundTheBlanks) {
  std::ostringstream out;
  Table table(out, true, {"STATE", "N"});
  table.Add({Cell("ok", Style::kGood), "1"});
  table.Flush();
  EXPECT_EQ(out.str(), "\x1b[1mSTATE\x1b[0m  \x1b[1mN\x1b[0m\n\x1b[32mok\x1b[0m     1\n");
}

TEST(TableTest, NoCellCanBreakTheTable) {
  std::ostringstream out;
  Table table(out, false, {"A", "B"});
  table.Add({"x\ny", "\x1b[2J"});
  table.Flush();
  EXPECT_EQ(out.str(), "A     B\nx\\ny  \\x1b[2J\n");
}

TEST(MessageJsonTest, PayloadsAreValuesAndNumbersAreNumbers) {
  v1::Snapshot snapshot;
  snapshot.set_domain("security");
  snapshot.set_aggregate_key("a\"b");
  snapshot.set_version(9007199254740993);
  snapshot.mutable_state()->set_json(R"({"name":"Alex"})");
  EXPECT_EQ(
      ToJson(snapshot),
      R"({"domain":"security","aggregateKey":"a\"b","version":9007199254740993,"state":{"name":"Alex"}})");
}

TEST(MessageJsonTest, WhatHasNoPresenceIsWrittenAndWhatIsNotSetIsNot) {
  EXPECT_EQ(ToJson(v1::Checkpoint()), R"({"commandOffset":0,"snapshotOffset":0,"replyOffset":0})");
  v1::Partition partition;
  partition.set_state(v1::Partition::STATE_SERVING);
  EXPECT_EQ(ToJson(partition),
            R"({"domain":"","partition":0,"state":"STATE_SERVING","instanceId":"","address":"",)"
            R"("generation":0})");
  partition.set_lag(0);
  EXPECT_THAT(ToJson(partition), testing::HasSubstr(R"("lag":0)"));
}

TEST(MessageJsonTest, BytesAreTextWhereTheyCanBe) {
  v1::DeadLetter letter;
  letter.set_key("k");
  letter.set_value("\xFF\x01");
  letter.mutable_time()->set_seconds(1'700'000'000);
  letter.add_headers()->set_name("h");
  const std::string json = ToJson(letter);
  EXPECT_THAT(json, testing::HasSubstr(R"("key":"k","valueBase64":"/wE=")"));
  EXPECT_THAT(json, testing::HasSubstr(R"("time":"2023-11-14T22:13:20.000Z")"));
  EXPECT_THAT(json, testing::HasSubstr(R"("headers":[{"name":"h"}])"));
  simdjson::dom::parser parser;
  EXPECT_FALSE(parser.parse(json).error());
}

}  // namespace
}  // namespace esd::cmd
