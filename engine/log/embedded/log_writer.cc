#include "engine/log/embedded/log_writer.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>
#include <absl/time/clock.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace esd::embedded {
namespace {

using Outcome = WriteRequest::Outcome;

// Bounds what one sync waits for, and what a batch takes of the memory.
constexpr size_t kMaxGroupBytes = size_t{32} << 20;
// A disk that hangs for so long is not waited for.
constexpr absl::Duration kWriteTimeout = absl::Seconds(30);
// While the log can't be opened, it is tried so often.
constexpr absl::Duration kReopenPause = absl::Milliseconds(500);

esd::v1::OwnershipRecord Marked(const std::optional<esd::v1::OwnershipRecord>& before,
                                OwnershipMark mark, const WriteRequest::Worker& worker) {
  esd::v1::OwnershipRecord owner = before.value_or(esd::v1::OwnershipRecord());
  if (mark == OwnershipMark::kClaim) owner.set_generation(owner.generation() + 1);
  owner.set_instance(worker.instance);
  owner.set_address(worker.address);
  owner.set_transactional_id(worker.identity);
  owner.set_released(mark == OwnershipMark::kRelease);
  return owner;
}

}  // namespace

size_t WriteRequest::Bytes() const {
  size_t bytes = 0;
  for (const Record& record : records) bytes += record.encoded.size();
  return bytes;
}

LogWriter::LogWriter(LogDatabase* database, LogState* state, uint64_t last_batch,
                     std::function<void(const absl::Status&)> on_broken)
    : database_(database),
      state_(state),
      on_broken_(std::move(on_broken)),
      batch_(last_batch),
      thread_([this] { Run(); }) {}

LogWriter::~LogWriter() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

void LogWriter::Submit(std::shared_ptr<WriteRequest> request) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(request));
}

WriteRequest::Result LogWriter::Write(std::shared_ptr<WriteRequest> request) {
  // Outlives a caller that gives up.
  struct Waited {
    absl::Notification answered;
    WriteRequest::Result result;
  };
  auto waited = std::make_shared<Waited>();
  request->done = [waited](WriteRequest&, WriteRequest::Result result) {
    waited->result = std::move(result);
    waited->answered.Notify();
  };
  Submit(std::move(request));
  if (waited->answered.WaitForNotificationWithTimeout(kWriteTimeout)) return waited->result;
  return {Outcome::kUnknown,
          absl::DeadlineExceededError(
              absl::StrCat("the disk of ", database_->directory(), " doesn't answer: check it")),
          {}};
}

void LogWriter::Run() {
  for (;;) {
    std::vector<Request> waiting = Take();
    if (waiting.empty()) return;
    Group group = Admit(std::move(waiting));
    if (group.requests.empty()) continue;
    ++batch_;
    const rocksdb::Status s = WriteGroup(group);
    if (!s.ok()) {
      Recover(std::move(group), s);
      continue;
    }
    Publish(group);
    Answer(group, Outcome::kWritten, absl::OkStatus());
  }
}

std::vector<LogWriter::Request> LogWriter::Take() {
  std::vector<Request> taken;
  absl::MutexLock lock(&mutex_);
  const auto due = [this]()
                       ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); };
  mutex_.Await(absl::Condition(&due));
  size_t bytes = 0;
  while (!queue_.empty() && bytes < kMaxGroupBytes) {
    bytes += queue_.front()->Bytes();
    taken.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return taken;
}

LogWriter::Group LogWriter::Admit(std::vector<Request> requests) {
  Group group;
  std::vector<std::pair<Request, WriteRequest::Result>> refused;
  ends_.clear();
  {
    absl::MutexLock lock(&state_->mutex);
    for (Request& request : requests) {
      if (auto why_not = WhyNot(*request)) {
        refused.emplace_back(std::move(request), *std::move(why_not));
      } else {
        Place(request.get(), &group);
        group.requests.push_back(std::move(request));
      }
    }
  }
  for (auto& [request, result] : refused) request->done(*request, std::move(result));
  return group;
}

std::optional<WriteRequest::Result> LogWriter::WhyNot(const WriteRequest& request) const {
  if (!request.worker) return std::nullopt;
  WriteRequest::Result result{Outcome::kLost, {}, {}};
  for (const WriteRequest::Position& position : request.positions) {
    if (!position.partition->assigned) result.lost.push_back(position.partition->partition);
  }
  if (!result.lost.empty()) {
    result.why = absl::FailedPreconditionError("not assigned to this instance any more");
    return result;
  }
  const auto epoch = state_->epochs.find(request.worker->index);
  if (epoch != state_->epochs.end() && epoch->second == request.worker->epoch) return std::nullopt;
  result.outcome = Outcome::kFenced;
  result.why = absl::FailedPreconditionError("this worker's identity was taken over");
  return result;
}

