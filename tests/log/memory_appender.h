// Appends commands to a MemoryCluster, and answers on a thread of its own, as a producer of Kafka
// does. See memory_log.h.
#ifndef ESD_TESTS_LOG_MEMORY_APPENDER_H_
#define ESD_TESTS_LOG_MEMORY_APPENDER_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <deque>
#include <string>
#include <thread>

#include "engine/log/log.h"
#include "tests/log/memory_log.h"

namespace esd {

class MemoryAppender : public CommandAppender {
 public:
  explicit MemoryAppender(MemoryCluster* cluster) : cluster_(cluster), thread_([this] { Run(); }) {}
  ~MemoryAppender() override;

  void Append(const std::string& domain, const OutputRecord& command, Done done) override;

 private:
  struct Waiting {
    DomainPartition partition;
    TestRecord command;
    Done done;
  };

  void Run();

  MemoryCluster* const cluster_;

  absl::Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd

#endif  // ESD_TESTS_LOG_MEMORY_APPENDER_H_
