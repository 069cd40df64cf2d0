// Processes that are measured: started, watched and ended by their pid.
#ifndef ESD_BENCH_CHILD_PROCESS_H_
#define ESD_BENCH_CHILD_PROCESS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace esd::bench {

// Start and use it on the main thread: the child is killed when the thread that started it ends.
class ChildProcess {
 public:
  // `arguments` begin with the program's path. What it writes goes to `log_path`.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const std::vector<std::string>& arguments, const std::string& log_path);
  // Kills it, if it runs.
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // kAborted, with the end of its log, once it has ended.
  absl::Status CheckRunning();

  // What it wrote last.
  std::string EndOfLog() const;

  // Waits until it ends by itself, or by Terminate(). An error unless its exit code is 0.
  absl::Status WaitForEnd(absl::Duration timeout);
  void Terminate();

 private:
  ChildProcess(pid_t pid, std::string name, std::string log_path)
      : pid_(pid), name_(std::move(name)), log_path_(std::move(log_path)) {}
  bool Ended();
  absl::Status Describe() const;

  const pid_t pid_;
  const std::string name_;
  const std::string log_path_;
  std::optional<int> wait_status_;
};

// User and system time that a process has used, all its threads together.
absl::StatusOr<double> CpuSeconds(pid_t pid);

// The same of everything on this machine, since it was started; what a hypervisor took away counts
// as used.
absl::StatusOr<double> MachineCpuSeconds();

// A port of 127.0.0.1 on which nothing listens at the moment.
absl::StatusOr<int> FreePort();

}  // namespace esd::bench

#endif  // ESD_BENCH_CHILD_PROCESS_H_
