#include <memory>

#include "cmd/esd/commands.h"

namespace esd::cmd {

Command AddServe(CLI::App& parent, const Process& process) {
  CLI::App* app =
      parent.add_subcommand("serve", "Process commands and answer queries, with Kafka as the log.");
  app->footer(
      "Example:\n"
      "  esd topics create --bootstrap-servers localhost:9092 --partitions 8\n"
      "  esd serve --bootstrap-servers localhost:9092\n"
      "\n"
      "With a password that does not show on the command line:\n"
      "  esd serve --bootstrap-servers broker:9093 --kafka-config sasl.properties\n"
      "\n"
      "For other machines, with TLS:\n"
      "  esd serve --bootstrap-servers broker:9092 --grpc-listen 0.0.0.0:7070 \\\n"
      "      --tls-cert server.pem --tls-key server.key\n"
      "\n"
      "SIGTERM or SIGINT drains: open transactions are committed or aborted, and partitions\n"
      "handed over. A second signal ends the process at once.");
  const auto all = AllOptions(process.env);
  auto options = std::make_shared<OptionSet>(app, SelectOptions(all, ServeOptionNames()), all);
  return {app, [app, options, &process] {
            const auto settings = options->Resolve(process.env);
            if (!settings.ok()) return UsageError(process, *app, settings.status());
            const auto parsed = ParseServeOptions(*settings, process.built_in_domains);
            if (!parsed.ok()) return UsageError(process, *app, parsed.status());
            return process.serve(*parsed);
          }};
}

}  // namespace esd::cmd
