// The manual that `esd man` prints, and docs/cli.md, which is the same in Markdown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "cmd/esd/command_line.h"

namespace esd::cmd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What `esd` prints, in a world without an engine and without variables.
std::string Esd(const std::vector<std::string>& args) {
  std::ostringstream out;
  std::ostringstream err;
  const auto no_variables = [](const std::string&) { return std::optional<std::string>(); };
  EXPECT_EQ(Run(args, {out, err, no_variables, {"security"}, nullptr, nullptr}), kExitOk)
      << err.str();
  return out.str();
}

TEST(ManualTest, TheManualHasEveryCommandAndFlag) {
  const std::string manual = Esd({"man"});
  EXPECT_THAT(manual, testing::StartsWith(".TH ESD 1 "));
  for (const char* section : {"NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "CONNECTION",
                              "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"}) {
    EXPECT_THAT(manual, HasSubstr(std::string("\n.SH ") + section + "\n"));
  }
  EXPECT_THAT(manual, AllOf(HasSubstr(".SS \"esd command send [OPTIONS] [JSON]\""),
                            HasSubstr(".SS \"esd aggregate get [OPTIONS] KEY\""),
                            HasSubstr("\\fB\\-\\-bootstrap\\-servers\\fR"),
                            HasSubstr("\\fB\\-o, \\-\\-output\\fR \\fItext|json\\fR")));
}

TEST(ManualTest, NoLineOfTheManualIsTakenForARequestByMistake) {
  const std::string manual = Esd({"man"});
  std::istringstream lines(manual);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_THAT(line, testing::AnyOf(testing::MatchesRegex("[^.'].*"), testing::Eq(""),
                                     testing::MatchesRegex("\\.(TH|SH|SS|TP|PP|RS|RE|nf|fi|nh|ad)"
                                                           "( .*)?")));
  }
}

TEST(ManualTest, DocsCliMdIsTheManual) {
  std::ifstream file(ESD_DOCS "/cli.md");
  std::stringstream kept;
  kept << file.rdbuf();
  const std::string manual = Esd({"man", "--markdown"});
  EXPECT_TRUE(kept.str() == manual)
      << "write it anew: build/release/bin/esd man --markdown > docs/cli.md";
}

}  // namespace
}  // namespace esd::cmd
