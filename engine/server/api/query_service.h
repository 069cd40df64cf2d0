// esd.v1.QueryService; see its proto.
#ifndef ESD_ENGINE_SERVER_API_QUERY_SERVICE_H_
#define ESD_ENGINE_SERVER_API_QUERY_SERVICE_H_

#include <atomic>

#include "engine/server/api/api.h"
#include "esd/v1/query_service.grpc.pb.h"

namespace esd::api {

class QueryService final : public esd::v1::QueryService::CallbackService {
 public:
  // `*api` is null while the engine isn't running.
  explicit QueryService(const std::atomic<Api*>* api) : api_(api) {}

  grpc::ServerUnaryReactor* GetSnapshot(grpc::CallbackServerContext* context,
                                        const esd::v1::GetSnapshotRequest* request,
                                        esd::v1::GetSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* BatchGetSnapshots(
      grpc::CallbackServerContext* context, const esd::v1::BatchGetSnapshotsRequest* request,
      esd::v1::BatchGetSnapshotsResponse* response) override;
  grpc::ServerUnaryReactor* ListSnapshots(grpc::CallbackServerContext* context,
                                          const esd::v1::ListSnapshotsRequest* request,
                                          esd::v1::ListSnapshotsResponse* response) override;
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context,
                                       const esd::v1::ListEventsRequest* request,
                                       esd::v1::ListEventsResponse* response) override;
  grpc::ServerWriteReactor<esd::v1::WatchEventsResponse>* WatchEvents(
      grpc::CallbackServerContext* context, const esd::v1::WatchEventsRequest* request) override;

 private:
  const std::atomic<Api*>* const api_;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_QUERY_SERVICE_H_
