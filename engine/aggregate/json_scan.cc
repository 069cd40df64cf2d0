#include "engine/aggregate/json_scan.h"

#include <cstddef>

namespace esd::internal {
namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view json) : json_(json) {}

  void SkipSpace() {
    while (IsSpace(Next())) ++position_;
  }

  // Behind `c`, if it is next.
  bool Skip(char c) {
    if (Next() != c) return false;
    ++position_;
    return true;
  }

  // From the opening quote to behind the closing one.
  void SkipString() {
    for (++position_; position_ < json_.size(); ++position_) {
      if (json_[position_] == '\\') {
        ++position_;  // what follows belongs to it, be it a quote
      } else if (json_[position_] == '"') {
        ++position_;
        return;
      }
    }
    position_ = json_.size();
  }

  std::string_view Value() {
    const size_t begin = position_;
    if (Next() == '"') {
      SkipString();
    } else if (Next() == '{' || Next() == '[') {
      SkipContainer();
    } else {
      SkipWord();
    }
    return json_.substr(begin, position_ - begin);
  }

 private:
  static bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  // '\0' at the end, where no valid document has one either.
  char Next() const { return position_ < json_.size() ? json_[position_] : '\0'; }

  // From the opening bracket to behind the one that closes it.
  void SkipContainer() {
    size_t depth = 0;
    while (position_ < json_.size()) {
      switch (json_[position_]) {
        case '"':
          SkipString();
          continue;
        case '{':
        case '[':
          ++depth;
          break;
        case '}':
        case ']':
          --depth;
          break;
        default:
          break;
      }
      ++position_;
      if (depth == 0) return;
    }
  }

  // A number, true, false or null.
  void SkipWord() {
    while (position_ < json_.size() && !IsSpace(Next()) && Next() != ',' && Next() != '}') {
      ++position_;
    }
  }

  const std::string_view json_;
  size_t position_ = 0;
};

}  // namespace

std::vector<std::string_view> MemberTexts(std::string_view json) {
  std::vector<std::string_view> texts;
  Scanner scanner(json);
  scanner.SkipSpace();
  if (!scanner.Skip('{')) return texts;
  scanner.SkipSpace();
  if (scanner.Skip('}')) return texts;
  do {
    scanner.SkipSpace();
    scanner.SkipString();
    scanner.SkipSpace();
    scanner.Skip(':');
    scanner.SkipSpace();
    texts.push_back(scanner.Value());
    scanner.SkipSpace();
  } while (scanner.Skip(','));
  return texts;
}

}  // namespace esd::internal
