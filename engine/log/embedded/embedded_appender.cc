#include "engine/log/embedded/embedded_appender.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <utility>

#include "engine/log/embedded/record_codec.h"
#include "engine/log/embedded/record_limits.h"
#include "engine/log/topic_names.h"

namespace esd::embedded {
namespace {

using Outcome = WriteRequest::Outcome;

constexpr absl::Duration kAnswerTimeout = absl::Seconds(9);
// Beyond it Append() answers kResourceExhausted.
constexpr size_t kMaxWaiting = 100'000;
constexpr size_t kMaxWaitingBytes = size_t{128} << 20;

// What became of a command that wasn't written, or may not have been.
absl::Status ToStatus(const WriteRequest::Result& result) {
  if (result.outcome == Outcome::kUnknown) return absl::UnknownError(result.why.message());
  if (absl::IsResourceExhausted(result.why)) return LogFullError(std::string(result.why.message()));
  return absl::UnavailableError(result.why.message());
}

}  // namespace

EmbeddedAppender::EmbeddedAppender(LogState* state, LogWriter* writer, FreeSpace* space)
    : state_(state), writer_(writer), space_(space), thread_([this] { Run(); }) {}

EmbeddedAppender::~EmbeddedAppender() {
  absl::MutexLock lock(&shared_->mutex);
  shared_->stopping = true;
}

void EmbeddedAppender::Append(const std::string& domain, const OutputRecord& command, Done done) {
  const absl::Status status = Enqueue(domain, command, &done);
  if (!status.ok()) done(status);
}

absl::Status EmbeddedAppender::Enqueue(const std::string& domain, const OutputRecord& command,
                                       Done* done) {
  const size_t size = SizeOf(command);
  if (size > MaxRecordBytes(Topic::kCommand)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the command has ", size, " bytes, ", TopicName("", domain, Topic::kCommand),
                     " takes ", MaxRecordBytes(Topic::kCommand), ": send a smaller one"));
  }
  if (absl::Status status = space_->Check(); !status.ok()) return status;
  const absl::Time now = absl::Now();
  auto request = std::make_shared<WriteRequest>();
  TopicLog& log = state_->partitions.at({domain, command.partition}).of(Topic::kCommand);
  request->records.push_back({&log, EncodeRecord(command, absl::ToUnixMillis(now))});
  auto waiting = std::make_shared<Waiting>();
  waiting->deadline = now + kAnswerTimeout;
  waiting->bytes = size;
  request->done = [shared = shared_, waiting](WriteRequest& written, WriteRequest::Result result) {
    absl::MutexLock lock(&shared->mutex);
    if (result.outcome == Outcome::kWritten) {
      waiting->answer.emplace(written.records[0].offset);
    } else {
      waiting->answer.emplace(ToStatus(result));
    }
  };
  absl::MutexLock lock(&shared_->mutex);
  if (shared_->waiting.size() >= kMaxWaiting || shared_->bytes + size > kMaxWaitingBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(shared_->waiting.size(), " commands wait for the disk: send more slowly"));
  }
  shared_->bytes += size;
  waiting->done = std::move(*done);
  shared_->waiting.push_back(std::move(waiting));
  // Under the lock: commands are written in the order in which they wait.
  writer_->Submit(std::move(request));
  return absl::OkStatus();
}

void EmbeddedAppender::Run() {
  for (;;) {
    for (Answer& answer : TakeAnswers()) answer.first(std::move(answer.second));
    absl::MutexLock lock(&shared_->mutex);
    if (shared_->stopping && shared_->waiting.empty()) return;
    const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(shared_->mutex) {
      if (shared_->waiting.empty()) return shared_->stopping;
      return shared_->waiting.front()->answer.has_value();
    };
    const absl::Time deadline =
        shared_->waiting.empty() ? absl::InfiniteFuture() : shared_->waiting.front()->deadline;
    shared_->mutex.AwaitWithDeadline(absl::Condition(&due), deadline);
  }
}

std::vector<EmbeddedAppender::Answer> EmbeddedAppender::TakeAnswers() {
  std::vector<Answer> answers;
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&shared_->mutex);
  while (!shared_->waiting.empty()) {
    Waiting& first = *shared_->waiting.front();
    if (!first.answer && first.deadline > now) break;
    absl::StatusOr<Offset> answer =
        first.answer ? *std::move(first.answer)
                     : absl::UnknownError(
                           "the disk doesn't answer: check it; the command may be "
                           "written all the same");
    answers.emplace_back(std::move(first.done), std::move(answer));
    shared_->bytes -= first.bytes;
    shared_->waiting.pop_front();
  }
  return answers;
}

}  // namespace esd::embedded
