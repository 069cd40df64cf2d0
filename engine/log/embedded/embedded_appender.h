// Appends commands to the embedded log.
#ifndef ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_APPENDER_H_
#define ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_APPENDER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/log/embedded/free_space.h"
#include "engine/log/embedded/log_state.h"
#include "engine/log/embedded/log_writer.h"
#include "engine/log/log.h"

namespace esd::embedded {

class EmbeddedAppender final : public CommandAppender {
 public:
  EmbeddedAppender(LogState* state, LogWriter* writer, FreeSpace* space);
  ~EmbeddedAppender() override;

  void Append(const std::string& domain, const OutputRecord& command, Done done) override;

 private:
  // A command that isn't answered yet.
  struct Waiting {
    absl::Time deadline;
    size_t bytes;
    Done done;
    std::optional<absl::StatusOr<Offset>> answer;
  };
  // Outlives the appender: the writer answers into it whenever it comes to that.
  struct Shared {
    absl::Mutex mutex;
    // In the order of appending, which is that of the answers: the first that isn't answered is the
    // one with the earliest deadline.
    std::deque<std::shared_ptr<Waiting>> waiting ABSL_GUARDED_BY(mutex);
    size_t bytes ABSL_GUARDED_BY(mutex) = 0;  // of all that wait
    bool stopping ABSL_GUARDED_BY(mutex) = false;
  };
  using Answer = std::pair<Done, absl::StatusOr<Offset>>;

  absl::Status Enqueue(const std::string& domain, const OutputRecord& command, Done* done);
  void Run();
  // Those that have an answer or are overdue, in order.
  std::vector<Answer> TakeAnswers();

  LogState* const state_;
  LogWriter* const writer_;
  FreeSpace* const space_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_APPENDER_H_
