// Reads a --config file: a subset of TOML, one flat list of keys.
#ifndef ESD_CMD_ESD_CONFIG_FILE_H_
#define ESD_CMD_ESD_CONFIG_FILE_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

namespace esd::cmd {

struct ConfigEntry {
  std::string key;
  std::vector<std::string> values;  // one, or those of an array
  int line = 0;
};

// Parses lines like these:
//
//   # a comment
//   group = "esd"                                # a string; 'without escapes' too
//   workers = 2                                  # numbers, true and false, and bare words
//   kafka = ["linger.ms=1", "client.id=esd-1"]   # an array, on several lines if need be
//
// There are no sections. `path` is for error messages, which are INVALID_ARGUMENT, name the line
// and show no value: it may be a secret.
absl::StatusOr<std::vector<ConfigEntry>> ParseConfig(std::string_view text,
                                                     const std::string& path);

// Reads and parses a file; INVALID_ARGUMENT too when it can't be read.
absl::StatusOr<std::vector<ConfigEntry>> LoadConfig(const std::string& path);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CONFIG_FILE_H_
