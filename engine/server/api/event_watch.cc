#include "engine/server/api/event_watch.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/server/api/errors.h"
#include "engine/server/api/event_message.h"
#include "engine/server/api/pages.h"
#include "esd/v1/tokens.pb.h"

namespace esd::api {
namespace {

constexpr int kMaxKeys = 100;
constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(10);
constexpr absl::Duration kMinHeartbeat = absl::Seconds(1);
constexpr absl::Duration kMaxHeartbeat = absl::Hours(1);

// A response goes out when it has so much.
constexpr int kMaxEvents = 500;
constexpr size_t kMaxBytes = size_t{512} << 10;
// Events that are filtered out before the caller is told how far the stream has come.
constexpr size_t kMaxPassed = 10'000;
constexpr size_t kEventsPerRead = 256;

google::rpc::Status Cancelled() {
  return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the caller has gone");
}

std::optional<google::rpc::Status> CheckTypes(DomainApi& domain,
                                              const esd::v1::WatchEventsRequest& request) {
  const CodecPool::Lease codec = domain.codecs().Borrow();
  const std::vector<std::string> known = codec->EventTypes();
  for (const std::string& type : request.event_types()) {
    if (std::find(known.begin(), known.end(), type) != known.end()) continue;
    const std::string names = absl::StrJoin(known, ", ");
    return Invalid("UNKNOWN_TYPE", absl::StrCat("the domain has no such event; it has: ", names),
                   {{"known", names}});
  }
  return std::nullopt;
}

}  // namespace

grpc::ServerWriteReactor<esd::v1::WatchEventsResponse>* EventWatch::Start(
    Api* api, grpc::CallbackServerContext*, const esd::v1::WatchEventsRequest& request) {
  const std::shared_ptr<EventWatch> watch(new EventWatch(api));
  watch->self_ = watch;
  if (api == nullptr || api->draining()) {
    watch->Finish(ToGrpc(api == nullptr ? Starting() : Draining()));
  } else if (const auto wrong = watch->Read(request)) {
    watch->Finish(ToGrpc(*wrong));
  } else {
    watch->feed_ = &api->feeds.Of(request.domain());
    api->backend.metrics->api_watchers().Increment();
    api->reads.Run([watch, request] { watch->Begin(request); });
  }
  return watch.get();
}

std::optional<google::rpc::Status> EventWatch::Read(const esd::v1::WatchEventsRequest& request) {
  google::rpc::Status error;
  domain_ = api_->domains.Find(request.domain(), &error);
  if (domain_ == nullptr) return error;
  if (request.aggregate_keys_size() > kMaxKeys) {
    return Invalid("BATCH_SIZE", absl::StrCat("at most ", kMaxKeys,
                                              " aggregate_keys can be watched "
                                              "at once: watch all, or in several streams"));
  }
  for (const std::string& key : request.aggregate_keys()) {
    if (auto wrong = CheckKey(key)) return wrong;
  }
  if (auto wrong = CheckTypes(*domain_, request)) return wrong;
  keys_.insert(request.aggregate_keys().begin(), request.aggregate_keys().end());
  types_.insert(request.event_types().begin(), request.event_types().end());
  format_ = request.payload_format();
  heartbeat_ = request.has_heartbeat_interval()
                   ? absl::Seconds(request.heartbeat_interval().seconds()) +
                         absl::Nanoseconds(request.heartbeat_interval().nanos())
                   : kDefaultHeartbeat;
  if (heartbeat_ < kMinHeartbeat || heartbeat_ > kMaxHeartbeat)
    return Invalid("INVALID_HEARTBEAT", "heartbeat_interval is from 1 s to 1 h");
  return std::nullopt;
}

// ---- The beginning ----

std::optional<google::rpc::Status> EventWatch::WantedPositions(
    const esd::v1::WatchEventsRequest& request, Positions* wanted) const {
  const auto is_partition = [this](int32_t partition) {
    return partition >= 0 && partition < domain_->partition_count();
  };
  if (request.start_case() == esd::v1::WatchEventsRequest::kResumeToken) {
    esd::v1::WatchToken token;
    if (!ReadToken(request.resume_token(), &token) || token.domain() != request.domain())
      return Invalid("INVALID_POSITION", "resume_token isn't one of a watch of this domain");
    for (const auto& [partition, offset] : token.next_offset()) {
      if (!is_partition(partition) || offset < 0)
        return Invalid("INVALID_POSITION", "resume_token names a partition that there isn't");
      (*wanted)[PartitionId{partition}] = Offset{offset};
    }
  }
  for (const esd::v1::EventPosition& next : request.positions().next()) {
    if (!is_partition(next.partition()) || next.offset() < 0) {
      return Invalid("INVALID_POSITION",
                     absl::StrCat("a position has a partition from 0 to ",
                                  domain_->partition_count() - 1, " and an offset of 0 or more"));
    }
    if (!wanted->emplace(PartitionId{next.partition()}, Offset{next.offset()}).second) {
      return Invalid("INVALID_POSITION",
                     absl::StrCat("partition ", next.partition(), " has two positions"));
    }
  }
  return std::nullopt;
}

std::optional<google::rpc::Status> EventWatch::FindPosition(PartitionId partition,
                                                            const Positions& wanted, bool beginning,
                                                            Offset* position) const {
  const DomainPartition where{domain_->type().name(), partition};
  const auto bounds = feed_->log().Bounds(where, Topic::kEvent);
  if (!bounds.ok()) return FromEngine(bounds.status(), "reading the event topic's bounds");
  const auto it = wanted.find(partition);
  if (it == wanted.end()) {
    *position = beginning ? bounds->begin : bounds->end;
    return std::nullopt;
  }
  *position = it->second;
  if (*position < bounds->begin) {
    return MakeError(absl::StatusCode::kOutOfRange, "POSITION_GONE",
                     absl::StrCat("events of partition ", partition.value(), " before offset ",
                                  bounds->begin.value(), " are no longer in the topic"));
  }
  if (*position > bounds->end) {
    return Invalid("INVALID_POSITION",
                   absl::StrCat("partition ", partition.value(), " ends at offset ",
                                bounds->end.value(), ", before the position"));
  }
  return std::nullopt;
}

void EventWatch::Begin(const esd::v1::WatchEventsRequest& request) {
  absl::flat_hash_set<PartitionId> watched;
  for (const std::string& key : keys_) watched.insert(domain_->HomeOf(key).partition);

  Positions wanted;
  Positions found;
  Positions others;
  std::optional<google::rpc::Status> wrong = WantedPositions(request, &wanted);
  const bool beginning = request.start_case() == esd::v1::WatchEventsRequest::kBeginning;
  for (PartitionId p{0}; p.value() < domain_->partition_count(); p = PartitionId{p.value() + 1}) {
    Positions& positions = watched.empty() || watched.contains(p) ? found : others;
    if (!wrong) wrong = FindPosition(p, wanted, beginning, &positions[p]);
  }
  feed_->Join(this);
  {
    absl::MutexLock lock(&mutex_);
    next_ = std::move(found);
    unwatched_ = std::move(others);
    begun_ = true;
    if (wrong && !ending_) ending_ = std::move(wrong);
    if (!ending_) {
      Send();  // tells the caller where it begins
      SetHeartbeat();
    }
  }
  Schedule();
}

// ---- The stream ----

void EventWatch::Schedule() {
  if (scheduled_.exchange(true)) return;
  api_->answers.Run([self = shared_from_this()] { self->Pump(); });
}

void EventWatch::Pump() {
  scheduled_ = false;
  absl::MutexLock lock(&mutex_);
  if (!begun_ || finished_ || writing_) return;
  if (ending_) {
    finished_ = true;
    return Finish(ToGrpc(*ending_));
  }
  Fill();
  if (response_.events_size() > 0 || passed_ >= kMaxPassed) Send();
}

bool EventWatch::Full() const {
  return response_.events_size() >= kMaxEvents || response_bytes_ >= kMaxBytes ||
         passed_ >= kMaxPassed;
}

void EventWatch::Fill() {
  bool found = true;
  while (found && !Full()) {
    found = false;
    // Beginning where the last response ended, so that a busy partition doesn't hide the others.
    auto partition = next_.lower_bound(turn_);
    for (size_t i = 0; i < next_.size() && !Full(); ++i) {
      if (partition == next_.end()) partition = next_.begin();
      found = FillFrom(partition->first, &partition->second) || found;
      ++partition;
    }
    turn_ = partition == next_.end() ? PartitionId{0} : partition->first;
  }
}

bool EventWatch::FillFrom(PartitionId partition, Offset* next) {
  FeedSlice slice;
  if (piece_ && piece_->first == partition) {
    slice = std::move(piece_->second);
    piece_.reset();
  } else {
    switch (feed_->Read(partition, *next, kEventsPerRead, &slice)) {
      case EventFeed::Place::kAtEnd:
        return false;
      case EventFeed::Place::kBehind:
        if (!catching_up_ && !piece_) RequestCatchUp(partition, *next);
        return false;
      case EventFeed::Place::kInRing:
        break;
    }
  }
  Take(partition, slice);
  *next = slice.next;
  return true;
}

void EventWatch::Take(PartitionId partition, const FeedSlice& slice) {
  for (const auto& event : slice.events) {
    if ((!keys_.empty() && !keys_.contains(event->record.key)) ||
        (!types_.empty() && !types_.contains(event->record.event.type()))) {
      ++passed_;
      continue;
    }
    esd::v1::Event* out = response_.add_events();
    const absl::Status written = ToEvent(*domain_, event->record.key, event->record.version,
                                         event->record.event, format_, out);
    if (!written.ok()) {
      response_.mutable_events()->RemoveLast();
      if (!ending_) ending_ = FromEngine(written, "writing an event");
      return;
    }
    out->mutable_position()->set_partition(partition.value());
    out->mutable_position()->set_offset(event->offset.value());
    response_bytes_ += out->ByteSizeLong();
  }
}

void EventWatch::RequestCatchUp(PartitionId partition, Offset from) {
  catching_up_ = true;
  feed_->CatchUp(partition, from,
                 [weak = weak_from_this(), partition](absl::StatusOr<FeedSlice> slice) {
                   if (const auto self = weak.lock()) self->OnCaughtUp(partition, std::move(slice));
                 });
}

void EventWatch::OnCaughtUp(PartitionId partition, absl::StatusOr<FeedSlice> slice) {
  {
    absl::MutexLock lock(&mutex_);
    catching_up_ = false;
    if (slice.ok()) {
      piece_.emplace(partition, *std::move(slice));
    } else if (absl::IsOutOfRange(slice.status())) {
      ending_ = MakeError(absl::StatusCode::kOutOfRange, "POSITION_GONE",
                          "the events to go on with are no longer in the topic");
    } else {
      ending_ = FromEngine(slice.status(), "reading events");
    }
  }
  Schedule();
}

void EventWatch::Send() {
  esd::v1::WatchToken token;
  token.set_domain(domain_->type().name());
  for (const Positions* positions : {&next_, &unwatched_}) {
    for (const auto& [partition, next] : *positions)
      (*token.mutable_next_offset())[partition.value()] = next.value();
  }
  response_.set_resume_token(WriteToken(token));
  last_sent_ = absl::Now();
  writing_ = true;
  StartWrite(&response_);
}

void EventWatch::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    response_.Clear();
    response_bytes_ = 0;
    passed_ = 0;
    if (!ok && !ending_) ending_ = Cancelled();
  }
  Schedule();
}

