// What is sent. Each command has a number of its own, which stands in the name that it gives to its
// user, and so in its event: that is how the reader tells which commands arrived, and when.
#ifndef ESD_BENCH_WORKLOAD_H_
#define ESD_BENCH_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace esd::bench {

struct BenchCommand {
  std::string key;
  std::string value;
};

// The commands 0 … users-1 register one user each; every later one renames a user, chosen evenly at
// random but always the same for the same number. No two names are equal, so each command has
// exactly one event.
BenchCommand MakeCommand(int64_t number, int64_t users);

// The same command for a client of the API, which gives its type apart.
struct ApiCommand {
  std::string type;
  std::string json;
};
ApiCommand MakeApiCommand(int64_t number, int64_t users);

// The user that a command is for, and the key of a user.
int64_t UserOf(int64_t number, int64_t users);
std::string KeyOf(int64_t user);

// The number in an event (or a command); -1 if there is none.
int64_t NumberIn(std::string_view value);

// What the engine's records have besides key and value, for those that stand in for it without a
// broker: an event's headers, and a snapshot's frame and state.
inline constexpr size_t kLogEventHeaderBytes = 250;
inline constexpr size_t kLogSnapshotBytes = 40;

}  // namespace esd::bench

#endif  // ESD_BENCH_WORKLOAD_H_
