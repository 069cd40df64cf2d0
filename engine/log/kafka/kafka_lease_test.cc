// The lease of an instance whose process is stopped, as a paused machine or a debugger does it.
// Needs a broker, whose address is in ESD_TEST_BOOTSTRAP.
//
// The instance is a process of its own: this program again, with one test that is disabled
// otherwise. It writes a line for everything that it notices.
#include <absl/base/thread_annotations.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "engine/log/kafka/group_lease.h"
#include "engine/log/kafka/kafka_admin.h"
#include "engine/log/kafka/kafka_log.h"

namespace esd::kafka {
namespace {

constexpr absl::Duration kSessionTimeout = absl::Seconds(2);
constexpr absl::Duration kDeadline = absl::Seconds(60);
// What is written.
constexpr char kHolds[] = "holds the lease";  // once after each assignment
constexpr char kWoke[] = "woke";              // after longer than the session
constexpr char kWokeWithLease[] = "woke, and still holds the lease";

std::string Env(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    std::fprintf(stderr, "%s isn't set: it is the host:port of a broker\n", name);
    std::abort();
  }
  return value;
}

class CountAssignments : public MembershipListener {
 public:
  explicit CountAssignments(const Membership* membership) : membership_(membership) {}

  void OnAssigned(const std::vector<DomainPartition>&) override {
    if (membership_->HoldsLease()) ++with_lease_;
    ++count_;
  }
  void OnRevoked(const std::vector<DomainPartition>&) override {}
  void OnLost(const std::vector<DomainPartition>&) override {}
  void OnFailed(const absl::Status& error) override { ADD_FAILURE() << error; }
  int count() const { return count_; }
  // Of them, in which the instance held the lease already when it was told.
  int with_lease() const { return with_lease_; }

 private:
  const Membership* const membership_;
  std::atomic<int> with_lease_ = 0;
  std::atomic<int> count_ = 0;
};

// Keeps the membership's thread in OnAssigned() until told, so that the lease isn't ended because
// the client noticed that its session is over: it must end by itself.
class Occupying : public CountAssignments {
 public:
  using CountAssignments::CountAssignments;

  void OnAssigned(const std::vector<DomainPartition>& partitions) override {
    CountAssignments::OnAssigned(partitions);
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&let_go_), kDeadline);
    let_go_ = false;
  }
  void LetGo() {
    absl::MutexLock lock(&mutex_);
    let_go_ = true;
  }

 private:
  absl::Mutex mutex_;
  bool let_go_ ABSL_GUARDED_BY(mutex_) = false;
};

void Say(const char* line) {
  std::printf("\n%s\n", line);
  std::fflush(stdout);
}

// Looks at the lease all the time.
void Watch(const Membership& membership, Occupying& assignments) {
  int told = 0;         // assignments at the last kHolds
  int slept_with = -1;  // assignments when it fell asleep, for longer than a session, the last time
  int count = 0;
  absl::Duration last_look = TimeSinceBoot();
  for (;; absl::SleepFor(absl::Microseconds(200))) {
    // A stop during the look before had no effect on it: it was right when it began.
    const absl::Duration look = TimeSinceBoot();
    const bool slept = look - std::exchange(last_look, look) > kSessionTimeout;
    if (slept) slept_with = count;
    const bool holds = membership.HoldsLease();
    count = assignments.count();
    if (slept) {
      Say(holds ? kWokeWithLease : kWoke);
      assignments.LetGo();
    } else if (holds && count > std::max(told, slept_with)) {
      told = count;
      Say(kHolds);
    }
  }
}

// A log of the domain `alpha`.
std::unique_ptr<Log> OpenLog(const std::string& prefix, const std::string& group,
                             bool static_membership) {
  KafkaLogOptions options;
  options.bootstrap_servers = Env("ESD_TEST_BOOTSTRAP");
  options.topic_prefix = prefix;
  options.group = group;
  options.domains = {"alpha"};
  options.instance_id = "a";
  options.static_membership = static_membership;
  options.properties = {
      {"session.timeout.ms", absl::StrCat(absl::ToInt64Milliseconds(kSessionTimeout))},
      {"heartbeat.interval.ms", "100"}};
  absl::StatusOr<std::unique_ptr<Log>> log = OpenKafkaLog(options);
  // A broker may not know yet that it leads the partitions of topics just made.
  for (const absl::Time deadline = absl::Now() + kDeadline;
       absl::IsUnavailable(log.status()) && absl::Now() < deadline;) {
    log = OpenKafkaLog(options);
  }
  EXPECT_TRUE(log.ok()) << log.status();
  return *std::move(log);
}

