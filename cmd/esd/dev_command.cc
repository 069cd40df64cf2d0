#include <memory>
#include <string>
#include <vector>

#include "cmd/esd/commands.h"

namespace esd::cmd {
namespace {

std::vector<OptionSpec> DevCommandOptions(const std::vector<OptionSpec>& all) {
  std::vector<OptionSpec> specs = SelectOptions(all, DevOptionNames());
  for (OptionSpec& spec : specs) {
    if (spec.name == "data-dir") {
      spec.help =
          "Folder that holds the data; it may be used again. A temporary one, which is removed at "
          "the end, unless told.";
    } else if (spec.name == "partitions") {
      spec.help =
          "Partitions of each domain that the folder doesn't hold yet. The number can't be changed "
          "later.";
    } else if (spec.name == "log-level") {
      spec.default_value = "warning";
    }
  }
  return specs;
}

}  // namespace

Command AddDev(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand(
      "dev", "Try it: everything of serve, without a broker and without a setting.");
  app->footer(
      "Example:\n"
      "  esd dev --demo\n"
      "\n"
      "The topics are kept in a temporary folder, or in --data-dir. `esd serve --log embedded` is\n"
      "the same for a small production on one node. Ctrl-C ends it.");
  const auto all = AllOptions(process.env);
  auto options = std::make_shared<OptionSet>(app, DevCommandOptions(all), all);
  return {app, [app, options, &process] {
            const auto settings = options->Resolve(process.env);
            if (!settings.ok()) return UsageError(process, *app, settings.status());
            const auto parsed = ParseDevOptions(*settings, process.built_in_domains);
            if (!parsed.ok()) return UsageError(process, *app, parsed.status());
            return process.dev(*parsed);
          }};
}

}  // namespace esd::cmd
