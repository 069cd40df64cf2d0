#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cmd/esd/client/arguments.h"
#include "cmd/esd/client/commands.h"
#include "cmd/esd/client/message_json.h"
#include "cmd/esd/client/session.h"
#include "cmd/esd/client/stream_guard.h"
#include "engine/base/json_string.h"

namespace esd::cmd {
namespace {

constexpr absl::Duration kHeartbeat = absl::Seconds(5);
constexpr absl::Duration kShortestPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);
constexpr size_t kMostKeys = 100;  // that the server takes

struct Arguments {
  std::vector<std::string> keys;
  std::vector<std::string> types;
  std::string from = "now";
  int64_t limit = 0;
};

// Sets where to begin; what is wrong with `from`, or nothing.
std::string SetStart(const std::string& from, esd::v1::WatchEventsRequest* request) {
  if (from == "now") return "";
  if (from == "beginning") {
    request->mutable_beginning();
    return "";
  }
  if (from.find(':') == std::string::npos) {
    request->set_resume_token(from);
    return "";
  }
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(from, ','))) {
    const auto position = ParsePosition(part);
    if (!position)
      return absl::StrCat("must be PARTITION:OFFSET, as in 0:17,1:4, not '", part, "'");
    esd::v1::EventPosition* next = request->mutable_positions()->add_next();
    next->set_partition(position->partition);
    next->set_offset(position->offset);
  }
  return "";
}

// Follows the events over as many connections as it takes.
class Tail {
 public:
  Tail(const Session& session, const Arguments& arguments)
      : session_(session),
        arguments_(arguments),
        table_(session.MakeTable({"TIME", "KEY", "VERSION", "TYPE", "EVENT"})) {
    request_.set_domain(session.domain());
    for (const std::string& key : arguments.keys) request_.add_aggregate_keys(key);
    for (const std::string& type : arguments.types) request_.add_event_types(type);
    request_.mutable_heartbeat_interval()->set_seconds(absl::ToInt64Seconds(kHeartbeat));
    SetStart(arguments.from, &request_);
  }

  int Run();

 private:
  // Watches until the connection ends; how it did.
  grpc::Status Watch();
  // Whether all that was asked for has been shown.
  bool Done() const { return arguments_.limit > 0 && shown_ == arguments_.limit; }
  void Take(const esd::v1::WatchEventsResponse& response);
  void Show(const esd::v1::Event& event, const std::string& token);
  void Connected();
  // What to do about a connection's end: nothing to go on, else the exit code.
  std::optional<int> AfterFailure(const CallError& error);
  int End();

  const Session& session_;
  const Arguments& arguments_;
  esd::v1::WatchEventsRequest request_;
  Table table_;
  StreamGuard guard_;
  int64_t shown_ = 0;
  bool ever_connected_ = false;
  bool connected_ = false;  // the last connection has brought something
  bool cut_ = false;        // the limit fell amid a response, which its token covers
  absl::Time give_up_ = absl::InfiniteFuture();  // while there is no connection
  absl::Duration pause_ = kShortestPause;
};

void Tail::Show(const esd::v1::Event& event, const std::string& token) {
  if (session_.json()) {
    const std::string member =
        token.empty() ? "" : absl::StrCat(",\"resumeToken\":", JsonString(token));
    session_.Line(absl::StrCat("{", JsonMembers(event), member, "}"));
  } else {
    table_.Add({Cell(Rfc3339(event.time().seconds(), event.time().nanos()), Style::kDim),
                event.aggregate_key(), absl::StrCat(event.version()), event.type(),
                event.payload().json()});
  }
}

void Tail::Take(const esd::v1::WatchEventsResponse& response) {
  for (int i = 0; i < response.events_size() && !Done(); ++i) {
    const bool last = i + 1 == response.events_size();
    Show(response.events(i), last ? response.resume_token() : "");
    ++shown_;
    cut_ = Done() && !last;
  }
  table_.Flush();
  session_.process().out.flush();
  request_.set_resume_token(response.resume_token());
}

void Tail::Connected() {
  if (!ever_connected_) {
    session_.Note(absl::StrCat("watching ", session_.domain(), "; Ctrl-C ends it"));
  } else if (!connected_) {
    session_.Note("connected again");
  }
  ever_connected_ = connected_ = true;
  give_up_ = absl::InfiniteFuture();
  pause_ = kShortestPause;
}

