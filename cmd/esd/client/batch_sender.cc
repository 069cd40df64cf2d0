#include "cmd/esd/client/batch_sender.h"

#include <absl/time/clock.h>

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace esd::cmd {
namespace {

constexpr absl::Duration kShortestPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

CommandResult ResultOf(const esd::v1::CommandResult& result) {
  if (result.has_error()) return {{}, FromRpc(result.error())};
  return {result.response(), std::nullopt};
}

}  // namespace

std::optional<CallError> BatchSender::Submit(
    absl::Time deadline, const std::vector<esd::v1::SubmitCommandRequest>& commands,
    const std::vector<size_t>& chosen, std::vector<CommandResult>* results) const {
  esd::v1::BatchSubmitCommandsRequest request;
  for (const size_t i : chosen) *request.add_commands() = commands[i];
  esd::v1::BatchSubmitCommandsResponse response;
  auto error = client_.Once(deadline, [&](grpc::ClientContext* context) {
    if (guard_ != nullptr) guard_->Guard(context, absl::InfiniteFuture());
    const grpc::Status status = client_.commands().BatchSubmitCommands(context, request, &response);
    if (guard_ != nullptr) guard_->Release();
    return status;
  });
  if (!error && static_cast<size_t>(response.results_size()) != chosen.size()) {
    error.emplace();
    error->code = absl::StatusCode::kInternal;
    error->message = "the server answered with another number of results than it got commands";
  }
  for (size_t i = 0; i < chosen.size(); ++i) {
    CommandResult result =
        error ? CommandResult{{}, error} : ResultOf(response.results(static_cast<int>(i)));
    // Once a command may have been written, "not this time" doesn't mean that it wasn't.
    std::optional<CallError>& known = (*results)[chosen[i]].error;
    const bool still_unknown =
        known && known->OutcomeUnknown() && result.error && result.error->Refused();
    if (!still_unknown) (*results)[chosen[i]] = std::move(result);
  }
  return error;
}

void BatchSender::Pause(absl::Duration duration) const {
  if (guard_ != nullptr) {
    guard_->Pause(duration);
  } else {
    absl::SleepFor(duration);
  }
}

std::vector<CommandResult> BatchSender::Send(
    const std::vector<esd::v1::SubmitCommandRequest>& commands) {
  const absl::Time deadline = client_.Deadline();
  std::vector<CommandResult> results(commands.size());
  std::vector<size_t> open(commands.size());
  std::iota(open.begin(), open.end(), size_t{0});
  while (true) {
    const auto failure = Submit(deadline, commands, open, &results);
    unreachable_ = failure && failure->reason.empty();
    if (!unreachable_) answered_ = true;
    const bool ended = guard_ != nullptr && guard_->ended();
    if (!answered_ && failure->not_sent && !ended) return results;
    std::vector<size_t> again;
    absl::Duration pause = kShortestPause;
    for (const size_t i : open) {
      const std::optional<CallError>& error = results[i].error;
      if (!error) continue;
      const bool has_id = !commands[i].command_id().empty();
      if (!error->Refused() && !(has_id && error->OutcomeUnknown())) continue;
      again.push_back(i);
      pause = std::max(pause, std::min(error->retry_delay, kLongestPause));
    }
    if (ended) {
      for (const size_t i : unreachable_ ? open : again) results[i].given_up = true;
      return results;
    }
    if (again.empty() || absl::Now() + pause >= deadline) return results;
    Pause(pause);
    open = std::move(again);
  }
}

}  // namespace esd::cmd
