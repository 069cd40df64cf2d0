#include "tests/log/memory_appender.h"

#include <absl/strings/str_cat.h>

#include <utility>

namespace esd {

MemoryAppender::~MemoryAppender() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

void MemoryAppender::Append(const std::string& domain, const OutputRecord& command, Done done) {
  const size_t size = MemoryCluster::SizeOf(command);
  if (size > cluster_->options_.max_record_bytes) {
    return done(absl::InvalidArgumentError(absl::StrCat(
        "the command has ", size, " bytes, ", MemoryCluster::NameOf(domain, Topic::kCommand),
        " takes ", cluster_->options_.max_record_bytes, ": send a smaller one")));
  }
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({{domain, command.partition}, MemoryCluster::Copy(command), std::move(done)});
}

void MemoryAppender::Run() {
  for (;;) {
    Waiting next;
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !waiting_.empty();
      };
      mutex_.Await(absl::Condition(&due));
      if (waiting_.empty()) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next.done(cluster_->Append(next.partition, Topic::kCommand, next.command));
  }
}

}  // namespace esd
