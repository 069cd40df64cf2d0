// What all commands share: errors, exit codes, -o.
#include <absl/strings/str_cat.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>

#include "cmd/esd/command_line.h"
#include "cmd/esd/commands.h"

namespace esd::cmd {

std::string PathOf(const CLI::App& app) {
  if (app.get_parent() == nullptr) return "";
  const std::string parent = PathOf(*app.get_parent());
  return parent.empty() ? app.get_name() : absl::StrCat(parent, " ", app.get_name());
}

int UsageError(const Process& process, const CLI::App& app, const absl::Status& status) {
  const std::string path = PathOf(app);
  const std::string command = path.empty() ? "esd" : "esd " + path;
  process.err << command << ": " << status.message() << "\ntry: " << command << " --help\n";
  return kExitUsage;
}

int Failure(const Process& process, const absl::Status& status) {
  process.err << "esd: " << status.message() << "\n";
  return kExitFailed;
}

void AddOutputOption(CLI::App& command, bool& json) {
  command
      .add_option_function<std::string>(
          "-o,--output", [&json](const std::string& format) { json = format == "json"; },
          "Format of the output.")
      ->type_name("text|json")
      ->check([](const std::string& format) -> std::string {
        return format == "text" || format == "json"
                   ? ""
                   : absl::StrCat("must be text or json, not '", format, "'");
      });
}

}  // namespace esd::cmd