// Makes the topics; returns their group, and the prefix without its last character.
std::string MakeTopics() {
  static int tests = 0;
  const std::string id =
      absl::StrCat("lease-", getpid(), "-", absl::ToUnixMillis(absl::Now()), "-", ++tests);
  auto admin = KafkaAdmin::Open(Env("ESD_TEST_BOOTSTRAP"), {});
  EXPECT_TRUE(admin.ok()) << admin.status();
  const auto made = EnsureTopics(**admin, {{"alpha"}, id + ".", id}, 2, 1);
  EXPECT_TRUE(made.ok()) << made.status();
  return id;
}

TEST(KafkaLeaseChild, DISABLED_JoinsAndWatchesItsLease) {
  const auto log = OpenLog(Env("ESD_LEASE_TEST_ID") + ".", Env("ESD_LEASE_TEST_ID"), false);
  Occupying assignments(&log->membership());
  ASSERT_TRUE(log->membership().Join(&assignments).ok());
  Watch(log->membership(), assignments);  // until the other process ends this one
}

// The other process.
class Child {
 public:
  explicit Child(std::vector<std::string> environment) {
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    output_ = fds[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    std::vector<std::string> arguments = {"kafka_lease_test", "--gtest_also_run_disabled_tests",
                                          "--gtest_filter=KafkaLeaseChild.*"};
    for (char** variable = environ; *variable != nullptr; ++variable)
      environment.emplace_back(*variable);
    EXPECT_EQ(posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, Pointers(&arguments).data(),
                          Pointers(&environment).data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
  }

  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(output_);
  }

  void Signal(int signal) const { EXPECT_EQ(kill(pid_, signal), 0); }

  // Waits for the next line that says any of what a watch says.
  std::string Next() {
    const absl::Time deadline = absl::Now() + kDeadline;
    for (;;) {
      const size_t end = read_.find('\n');
      if (end != std::string::npos) {
        const std::string line = read_.substr(0, end);
        read_.erase(0, end + 1);
        if (line == kHolds || line == kWoke || line == kWokeWithLease) return line;
        continue;
      }
      pollfd wanted{output_, POLLIN, 0};
      const auto left = static_cast<int>(absl::ToInt64Milliseconds(deadline - absl::Now()));
      char bytes[1024];
      if (left <= 0 || ::poll(&wanted, 1, left) != 1) return "nothing";
      const ssize_t size = read(output_, bytes, sizeof(bytes));
      if (size <= 0) return "end";
      read_.append(bytes, static_cast<size_t>(size));
    }
  }

 private:
  static std::vector<char*> Pointers(std::vector<std::string>* strings) {
    std::vector<char*> pointers;
    for (std::string& string : *strings) pointers.push_back(string.data());
    pointers.push_back(nullptr);
    return pointers;
  }

  pid_t pid_ = -1;
  int output_ = -1;
  std::string read_;
};

TEST(KafkaLease, AMemberHoldsItWhenItIsToldItsPartitionsAlsoWhenItComesBack) {
  for (const bool static_membership : {false, true}) {
    SCOPED_TRACE(static_membership);
    const std::string id = MakeTopics();
    for (int start = 0; start < 2; ++start) {
      const auto log = OpenLog(id + ".", id, static_membership);
      CountAssignments assignments(&log->membership());
      ASSERT_TRUE(log->membership().Join(&assignments).ok());
      const absl::Time deadline = absl::Now() + kDeadline;
      while (assignments.count() == 0 && absl::Now() < deadline)
        absl::SleepFor(absl::Milliseconds(1));
      EXPECT_GE(assignments.count(), 1);
      EXPECT_EQ(assignments.with_lease(), assignments.count());
      log->membership().Leave(absl::Seconds(5));
      EXPECT_FALSE(log->membership().HoldsLease());
    }
  }
}

TEST(KafkaLease, AnInstanceThatWasStoppedForLongerThanItsSessionHoldsNoLeaseFromTheStart) {
  Child child({"ESD_LEASE_TEST_ID=" + MakeTopics()});
  std::minstd_rand random(1);
  ASSERT_EQ(child.Next(), kHolds);
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    // At any moment between two heartbeats, when one was confirmed: librdkafka sends them every
    // half a second at most.
    absl::SleepFor(absl::Milliseconds(1'200) + absl::Microseconds(random() % 500'000));
    child.Signal(SIGSTOP);
    absl::SleepFor(1.3 * kSessionTimeout);
    child.Signal(SIGCONT);
    ASSERT_EQ(child.Next(), kWoke);
    ASSERT_EQ(child.Next(), kHolds);
  }
}

}  // namespace
}  // namespace esd::kafka
