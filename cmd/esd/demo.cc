#include "cmd/esd/demo.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/json_string.h"
#include "esd/v1/command_service.grpc.pb.h"
#include "esd/v1/query_service.grpc.pb.h"

namespace esd::cmd {
namespace {

constexpr std::chrono::seconds kTimeout{30};  // for all of it

struct DemoCommand {
  std::string key;
  std::string type;
  std::string json;
};

DemoCommand Register(const std::string& email, const std::string& name) {
  return {email, "RegisterUserCommand",
          absl::StrCat("{\"name\":", JsonString(name), ",\"email\":", JsonString(email), "}")};
}

DemoCommand Rename(const std::string& email, const std::string& name) {
  return {email, "ChangeUserNameCommand",
          absl::StrCat("{\"email\":", JsonString(email), ",\"newName\":", JsonString(name), "}")};
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& what) {
  return absl::Status(
      static_cast<absl::StatusCode>(status.error_code()),
      absl::StrCat("the demonstration failed, ", what, ": ", status.error_message()));
}

class Demo {
 public:
  Demo(const std::string& address, std::ostream& out)
      : out_(out), deadline_(std::chrono::system_clock::now() + kTimeout) {
    const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    commands_ = esd::v1::CommandService::NewStub(channel);
    queries_ = esd::v1::QueryService::NewStub(channel);
    watch_context_.set_deadline(deadline_);
  }
  ~Demo() {
    watch_context_.TryCancel();
    if (watch_ == nullptr) return;
    esd::v1::WatchEventsResponse rest;
    while (watch_->Read(&rest)) {
    }
    watch_->Finish().ok();  // it was cancelled
  }

  absl::Status Run() {
    if (absl::Status status = CheckUnknown("foo@bar.com"); !status.ok()) return status;
    if (absl::Status status = CheckUnknown("bar@foo.com"); !status.ok()) return status;
    if (absl::Status status = StartWatch(); !status.ok()) return status;
    absl::Status status = Show("A registration and a rename right behind it, sent together:",
                               {Register("foo@bar.com", "Alex"), Rename("foo@bar.com", "Alex1"),
                                Register("bar@foo.com", "Alex")});
    if (!status.ok()) return status;
    status = Show("Three renames at once:",
                  {Rename("bar@foo.com", "Alex1"), Rename("bar@foo.com", "Alex2"),
                   Rename("bar@foo.com", "Alex3")});
    if (!status.ok()) return status;
    out_ << "Every user's versions are 0, 1, 2, ...: no command met an old state.\n\n"
         << std::flush;
    return absl::OkStatus();
  }

 private:
  absl::Status CheckUnknown(const std::string& email) {
    grpc::ClientContext context;
    context.set_deadline(deadline_);
    esd::v1::GetSnapshotRequest request;
    request.set_domain(kDemoDomain);
    request.set_aggregate_key(email);
    esd::v1::GetSnapshotResponse response;
    const grpc::Status status = queries_->GetSnapshot(&context, request, &response);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) return absl::OkStatus();
    if (!status.ok()) return FromGrpc(status, "asking for a user");
    return absl::AlreadyExistsError(
        absl::StrCat("--demo registers ", email,
                     ", who is in the data directory already: leave --demo out, or give it an "
                     "empty directory"));
  }

  // From here on no event is missed.
  absl::Status StartWatch() {
    esd::v1::WatchEventsRequest request;
    request.set_domain(kDemoDomain);
    watch_ = queries_->WatchEvents(&watch_context_, request);
    esd::v1::WatchEventsResponse first;
    if (watch_->Read(&first)) return absl::OkStatus();
    return FromGrpc(std::exchange(watch_, nullptr)->Finish(), "watching the events");
  }

  absl::Status Show(const std::string& title, const std::vector<DemoCommand>& commands) {
    out_ << title << "\n" << std::flush;
    esd::v1::BatchSubmitCommandsRequest request;
    for (const DemoCommand& command : commands) {
      out_ << "  command  " << command.key << "  " << command.type << " " << command.json << "\n";
      esd::v1::SubmitCommandRequest* submit = request.add_commands();
      submit->set_domain(kDemoDomain);
      submit->set_command_type(command.type);
      submit->mutable_payload()->set_json(command.json);
    }
    grpc::ClientContext context;
    context.set_deadline(deadline_);
    esd::v1::BatchSubmitCommandsResponse response;
    const grpc::Status status = commands_->BatchSubmitCommands(&context, request, &response);
    if (!status.ok()) return FromGrpc(status, "sending commands");
    for (const auto& result : response.results()) {
      if (result.has_error()) {
        return absl::InternalError(
            absl::StrCat("the demonstration failed, a command: ", result.error().message()));
      }
    }
    return ShowEvents(commands.size());
  }

  absl::Status ShowEvents(size_t count) {
    while (count > 0) {
      esd::v1::WatchEventsResponse response;
      if (!watch_->Read(&response))
        return FromGrpc(std::exchange(watch_, nullptr)->Finish(), "watching the events");
      for (const auto& event : response.events()) {
        out_ << "  event    " << event.aggregate_key() << "  version " << event.version() << "  "
             << event.type() << " " << event.payload().json() << "\n"
             << std::flush;
        const int64_t expected = next_version_[event.aggregate_key()]++;
        if (event.version() != expected) {
          return absl::InternalError(absl::StrCat(event.aggregate_key(), " has version ",
                                                  event.version(), " where ", expected,
                                                  " was expected: report it, please"));
        }
        if (count > 0) --count;
      }
    }
    out_ << "\n";
    return absl::OkStatus();
  }

  std::ostream& out_;
  const std::chrono::system_clock::time_point deadline_;
  std::unique_ptr<esd::v1::CommandService::Stub> commands_;
  std::unique_ptr<esd::v1::QueryService::Stub> queries_;
  grpc::ClientContext watch_context_;
  std::unique_ptr<grpc::ClientReader<esd::v1::WatchEventsResponse>> watch_;
  std::map<std::string, int64_t> next_version_;
};

}  // namespace

absl::Status RunDemo(const std::string& address, std::ostream& out) {
  return Demo(address, out).Run();
}

}  // namespace esd::cmd
