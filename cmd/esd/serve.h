// Runs the engine until it is told to stop.
#ifndef ESD_CMD_ESD_SERVE_H_
#define ESD_CMD_ESD_SERVE_H_

#include "cmd/esd/serve_options.h"

namespace esd::cmd {

// Runs an engine with built-in domains. The first SIGTERM or SIGINT drains it, a second one ends
// the process with code 1 at once. Returns the exit code: 0 after a clean drain. For the main
// thread, once per process.
int Serve(const ServeOptions& options);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_SERVE_H_
