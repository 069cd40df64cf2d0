// The program `esd`. Everything but the engine itself is in a library, where tests reach it.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "cmd/esd/command_line.h"
#include "cmd/esd/dev.h"
#include "cmd/esd/domains.h"
#include "cmd/esd/serve.h"

int main(int argc, char** argv) {
  std::vector<std::string> domains;
  for (const auto& domain : esd::cmd::BuiltInDomains()) domains.push_back(domain->name());
  const auto env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  const esd::cmd::Terminals terminals = {isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1,
                                         isatty(STDERR_FILENO) == 1};
  const auto serve = [](const esd::cmd::ServeOptions& options) {
    return esd::cmd::Serve(options, [](esd::Engine&) { return absl::OkStatus(); });
  };
  const auto dev = [program = std::string(argv[0])](const esd::cmd::DevOptions& options) {
    return esd::cmd::Dev(options, program);
  };
  return esd::cmd::Run(std::vector<std::string>(argv + 1, argv + argc),
                       {std::cout, std::cerr, env, domains, serve, dev, STDIN_FILENO, terminals});
}
