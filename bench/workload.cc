#include "bench/workload.h"

#include <absl/strings/str_cat.h>

#include <charconv>

namespace esd::bench {
namespace {

// With JSON's quote before it, it can only be the beginning of a name.
constexpr std::string_view kMark = "\"n-";

// splitmix64's finalizer: spreads consecutive numbers evenly.
uint64_t Scatter(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

std::string NameOf(int64_t number) {
  return absl::StrCat("n-", absl::Dec(number, absl::kZeroPad9));
}

}  // namespace

int64_t UserOf(int64_t number, int64_t users) {
  if (number < users) return number;
  return static_cast<int64_t>(Scatter(static_cast<uint64_t>(number)) %
                              static_cast<uint64_t>(users));
}

std::string KeyOf(int64_t user) {
  return absl::StrCat("user-", absl::Dec(user, absl::kZeroPad6), "@example.org");
}

ApiCommand MakeApiCommand(int64_t number, int64_t users) {
  const std::string key = KeyOf(UserOf(number, users));
  if (number < users) {
    return {"RegisterUserCommand",
            absl::StrCat(R"({"name":")", NameOf(number), R"(","email":")", key, R"("})")};
  }
  return {"ChangeUserNameCommand",
          absl::StrCat(R"({"email":")", key, R"(","newName":")", NameOf(number), R"("})")};
}

BenchCommand MakeCommand(int64_t number, int64_t users) {
  const ApiCommand command = MakeApiCommand(number, users);
  return {KeyOf(UserOf(number, users)),
          absl::StrCat(R"({"type":")", command.type, R"(","command":)", command.json, "}")};
}

int64_t NumberIn(std::string_view value) {
  const size_t mark = value.find(kMark);
  if (mark == std::string_view::npos) return -1;
  const char* begin = value.data() + mark + kMark.size();
  int64_t number = -1;
  const auto [end, error] = std::from_chars(begin, value.data() + value.size(), number);
  return error == std::errc() ? number : -1;
}

}  // namespace esd::bench
