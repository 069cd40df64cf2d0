// Commands as people and scripts write them: lines of JSON.
#ifndef ESD_CMD_ESD_CLIENT_COMMAND_INPUT_H_
#define ESD_CMD_ESD_CLIENT_COMMAND_INPUT_H_

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "esd/v1/command_service.pb.h"

namespace esd::cmd {

struct InputLine {
  int64_t number = 0;     // from 1, blank lines counted
  std::string text;       // without the line's end
  bool too_long = false;  // `text` is empty then
};

// Reads lines of up to `max_bytes` from a file descriptor, in whatever pieces they come.
class LineReader {
 public:
  // Once `end_fd` is readable, nothing is waited for any more. -1: there is no such end.
  LineReader(int fd, size_t max_bytes, int end_fd = -1)
      : fd_(fd), max_bytes_(max_bytes), end_fd_(end_fd) {}

  enum class Result {
    kLine,
    kNotYet,  // without waiting, or at the end of all waiting: the next line isn't there yet
    kEnd,
    kFailed,  // errno says why
  };
  // The next line that isn't blank. Without `wait` it takes only what is there.
  Result Next(bool wait, InputLine* line);

 private:
  // Cuts the next line out of what was read; false when it isn't complete.
  bool Cut(InputLine* line);
  // Reads some more; false at the end and after a failure.
  bool Fill();
  // False when `end_fd` ended it.
  bool WaitForMore() const;

  const int fd_;
  const size_t max_bytes_;
  const int end_fd_;
  std::string buffer_;
  size_t begin_ = 0;    // what is before it was handed out
  size_t scanned_ = 0;  // up to here there is no line's end
  int64_t number_ = 0;
  bool skipping_ = false;  // the rest of a line that is too long
  bool ended_ = false;
  bool failed_ = false;
};

// Reads a command: `{"type":…,"command":{…}}`, which may also have "id" and "expectedVersion"; or,
// when `type` isn't empty, the command alone. The command itself is left to the server to judge.
// INVALID_ARGUMENT says what is wrong.
absl::StatusOr<esd::v1::SubmitCommandRequest> ParseCommand(std::string_view text,
                                                           const std::string& domain,
                                                           const std::string& type);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_COMMAND_INPUT_H_
