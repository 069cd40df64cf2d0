// A WatchEvents stream.
#ifndef ESD_ENGINE_SERVER_API_EVENT_WATCH_H_
#define ESD_ENGINE_SERVER_API_EVENT_WATCH_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_set.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/server/api/api.h"
#include "engine/server/api/event_feed.h"
#include "esd/v1/query_service.pb.h"

namespace esd::api {

// Owns itself until gRPC is done with it. Any thread.
class EventWatch final : public grpc::ServerWriteReactor<esd::v1::WatchEventsResponse>,
                         public EventFeed::Watcher,
                         public std::enable_shared_from_this<EventWatch> {
 public:
  // The stream's reactor; one that ends at once when `api` is null or the request is wrong.
  static grpc::ServerWriteReactor<esd::v1::WatchEventsResponse>* Start(
      Api* api, grpc::CallbackServerContext* context, const esd::v1::WatchEventsRequest& request);

  void OnNews() override { Schedule(); }
  void OnDrain() override;

 private:
  explicit EventWatch(Api* api) : api_(api) {}

  // For gRPC.
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Takes the request apart; what the caller did wrong.
  std::optional<google::rpc::Status> Read(const esd::v1::WatchEventsRequest& request);
  // Finds the positions to begin at, which asks the log, then sends the first response.
  void Begin(const esd::v1::WatchEventsRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);
  using Positions = std::map<PartitionId, Offset>;
  // What the request says of positions; what the caller did wrong.
  std::optional<google::rpc::Status> WantedPositions(const esd::v1::WatchEventsRequest& request,
                                                     Positions* wanted) const;
  std::optional<google::rpc::Status> FindPosition(PartitionId partition, const Positions& wanted,
                                                  bool beginning, Offset* position) const;

  // Pump() runs soon, once.
  void Schedule();
  // Sends what there is, unless a response is on its way.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);
  // Fills the response as far as it goes.
  void Fill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Full() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Adds what one partition has; false when that is nothing, at this moment.
  bool FillFrom(PartitionId partition, Offset* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Take(PartitionId partition, const FeedSlice& slice) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RequestCatchUp(PartitionId partition, Offset from) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnCaughtUp(PartitionId partition, absl::StatusOr<FeedSlice> slice)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Send() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnHeartbeat() ABSL_LOCKS_EXCLUDED(mutex_);
  void SetHeartbeat() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The stream is to end, as soon as the response that is on its way has gone.
  void End(const google::rpc::Status& error) ABSL_LOCKS_EXCLUDED(mutex_);

  Api* const api_;
  std::shared_ptr<EventWatch> self_;  // until OnDone()
  std::atomic<bool> scheduled_ = false;

  // Fixed once it was read.
  DomainApi* domain_ = nullptr;
  EventFeed* feed_ = nullptr;
  absl::flat_hash_set<std::string> keys_;   // empty: all
  absl::flat_hash_set<std::string> types_;  // empty: all
  esd::v1::PayloadFormat format_ = esd::v1::PAYLOAD_FORMAT_JSON;
  absl::Duration heartbeat_;

  absl::Mutex mutex_;
  Positions next_ ABSL_GUARDED_BY(mutex_);  // of what is watched
  // Of partitions that hold none of the keys, as of the begin: whoever resumes may watch more.
  Positions unwatched_ ABSL_GUARDED_BY(mutex_);
  PartitionId turn_ ABSL_GUARDED_BY(mutex_){0};  // which partition comes first
  bool catching_up_ ABSL_GUARDED_BY(mutex_) = false;
  // A piece that was caught up, with its partition; taken before anything else of it.
  std::optional<std::pair<PartitionId, FeedSlice>> piece_ ABSL_GUARDED_BY(mutex_);

  esd::v1::WatchEventsResponse response_ ABSL_GUARDED_BY(mutex_);
  size_t response_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t passed_ ABSL_GUARDED_BY(mutex_) = 0;   // events that were filtered out since the last one
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;  // Begin() is done: nothing ends before it
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<google::rpc::Status> ending_ ABSL_GUARDED_BY(mutex_);
  std::optional<Timer::Id> timer_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_sent_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_EVENT_WATCH_H_
