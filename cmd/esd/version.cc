#include <memory>

#include "cmd/esd/commands.h"
#include "engine/base/json_string.h"
#include "engine/base/metrics.h"

namespace esd::cmd {

Command AddVersion(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("version", "Show the version.");
  auto json = std::make_shared<bool>(false);
  AddOutputOption(*app, *json);
  return {app, [json, &process] {
            if (*json) {
              process.out << "{\"version\":" << JsonString(BuildVersion()) << "}\n";
            } else {
              process.out << "esd " << BuildVersion() << "\n";
            }
            return kExitOk;
          }};
}

}  // namespace esd::cmd
