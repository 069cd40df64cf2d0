#include "engine/server/api/snapshot_verification.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "engine/base/string_view.h"
#include "engine/server/api/errors.h"
#include "engine/server/api/topic_scan.h"

namespace esd::api {
namespace {

constexpr int kDefaultDifferences = 100;
constexpr int kMaxDifferences = 1'000;
constexpr absl::Duration kLongestRun = absl::Hours(1);
constexpr absl::Duration kStopTime = absl::Milliseconds(100);  // until a stop is noticed
constexpr absl::Duration kRunningRetry = absl::Seconds(5);
constexpr size_t kSnapshotsPerRead = 500;
// One transaction's: commands wait for it.
constexpr size_t kRepairsAtOnce = 200;
constexpr size_t kRepairBytesAtOnce = size_t{512} << 10;

google::rpc::Status Running() {
  return MakeError(absl::StatusCode::kResourceExhausted, "VERIFY_RUNNING",
                   "the partition's owner runs another verification: try again when it has ended",
                   {.retry_after = kRunningRetry});
}

google::rpc::Status OutOfTime() {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "VERIFY_INCOMPLETE",
                   "the partition could not be read to its end in time, what was repaired stays "
                   "so: try again with a longer deadline");
}

google::rpc::Status Cancelled() {
  google::rpc::Status cancelled;
  cancelled.set_code(static_cast<int>(absl::StatusCode::kCancelled));
  cancelled.set_message("the caller has gone");
  return cancelled;
}

}  // namespace

SnapshotVerification::SnapshotVerification(Api* api, DomainApi* domain,
                                           const esd::v1::VerifySnapshotsRequest* request,
                                           esd::v1::VerifySnapshotsResponse* response,
                                           UnaryCall* call)
    : api_(api),
      domain_(domain),
      request_(request),
      response_(response),
      call_(call),
      partition_{request->domain(), PartitionId{request->partition()}},
      max_listed_(
          static_cast<size_t>(request->max_differences() == 0
                                  ? kDefaultDifferences
                                  : std::min(request->max_differences(), kMaxDifferences))) {}

void SnapshotVerification::Start(const grpc::CallbackServerContext& context) {
  const auto stop = [weak = weak_from_this()](const google::rpc::Status& reason) {
    if (const auto self = weak.lock()) self->Stop(reason);
  };
  if (!api_->verification.Take(partition_, stop)) return call_->Answer(Running());
  // Only now: what stops verifications later finds this one.
  if (api_->draining()) Stop(Draining());
  const bool has_deadline = context.deadline() != std::chrono::system_clock::time_point::max();
  const absl::Time longest = absl::Now() + kLongestRun;
  timer_ = api_->timer.At(has_deadline ? std::min(AnswerBy(context) - kStopTime, longest) : longest,
                          [stop] { stop(OutOfTime()); });
  call_->SetOnCancel([stop] { stop(Cancelled()); });
  api_->verifications.Run([self = shared_from_this()] { self->Run(); });
}

void SnapshotVerification::Stop(const google::rpc::Status& reason) {
  absl::MutexLock lock(&mutex_);
  if (!stop_reason_) stop_reason_ = reason;
  stop_.request_stop();
}

void SnapshotVerification::Run() {
  Error error = Verify();
  {
    absl::MutexLock lock(&mutex_);
    if (error && stop_reason_) error = stop_reason_;
  }
  api_->timer.Cancel(timer_);
  api_->verification.Release();
  if (error) response_->Clear();
  call_->Answer(error ? *error : google::rpc::Status());
}

