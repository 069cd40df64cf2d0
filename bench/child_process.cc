#include "bench/child_process.h"

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "bench/waiting.h"

namespace esd::bench {
namespace {

constexpr size_t kShownLogBytes = 2'000;
constexpr int kExitNotStarted = 127;

double SecondsOfTicks(int64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Between fork and exec of a process with threads: only what a signal handler may call.
[[noreturn]] void Become(char* const* arguments, const char* log_path, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kExitNotStarted);  // it ended before the line above
  setpgid(0, 0);                                    // a Ctrl-C in the terminal is ours to handle
  const int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(arguments[0], arguments);
  _exit(kExitNotStarted);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& arguments, const std::string& log_path) {
  if (access(arguments[0].c_str(), X_OK) != 0)
    return absl::NotFoundError(absl::StrCat("can't run ", arguments[0], ": build it first"));
  std::vector<char*> raw;
  for (const std::string& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(raw.data(), log_path.c_str(), parent);
  if (pid < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(errno)));
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, arguments[0], log_path));
}

ChildProcess::~ChildProcess() {
  if (Ended()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool ChildProcess::Ended() {
  int status = 0;
  if (!wait_status_ && waitpid(pid_, &status, WNOHANG) == pid_) wait_status_ = status;
  return wait_status_.has_value();
}

absl::Status ChildProcess::Describe() const {
  const std::string how = WIFEXITED(*wait_status_)
                              ? absl::StrCat("exit code ", WEXITSTATUS(*wait_status_))
                              : absl::StrCat("signal ", WTERMSIG(*wait_status_));
  return absl::AbortedError(absl::StrCat(name_, " ended with ", how, ":\n", EndOfLog()));
}

std::string ChildProcess::EndOfLog() const {
  std::ifstream file(log_path_);
  std::stringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  return all.size() <= kShownLogBytes ? all : "…" + all.substr(all.size() - kShownLogBytes);
}

absl::Status ChildProcess::CheckRunning() { return Ended() ? Describe() : absl::OkStatus(); }

absl::Status ChildProcess::WaitForEnd(absl::Duration timeout) {
  absl::Status status = WaitUntil(
      name_, timeout, [this] { return Ended(); }, [] { return absl::OkStatus(); });
  if (!status.ok()) return status;
  return WIFEXITED(*wait_status_) && WEXITSTATUS(*wait_status_) == 0 ? absl::OkStatus()
                                                                     : Describe();
}

void ChildProcess::Terminate() {
  if (!Ended()) kill(pid_, SIGTERM);
}

absl::StatusOr<double> CpuSeconds(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  // proc(5): the second field is the name in parentheses, which may hold anything; utime and stime
  // are the fields 14 and 15, that is 12 and 13 behind it.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos)
    return absl::NotFoundError(absl::StrCat("no CPU time of process ", pid));
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  int64_t user_ticks = 0, system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  return SecondsOfTicks(user_ticks + system_ticks);
}

absl::StatusOr<double> MachineCpuSeconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  int64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  file >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
  if (!file || name != "cpu") return absl::NotFoundError("no CPU time in /proc/stat");
  return SecondsOfTicks(user + nice + system + irq + softirq + steal);
}

absl::StatusOr<int> FreePort() {
  const int probe = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  const bool found =
      probe >= 0 && bind(probe, raw, size) == 0 && getsockname(probe, raw, &size) == 0;
  if (probe >= 0) close(probe);
  if (!found) return absl::UnavailableError("no free port");
  return ntohs(address.sin_port);
}

}  // namespace esd::bench