void LogWriter::Place(WriteRequest* request, Group* group) {
  for (WriteRequest::Record& record : request->records) {
    Offset& end = ends_.try_emplace(record.log, record.log->end).first->second;
    record.offset = end;
    end = Next(end);
  }
  for (const WriteRequest::Position& position : request->positions) {
    if (position.ownership == OwnershipMark::kNone) continue;
    group->owners.emplace_back(position.partition, Marked(position.partition->owner,
                                                          position.ownership, *request->worker));
  }
}

rocksdb::Status LogWriter::WriteGroup(const Group& group) {
  rocksdb::WriteBatch batch;
  const LogDatabase::Access access(*database_);
  rocksdb::Status s;
  for (const Request& request : group.requests) {
    if (s.ok()) s = Add(*request, access, &batch);
  }
  for (const auto& [partition, owner] : group.owners) {
    if (s.ok()) {
      s = batch.Put(access.family(kMeta), kOwnerKey + partition->key, owner.SerializeAsString());
    }
  }
  std::string number;
  AppendBigEndian64(batch_, &number);
  if (s.ok()) s = batch.Put(access.family(kMeta), kBatchKey, number);
  return s.ok() ? database_->Write(access, &batch) : s;
}

rocksdb::Status LogWriter::Add(const WriteRequest& request, const LogDatabase::Access& access,
                               rocksdb::WriteBatch* batch) {
  rocksdb::Status s;
  for (const WriteRequest::Record& record : request.records) {
    if (!s.ok()) return s;
    s = batch->Put(access.family(FamilyOf(record.log->topic)),
                   RecordKey(record.log->key, record.offset), record.encoded);
  }
  for (const WriteRequest::Position& position : request.positions) {
    if (!s.ok()) return s;
    s = batch->Put(access.family(kMeta), kPositionKey + position.partition->key,
                   OffsetBytes(position.next_command_offset));
  }
  for (const WriteRequest::Begin& begin : request.begins) {
    if (!s.ok()) return s;
    s = batch->Put(access.family(kMeta), kBeginKey + begin.log->key, OffsetBytes(begin.begin));
  }
  for (const WriteRequest::Change& change : request.changes) {
    if (!s.ok()) return s;
    s = change.value ? batch->Put(access.family(change.family), change.key, *change.value)
                     : batch->Delete(access.family(change.family), change.key);
  }
  return s;
}

void LogWriter::Publish(const Group& group) {
  absl::MutexLock lock(&state_->mutex);
  for (const Request& request : group.requests) {
    for (const WriteRequest::Record& record : request->records) {
      record.log->end = std::max(record.log->end, Next(record.offset));
    }
    for (const WriteRequest::Position& position : request->positions) {
      position.partition->committed = position.next_command_offset;
    }
    for (const WriteRequest::Begin& begin : request->begins) {
      begin.log->begin = begin.begin;
      begin.log->end = std::max(begin.log->end, begin.begin);
      database_->begins().Set(begin.log->key, begin.begin);
    }
  }
  for (const auto& [partition, owner] : group.owners) partition->owner = owner;
}

void LogWriter::Answer(const Group& group, Outcome outcome, const absl::Status& why) {
  for (const Request& request : group.requests) request->done(*request, {outcome, why, {}});
}

void LogWriter::Recover(Group group, const rocksdb::Status& error) {
  const absl::Status first = database_->ToStatus("write to", error);
  SetTrouble(first);
  spdlog::warn("{}; nothing is written until it can be", std::string(first.message()));
  for (bool answered = false;;) {
    const rocksdb::Status s = database_->Reopen();
    const absl::StatusOr<bool> written = s.ok() ? WasWritten() : database_->ToStatus("open", s);
    if (written.ok()) {
      if (*written) Publish(group);
      SetTrouble(absl::OkStatus());
      if (!answered) Answer(group, *written ? Outcome::kWritten : Outcome::kRefused, first);
      if (!*written) --batch_;
      spdlog::info("the log in {} is open again", database_->directory());
      return;
    }
    if (!answered) Answer(group, Outcome::kUnknown, first);
    if (!answered && absl::IsDataLoss(written.status())) on_broken_(written.status());
    answered = true;
    SetTrouble(written.status());
    if (!RefuseFor(kReopenPause, written.status())) return;
  }
}

absl::StatusOr<bool> LogWriter::WasWritten() {
  const auto number = database_->GetMeta(kBatchKey);
  if (!number.ok()) return number.status();
  return *number && ParseBigEndian64(**number) == batch_;
}

void LogWriter::SetTrouble(const absl::Status& status) {
  absl::MutexLock lock(&state_->mutex);
  state_->trouble = status;
}

bool LogWriter::RefuseFor(absl::Duration duration, const absl::Status& why) {
  const absl::Time end = absl::Now() + duration;
  for (;;) {
    std::deque<Request> waiting;
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !queue_.empty();
      };
      if (!mutex_.AwaitWithDeadline(absl::Condition(&due), end)) return true;
      waiting.swap(queue_);
      if (waiting.empty()) return false;
    }
    for (const Request& request : waiting) request->done(*request, {Outcome::kRefused, why, {}});
  }
}

}  // namespace esd::embedded
