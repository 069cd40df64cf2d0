// Submits commands in batches, and makes sure that each ends up with a word on what became of it.
#ifndef ESD_CMD_ESD_CLIENT_BATCH_SENDER_H_
#define ESD_CMD_ESD_CLIENT_BATCH_SENDER_H_

#include <optional>
#include <vector>

#include "cmd/esd/client/client.h"

namespace esd::cmd {

// What became of a command.
struct CommandResult {
  esd::v1::SubmitCommandResponse response;  // when there is no error: it was accepted
  std::optional<CallError> error;
};

class BatchSender {
 public:
  // `client` must outlive the sender.
  explicit BatchSender(const Client& client) : client_(client) {}

  // Submits the commands in one call, and returns a result for each. Until --timeout has passed,
  // those are submitted again, in their order, that were not written, and those with a command id
  // whose outcome is unknown. Before the server has answered for the first time, a connection that
  // doesn't come about ends it at once.
  std::vector<CommandResult> Send(const std::vector<esd::v1::SubmitCommandRequest>& commands);

  // The last call of the last Send() came to no answer.
  bool unreachable() const { return unreachable_; }

 private:
  const Client& client_;
  bool answered_ = false;
  bool unreachable_ = false;
};

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_BATCH_SENDER_H_
