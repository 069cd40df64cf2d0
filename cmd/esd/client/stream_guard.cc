#include "cmd/esd/client/stream_guard.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

namespace esd::cmd {
namespace {

constexpr int kLookEveryMs = 100;

// For the signal handler.
std::atomic<int> signal_fd = -1;
std::atomic<int> first_signal = 0;

void OnSignal(int number) {
  const int saved_errno = errno;
  const char byte = 0;
  int none = 0;
  first_signal.compare_exchange_strong(none, number);
  // When the pipe is full, the watcher has enough to wake up for.
  [[maybe_unused]] const ssize_t written = write(signal_fd.load(), &byte, 1);
  errno = saved_errno;
}

void Handle(int number, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

}  // namespace

StreamGuard::StreamGuard() {
  // Without a pipe there are no signals to hear of: the process then ends as others do.
  if (pipe2(end_pipe_, O_CLOEXEC | O_NONBLOCK) != 0) {
    end_pipe_[0] = end_pipe_[1] = -1;
  } else {
    signal_fd = end_pipe_[1];
    first_signal = 0;
    Handle(SIGINT, OnSignal);
    Handle(SIGTERM, OnSignal);
  }
  Handle(SIGPIPE, SIG_IGN);
  thread_ = std::thread([this] { Watch(); });
}

StreamGuard::~StreamGuard() {
  stopping_ = true;
  thread_.join();
  for (const int number : {SIGINT, SIGTERM, SIGPIPE}) Handle(number, SIG_DFL);
  signal_fd = -1;
  for (const int fd : end_pipe_) {
    if (fd >= 0) close(fd);
  }
}

void StreamGuard::Guard(grpc::ClientContext* context, absl::Time deadline) {
  const std::lock_guard lock(mutex_);
  context_ = context;
  deadline_ = deadline;
  if (ended_) context->TryCancel();
}

void StreamGuard::Extend(absl::Time deadline) {
  const std::lock_guard lock(mutex_);
  deadline_ = deadline;
}

void StreamGuard::Release() {
  const std::lock_guard lock(mutex_);
  context_ = nullptr;
}

void StreamGuard::Pause(absl::Duration duration) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoMilliseconds(duration), [this] { return ended_.load(); });
}

void StreamGuard::Watch() {
  while (!stopping_) {
    // A pipe says POLLERR when nobody reads it any more, without being asked.
    pollfd fds[] = {{end_pipe_[0], POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
    if (ended_) fds[0].fd = fds[1].fd = -1;
    poll(fds, 2, kLookEveryMs);
    const bool gone = (fds[1].revents & POLLERR) != 0;
    const bool signalled = (fds[0].revents & POLLIN) != 0;
    if (gone) reader_gone_ = true;
    const std::lock_guard lock(mutex_);
    if (gone || signalled) End(signalled ? first_signal.load() : SIGPIPE);
    if (context_ != nullptr && (ended_ || absl::Now() >= deadline_)) context_->TryCancel();
  }
}

void StreamGuard::End(int signal) {
  signal_ = signal;
  ended_ = true;
  changed_.notify_all();
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = write(end_pipe_[1], &byte, 1);
}

}  // namespace esd::cmd
