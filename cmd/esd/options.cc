#include "cmd/esd/options.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <utility>

#include "cmd/esd/config_file.h"

namespace esd::cmd {
namespace {

std::string DefaultDataDir(const GetEnv& env) {
  if (const auto state = env("XDG_STATE_HOME"); state && !state->empty()) return *state + "/esd";
  if (const auto home = env("HOME"); home && !home->empty()) return *home + "/.local/state/esd";
  return "/var/lib/esd";
}

std::vector<OptionSpec> KafkaOptions() {
  return {
      {"bootstrap-servers", "HOST:PORT,...", OptionKind::kText, "",
       "Kafka brokers to connect to first. Required with Kafka.", ""},
      {"domain", "NAME", OptionKind::kList, "",
       "Domain to work on. May be given several times; all built-in domains unless told. The "
       "variable separates names "
       "with commas.",
       ","},
      {"group", "NAME", OptionKind::kText, "esd",
       "Consumer group. Instances of one group share the work; it also names the ownership topic.",
       ""},
      {"topic-prefix", "TEXT", OptionKind::kText, "",
       "Text before the name of every topic. None unless told.", ""},
      {"kafka", "KEY=VALUE", OptionKind::kList, "",
       "Property of librdkafka, for every client. May be given several times; the variable holds "
       "one per line. Secrets "
       "belong into --kafka-config or the variable.",
       "\n"},
      {"kafka-config", "FILE", OptionKind::kText, "",
       "File of librdkafka properties, key=value on each line, as for kcat -F. A property given "
       "with --kafka in the same "
       "place wins.",
       ""},
  };
}

std::vector<OptionSpec> ServeOptions(const GetEnv& env) {
  return {
      {"log", "kafka|embedded", OptionKind::kText, "kafka",
       "What the topics are kept in: a Kafka cluster, or the data directory, for a single node "
       "without a broker. With embedded, --data-dir is required and holds the data.",
       ""},
      {"instance-id", "NAME", OptionKind::kText, "",
       "Fixed name of this instance. A restart under the same name resumes at once, and other "
       "instances wait for it up to "
       "the session timeout. Without it a clean stop hands over at once.",
       ""},
      {"data-dir", "DIR", OptionKind::kText, DefaultDataDir(env),
       "Folder of the local store. One per instance; if it is lost, it is rebuilt from Kafka; with "
       "the embedded log it holds the data. $XDG_STATE_HOME/esd, else "
       "~/.local/state/esd, else /var/lib/esd unless told.",
       ""},
      {"workers", "N", OptionKind::kNumber, "0",
       "Worker threads, 0 to 64. 0: one per core, at most 4.", ""},
      {"http-listen", "HOST:PORT", OptionKind::kText, "127.0.0.1:7071",
       "Address of /metrics, /livez and /readyz. Port 0 picks a free one.", ""},
      {"create-topics", "", OptionKind::kSwitch, "false",
       "Make topics that are missing, instead of refusing to run.", ""},
      {"history", "on|off", OptionKind::kText, "on",
       "Keep every aggregate's history in the local store. off saves its space; ListEvents and "
       "at_version then fail.",
       ""},
  };
}

std::vector<OptionSpec> ApiOptions() {
  return {
      {"grpc-listen", "HOST:PORT", OptionKind::kText, "127.0.0.1:7070",
       "Address of the gRPC API. Port 0 picks a free one.", ""},
      {"advertised-address", "HOST:PORT", OptionKind::kText, "",
       "Where other instances reach this one's gRPC API. Port 0: the one that is listened on. With "
       "TLS the certificate must name the host. The address of --grpc-listen unless told, with "
       "this machine's name for 0.0.0.0 and [::].",
       ""},
      {"tls-cert", "FILE", OptionKind::kText, "",
       "Certificate of the gRPC API, followed by those between it and its CA (PEM). TLS is off "
       "without it. Files are read anew when they change.",
       ""},
      {"tls-key", "FILE", OptionKind::kText, "",
       "Private key of --tls-cert (PEM, without a passphrase).", ""},
      {"tls-client-ca", "FILE", OptionKind::kText, "",
       "CAs that must have signed the certificates of clients (PEM). Other instances are clients, "
       "too, with their --tls-cert. Clients need no certificate unless told.",
       ""},
      {"tls-peer-ca", "FILE", OptionKind::kText, "",
       "CAs that have signed the certificates of other instances (PEM). Those of --tls-client-ca, "
       "else of the system, unless told.",
       ""},
      {"insecure", "", OptionKind::kSwitch, "false",
       "Serve the API without TLS on an address that is not loopback.", ""},
      {"max-in-flight", "N", OptionKind::kNumber, "20000",
       "Submitted commands that may wait for their outcome at a time, 1 to 1000000. More are "
       "refused with RESOURCE_EXHAUSTED.",
       ""},
      {"max-in-flight-per-connection", "N", OptionKind::kNumber, "5000",
       "The same for the commands of one connection, 1 to 1000000.", ""},
  };
}

std::vector<OptionSpec> DevOptions() {
  return {
      {"demo", "", OptionKind::kSwitch, "false",
       "Send a registration with a rename right behind it, then three renames at once, and show "
       "the events.",
       ""},
      {"exit-after-demo", "", OptionKind::kSwitch, "false",
       "With --demo: end when the events were seen. Exit code 1 if they are not as they should be.",
       ""},
  };
}

// Of the commands that talk to a running engine.
std::vector<OptionSpec> ClientOptions() {
  return {
      {"address", "HOST:PORT", OptionKind::kText, "127.0.0.1:7070",
       "Address of a running engine's gRPC API. Any instance will do.", ""},
      {"timeout", "DURATION", OptionKind::kText, "30s",
       "How long to wait for an answer, further tries included, as in 500ms, 10s or 2m.", ""},
      {"tls", "", OptionKind::kSwitch, "false",
       "Talk TLS, with the CAs of the system. --tls-ca and --tls-client-cert turn it on, too.", ""},
      {"tls-ca", "FILE", OptionKind::kText, "",
       "CAs that must have signed the server's certificate (PEM). Those of the system unless told.",
       ""},
      {"tls-client-cert", "FILE", OptionKind::kText, "",
       "Certificate to show to the server (PEM), for one with --tls-client-ca.", ""},
      {"tls-client-key", "FILE", OptionKind::kText, "",
       "Private key of --tls-client-cert (PEM, without a passphrase).", ""},
  };
}

std::vector<OptionSpec> CommonOptions() {
  return {
      {"partitions", "N", OptionKind::kNumber, "4",
       "Partitions of each topic that is made. The number can't be changed later: it decides where "
       "an aggregate lives.",
       ""},
      {"replication-factor", "N", OptionKind::kNumber, "1",
       "Replicas of each topic that is made. 3 in production, where the brokers allow it.", ""},
      {"log-level", "trace|debug|info|warning|error", OptionKind::kText, "info",
       "Least severe messages to log, to stderr.", ""},
      {"config", "FILE", OptionKind::kText, "",
       "File of settings: lines like group = \"esd\", the keys being the names of flags. Flags and "
       "variables win over it.",
       ""},
  };
}

void Append(std::vector<OptionSpec> more, std::vector<OptionSpec>& specs) {
  for (OptionSpec& spec : more) specs.push_back(std::move(spec));
}

std::vector<std::string> ValuesOfVariable(const OptionSpec& spec, const std::string& text) {
  if (spec.kind != OptionKind::kList) return {text};
  std::vector<std::string> values;
  for (absl::string_view part : absl::StrSplit(text, absl::ByAnyChar(spec.separators))) {
    part = absl::StripAsciiWhitespace(part);
    if (!part.empty()) values.emplace_back(part);
  }
  return values;
}

std::string HelpOf(const OptionSpec& spec) {
  std::string help = absl::StrCat(spec.help, " [", EnvironmentName(spec.name));
  const bool show_default =
      !spec.default_value.empty() && spec.kind != OptionKind::kSwitch && spec.name != "data-dir";
  if (show_default) absl::StrAppend(&help, ", default ", spec.default_value);
  return help + "]";
}

}  // namespace

std::vector<OptionSpec> AllOptions(const GetEnv& env) {
  std::vector<OptionSpec> specs = KafkaOptions();
  Append(ServeOptions(env), specs);
  Append(ApiOptions(), specs);
  Append(DevOptions(), specs);
  Append(ClientOptions(), specs);
  Append(CommonOptions(), specs);
  return specs;
}

std::vector<OptionSpec> SelectOptions(const std::vector<OptionSpec>& all,
                                      const std::vector<std::string>& names) {
  std::vector<OptionSpec> selected;
  for (const std::string& name : names) {
    selected.push_back(*std::find_if(all.begin(), all.end(),
                                     [&](const OptionSpec& spec) { return spec.name == name; }));
  }
  return selected;
}

std::string EnvironmentName(std::string_view option) {
  return absl::StrCat(
      "ESD_", absl::StrReplaceAll(absl::AsciiStrToUpper(std::string(option)), {{"-", "_"}}));
}

absl::Status Settings::Invalid(const std::string& name, std::string_view what) const {
  const Setting& setting = Get(name);
  const std::string where = setting.origin == Origin::kFlag || setting.origin == Origin::kDefault
                                ? ""
                                : absl::StrCat(" (", setting.source, ")");
  return absl::InvalidArgumentError(absl::StrCat("--", name, where, ": ", std::string(what)));
}

absl::StatusOr<int> Settings::Number(const std::string& name, int low, int high) const {
  int number = 0;
  const std::string& text = Get(name).value();
  if (!absl::SimpleAtoi(text, &number) || number < low || number > high) {
    return Invalid(name,
                   absl::StrCat("must be a number from ", low, " to ", high, ", not '", text, "'"));
  }
  return number;
}

absl::StatusOr<bool> Settings::Switch(const std::string& name) const {
  const std::string text = absl::AsciiStrToLower(Get(name).value());
  for (const char* yes : {"true", "1", "yes", "on"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"false", "0", "no", "off"}) {
    if (text == no) return false;
  }
  return Invalid(name, absl::StrCat("must be true or false, not '", Get(name).value(), "'"));
}

OptionSet::OptionSet(CLI::App* app, std::vector<OptionSpec> specs, std::vector<OptionSpec> all)
    : app_(app), specs_(std::move(specs)), all_(std::move(all)) {
  for (const OptionSpec& spec : specs_) {
    const std::string flag = "--" + spec.name;
    if (spec.kind == OptionKind::kSwitch) {
      const std::string help =
          HelpOf(spec);  // add_flag() would take a temporary for a variable to set
      app_->add_flag(flag, help);
      continue;
    }
    // The values are taken from the option's results; the callback only makes it one that takes a
    // value.
    CLI::Option* option = app_->add_option(
        flag, [](const CLI::results_t&) { return true; }, HelpOf(spec));
    option->type_name(spec.placeholder)->expected(1);
    if (spec.kind == OptionKind::kList) {
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
    }
  }
}

const OptionSpec* OptionSet::Find(const std::string& name) const {
  const auto spec = std::find_if(specs_.begin(), specs_.end(),
                                 [&](const OptionSpec& s) { return s.name == name; });
  return spec == specs_.end() ? nullptr : &*spec;
}

absl::StatusOr<Settings> OptionSet::Resolve(const GetEnv& env) const {
  Settings settings;
  for (const OptionSpec& spec : specs_) {
    std::vector<Setting>& given = settings.given_[spec.name];
    const CLI::Option* option = app_->get_option("--" + spec.name);
    if (option->count() > 0)
      given.push_back({option->results(), Origin::kFlag, "flag --" + spec.name});
    // An empty variable counts as not set: that is how one is switched off in many places that make
    // environments.
    const std::string variable = EnvironmentName(spec.name);
    if (const auto value = env(variable); value && !value->empty()) {
      given.push_back(
          {ValuesOfVariable(spec, *value), Origin::kEnvironment, "environment " + variable});
    }
  }
  const std::vector<Setting>& config = settings.given_["config"];
  if (!config.empty()) {
    const std::string path = config.front().value();
    if (absl::Status status = AddFile(path, settings); !status.ok()) return status;
  }
  for (const OptionSpec& spec : specs_) {
    Setting setting{{}, Origin::kDefault, "default"};
    if (spec.kind != OptionKind::kList) setting.values.push_back(spec.default_value);
    settings.given_[spec.name].push_back(std::move(setting));
  }
  return settings;
}

absl::Status OptionSet::AddFile(const std::string& path, Settings& settings) const {
  auto entries = LoadConfig(path);
  if (!entries.ok()) return entries.status();
  for (ConfigEntry& entry : *entries) {
    const std::string where = absl::StrCat(path, ":", entry.line);
    const auto known = [&](const OptionSpec& spec) {
      return spec.name == entry.key && spec.name != "config";
    };
    const auto spec = std::find_if(all_.begin(), all_.end(), known);
    if (spec == all_.end()) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": there is no setting called ",
                                                     entry.key,
                                                     ": keys are the names of flags without --"));
    }
    if (spec->kind != OptionKind::kList && entry.values.size() != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", entry.key, " has one value, not an array"));
    }
    // A setting of another command is none of our business.
    if (Find(entry.key) == nullptr) continue;
    settings.given_[entry.key].push_back({std::move(entry.values), Origin::kFile, "file " + where});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, KafkaSetting>> ResolveKafka(const Settings& settings) {
  std::map<std::string, KafkaSetting> properties;
  for (const Origin origin : {Origin::kFile, Origin::kEnvironment, Origin::kFlag}) {
    for (const Setting& file : settings.All("kafka-config")) {
      if (file.origin != origin) continue;
      const auto loaded = kafka::LoadKafkaProperties(file.value());
      if (!loaded.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--kafka-config (", file.source, "): ", loaded.status().message()));
      }
      for (const auto& [key, value] : *loaded) properties[key] = {value, "file " + file.value()};
    }
    for (const Setting& given : settings.All("kafka")) {
      if (given.origin != origin) continue;
      for (const std::string& text : given.values) {
        const auto property = kafka::ParseKafkaProperty(text);
        if (!property.ok()) {
          return absl::InvalidArgumentError(
              absl::StrCat("--kafka (", given.source, "): ", property.status().message()));
        }
        properties[property->first] = {property->second, given.source};
      }
    }
  }
  return properties;
}

}  // namespace esd::cmd
