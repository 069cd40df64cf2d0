// esd.v1.AdminService; see its proto.
#ifndef ESD_ENGINE_SERVER_API_ADMIN_SERVICE_H_
#define ESD_ENGINE_SERVER_API_ADMIN_SERVICE_H_

#include <atomic>

#include "engine/server/api/api.h"
#include "esd/v1/admin_service.grpc.pb.h"

namespace esd::api {

class AdminService final : public esd::v1::AdminService::CallbackService {
 public:
  // `*api` is null while the engine isn't running.
  explicit AdminService(const std::atomic<Api*>* api) : api_(api) {}

  grpc::ServerUnaryReactor* ListInstances(grpc::CallbackServerContext* context,
                                          const esd::v1::ListInstancesRequest* request,
                                          esd::v1::ListInstancesResponse* response) override;
  grpc::ServerUnaryReactor* ListPartitions(grpc::CallbackServerContext* context,
                                           const esd::v1::ListPartitionsRequest* request,
                                           esd::v1::ListPartitionsResponse* response) override;
  grpc::ServerUnaryReactor* ListDeadLetters(grpc::CallbackServerContext* context,
                                            const esd::v1::ListDeadLettersRequest* request,
                                            esd::v1::ListDeadLettersResponse* response) override;
  grpc::ServerUnaryReactor* ReplayDeadLetter(grpc::CallbackServerContext* context,
                                             const esd::v1::ReplayDeadLetterRequest* request,
                                             esd::v1::ReplayDeadLetterResponse* response) override;
  grpc::ServerUnaryReactor* VerifySnapshots(grpc::CallbackServerContext* context,
                                            const esd::v1::VerifySnapshotsRequest* request,
                                            esd::v1::VerifySnapshotsResponse* response) override;

 private:
  const std::atomic<Api*>* const api_;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_ADMIN_SERVICE_H_
