// What the author of a domain includes, and how the engine sees a domain.
//
// A domain is three protobuf messages and one small class of pure functions:
//
//   class Security {
//    public:
//     using Command = security::v1::Command;  // one oneof, a message per command
//     using Event = security::v1::Event;      // one oneof, a message per event
//     using State = security::v1::User;
//
//     // The key of the aggregate that the command addresses.
//     static std::string_view KeyOf(const Command& command);
//
//     // What the command does to the aggregate: no event, some events, or a rejection made with
//     // Reject(). `state` is null when the aggregate has no event yet.
//     static absl::StatusOr<std::vector<Event>> Decide(const State* state, const Command& command,
//                                                      const DecideContext& context);
//
//     // Applies one event. It can't fail: an event is a fact.
//     static void Evolve(State& state, const Event& event);
//   };
//
//   std::unique_ptr<AggregateType> security = MakeAggregateType<Security>("security");
//
// The functions read no clock, no random source and do no I/O; they may be called again for the
// same command (after an aborted transaction) and from several threads at once for different
// aggregates.
#ifndef ESD_ENGINE_AGGREGATE_AGGREGATE_TYPE_H_
#define ESD_ENGINE_AGGREGATE_AGGREGATE_TYPE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/types.h"

namespace esd {

// What Decide may know besides the state and the command.
struct DecideContext {
  // The time of the transaction; the same for all its commands.
  absl::Time now;
  // The version that the first event of this command will get; the second gets the next one.
  Version next_version;
};

// A rejection: `code` is the one that gRPC shows (never kOk), `reason` a constant in
// UPPER_SNAKE_CASE for programs, `message` one sentence for people, without personal data.
absl::Status Reject(absl::StatusCode code, std::string_view reason, std::string_view message);

// The reason that `status` was made with; the name of its code when it was not made with Reject().
std::string ReasonOf(const absl::Status& status);

// `NOT_FOUND`, `INVALID_ARGUMENT`, …: the name of a code as in gRPC and in replies.
std::string_view CodeName(absl::StatusCode code);

// A domain with its types erased. Messages given to the functions must be of the domain's own
// types. Stateless, and safe for use by several threads.
class AggregateType {
 public:
  using Message = google::protobuf::Message;

  virtual ~AggregateType() = default;

  // `security`: names the domain's topics.
  virtual const std::string& name() const = 0;

  // Default instances; `New()` on them makes a message.
  virtual const Message& command_prototype() const = 0;
  virtual const Message& event_prototype() const = 0;
  virtual const Message& state_prototype() const = 0;

  virtual std::string_view KeyOf(const Message& command) const = 0;
  virtual absl::StatusOr<std::vector<std::unique_ptr<Message>>> Decide(
      const Message* state, const Message& command, const DecideContext& context) const = 0;
  virtual void Evolve(Message& state, const Message& event) const = 0;
};

// What MakeAggregateType() asks of a domain's class.
// (clang-format 14 garbles concepts.)
// clang-format off
template <typename D>
concept Domain =
    std::derived_from<typename D::Command, google::protobuf::Message> &&
    std::derived_from<typename D::Event, google::protobuf::Message> &&
    std::derived_from<typename D::State, google::protobuf::Message> &&
    requires(typename D::State& state, const typename D::Command& command,
             const typename D::Event& event, const DecideContext& context) {
      { D::KeyOf(command) } -> std::convertible_to<std::string_view>;
      {
        D::Decide(&std::as_const(state), command, context)
      } -> std::same_as<absl::StatusOr<std::vector<typename D::Event>>>;
      { D::Evolve(state, event) } -> std::same_as<void>;
    };
// clang-format on

// Makes the engine's view of the domain `D`.
template <Domain D>
std::unique_ptr<AggregateType> MakeAggregateType(std::string name);

// Implementation only below this line.

namespace internal {

template <Domain D>
class TypedAggregate final : public AggregateType {
 public:
  explicit TypedAggregate(std::string name) : name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  const Message& command_prototype() const override { return D::Command::default_instance(); }
  const Message& event_prototype() const override { return D::Event::default_instance(); }
  const Message& state_prototype() const override { return D::State::default_instance(); }

  std::string_view KeyOf(const Message& command) const override {
    return D::KeyOf(static_cast<const typename D::Command&>(command));
  }

  absl::StatusOr<std::vector<std::unique_ptr<Message>>> Decide(
      const Message* state, const Message& command, const DecideContext& context) const override {
    auto events = D::Decide(static_cast<const typename D::State*>(state),
                            static_cast<const typename D::Command&>(command), context);
    if (!events.ok()) return std::move(events).status();
    std::vector<std::unique_ptr<Message>> erased;
    erased.reserve(events->size());
    for (auto& event : *events) {
      erased.push_back(std::make_unique<typename D::Event>(std::move(event)));
    }
    return erased;
  }

  void Evolve(Message& state, const Message& event) const override {
    D::Evolve(static_cast<typename D::State&>(state), static_cast<const typename D::Event&>(event));
  }

 private:
  const std::string name_;
};

}  // namespace internal

template <Domain D>
std::unique_ptr<AggregateType> MakeAggregateType(std::string name) {
  return std::make_unique<internal::TypedAggregate<D>>(std::move(name));
}

}  // namespace esd

#endif  // ESD_ENGINE_AGGREGATE_AGGREGATE_TYPE_H_