SnapshotVerification::Error SnapshotVerification::Verify() {
  const auto epoch = api_->directory.Serving(partition_);
  if (!epoch) return PartitionMoving(ToString(partition_));
  Log& log = *api_->backend.log;
  const auto events = log.Bounds(partition_, Topic::kEvent);
  if (!events.ok()) return FromScan(events.status(), Topic::kEvent);
  if (events->begin > Offset{0})
    return EventsMissing(absl::StrCat("offsets below ", events->begin.value()));

  const CodecPool::Lease codec = domain_->codecs().Borrow();
  SnapshotComparison comparison(&domain_->type(), &*codec, events->end);
  if (Error error = Compare(&comparison)) return error;
  response_->set_aggregate_count(comparison.aggregate_count());
  response_->set_event_count(comparison.event_count());
  if (Error error = FillDifferences()) return error;
  // Another owner may have processed commands meanwhile, which this one's store doesn't know of.
  if (!api_->directory.StillServing(partition_, *epoch) ||
      !api_->backend.log->membership().HoldsLease()) {
    return PartitionMoving(ToString(partition_));
  }
  spdlog::info("{}: {} events of {} aggregates verified, {} snapshots differ, {} were put right",
               ToString(partition_), response_->event_count(), response_->aggregate_count(),
               response_->differing_aggregate_count(), response_->repaired_aggregate_count());
  return std::nullopt;
}

// The events' end was noted before: all below it has had its effects when the worker has answered.
// What the topic's bounds don't show yet, though it is committed, the worker knows of.
SnapshotVerification::Error SnapshotVerification::Compare(SnapshotComparison* comparison) {
  Log& log = *api_->backend.log;
  const absl::StatusOr<RepairResult> before = AskWorker({});
  if (!before.ok()) return PartitionMoving(ToString(partition_));
  const auto changelog = log.Bounds(partition_, Topic::kSnapshot);
  if (!changelog.ok()) return FromScan(changelog.status(), Topic::kSnapshot);
  changelog_end_ = std::max(changelog->end, before->snapshot_end);
  const auto add = [&](const InputRecord& record) {
    comparison->AddChangelog(record);
    return true;
  };
  if (Error error = ReadChangelog(changelog->begin, add)) return error;
  if (Error error = ReadStore(comparison)) return error;

  const absl::StatusOr<RepairResult> after = AskWorker({});
  if (!after.ok()) return PartitionMoving(ToString(partition_));
  const auto events = log.Bounds(partition_, Topic::kEvent);
  if (!events.ok()) return FromScan(events.status(), Topic::kEvent);
  const Offset end = std::max(events->end, after->event_end);
  const int passes = comparison->passes();
  for (int pass = 0; pass < passes; ++pass) {
    comparison->BeginPass(pass);
    if (Error error = FoldEvents(end, comparison)) return error;
    const absl::Status told = comparison->EndPass(
        [this](DifferingAggregate differing) { return OnDifference(std::move(differing)); });
    if (told.ok()) {
      if (absl::Status repaired = RepairCollected(); !repaired.ok())
        return PartitionMoving(ToString(partition_));
    } else if (absl::IsUnavailable(told)) {
      return PartitionMoving(ToString(partition_));
    } else {
      return FromEngine(told, "verifying snapshots");
    }
  }
  return std::nullopt;
}

SnapshotVerification::Error SnapshotVerification::ReadStore(SnapshotComparison* comparison) {
  std::string from;
  for (;;) {
    if (stopped()) return Cancelled();
    const auto page = api_->backend.store->ListSnapshots(partition_, "", from, kSnapshotsPerRead);
    if (!page.ok()) return FromEngine(page.status(), "verifying snapshots");
    for (const SnapshotStore::KeyedSnapshot& stored : *page)
      comparison->AddStored(stored.key, stored.snapshot);
    if (page->size() < kSnapshotsPerRead) return std::nullopt;
    from = SnapshotStore::KeyBehind(page->back().key);
  }
}

SnapshotVerification::Error SnapshotVerification::FoldEvents(Offset end,
                                                             SnapshotComparison* comparison) {
  absl::Status folded;
  TopicScan scan(api_->backend.log, partition_.domain, Topic::kEvent);
  const absl::Status read = scan.Read(
      partition_.partition, Offset{0}, end,
      [&](const InputRecord& record) {
        folded = comparison->AddEvent(record);
        return folded.ok() && !stopped();
      },
      absl::InfiniteFuture(), stop_.get_token());
  if (stopped()) return Cancelled();
  if (absl::IsOutOfRange(folded)) return EventsMissing(std::string(folded.message()));
  if (!folded.ok()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "EVENTS_INCONSISTENT",
        absl::StrCat("the event topic, partition ", ToString(partition_), ", ", folded.message(),
                     ": another program wrote to it, so what the events come to can't "
                     "be told; take its access away, and bring the topic back from a "
                     "backup"));
  }
  if (!read.ok()) return FromScan(read, Topic::kEvent);
  return std::nullopt;
}

