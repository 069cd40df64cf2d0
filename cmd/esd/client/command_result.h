// What became of a command, as it is shown.
#ifndef ESD_CMD_ESD_CLIENT_COMMAND_RESULT_H_
#define ESD_CMD_ESD_CLIENT_COMMAND_RESULT_H_

#include <string>

#include "cmd/esd/client/batch_sender.h"
#include "cmd/esd/client/session.h"

namespace esd::cmd {

enum class ResultKind { kAccepted, kRejected, kFailed, kUnknown };
ResultKind KindOf(const CommandResult& result);

// `accepted`, …: for people and, in capitals, for programs.
std::string NameOf(ResultKind kind);

// Members of a JSON object: "status" and the outcome's, or "code", "reason", "message", "metadata".
std::string ResultMembers(const CommandResult& result);

// Writes the outcome of a single command for people.
void PrintAccepted(const Session& session, const esd::v1::SubmitCommandResponse& response);

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_COMMAND_RESULT_H_
