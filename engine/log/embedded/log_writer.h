// The one thread that writes to the embedded log. Whatever waits when it comes round goes into one
// batch with one sync: transactions of all workers, commands of all appenders, and what the
// maintenance changes.
//
//   Submit() ─> queue ─> Admit: who may, and at which offsets ─> one synced batch ─> LogState ─>
//   done
//
// When a write fails, nobody knows whether it is on the disk. So the database is opened anew, as
// after a crash, and the number of its last batch tells. While that can't be done, because the disk
// is full, say, everything is refused.
#ifndef ESD_ENGINE_LOG_EMBEDDED_LOG_WRITER_H_
#define ESD_ENGINE_LOG_EMBEDDED_LOG_WRITER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/log/embedded/log_database.h"
#include "engine/log/embedded/log_state.h"
#include "engine/log/log.h"

namespace rocksdb {
class Status;
class WriteBatch;
}  // namespace rocksdb

namespace esd::embedded {

// What is written all or nothing.
struct WriteRequest {
  struct Record {
    TopicLog* log;
    std::string encoded;
    Offset offset{};  // where it stands, when it is written
  };
  struct Position {
    PartitionLog* partition;
    Offset next_command_offset;
    OwnershipMark ownership;
  };
  struct Worker {
    int index;
    int64_t epoch;
    std::string identity;
    std::string instance;
    std::string address;
  };
  // Any other entry.
  struct Change {
    Family family;
    std::string key;
    std::optional<std::string> value;  // nothing: removed
  };
  struct Begin {
    TopicLog* log;
    Offset begin;  // records below it are gone
  };

  std::optional<Worker> worker;     // whose transaction it is, if it is one
  std::vector<Position> positions;  // of the transaction
  std::vector<Record> records;
  std::vector<Change> changes;
  std::vector<Begin> begins;

  enum class Outcome { kWritten, kRefused, kFenced, kLost, kUnknown };
  struct Result {
    Outcome outcome = Outcome::kUnknown;
    absl::Status why;                   // unless it is kWritten
    std::vector<DomainPartition> lost;  // kLost
  };
  // Called once, on the writer's thread: must return soon.
  std::function<void(WriteRequest& request, Result result)> done;

  size_t Bytes() const;
};

class LogWriter {
 public:
  // `on_broken`: called once, on the writer's thread, when the log can't be written any more.
  LogWriter(LogDatabase* database, LogState* state, uint64_t last_batch,
            std::function<void(const absl::Status&)> on_broken);
  // Whatever was submitted is answered first.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Any thread.
  void Submit(std::shared_ptr<WriteRequest> request);

  // Submits it and waits for the answer: kUnknown when a disk hangs, and none comes in time. Any
  // thread but the writer's.
  WriteRequest::Result Write(std::shared_ptr<WriteRequest> request);

 private:
  using Request = std::shared_ptr<WriteRequest>;
  // What one batch writes.
  struct Group {
    std::vector<Request> requests;
    // Owners as they will be, for those partitions that change.
    std::vector<std::pair<PartitionLog*, esd::v1::OwnershipRecord>> owners;
  };

  void Run();
  std::vector<Request> Take();
  // Answers those that may not write, and places the others.
  Group Admit(std::vector<Request> requests);
  std::optional<WriteRequest::Result> WhyNot(const WriteRequest& request) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex);
  void Place(WriteRequest* request, Group* group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex);
  rocksdb::Status WriteGroup(const Group& group);
  static rocksdb::Status Add(const WriteRequest& request, const LogDatabase::Access& access,
                             rocksdb::WriteBatch* batch);
  void Publish(const Group& group);
  static void Answer(const Group& group, WriteRequest::Outcome outcome, const absl::Status& why);
  // Opens the log anew; answers the group as soon as it is known what became of it.
  void Recover(Group group, const rocksdb::Status& error);
  // Whether the batch that was tried last is there.
  absl::StatusOr<bool> WasWritten();
  void SetTrouble(const absl::Status& status);
  // For so long, answers that nothing can be written now; false when the writer is to stop.
  bool RefuseFor(absl::Duration duration, const absl::Status& why);

  LogDatabase* const database_;
  LogState* const state_;
  const std::function<void(const absl::Status&)> on_broken_;

  uint64_t batch_;                          // number of the last one that was written
  std::map<const TopicLog*, Offset> ends_;  // of topics that the group under way writes to

  absl::Mutex mutex_;
  std::deque<Request> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::embedded

#endif  // ESD_ENGINE_LOG_EMBEDDED_LOG_WRITER_H_
