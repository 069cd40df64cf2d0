// Submits commands in batches, and makes sure that each ends up with a word on what became of it.
#ifndef ESD_CMD_ESD_CLIENT_BATCH_SENDER_H_
#define ESD_CMD_ESD_CLIENT_BATCH_SENDER_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "cmd/esd/client/client.h"
#include "cmd/esd/client/stream_guard.h"

namespace esd::cmd {

// What became of a command.
struct CommandResult {
  esd::v1::SubmitCommandResponse response;  // when there is no error: it was accepted
  std::optional<CallError> error;
  // The user didn't wait for the answer: `error` isn't the last word.
  bool given_up = false;
};

class BatchSender {
 public:
  // `client` and `guard`, which ends a Send(), must outlive the sender.
  explicit BatchSender(const Client& client, StreamGuard* guard = nullptr)
      : client_(client), guard_(guard) {}

  // Submits the commands in one call, and returns a result for each. Until --timeout has passed,
  // those are submitted again, in their order, that were not written, and those with a command id
  // whose outcome is unknown. Before the server has answered for the first time, a connection that
  // doesn't come about ends it at once.
  std::vector<CommandResult> Send(const std::vector<esd::v1::SubmitCommandRequest>& commands);

  // The last call of the last Send() came to no answer.
  bool unreachable() const { return unreachable_; }

 private:
  // Submits some of the commands; a call that fails is each one's failure.
  std::optional<CallError> Submit(absl::Time deadline,
                                  const std::vector<esd::v1::SubmitCommandRequest>& commands,
                                  const std::vector<size_t>& chosen,
                                  std::vector<CommandResult>* results) const;
  void Pause(absl::Duration duration) const;

  const Client& client_;
  StreamGuard* const guard_;
  bool answered_ = false;
  bool unreachable_ = false;
};

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_BATCH_SENDER_H_
