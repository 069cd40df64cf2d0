#include "bench/api_load.h"

#include <absl/strings/str_cat.h>

#include <string>
#include <utility>

#include "bench/workload.h"
#include "esd/v1/command_service.grpc.pb.h"
#include "esd/v1/query_service.grpc.pb.h"

namespace esd::bench {
namespace {

constexpr char kDomain[] = "security";
constexpr absl::Duration kReadTimeout = absl::Seconds(5);

using ReadSlot = UnaryCallSlot<esd::v1::GetSnapshotRequest, esd::v1::GetSnapshotResponse>;
using SubmitSlot = UnaryCallSlot<esd::v1::SubmitCommandRequest, esd::v1::SubmitCommandResponse>;
using BatchSlot =
    UnaryCallSlot<esd::v1::BatchSubmitCommandsRequest, esd::v1::BatchSubmitCommandsResponse>;

template <typename Slot>
CallSlots MakeSlots(
    const Channels& channels, int in_flight,
    const std::function<typename Slot::Kind(const std::shared_ptr<grpc::Channel>& channel)>&
        make_kind) {
  CallSlots slots;
  for (int i = 0; i < in_flight; ++i) {
    slots.push_back(
        std::make_unique<Slot>(make_kind(channels[static_cast<size_t>(i) % channels.size()])));
  }
  return slots;
}

ReadSlot::Kind ReadKind(const std::shared_ptr<grpc::Channel>& channel) {
  const std::shared_ptr<esd::v1::QueryService::Stub> stub(esd::v1::QueryService::NewStub(channel));
  return {.name = "GetSnapshot",
          .start = [stub](auto* context, const auto& request,
                          auto* queue) { return stub->AsyncGetSnapshot(context, request, queue); },
          .fill = {},
          .check = {}};
}

void FillRead(int64_t user, esd::v1::GetSnapshotRequest* request) {
  request->set_domain(kDomain);
  request->set_aggregate_key(KeyOf(user));
}

// The numbers below that of the users stand for one each, in UserOf as well.
int64_t RandomUser(int64_t number, int64_t users) { return UserOf(users + number, users); }

void FillCommand(int64_t number, int64_t users, esd::v1::SubmitCommandRequest* request) {
  ApiCommand command = MakeApiCommand(number, users);
  request->set_domain(kDomain);
  request->set_aggregate_key(KeyOf(UserOf(number, users)));
  request->set_command_type(std::move(command.type));
  request->mutable_payload()->set_json(std::move(command.json));
}

absl::Status Wrong(const std::string& what, const google::protobuf::Message& answer) {
  return absl::DataLossError(
      absl::StrCat("a wrong answer: ", what, ", not ", answer.ShortDebugString()));
}

absl::Status CheckBatch(int64_t first, int batch_size,
                        const esd::v1::BatchSubmitCommandsResponse& response,
                        ExpectedUsers* expected) {
  if (response.results_size() != batch_size)
    return absl::DataLossError(
        absl::StrCat("a wrong number of results: ", response.results_size(), ", not ", batch_size));
  for (int i = 0; i < batch_size; ++i) {
    const esd::v1::CommandResult& result = response.results(i);
    if (!result.has_response())
      return absl::UnavailableError(
          absl::StrCat("BatchSubmitCommands: ", result.error().ShortDebugString()));
    absl::Status status = expected->Acknowledged(first + i, result.response());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

void ExpectedUsers::Processed(int64_t number) {
  User& user = users_[static_cast<size_t>(UserOf(number, size()))];
  user.version = user.commands++;
  user.number = number;
}

absl::Status ExpectedUsers::Acknowledged(int64_t number,
                                         const esd::v1::SubmitCommandResponse& response) {
  const esd::v1::Outcome& outcome = response.outcome();
  if (response.replayed() || outcome.status() != esd::v1::Outcome::STATUS_ACCEPTED ||
      outcome.events_size() != 1 || NumberIn(outcome.events(0).payload().json()) != number ||
      outcome.events(0).version() != outcome.version()) {
    return Wrong(absl::StrCat("one event of command ", number), response);
  }
  User& user = users_[static_cast<size_t>(UserOf(number, size()))];
  if (outcome.version() == user.version)
    return Wrong(absl::StrCat("another version than that of command ", user.number), response);
  ++user.commands;
  if (outcome.version() > user.version) {
    user.version = outcome.version();
    user.number = number;
  }
  return absl::OkStatus();
}

absl::Status ExpectedUsers::Check(int64_t user, const esd::v1::Snapshot& snapshot) const {
  const User& expected = users_[static_cast<size_t>(user)];
  if (snapshot.aggregate_key() != KeyOf(user) || snapshot.version() != version(user) ||
      snapshot.version() != expected.version ||
      NumberIn(snapshot.state().json()) != expected.number) {
    return Wrong(absl::StrCat(KeyOf(user), " after ", expected.commands, " commands, of which ",
                              expected.number, " is the last, with version ", expected.version),
                 snapshot);
  }
  return absl::OkStatus();
}

CallSlots SnapshotReads(const Channels& channels, int in_flight, const ExpectedUsers& expected) {
  return MakeSlots<ReadSlot>(channels, in_flight, [&expected](const auto& channel) {
    ReadSlot::Kind kind = ReadKind(channel);
    kind.fill = [&expected](int64_t number, auto* request) {
      FillRead(RandomUser(number, expected.size()), request);
    };
    kind.check = [&expected](int64_t number, const auto& response) {
      return expected.Check(RandomUser(number, expected.size()), response.snapshot());
    };
    return kind;
  });
}

CallSlots NullReads(const Channels& channels, int in_flight, int64_t users,
                    const esd::v1::GetSnapshotResponse& response) {
  return MakeSlots<ReadSlot>(channels, in_flight, [users, response](const auto& channel) {
    ReadSlot::Kind kind = ReadKind(channel);
    kind.fill = [users](int64_t number, auto* request) {
      FillRead(RandomUser(number, users), request);
    };
    kind.check = [response](int64_t, const auto& answer) {
      const esd::v1::Snapshot& given = response.snapshot();
      const bool same = answer.snapshot().aggregate_key() == given.aggregate_key() &&
                        answer.snapshot().version() == given.version() &&
                        answer.snapshot().state().json() == given.state().json();
      return same ? absl::OkStatus() : Wrong("what the null server was given", answer);
    };
    return kind;
  });
}

CallSlots SnapshotChecks(const Channels& channels, int in_flight, Since since,
                         const ExpectedUsers& expected) {
  return MakeSlots<ReadSlot>(channels, in_flight, [since, &expected](const auto& channel) {
    ReadSlot::Kind kind = ReadKind(channel);
    kind.fill = [since, &expected](int64_t user, auto* request) {
      FillRead(user, request);
      if (since == Since::kSeen) request->set_min_version(expected.version(user));
    };
    kind.check = [&expected](int64_t user, const auto& response) {
      return expected.Check(user, response.snapshot());
    };
    return kind;
  });
}

CallSlots Submits(const Channels& channels, int in_flight, ExpectedUsers* expected) {
  return MakeSlots<SubmitSlot>(channels, in_flight, [expected](const auto& channel) {
    const std::shared_ptr<esd::v1::CommandService::Stub> stub(
        esd::v1::CommandService::NewStub(channel));
    return SubmitSlot::Kind{
        .name = "SubmitCommand",
        .start = [stub](auto* context, const auto& request,
                        auto* queue) { return stub->AsyncSubmitCommand(context, request, queue); },
        .fill =
            [expected](int64_t number, esd::v1::SubmitCommandRequest* request) {
              FillCommand(number, expected->size(), request);
            },
        .check =
            [expected](int64_t number, const esd::v1::SubmitCommandResponse& response) {
              return expected->Acknowledged(number, response);
            }};
  });
}

CallSlots BatchSubmits(const Channels& channels, int in_flight, int64_t first_command,
                       int batch_size, ExpectedUsers* expected) {
  return MakeSlots<BatchSlot>(channels, in_flight, [=](const auto& channel) {
    const std::shared_ptr<esd::v1::CommandService::Stub> stub(
        esd::v1::CommandService::NewStub(channel));
    return BatchSlot::Kind{
        .name = "BatchSubmitCommands",
        .start =
            [stub](auto* context, const auto& request, auto* queue) {
              return stub->AsyncBatchSubmitCommands(context, request, queue);
            },
        .fill =
            [=](int64_t number, esd::v1::BatchSubmitCommandsRequest* request) {
              while (request->commands_size() < batch_size) request->add_commands();
              const int64_t first = first_command + number * batch_size;
              for (int i = 0; i < batch_size; ++i)
                FillCommand(first + i, expected->size(), request->mutable_commands(i));
            },
        .check =
            [=](int64_t number, const esd::v1::BatchSubmitCommandsResponse& response) {
              return CheckBatch(first_command + number * batch_size, batch_size, response,
                                expected);
            }};
  });
}

absl::StatusOr<esd::v1::GetSnapshotResponse> ReadOne(const Channels& channels) {
  esd::v1::GetSnapshotRequest request;
  FillRead(/*user=*/0, &request);
  esd::v1::GetSnapshotResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kReadTimeout));
  const grpc::Status status =
      esd::v1::QueryService::NewStub(channels.front())->GetSnapshot(&context, request, &response);
  if (!status.ok()) return FromGrpc("GetSnapshot", status);
  return response;
}

}  // namespace esd::bench
