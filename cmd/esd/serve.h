// Runs the engine until it is told to stop.
#ifndef ESD_CMD_ESD_SERVE_H_
#define ESD_CMD_ESD_SERVE_H_

#include <absl/status/status.h>

#include <functional>

#include "cmd/esd/serve_options.h"
#include "engine/server/engine.h"

namespace esd::cmd {

// Runs an engine with built-in domains. The first SIGTERM or SIGINT drains it, a second one ends
// the process with code 1 at once. `when_started` is called once the engine has started; an error
// of it stops the engine, too, and makes the exit code 1. Returns the exit code: 0 after a clean
// drain. For the main thread, once per process.
int Serve(const ServeOptions& options,
          const std::function<absl::Status(Engine& engine)>& when_started);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_SERVE_H_
