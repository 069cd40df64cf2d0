#include "engine/server/api/command_waiters.h"

#include <absl/random/random.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <iterator>
#include <utility>

#include "engine/base/string_view.h"

namespace esd::api {
namespace {

// Answers that one task gives: others run beside it.
constexpr size_t kAnswersPerTask = 256;

std::string MakeSession() {
  absl::BitGen random;
  return absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16),
                      absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16), "-");
}

}  // namespace

CommandWaiters::CommandWaiters(Executor* executor) : executor_(executor), session_(MakeSession()) {}

CommandWaiters::Id CommandWaiters::Add(const DomainPartition& partition, Done done) {
  absl::MutexLock lock(&mutex_);
  const Id id = ++last_;
  waiters_.emplace(id, Waiter{partition, std::move(done)});
  return id;
}

std::string CommandWaiters::RequestId(Id id) const { return absl::StrCat(session_, id); }

std::optional<CommandWaiters::Id> CommandWaiters::ParseRequestId(std::string_view header) const {
  Id id = 0;
  if (header.substr(0, session_.size()) != session_) return std::nullopt;
  header.remove_prefix(session_.size());
  if (!absl::SimpleAtoi(ToAbsl(header), &id)) return std::nullopt;
  return id;
}

bool CommandWaiters::Remove(Id id) {
  Waiter ended;  // may own what waits for the lock
  absl::MutexLock lock(&mutex_);
  const auto it = waiters_.find(id);
  if (it == waiters_.end()) return false;
  ended = std::move(it->second);
  waiters_.erase(it);
  return true;
}

void CommandWaiters::OnCommitted(const CommittedPart& part) {
  std::vector<Answer> answers;
  {
    absl::MutexLock lock(&mutex_);
    for (const CommandResult& result : part.results) {
      if (result.request_id.empty() || result.effect == Effect::kForwarded) continue;
      const std::optional<Id> id = ParseRequestId(result.request_id);
      const auto it = id ? waiters_.find(*id) : waiters_.end();
      if (it == waiters_.end()) continue;
      answers.push_back(
          {std::move(it->second.done), ProcessedCommand{result.effect, result.offset, result.reply,
                                                        result.reason, result.answered_offset}});
      waiters_.erase(it);
    }
  }
  Run(std::move(answers));
}

void CommandWaiters::OnStopped(const DomainPartition& partition) {
  std::vector<Answer> answers;
  {
    absl::MutexLock lock(&mutex_);
    for (auto it = waiters_.begin(); it != waiters_.end();) {
      if (it->second.partition == partition) {
        answers.push_back({std::move(it->second.done), std::nullopt});
        waiters_.erase(it++);
      } else {
        ++it;
      }
    }
  }
  Run(std::move(answers));
}

void CommandWaiters::Run(std::vector<Answer> answers) {
  for (size_t begin = 0; begin < answers.size(); begin += kAnswersPerTask) {
    const size_t end = std::min(begin + kAnswersPerTask, answers.size());
    const auto first = answers.begin() + static_cast<ptrdiff_t>(begin);
    std::vector<Answer> share(std::make_move_iterator(first),
                              std::make_move_iterator(first + static_cast<ptrdiff_t>(end - begin)));
    executor_->Run([share = std::move(share)]() mutable {
      for (Answer& answer : share) answer.done(std::move(answer.processed));
    });
  }
}

}  // namespace esd::api
