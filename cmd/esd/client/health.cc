#include <memory>
#include <string>

#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/session.h"
#include "engine/base/json_string.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace esd::cmd {
namespace {

namespace health = grpc::health::v1;

int Check(const Session& session) {
  const auto stub = health::Health::NewStub(session.client().channel());
  health::HealthCheckResponse response;
  const auto error = session.client().Once(
      session.client().Deadline(),
      [&](grpc::ClientContext* context) { return stub->Check(context, {}, &response); });
  if (error) return session.Fail(*error);
  const std::string status = health::HealthCheckResponse::ServingStatus_Name(response.status());
  const bool serving = response.status() == health::HealthCheckResponse::SERVING;
  if (session.json()) {
    session.Line("{\"status\":" + JsonString(status) + "}");
  } else {
    session.Line(Styled(status, serving ? Style::kGood : Style::kBad, session.colour()));
  }
  if (serving) return kExitOk;
  return session.Fail("it is up and takes no calls: it starts, restores or stops; " +
                      std::string("`esd partitions` shows how far it is"));
}

}  // namespace

Command AddHealth(CLI::App& parent, const Process& process) {
  CLI::App* app =
      parent.add_subcommand("health", "Ask an engine whether it serves. Exit code 0 if so.");
  app->footer(
      "Example:\n"
      "  esd health\n"
      "  HEALTHCHECK CMD [\"esd\", \"health\"]          # in a Dockerfile\n"
      "\n"
      "It asks grpc.health.v1 once: SERVING means that every assigned partition is restored.");
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kNone, "5s");
  return {app, [options] { return options->Run(Check); }};
}

}  // namespace esd::cmd