void EventWatch::SetHeartbeat() {
  timer_ = api_->timer.At(std::max(last_sent_, absl::Now() - heartbeat_) + heartbeat_,
                          [weak = weak_from_this()] {
                            if (const auto self = weak.lock()) self->OnHeartbeat();
                          });
}

void EventWatch::OnHeartbeat() {
  absl::MutexLock lock(&mutex_);
  if (finished_ || ending_) return;
  if (!writing_ && absl::Now() - last_sent_ >= heartbeat_) Send();
  // While a response is on its way the caller has something to read: look again later.
  last_sent_ = std::max(last_sent_, absl::Now() - heartbeat_ + kMinHeartbeat);
  SetHeartbeat();
}

// ---- The end ----

void EventWatch::End(const google::rpc::Status& error) {
  {
    absl::MutexLock lock(&mutex_);
    if (!ending_) ending_ = error;
  }
  Schedule();
}

void EventWatch::OnDrain() { End(Draining()); }

void EventWatch::OnCancel() { End(Cancelled()); }

void EventWatch::OnDone() {
  if (feed_ != nullptr) {
    feed_->Leave(this);
    api_->backend.metrics->api_watchers().Decrement();
  }
  {
    absl::MutexLock lock(&mutex_);
    if (timer_) api_->timer.Cancel(*timer_);
  }
  self_.reset();
}

}  // namespace esd::api
