#include <absl/strings/str_cat.h>

#include <memory>
#include <string>
#include <vector>

#include "cmd/esd/commands.h"
#include "engine/base/json_string.h"
#include "engine/base/logging.h"
#include "engine/log/kafka/kafka_admin.h"

namespace esd::cmd {
namespace {

std::vector<std::string> TopicsCreateOptionNames() {
  return {"bootstrap-servers", "domain", "partitions",   "replication-factor", "group",
          "topic-prefix",      "kafka",  "kafka-config", "log-level",          "config"};
}

// The default number of partitions is for topics that `serve` makes on the side; who makes topics
// on purpose should choose.
std::vector<OptionSpec> TopicsCreateOptions(const std::vector<OptionSpec>& all) {
  std::vector<OptionSpec> specs = SelectOptions(all, TopicsCreateOptionNames());
  for (OptionSpec& spec : specs) {
    if (spec.name != "partitions") continue;
    spec.default_value.clear();
    spec.help += " Required.";
  }
  return specs;
}

void PrintText(const std::vector<kafka::EnsuredTopic>& topics, std::ostream& out) {
  for (const kafka::EnsuredTopic& topic : topics) {
    out << (topic.created ? "created  " : "existed  ") << topic.name << " (" << topic.partitions
        << (topic.partitions == 1 ? " partition)\n" : " partitions)\n");
  }
}

void PrintJson(const std::vector<kafka::EnsuredTopic>& topics, std::ostream& out) {
  out << "{\"topics\":[";
  const char* separator = "";
  for (const kafka::EnsuredTopic& topic : topics) {
    out << separator << "{\"name\":" << JsonString(topic.name)
        << ",\"partitions\":" << topic.partitions
        << ",\"created\":" << (topic.created ? "true" : "false") << "}";
    separator = ",";
  }
  out << "]}\n";
}

int CreateTopics(const Settings& settings, bool json, const CLI::App& app, const Process& process) {
  const auto options = ParseKafkaOptions(settings, process.built_in_domains);
  if (!options.ok()) return UsageError(process, app, options.status());
  if (!settings.IsGiven("partitions")) {
    return UsageError(
        process, app,
        absl::InvalidArgumentError("--partitions is missing: choose well above the number of "
                                   "instances you may want, it can't be changed"));
  }
  int partitions = 0;
  int replication_factor = 0;
  if (absl::Status status = ParseTopicCounts(settings, partitions, replication_factor);
      !status.ok()) {
    return UsageError(process, app, status);
  }
  if (absl::Status status = SetUpLogging(settings.Get("log-level").value()); !status.ok()) {
    return UsageError(process, app, settings.Invalid("log-level", std::string(status.message())));
  }
  const auto admin = kafka::KafkaAdmin::Open(options->bootstrap_servers, options->properties);
  if (!admin.ok()) return Failure(process, admin.status());
  const auto topics = kafka::EnsureTopics(**admin, options->scope, partitions, replication_factor);
  if (!topics.ok()) return Failure(process, topics.status());
  json ? PrintJson(*topics, process.out) : PrintText(*topics, process.out);
  return kExitOk;
}

}  // namespace

Command AddTopicsCreate(CLI::App& parent, const Process& process) {
  CLI::App* app =
      parent.add_subcommand("create", "Make the topics of domains that are not there yet.");
  app->footer(
      "Example:\n"
      "  esd topics create --bootstrap-servers localhost:9092 --partitions 8 --replication-factor "
      "3\n"
      "\n"
      "It may be run again: what is there stays as it is. It makes nothing, and fails, when a "
      "topic\n"
      "is there with another number of partitions.");
  const auto all = AllOptions(process.env);
  auto options = std::make_shared<OptionSet>(app, TopicsCreateOptions(all), all);
  auto json = std::make_shared<bool>(false);
  AddOutputOption(*app, *json);
  return {app, [app, options, json, &process] {
            const auto settings = options->Resolve(process.env);
            if (!settings.ok()) return UsageError(process, *app, settings.status());
            return CreateTopics(*settings, *json, *app, process);
          }};
}

}  // namespace esd::cmd