absl::Status SnapshotVerification::OnDifference(DifferingAggregate differing) {
  response_->set_differing_aggregate_count(response_->differing_aggregate_count() + 1);
  List(differing);
  if (!request_->repair()) return absl::OkStatus();
  SnapshotRepair repair{std::move(differing.key), differing.seen_in_store, ""};
  if (differing.expected) repair.value = differing.expected->SerializeAsString();
  repair_bytes_ += repair.key.size() + repair.value.size();
  repairs_.push_back(std::move(repair));
  if (repairs_.size() < kRepairsAtOnce && repair_bytes_ < kRepairBytesAtOnce)
    return absl::OkStatus();
  return RepairCollected();
}

absl::Status SnapshotVerification::RepairCollected() {
  if (repairs_.empty()) return absl::OkStatus();
  std::vector<std::string> keys;
  for (const SnapshotRepair& repair : repairs_) keys.push_back(repair.key);
  repair_bytes_ = 0;
  const absl::StatusOr<RepairResult> result = AskWorker(std::exchange(repairs_, {}));
  if (!result.ok()) return absl::UnavailableError(result.status().message());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!result->done[i]) continue;
    response_->set_repaired_aggregate_count(response_->repaired_aggregate_count() + 1);
    if (const auto it = listed_.find(keys[i]); it != listed_.end()) it->second.repaired = true;
  }
  return absl::OkStatus();
}

// Each aggregate counts for one difference at least.
void SnapshotVerification::List(const DifferingAggregate& differing) {
  if (listed_.size() >= max_listed_) {
    const auto last = std::prev(listed_.end());
    if (last->first < differing.key) return;
    listed_.erase(last);
  }
  Listed& listed = listed_[differing.key];
  listed.differing = differing;
  if (!differing.store || !differing.store->found) return;
  // Unless it has changed since it was compared.
  const auto stored = api_->backend.store->GetSnapshot(partition_, differing.key);
  if (stored.ok() && *stored && SeenOf(**stored) == differing.store->found)
    listed.in_store = **stored;
}

absl::StatusOr<RepairResult> SnapshotVerification::AskWorker(std::vector<SnapshotRepair> repairs) {
  SnapshotRepairer* const workers = api_->workers();
  if (workers == nullptr) return absl::UnavailableError("the workers have not been started yet");
  if (stopped()) return absl::CancelledError("the verification was stopped");
  {
    absl::MutexLock lock(&mutex_);
    worker_answer_.reset();
  }
  workers->Repair(partition_, std::move(repairs),
                  [self = shared_from_this()](absl::StatusOr<RepairResult> result) {
                    absl::MutexLock lock(&self->mutex_);
                    self->worker_answer_ = std::move(result);
                  });
  const auto answered = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return worker_answer_ || stop_reason_;
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&answered));
  if (!worker_answer_) return absl::CancelledError("the verification was stopped");
  return *std::exchange(worker_answer_, std::nullopt);
}

google::rpc::Status SnapshotVerification::FromScan(const absl::Status& status, Topic topic) {
  if (stopped()) return Cancelled();
  if (absl::IsOutOfRange(status) && topic == Topic::kEvent)
    return EventsMissing(std::string(status.message()));
  if (absl::IsOutOfRange(status))
    return FromEngine(absl::UnavailableError(status.message()), "verifying snapshots");
  return FromEngine(status, "verifying snapshots");
}

google::rpc::Status SnapshotVerification::EventsMissing(std::string_view what) const {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "EVENTS_MISSING",
      absl::StrCat(api_->backend.log->TopicName(partition_.domain, Topic::kEvent), "/",
                   partition_.partition.value(), " has lost events (", ToAbsl(what),
                   "): what they came to can't be told. The topic must keep its events for ever "
                   "(cleanup.policy=delete, retention.ms=-1, retention.bytes=-1)"));
}

}  // namespace esd::api
