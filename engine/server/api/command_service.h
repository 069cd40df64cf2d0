// esd.v1.CommandService; see its proto.
#ifndef ESD_ENGINE_SERVER_API_COMMAND_SERVICE_H_
#define ESD_ENGINE_SERVER_API_COMMAND_SERVICE_H_

#include <atomic>

#include "engine/server/api/api.h"
#include "esd/v1/command_service.grpc.pb.h"

namespace esd::api {

class CommandService final : public esd::v1::CommandService::CallbackService {
 public:
  // `*api` is null while the engine isn't running.
  explicit CommandService(const std::atomic<Api*>* api) : api_(api) {}

  grpc::ServerUnaryReactor* SubmitCommand(grpc::CallbackServerContext* context,
                                          const esd::v1::SubmitCommandRequest* request,
                                          esd::v1::SubmitCommandResponse* response) override;
  grpc::ServerUnaryReactor* BatchSubmitCommands(
      grpc::CallbackServerContext* context, const esd::v1::BatchSubmitCommandsRequest* request,
      esd::v1::BatchSubmitCommandsResponse* response) override;
  grpc::ServerUnaryReactor* GetCommandOutcome(
      grpc::CallbackServerContext* context, const esd::v1::GetCommandOutcomeRequest* request,
      esd::v1::GetCommandOutcomeResponse* response) override;

 private:
  const std::atomic<Api*>* const api_;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_COMMAND_SERVICE_H_
