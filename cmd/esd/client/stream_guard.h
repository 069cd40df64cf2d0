// Ends a call, and what waits, when the user wants it to end; a stream also when it has been silent
// for too long.
#ifndef ESD_CMD_ESD_CLIENT_STREAM_GUARD_H_
#define ESD_CMD_ESD_CLIENT_STREAM_GUARD_H_

#include <absl/time/time.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace esd::cmd {

// From its construction to its end SIGINT and SIGTERM don't end the process but what is guarded,
// and so does stdout's reader going away, be it the first end or not; SIGPIPE is ignored. One at a
// time.
class StreamGuard {
 public:
  StreamGuard();
  ~StreamGuard();

  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

  // Cancels the call when it is to end, or at `deadline`; until Release(), which must come before
  // the context's end.
  void Guard(grpc::ClientContext* context, absl::Time deadline);
  void Extend(absl::Time deadline);
  void Release();

  // Waits that long, or until the end.
  void Pause(absl::Duration duration);

  // A signal came, or stdout has no reader any more.
  bool ended() const { return ended_; }
  bool reader_gone() const { return reader_gone_; }
  // What came first: SIGINT, SIGTERM, or SIGPIPE for the reader that is gone; 0 before the end.
  int signal() const { return signal_; }
  // Readable from the end on, for poll(). -1 without signals to hear of.
  int ended_fd() const { return end_pipe_[0]; }

 private:
  void Watch();
  void End(int signal);

  int end_pipe_[2];  // what is written to it stays in it
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> ended_ = false;
  std::atomic<bool> reader_gone_ = false;
  std::atomic<int> signal_ = 0;
  std::mutex mutex_;  // guards the two below
  std::condition_variable changed_;
  grpc::ClientContext* context_ = nullptr;
  absl::Time deadline_ = absl::InfiniteFuture();
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_STREAM_GUARD_H_
