#include "engine/server/api/event_feed.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace esd::api {
namespace {

// Memory of the rings of a domain, and of each of them at least.
constexpr size_t kRingsBytes = size_t{16} << 20;
constexpr size_t kMinRingBytes = size_t{64} << 10;
// What an event takes besides its texts.
constexpr size_t kEventOverheadBytes = 256;

constexpr PollLimits kPieceLimits{1'000, size_t{1} << 20};
constexpr absl::Duration kPollWait = absl::Milliseconds(500);
constexpr absl::Duration kPieceTimeout = absl::Seconds(10);
constexpr absl::Duration kReopenPause = absl::Milliseconds(500);

size_t BytesOf(const FeedEvent& event) {
  return kEventOverheadBytes + event.record.key.size() + event.record.event.ByteSizeLong();
}

}  // namespace

EventFeed::EventFeed(Log* log, std::string domain)
    : log_(log),
      domain_(std::move(domain)),
      partition_count_(log->PartitionCount(domain_)),
      ring_bytes_(std::max(kMinRingBytes, kRingsBytes / static_cast<size_t>(partition_count_))),
      rings_(static_cast<size_t>(partition_count_)),
      tail_([this] { RunTail(); }),
      catch_up_([this] { RunCatchUp(); }) {}

EventFeed::~EventFeed() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (tail_reader_ != nullptr) tail_reader_->Wake();
  }
  absl::MutexLock lock(&catch_up_mutex_);
  catch_up_stopping_ = true;
}

void EventFeed::Join(Watcher* watcher) {
  {
    // First: whoever makes the reading begin is told when it has.
    absl::MutexLock lock(&watchers_mutex_);
    watchers_.insert(watcher);
    if (draining_) watcher->OnDrain();
  }
  absl::MutexLock lock(&mutex_);
  ++watcher_count_;
}

void EventFeed::Leave(Watcher* watcher) {
  {
    absl::MutexLock lock(&watchers_mutex_);
    if (watchers_.erase(watcher) == 0) return;
  }
  absl::MutexLock lock(&mutex_);
  if (--watcher_count_ == 0 && tail_reader_ != nullptr) tail_reader_->Wake();
}

void EventFeed::Drain() {
  absl::MutexLock lock(&watchers_mutex_);
  draining_ = true;
  for (Watcher* watcher : watchers_) watcher->OnDrain();
}

void EventFeed::TellNews() {
  absl::MutexLock lock(&watchers_mutex_);
  for (Watcher* watcher : watchers_) watcher->OnNews();
}

EventFeed::Place EventFeed::Read(PartitionId partition, Offset from, size_t limit,
                                 FeedSlice* slice) const {
  absl::MutexLock lock(&mutex_);
  slice->events.clear();
  slice->next = from;
  const Ring& ring = rings_[static_cast<size_t>(partition.value())];
  if (!tailing_ || from >= ring.end) return Place::kAtEnd;
  if (from < ring.begin) return Place::kBehind;
  auto event = std::lower_bound(ring.events.begin(), ring.events.end(), from,
                                [](const auto& e, Offset offset) { return e->offset < offset; });
  for (; event != ring.events.end() && slice->events.size() < limit; ++event) {
    slice->events.push_back(*event);
    slice->next = Next((*event)->offset);
  }
  if (event == ring.events.end()) slice->next = ring.end;
  return Place::kInRing;
}

// ---- The topic's end ----

bool EventFeed::Wanted() const {
  absl::MutexLock lock(&mutex_);
  return !stopping_ && watcher_count_ > 0;
}

void EventFeed::RunTail() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      const auto wanted = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return stopping_ || watcher_count_ > 0;
      };
      mutex_.Await(absl::Condition(&wanted));
      if (stopping_) return;
    }
    Tail();
    absl::MutexLock lock(&mutex_);
    tailing_ = false;
    for (Ring& ring : rings_) ring = {};
  }
}

// Until nobody watches any more, or the reader fails: then it is opened again, at the end of that
// time, and watchers catch up to there.
void EventFeed::Tail() {
  auto opened = OpenAtEnd();
  absl::Status failure = opened.status();
  if (opened.ok()) {
    TellNews();  // positions may lie before the rings' begin
    while (Wanted()) {
      const auto polled = (*opened)->Poll({}, kPollWait);
      if (!polled.ok() && !MayPass(polled.status())) {
        failure = polled.status();
        break;
      }
      if (!polled.ok() || polled->batches.empty()) continue;
      AddToRing(*polled);
      TellNews();
    }
    absl::MutexLock lock(&mutex_);
    tail_reader_ = nullptr;
  }
  if (failure.ok()) return;
  spdlog::warn("events of {}: reading is tried again: {}", domain_, std::string(failure.message()));
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kReopenPause);
}

