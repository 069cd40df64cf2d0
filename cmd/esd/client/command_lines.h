// Sends the commands that stand on the lines of stdin.
#ifndef ESD_CMD_ESD_CLIENT_COMMAND_LINES_H_
#define ESD_CMD_ESD_CLIENT_COMMAND_LINES_H_

#include <cstddef>
#include <string>

#include "cmd/esd/client/session.h"

namespace esd::cmd {

struct SendLinesOptions {
  std::string type;         // of every command; empty: each line tells
  size_t batch_size = 500;  // lines in one call
  bool keep_going = false;
};

// A result per line on stdout, progress and the sum on stderr. Returns the exit code.
int SendLines(const Session& session, const SendLinesOptions& options);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_COMMAND_LINES_H_
