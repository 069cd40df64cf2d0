// The options of commands: what there is, and where each value comes from.
//
// CLI11 parses the command line only, because it lets a configuration file win over the
// environment. What was not given there comes from a variable ESD_*, then from the --config file,
// then from the default.
#ifndef ESD_CMD_ESD_OPTIONS_H_
#define ESD_CMD_ESD_OPTIONS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <CLI/App.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/log/kafka/kafka_properties.h"

namespace esd::cmd {

// A variable of the environment; nothing when it isn't set.
using GetEnv = std::function<std::optional<std::string>(const std::string& name)>;

enum class OptionKind {
  kText,
  kNumber,
  kSwitch,  // a flag without a value; elsewhere true or false
  kList,    // may be given several times; its variable is separated by `separators`
};

struct OptionSpec {
  std::string name;         // `group`: the flag --group, the variable ESD_GROUP, the key group
  std::string placeholder;  // for help; FILE and DIR complete as such, a|b as a choice
  OptionKind kind = OptionKind::kText;
  std::string default_value;  // empty: none, or one that `help` explains
  std::string help;           // the first sentence is shown in completions
  std::string separators;     // of the variable of a list
};

// All options there are, so that one file serves all commands. The default of --data-dir depends on
// `env`.
std::vector<OptionSpec> AllOptions(const GetEnv& env);

// Those of them with these names, in that order.
std::vector<OptionSpec> SelectOptions(const std::vector<OptionSpec>& all,
                                      const std::vector<std::string>& names);

// `ESD_HTTP_LISTEN` for `http-listen`.
std::string EnvironmentName(std::string_view option);

enum class Origin { kDefault, kFile, kEnvironment, kFlag };  // each wins over those before it

struct Setting {
  std::vector<std::string> values;  // exactly one unless the option is a list
  Origin origin = Origin::kDefault;
  std::string source;  // `flag --group`, `environment ESD_GROUP`, `file esd.toml:3`, `default`

  const std::string& value() const { return values.front(); }
};

// What a command was given. All functions take names of the command's options.
class Settings {
 public:
  // The value that counts.
  const Setting& Get(const std::string& name) const { return given_.at(name).front(); }
  // Whether it is more than a default.
  bool IsGiven(const std::string& name) const { return Get(name).origin != Origin::kDefault; }
  // Every value that was given, the one that counts first.
  const std::vector<Setting>& All(const std::string& name) const { return given_.at(name); }

  // INVALID_ARGUMENT about an option: `--workers (environment ESD_WORKERS): what`.
  absl::Status Invalid(const std::string& name, std::string_view what) const;

  // The value as a number. INVALID_ARGUMENT unless it is one from `low` to `high`.
  absl::StatusOr<int> Number(const std::string& name, int low, int high) const;
  // The value of a switch. INVALID_ARGUMENT unless it is true or false (1, 0, yes, no, on, off).
  absl::StatusOr<bool> Switch(const std::string& name) const;

 private:
  friend class OptionSet;
  std::map<std::string, std::vector<Setting>> given_;
};

// The options of one command. `app` must outlive it.
class OptionSet {
 public:
  // Adds the options to the command; `all` are the keys that a --config file may hold.
  OptionSet(CLI::App* app, std::vector<OptionSpec> specs, std::vector<OptionSpec> all);

  const std::vector<OptionSpec>& specs() const { return specs_; }

  // Call it after CLI11 has parsed. INVALID_ARGUMENT for a file that can't be read or has unknown
  // keys.
  absl::StatusOr<Settings> Resolve(const GetEnv& env) const;

 private:
  absl::Status AddFile(const std::string& path, Settings& settings) const;
  const OptionSpec* Find(const std::string& name) const;

  CLI::App* const app_;
  const std::vector<OptionSpec> specs_;
  const std::vector<OptionSpec> all_;
};

// A Kafka property and where it comes from.
struct KafkaSetting {
  std::string value;
  std::string source;
};

// The properties of --kafka and --kafka-config, from all origins: for each property the highest
// origin counts, and in one origin --kafka before --kafka-config. INVALID_ARGUMENT for what can't
// be read or is no `key=value`; properties are not checked.
absl::StatusOr<std::map<std::string, KafkaSetting>> ResolveKafka(const Settings& settings);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_OPTIONS_H_