absl::StatusOr<std::unique_ptr<LogReader>> EventFeed::OpenAtEnd() {
  auto reader = log_->OpenReader(domain_, Topic::kEvent);
  if (!reader.ok()) return reader.status();
  std::vector<Offset> ends;
  for (PartitionId p{0}; p.value() < partition_count_; p = PartitionId{p.value() + 1}) {
    const auto bounds = log_->Bounds({domain_, p}, Topic::kEvent);
    if (!bounds.ok()) return bounds.status();
    if (absl::Status status = (*reader)->Start(p, bounds->end); !status.ok()) return status;
    ends.push_back(bounds->end);
  }
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < ends.size(); ++i) rings_[i] = {{}, 0, ends[i], ends[i]};
  tailing_ = true;
  tail_reader_ = reader->get();
  return reader;
}

std::shared_ptr<const FeedEvent> EventFeed::ToFeedEvent(PartitionId partition,
                                                        const InputRecord& record) {
  absl::StatusOr<EventRecord> read = ReadEvent(record);
  if (!read.ok()) {
    spdlog::warn("{}/{}: the record at offset {} is left out of what is watched: {}",
                 log_->TopicName(domain_, Topic::kEvent), partition.value(), record.offset.value(),
                 std::string(read.status().message()));
    return nullptr;
  }
  return std::make_shared<const FeedEvent>(FeedEvent{record.offset, *std::move(read)});
}

void EventFeed::AddToRing(const LogReader::Polled& polled) {
  for (const LogReader::Batch& batch : polled.batches) {
    std::vector<std::shared_ptr<const FeedEvent>> events;
    for (const InputRecord& record : batch.records) {
      if (auto event = ToFeedEvent(batch.partition, record)) events.push_back(std::move(event));
    }
    absl::MutexLock lock(&mutex_);
    Ring& ring = rings_[static_cast<size_t>(batch.partition.value())];
    for (auto& event : events) {
      ring.bytes += BytesOf(*event);
      ring.events.push_back(std::move(event));
    }
    ring.end = batch.next;
    while (ring.bytes > ring_bytes_ && ring.events.size() > 1) {
      ring.bytes -= BytesOf(*ring.events.front());
      ring.begin = Next(ring.events.front()->offset);
      ring.events.pop_front();
    }
  }
}

// ---- Catching up ----

void EventFeed::CatchUp(PartitionId partition, Offset from, Done done) {
  absl::MutexLock lock(&catch_up_mutex_);
  requests_.push_back({partition, from, std::move(done)});
}

void EventFeed::RunCatchUp() {
  for (;;) {
    Request request;
    {
      absl::MutexLock lock(&catch_up_mutex_);
      const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(catch_up_mutex_) {
        return catch_up_stopping_ || !requests_.empty();
      };
      catch_up_mutex_.Await(absl::Condition(&has_work));
      if (catch_up_stopping_) return;
      request = std::move(requests_.front());
      requests_.pop_front();
    }
    auto piece = ReadPiece(request.partition, request.from);
    if (!piece.ok()) {
      catch_up_reader_.reset();
      reading_.reset();
    }
    request.done(std::move(piece));
  }
}

absl::StatusOr<FeedSlice> EventFeed::ReadPiece(PartitionId partition, Offset from) {
  if (catch_up_reader_ == nullptr) {
    auto opened = log_->OpenReader(domain_, Topic::kEvent);
    if (!opened.ok()) return opened.status();
    catch_up_reader_ = *std::move(opened);
  }
  if (reading_ != partition || reading_next_ != from) {
    if (reading_) catch_up_reader_->Stop(*reading_);
    if (absl::Status status = catch_up_reader_->Start(partition, from); !status.ok()) return status;
    reading_ = partition;
    reading_next_ = from;
  }
  const absl::Time deadline = absl::Now() + kPieceTimeout;
  while (absl::Now() < deadline) {
    const auto polled = catch_up_reader_->Poll(kPieceLimits, kPollWait);
    if (!polled.ok() && !MayPass(polled.status())) return polled.status();
    if (!polled.ok()) continue;
    for (const LogReader::Batch& batch : polled->batches) {
      if (batch.partition != partition) continue;
      FeedSlice slice;
      for (const InputRecord& record : batch.records) {
        if (auto event = ToFeedEvent(partition, record)) slice.events.push_back(std::move(event));
      }
      slice.next = reading_next_ = batch.next;
      if (slice.next > from) return slice;
    }
    absl::MutexLock lock(&catch_up_mutex_);
    if (catch_up_stopping_) break;
  }
  return absl::UnavailableError(
      absl::StrCat("nothing could be read of ", log_->TopicName(domain_, Topic::kEvent), "/",
                   partition.value(), " from offset ", from.value(), " on"));
}

EventFeed& EventFeeds::Of(const std::string& domain) {
  absl::MutexLock lock(&mutex_);
  std::unique_ptr<EventFeed>& feed = feeds_[domain];
  if (feed == nullptr) {
    feed = std::make_unique<EventFeed>(log_, domain);
    if (draining_) feed->Drain();
  }
  return *feed;
}

void EventFeeds::Drain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  for (const auto& [domain, feed] : feeds_) feed->Drain();
}

}  // namespace esd::api
