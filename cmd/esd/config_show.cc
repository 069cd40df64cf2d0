#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <memory>
#include <string>
#include <vector>

#include "cmd/esd/client/output.h"
#include "cmd/esd/commands.h"
#include "engine/base/json_string.h"
#include "engine/log/kafka/kafka_properties.h"

namespace esd::cmd {
namespace {

constexpr char kHidden[] = "********";

using KafkaSettings = std::map<std::string, KafkaSetting>;

const std::string& Shown(const std::string& property, const std::string& value) {
  static const std::string hidden = kHidden;
  return kafka::IsSecret(property) ? hidden : value;
}

// What the option `domain` comes to; the rest is as given.
std::vector<std::string> ShownValues(const OptionSpec& spec, const Settings& settings,
                                     const Process& process) {
  if (spec.name == "domain" && !settings.IsGiven("domain")) return process.built_in_domains;
  return settings.Get(spec.name).values;
}

void PrintText(const std::vector<OptionSpec>& specs, const Settings& settings,
               const KafkaSettings& kafka, const Process& process) {
  Table table(process.out, /*colour=*/false, {"OPTION", "VALUE", "SOURCE"});
  for (const OptionSpec& spec : specs) {
    if (spec.name == "kafka") {
      for (const auto& [key, property] : kafka)
        table.Add({"kafka", absl::StrCat(key, "=", Shown(key, property.value)), property.source});
    } else {
      table.Add({spec.name, absl::StrJoin(ShownValues(spec, settings, process), ","),
                 settings.Get(spec.name).source});
    }
  }
  table.Flush();
}

std::string JsonValue(const OptionSpec& spec, const std::vector<std::string>& values) {
  if (spec.kind != OptionKind::kList) return JsonString(values.front());
  std::string list = "[";
  for (const std::string& value : values)
    absl::StrAppend(&list, list.size() > 1 ? "," : "", JsonString(value));
  return list + "]";
}

std::string JsonMember(const std::string& name, const std::string& value,
                       const std::string& source) {
  return absl::StrCat(JsonString(name), ":{\"value\":", value, ",\"source\":", JsonString(source),
                      "}");
}

// {"group":{"value":"esd","source":"default"},…,"kafka":{"linger.ms":{"value":"1","source":"flag
// --kafka"}}}; values are strings, of lists arrays of strings.
void PrintJson(const std::vector<OptionSpec>& specs, const Settings& settings,
               const KafkaSettings& kafka, const Process& process) {
  std::vector<std::string> members;
  for (const OptionSpec& spec : specs) {
    if (spec.name == "kafka") continue;
    members.push_back(JsonMember(spec.name, JsonValue(spec, ShownValues(spec, settings, process)),
                                 settings.Get(spec.name).source));
  }
  std::vector<std::string> properties;
  for (const auto& [key, property] : kafka) {
    properties.push_back(JsonMember(key, JsonString(Shown(key, property.value)), property.source));
  }
  members.push_back(absl::StrCat("\"kafka\":{", absl::StrJoin(properties, ","), "}"));
  process.out << "{" << absl::StrJoin(members, ",") << "}\n";
}

}  // namespace

Command AddConfigShow(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand(
      "show", "Show what `esd serve` would run with, and where each value comes from.");
  app->footer(
      "Example:\n"
      "  esd config show --config esd.toml -o json\n"
      "\n"
      "It takes the options of `esd serve`. Secrets are hidden. When a value is wrong, everything "
      "is\n"
      "shown nevertheless, and the exit code is 2.");
  const auto all = AllOptions(process.env);
  auto options = std::make_shared<OptionSet>(app, SelectOptions(all, ServeOptionNames()), all);
  auto json = std::make_shared<bool>(false);
  AddOutputOption(*app, *json);
  return {app, [app, options, json, &process] {
            const auto settings = options->Resolve(process.env);
            if (!settings.ok()) return UsageError(process, *app, settings.status());
            const auto kafka = ResolveKafka(*settings);
            if (!kafka.ok()) return UsageError(process, *app, kafka.status());
            (*json ? PrintJson : PrintText)(options->specs(), *settings, *kafka, process);
            const auto parsed = ParseServeOptions(*settings, process.built_in_domains);
            return parsed.ok() ? kExitOk : UsageError(process, *app, parsed.status());
          }};
}

}  // namespace esd::cmd
