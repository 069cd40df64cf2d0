#include "engine/server/api/dead_letters.h"

#include <absl/base/thread_annotations.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/json_string.h"
#include "engine/base/murmur2.h"
#include "engine/base/string_view.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/pages.h"
#include "engine/server/api/topic_scan.h"
#include "engine/worker/command.h"
#include "engine/worker/dead_letter.h"

namespace esd::api {
namespace {

constexpr size_t kMaxPageBytes = size_t{1} << 20;
constexpr absl::Duration kRetry = absl::Milliseconds(500);

// A dead letter's headers: what the engine added, and the command's own.
struct SortedHeaders {
  std::map<std::string_view, std::string_view> added;
  std::vector<Header> own;
};

// A command may have headers of the same names, when it was a dead letter before and somebody sent
// it again with all its headers: the last one of each name is the engine's.
SortedHeaders Sort(const std::vector<Header>& headers) {
  SortedHeaders sorted;
  for (auto header = headers.rbegin(); header != headers.rend(); ++header) {
    const bool is_added = std::find(kDeadLetterHeaders.begin(), kDeadLetterHeaders.end(),
                                    header->name) != kDeadLetterHeaders.end() &&
                          sorted.added.emplace(header->name, header->value.value_or("")).second;
    if (!is_added && header->name != kRequestIdHeader) sorted.own.push_back(*header);
  }
  std::reverse(sorted.own.begin(), sorted.own.end());
  return sorted;
}

std::string TextOf(const SortedHeaders& headers, std::string_view name) {
  const auto it = headers.added.find(name);
  return it == headers.added.end() ? "" : ToUtf8(it->second);
}

template <typename Number>
Number NumberOf(const SortedHeaders& headers, std::string_view name) {
  const auto it = headers.added.find(name);
  Number number = -1;
  if (it == headers.added.end() || !absl::SimpleAtoi(ToAbsl(it->second), &number) || number < 0)
    return -1;
  return number;
}

}  // namespace

std::optional<google::rpc::Status> CheckPartition(int32_t partition, int32_t partition_count) {
  if (partition >= 0 && partition < partition_count) return std::nullopt;
  return Invalid("INVALID_PARTITION",
                 absl::StrCat("the domain has the partitions 0 to ", partition_count - 1));
}

std::optional<google::rpc::Status> ReadPage(const esd::v1::ListDeadLettersRequest& request,
                                            int32_t partition_count,
                                            esd::v1::DeadLetterPageToken* token) {
  if (auto wrong = CheckPageSize(request.page_size())) return wrong;
  if (request.has_partition()) {
    if (auto wrong = CheckPartition(request.partition(), partition_count)) return wrong;
  }
  if (request.page_token().empty()) {
    token->set_domain(request.domain());
    if (request.has_partition()) token->set_only_partition(request.partition());
    token->set_partition(request.partition());
    return std::nullopt;
  }
  if (!ReadToken(request.page_token(), token) || token->domain() != request.domain() ||
      token->has_only_partition() != request.has_partition() ||
      token->only_partition() != request.partition() || token->partition() < 0 ||
      token->partition() >= partition_count ||
      (request.has_partition() && token->partition() != request.partition())) {
    return InvalidToken();
  }
  return std::nullopt;
}

esd::v1::DeadLetter ToDeadLetter(PartitionId partition, const InputRecord& record) {
  const SortedHeaders headers = Sort(record.headers);
  esd::v1::DeadLetter letter;
  letter.set_partition(partition.value());
  letter.set_offset(record.offset.value());
  letter.set_reason(TextOf(headers, kErrorReasonHeader));
  letter.set_message(TextOf(headers, kErrorMessageHeader));
  letter.set_source_topic(TextOf(headers, kSourceTopicHeader));
  letter.set_source_partition(NumberOf<int32_t>(headers, kSourcePartitionHeader));
  letter.set_source_offset(NumberOf<int64_t>(headers, kSourceOffsetHeader));
  letter.mutable_time()->set_seconds(record.timestamp_ms / 1'000);
  letter.mutable_time()->set_nanos(static_cast<int32_t>(record.timestamp_ms % 1'000) * 1'000'000);
  if (record.key) letter.set_key(std::string(*record.key));
  if (record.value) letter.set_value(std::string(*record.value));
  for (const Header& header : headers.own) {
    esd::v1::RecordHeader* written = letter.add_headers();
    written->set_name(ToUtf8(header.name));
    if (header.value) written->set_value(std::string(*header.value));
  }
  return letter;
}

OutputRecord CommandOf(const InputRecord& record, PartitionId partition, int32_t partition_count) {
  const SortedHeaders headers = Sort(record.headers);
  OutputRecord command{Topic::kCommand, partition, {}, {}, {}};
  if (record.key) {
    command.partition = PartitionForKey(*record.key, partition_count);
  } else {
    const auto source = NumberOf<int32_t>(headers, kSourcePartitionHeader);
    if (source >= 0 && source < partition_count) command.partition = PartitionId{source};
  }
  if (record.key) command.key.emplace(*record.key);
  if (record.value) command.value.emplace(*record.value);
  for (const Header& header : headers.own) {
    command.headers.push_back(
        {header.name, header.value ? std::optional<std::string>(*header.value) : std::nullopt});
  }
  return command;
}

std::optional<google::rpc::Status> ListDeadLetters(const Api& api, const DomainApi& domain,
                                                   const esd::v1::ListDeadLettersRequest& request,
                                                   esd::v1::DeadLetterPageToken token,
                                                   absl::Time deadline,
                                                   esd::v1::ListDeadLettersResponse* response) {
  const size_t page_size = PageSize(request.page_size());
  const int32_t end = request.has_partition() ? request.partition() + 1 : domain.partition_count();
  Log& log = *api.backend.log;
  TopicScan scan(&log, request.domain(), Topic::kDeadLetter);
  size_t bytes = 0;
  bool full = false;
  while (token.partition() < end && !full) {
    const PartitionId partition{token.partition()};
    const auto bounds = log.Bounds({request.domain(), partition}, Topic::kDeadLetter);
    if (!bounds.ok()) return FromEngine(bounds.status(), "listing dead letters");
    const auto add = [&](const InputRecord& record) {
      *response->add_dead_letters() = ToDeadLetter(partition, record);
      bytes += response->dead_letters(response->dead_letters_size() - 1).ByteSizeLong();
      token.set_offset(Next(record.offset).value());
      full =
          static_cast<size_t>(response->dead_letters_size()) >= page_size || bytes >= kMaxPageBytes;
      return !full;
    };
    const absl::Status status =
        scan.Read(partition, std::max(Offset{token.offset()}, bounds->begin), bounds->end, add,
                  deadline, std::stop_token());
    if (absl::IsDeadlineExceeded(status) && response->dead_letters_size() > 0) break;
    // Retention was quicker.
    if (absl::IsOutOfRange(status) && bounds->end > Offset{token.offset()})
      return FromEngine(absl::UnavailableError(status.message()), "listing dead letters");
    if (!status.ok()) return FromEngine(status, "listing dead letters");
    if (full) break;
    token.set_partition(token.partition() + 1);
    token.clear_offset();
  }
  if (token.partition() < end) response->set_next_page_token(WriteToken(token));
  return std::nullopt;
}

// ---- Replay ----

namespace {

// A command that is being appended. Answers once: when it is known where it stands, or when the
// caller doesn't wait any longer.
class Replay : public std::enable_shared_from_this<Replay> {
 public:
  Replay(Api* api, esd::v1::ReplayDeadLetterResponse* response, UnaryCall* call)
      : api_(api), response_(response), call_(call) {}

  void Start(const std::string& domain, const OutputRecord& command, absl::Time deadline) {
    partition_ = command.partition;
    has_id_ = std::any_of(command.headers.begin(), command.headers.end(), [](const auto& header) {
      return header.name == kCommandIdHeader && header.value && !header.value->empty();
    });
    {
      absl::MutexLock lock(&mutex_);
      timer_ = api_->timer.At(deadline, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->Answer(self->OutcomeUnknown());
      });
    }
    call_->SetOnCancel([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->Answer(self->OutcomeUnknown());
    });
    api_->backend.appender->Append(
        domain, command,
        [self = shared_from_this()](const absl::StatusOr<Offset>& at) { self->OnAppended(at); });
  }

 private:
  void OnAppended(const absl::StatusOr<Offset>& at) {
    if (at.ok()) return Answer({}, *at);
    if (!MayHaveBeenWritten(at.status())) return Answer(AppendFailed(at.status()));
    spdlog::warn("API: a command may have been appended or not: {}",
                 std::string(at.status().message()));
    Answer(OutcomeUnknown());
  }

  google::rpc::Status OutcomeUnknown() const {
    ErrorDetails details;
    details.metadata["partition"] = absl::StrCat(partition_.value());
    if (has_id_) details.retry_after = kRetry;
    return MakeError(
        absl::StatusCode::kUnavailable, "OUTCOME_UNKNOWN",
        has_id_ ? "the command may have been appended or not: replay it again, its id keeps it "
                  "from being processed twice"
                : "the command may have been appended or not: it has no id, so look for its effect "
                  "before you replay it again",
        details);
  }

  // When somebody was answered before, the API may be gone.
  void Answer(const google::rpc::Status& error, Offset at = {}) {
    Timer::Id timer;
    {
      absl::MutexLock lock(&mutex_);
      if (std::exchange(answered_, true)) return;
      timer = timer_;
    }
    api_->timer.Cancel(timer);
    if (error.code() == 0) {
      response_->set_partition(partition_.value());
      response_->set_offset(at.value());
    }
    call_->Answer(error);
  }

  Api* const api_;
  esd::v1::ReplayDeadLetterResponse* const response_;
  UnaryCall* const call_;
  PartitionId partition_;
  bool has_id_ = false;

  absl::Mutex mutex_;
  Timer::Id timer_ ABSL_GUARDED_BY(mutex_);
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
};

google::rpc::Status DeadLetterNotFound() {
  return MakeError(absl::StatusCode::kNotFound, "DEAD_LETTER_NOT_FOUND",
                   "no dead letter stands at this partition and offset, or not any more: list them "
                   "again");
}

}  // namespace

void ReplayDeadLetter(Api* api, const DomainApi& domain,
                      const esd::v1::ReplayDeadLetterRequest& request, absl::Time deadline,
                      esd::v1::ReplayDeadLetterResponse* response, UnaryCall* call) {
  constexpr std::string_view kWhat = "reading the dead letter";
  Log& log = *api->backend.log;
  const DomainPartition partition{request.domain(), PartitionId{request.partition()}};
  const auto bounds = log.Bounds(partition, Topic::kDeadLetter);
  if (!bounds.ok()) return call->Answer(FromEngine(bounds.status(), kWhat));
  const Offset at{request.offset()};
  if (at < bounds->begin || at >= bounds->end) return call->Answer(DeadLetterNotFound());

  bool found = false;
  const auto append = [&](const InputRecord& record) {
    found = true;
    std::make_shared<Replay>(api, response, call)
        ->Start(request.domain(), CommandOf(record, partition.partition, domain.partition_count()),
                deadline);
    return false;
  };
  const absl::Status status =
      TopicScan(&log, request.domain(), Topic::kDeadLetter)
          .Read(partition.partition, at, Next(at), append, deadline, std::stop_token());
  if (found) return;  // `request` and the rest may be gone
  if (status.ok() || absl::IsOutOfRange(status)) return call->Answer(DeadLetterNotFound());
  call->Answer(FromEngine(status, kWhat));
}

}  // namespace esd::api