grpc::Status Tail::Watch() {
  const absl::Duration patience = session_.client().options().timeout;
  grpc::ClientContext context;
  guard_.Guard(&context, std::min(absl::Now() + patience, give_up_));
  const auto stream = session_.client().queries().WatchEvents(&context, request_);
  esd::v1::WatchEventsResponse response;
  while (!Done() && session_.process().out && stream->Read(&response)) {
    Connected();
    guard_.Extend(absl::Now() + kHeartbeat + patience);
    Take(response);
  }
  if (Done() || !session_.process().out) context.TryCancel();
  const grpc::Status status = stream->Finish();
  guard_.Release();
  return status;
}

std::optional<int> Tail::AfterFailure(const CallError& error) {
  const bool broken = error.OutcomeUnknown() || error.Refused();
  if (!broken || (!ever_connected_ && !error.Refused()) || (!ever_connected_ && error.not_sent))
    return session_.Fail(error);
  const absl::Time now = absl::Now();
  if (give_up_ == absl::InfiniteFuture()) give_up_ = now + session_.client().options().timeout;
  if (connected_) {
    session_.Note(
        absl::StrCat("connection lost, trying again: ", session_.client().Describe(error)));
  }
  connected_ = false;
  if (now + pause_ >= give_up_) return session_.Fail(error);
  guard_.Pause(pause_);
  pause_ = std::min(pause_ * 2, kLongestPause);
  return std::nullopt;
}

int Tail::End() {
  if (guard_.reader_gone()) {
    // Whoever read has seen enough, as `head` has.
    session_.process().out.clear();
    return kExitOk;
  }
  if (ever_connected_ && !cut_)
    session_.Note(absl::StrCat("go on from here with: --from ", request_.resume_token()));
  return kExitOk;
}

int Tail::Run() {
  while (true) {
    const grpc::Status status = Watch();
    if (!session_.process().out) {
      // Not every such failure is a reader that went: the disk may be full, which Run() reports.
      guard_.Pause(absl::Milliseconds(200));
      return guard_.reader_gone() ? End() : kExitOk;
    }
    if (guard_.ended() || Done()) return End();
    CallError error;
    if (status.ok()) {
      error.code = absl::StatusCode::kUnavailable;
      error.message = "the server ended the stream";
    } else {
      error = FromGrpc(status);
    }
    if (const auto exit_code = AfterFailure(error)) return *exit_code;
    if (guard_.ended()) return End();
  }
}

}  // namespace

Command AddEventsTail(CLI::App& parent, const Process& process) {
  CLI::App* app = parent.add_subcommand("tail", "Show events as they are committed, until Ctrl-C.");
  app->footer(
      "Example:\n"
      "  esd events tail --from beginning\n"
      "  esd events tail --key foo@bar.com --type UserNameChangedEvent -o json\n"
      "  esd events tail --from 0:17,1:4 --limit 10\n"
      "\n"
      "Each event comes once, in the order of its aggregate. When the connection breaks, it goes\n"
      "on at the same event, for up to --timeout without a server. At its end it says with which\n"
      "--from to go on; in JSON the last event of each batch has the same as resumeToken.");
  auto arguments = std::make_shared<Arguments>();
  app->add_option("--key", arguments->keys,
                  "Only events of this aggregate. May be given several times.")
      ->type_name("KEY")
      ->allow_extra_args(false);
  app->add_option(
         "--type", arguments->types,
         "Only events of this type, as in UserRegisteredEvent. May be given several times.")
      ->type_name("TYPE")
      ->allow_extra_args(false);
  app->add_option("--from", arguments->from,
                  "Where to begin: beginning, now, what an earlier tail ended with, or "
                  "PARTITION:OFFSET,... (other partitions from now on). now unless told.")
      ->type_name("WHERE")
      ->check([](const std::string& from) {
        esd::v1::WatchEventsRequest unused;
        return SetStart(from, &unused);
      });
  app->add_option("--limit", arguments->limit, "End after this many events.")
      ->type_name("N")
      ->check(AtLeast(1));
  auto options = std::make_shared<ClientOptions>(*app, process, ClientOptions::Domain::kOne);
  return {app, [app, arguments, options, &process] {
            if (arguments->keys.size() > kMostKeys) {
              return UsageError(process, *app,
                                absl::InvalidArgumentError("--key: at most 100 at a time"));
            }
            return options->Run([&](Session& session) { return Tail(session, *arguments).Run(); });
          }};
}

}  // namespace esd::cmd
