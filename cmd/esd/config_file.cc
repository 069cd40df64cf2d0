#include "cmd/esd/config_file.h"

#include <absl/strings/str_cat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

namespace esd::cmd {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  absl::StatusOr<std::vector<ConfigEntry>> Parse() {
    std::vector<ConfigEntry> entries;
    for (SkipToContent(); !AtEnd(); SkipToContent()) {
      auto entry = ParseEntry();
      if (!entry.ok()) return entry.status();
      for (const ConfigEntry& earlier : entries) {
        if (earlier.key == entry->key) {
          return Error(
              absl::StrCat(entry->key, " stands there twice, first in line ", earlier.line));
        }
      }
      entries.push_back(*std::move(entry));
    }
    return entries;
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\n' : text_[at_]; }
  char Take() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    return c;
  }

  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", line_, ": ", std::string(what)));
  }

  void SkipBlanks() {
    while (!AtEnd() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\r')) Take();
  }

  void SkipComment() {
    if (Peek() != '#') return;
    while (!AtEnd() && Peek() != '\n') Take();
  }

  // Over blanks, ends of lines and comments.
  void SkipToContent() {
    for (;;) {
      SkipBlanks();
      SkipComment();
      if (AtEnd() || Peek() != '\n') return;
      Take();
    }
  }

  absl::StatusOr<ConfigEntry> ParseEntry() {
    if (Peek() == '[') return Error("there are no [sections]: write key = value");
    ConfigEntry entry;
    entry.line = line_;
    while (!AtEnd() && (std::isalnum(static_cast<unsigned char>(Peek())) != 0 || Peek() == '-' ||
                        Peek() == '_')) {
      entry.key.push_back(Take());
    }
    SkipBlanks();
    if (entry.key.empty() || AtEnd() || Peek() != '=') return Error("expected key = value");
    Take();
    SkipBlanks();
    if (absl::Status status = ParseValues(entry.values); !status.ok()) return status;
    SkipBlanks();
    SkipComment();
    if (!AtEnd() && Peek() != '\n')
      return Error(absl::StrCat("unexpected text after the value of ", entry.key));
    return entry;
  }

  absl::Status ParseValues(std::vector<std::string>& values) {
    if (Peek() != '[') return ParseValue(/*in_array=*/false, values.emplace_back());
    Take();
    for (SkipToContent(); !AtEnd() && Peek() != ']'; SkipToContent()) {
      if (absl::Status status = ParseValue(/*in_array=*/true, values.emplace_back()); !status.ok())
        return status;
      SkipToContent();
      if (Peek() == ',') {
        Take();
      } else if (!AtEnd() && Peek() != ']') {
        return Error("expected ',' or ']' in an array");
      }
    }
    if (AtEnd()) return Error("the array has no end");
    Take();
    return absl::OkStatus();
  }

  absl::Status ParseValue(bool in_array, std::string& value) {
    if (Peek() == '"' || Peek() == '\'') return ParseString(value);
    // A '#' inside a word is part of it; TOML has no bare words, so there is nothing to agree with.
    while (!AtEnd() && Peek() != '\n' && Peek() != '\r' && Peek() != ' ' && Peek() != '\t' &&
           !(in_array && (Peek() == ',' || Peek() == ']'))) {
      value.push_back(Take());
    }
    return value.empty() || value[0] == '#'
               ? Error("the value is missing; an empty one is written \"\"")
               : absl::OkStatus();
  }

  absl::Status ParseString(std::string& value) {
    const char quote = Take();
    for (;;) {
      if (AtEnd() || Peek() == '\n') return Error("the string has no end");
      char c = Take();
      if (c == quote) return absl::OkStatus();
      if (c == '\\' && quote == '"') {
        switch (const char escaped = AtEnd() ? '\n' : Take()) {
          case '"':
          case '\\':
            c = escaped;
            break;
          case 'n':
            c = '\n';
            break;
          case 't':
            c = '\t';
            break;
          case 'r':
            c = '\r';
            break;
          default:
            return Error(
                "a string has an escape other than \\\" \\\\ \\n \\t \\r; 'single quotes' need "
                "none");
        }
      }
      value.push_back(c);
    }
  }

  const std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<ConfigEntry>> ParseConfig(std::string_view text,
                                                     const std::string& path) {
  return Parser(text, path).Parse();
}

absl::StatusOr<std::vector<ConfigEntry>> LoadConfig(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    return absl::InvalidArgumentError(
        absl::StrCat("can't read ", path, ": ", std::strerror(errno)));
  }
  return ParseConfig(text, path);
}

}  // namespace esd::cmd
