// Runs an engine for somebody who tries it.
#ifndef ESD_CMD_ESD_DEV_H_
#define ESD_CMD_ESD_DEV_H_

#include <string>

#include "cmd/esd/serve_options.h"

namespace esd::cmd {

// As Serve(), but says on stdout where it is and what to try. `program` is what the user typed to
// run it. A temporary folder is removed in the end, unless the process is killed.
int Dev(const DevOptions& options, const std::string& program);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_DEV_H_
