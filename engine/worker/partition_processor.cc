#include "engine/worker/partition_processor.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/murmur2.h"
#include "engine/base/string_view.h"
#include "engine/worker/dead_letter.h"
#include "engine/worker/event.h"
#include "engine/worker/reply.h"

namespace esd {
namespace {

using Events = std::vector<std::unique_ptr<google::protobuf::Message>>;

// What a record of ours has in headers and framing at most, besides the key and the value: keeps
// size checks simple.
constexpr size_t kRecordOverheadBytes = 2'048;

absl::Status CheckSize(std::string_view what, size_t bytes, size_t limit) {
  if (bytes + kRecordOverheadBytes <= limit) return absl::OkStatus();
  return Reject(absl::StatusCode::kResourceExhausted, "RECORD_TOO_LARGE",
                absl::StrCat("the ", ToAbsl(what), " would have ", bytes,
                             " bytes, more than its topic takes (max.message.bytes ", limit, ")"));
}

CommandResult Result(const InputRecord& record, Effect effect, std::string_view type,
                     std::string reason = "") {
  CommandResult result;
  result.offset = record.offset;
  result.timestamp_ms = record.timestamp_ms;
  result.effect = effect;
  result.type = type;
  result.reason = std::move(reason);
  return result;
}

std::vector<OutputRecord::OwnedHeader> CopyHeaders(const InputRecord& record) {
  std::vector<OutputRecord::OwnedHeader> headers;
  for (const Header& header : record.headers) {
    headers.push_back(
        {header.name, header.value ? std::optional<std::string>(*header.value) : std::nullopt});
  }
  return headers;
}

}  // namespace

PartitionProcessor::PartitionProcessor(ProcessorOptions options, const AggregateType* type,
                                       Codec* codec, const SnapshotStore* store)
    : options_(std::move(options)),
      event_source_("/esd/" + options_.command_topic),
      type_(type),
      codec_(codec),
      decoder_(type, codec, options_.limits.command_value),
      pending_(store, options_.partition, &type->state_prototype()) {
  batch_.part.partition = options_.partition;
}

absl::Status PartitionProcessor::Process(const InputRecord& record, absl::Time now) {
  SetTime(now);
  batch_.part.next_command_offset = Next(record.offset);

  const absl::StatusOr<Command> command = decoder_.Decode(record);
  if (!command.ok()) {
    StageDeadLetter(record, command.status());
    return absl::OkStatus();
  }
  // Route: a producer with another partitioner put it here; its aggregate has its one writer
  // elsewhere.
  const PartitionId home = PartitionForKey(command->key, options_.partition_count);
  if (home != options_.partition.partition) {
    StageForward(*command, home);
    return absl::OkStatus();
  }
  const absl::StatusOr<const esd::v1::StoredOutcome*> earlier = Deduplicate(*command);
  if (!earlier.ok()) return earlier.status();
  if (*earlier != nullptr && (*earlier)->fingerprint() == command->fingerprint) {
    StageRepetition(*command, **earlier);
    return absl::OkStatus();
  }
  const absl::StatusOr<const Aggregate*> aggregate = pending_.Load(command->key);
  if (!aggregate.ok()) return aggregate.status();
  if (*earlier != nullptr) {
    StageReuse(*command, (*aggregate)->version);
    return absl::OkStatus();
  }
  const absl::StatusOr<Events> events = Decide(*command, **aggregate);
  absl::StatusOr<Decision> decision =
      events.ok() ? Evolve(*command, **aggregate, *events) : events.status();
  if (decision.ok()) {
    Stage(*command, *std::move(decision));
  } else {
    StageRejection(*command, decision.status(), (*aggregate)->version);
  }
  return absl::OkStatus();
}

ProcessedBatch PartitionProcessor::Finish() {
  for (StoreUpdate::Snapshot& snapshot : pending_.Snapshots()) {
    batch_.part.records.push_back({Topic::kSnapshot,
                                   options_.partition.partition,
                                   std::move(snapshot.key),
                                   std::move(snapshot.value),
                                   {}});
  }
  batch_.outcomes = pending_.TakeOutcomes();
  pending_.Clear();
  ProcessedBatch finished = std::exchange(batch_, {});
  batch_.part.partition = options_.partition;
  return finished;
}

absl::StatusOr<const esd::v1::StoredOutcome*> PartitionProcessor::Deduplicate(
    const Command& command) {
  if (command.command_id.empty()) return nullptr;
  return pending_.FindOutcome(command.key, command.command_id);
}

absl::StatusOr<Events> PartitionProcessor::Decide(const Command& command,
                                                  const Aggregate& before) const {
  if (type_->KeyOf(*command.payload) != command.key) {
    return Reject(absl::StatusCode::kInvalidArgument, "KEY_MISMATCH",
                  "the record's key isn't the key of the aggregate that the command names");
  }
  if (command.expected_version && *command.expected_version != before.version) {
    return Reject(absl::StatusCode::kAborted, "VERSION_MISMATCH",
                  "the aggregate isn't at the expected version");
  }
  return type_->Decide(before.state.get(), *command.payload, {now_, Next(before.version)});
}

absl::StatusOr<PartitionProcessor::Decision> PartitionProcessor::Evolve(const Command& command,
                                                                        const Aggregate& before,
                                                                        const Events& events) {
  Decision decision;
  decision.after.version = before.version;
  if (!events.empty()) {
    // A copy, because the result may turn out to be too large to be written.
    decision.after.state.reset(type_->state_prototype().New());
    if (before.state != nullptr) decision.after.state->CopyFrom(*before.state);
  }
  for (const auto& event : events) {
    type_->Evolve(*decision.after.state, *event);
    decision.after.version = Next(decision.after.version);
    decision.event_types.push_back(Codec::TypeName(*event));
    codec_->EncodeEvent(*event, &decision.events.emplace_back());
  }
  // An accepted command without an id whose events tell everything costs no reply.
  decision.reply_is_due = !command.command_id.empty() || events.empty();
  if (decision.reply_is_due || !command.request_id.empty()) {
    const std::string id =
        command.command_id.empty() ? PositionOf(*command.record) : std::string(command.command_id);
    decision.reply = AcceptedReply(id, decision.after.version, decision.events);
  }
  if (absl::Status status = CheckSizes(command, decision); !status.ok()) return status;
  return decision;
}

absl::Status PartitionProcessor::CheckSizes(const Command& command,
                                            const Decision& decision) const {
  // The key stands in the event's headers too.
  const size_t shared =
      2 * command.key.size() + command.command_id.size() + command.traceparent.size();
  for (const std::string& event : decision.events) {
    if (absl::Status status = CheckSize("event", event.size() + shared, options_.limits.event);
        !status.ok())
      return status;
  }
  if (decision.after.state != nullptr) {
    const size_t bytes = decision.after.state->ByteSizeLong() + shared;
    if (absl::Status status = CheckSize("snapshot", bytes, options_.limits.snapshot); !status.ok())
      return status;
  }
  // What becomes of a command doesn't depend on whether somebody waits for it.
  if (!decision.reply_is_due) return absl::OkStatus();
  return CheckSize("reply", decision.reply.size() + shared, options_.limits.reply);
}

void PartitionProcessor::Stage(const Command& command, Decision decision) {
  const int64_t first =
      decision.after.version.value() + 1 - static_cast<int64_t>(decision.events.size());
  for (size_t i = 0; i < decision.events.size(); ++i) {
    StageEvent(command, decision.event_types[i], std::move(decision.events[i]), i,
               Version{first + static_cast<int64_t>(i)});
  }
  if (decision.after.state != nullptr) pending_.Update(command.key, std::move(decision.after));
  AddResult(command, Effect::kAccepted, "", decision.reply, command.record->offset);
  if (decision.reply_is_due) StageReply(command, std::move(decision.reply), /*is_outcome=*/true);
}

void PartitionProcessor::StageEvent(const Command& command, std::string_view type,
                                    std::string event, size_t index, Version version) {
  const std::string position = PositionOf(*command.record);
  OutputRecord record{
      Topic::kEvent, options_.partition.partition, std::string(command.key), std::move(event), {}};
  record.headers.reserve(10);
  record.headers.push_back({"ce_specversion", "1.0"});
  record.headers.push_back({kEventIdHeader, absl::StrCat(position, ":", index)});
  record.headers.push_back({kEventTypeHeader, std::string(type)});
  record.headers.push_back({"ce_source", event_source_});
  record.headers.push_back({"ce_subject", std::string(command.key)});
  record.headers.push_back({kEventTimeHeader, now_text_});
  record.headers.push_back({"content-type", "application/json"});
  record.headers.push_back({kEventVersionHeader, absl::StrCat(version.value())});
  record.headers.push_back({kCausationIdHeader, command.command_id.empty()
                                                    ? position
                                                    : std::string(command.command_id)});
  if (!command.traceparent.empty())
    record.headers.push_back({kTraceparentHeader, std::string(command.traceparent)});
  batch_.part.records.push_back(std::move(record));
}

void PartitionProcessor::StageRejection(const Command& command, const absl::Status& reason,
                                        Version version) {
  const std::string id =
      command.command_id.empty() ? PositionOf(*command.record) : std::string(command.command_id);
  std::string reply = RejectedReply(id, reason, version);
  AddResult(command, Effect::kRejected, ReasonOf(reason), reply, command.record->offset);
  StageReply(command, std::move(reply), /*is_outcome=*/true);
}

void PartitionProcessor::StageRepetition(const Command& command,
                                         const esd::v1::StoredOutcome& earlier) {
  const std::optional<Offset> first =
      earlier.has_command_offset() ? std::optional(Offset{earlier.command_offset()}) : std::nullopt;
  AddResult(command, Effect::kDuplicate, "", earlier.reply(), first);
  StageReply(command, earlier.reply(), /*is_outcome=*/false);
  batch_.part.records.back().headers.push_back({kReplayedHeader, "true"});
}

void PartitionProcessor::StageReuse(const Command& command, Version version) {
  const absl::Status reused =
      Reject(absl::StatusCode::kInvalidArgument, "COMMAND_ID_REUSED",
             "another command with this id and another payload was processed before: use a new id "
             "for a new command");
  std::string reply = RejectedReply(command.command_id, reused, version);
  AddResult(command, Effect::kRejected, ReasonOf(reused), reply, command.record->offset);
  StageReply(command, std::move(reply), /*is_outcome=*/false);
}

void PartitionProcessor::AddResult(const Command& command, Effect effect, std::string reason,
                                   std::string_view reply, std::optional<Offset> answered_offset) {
  CommandResult result = Result(*command.record, effect, command.type, std::move(reason));
  if (!command.request_id.empty()) {
    result.request_id = command.request_id;
    result.reply = std::string(reply);
    result.answered_offset = answered_offset;
  }
  batch_.results.push_back(std::move(result));
}

void PartitionProcessor::StageReply(const Command& command, std::string reply, bool is_outcome) {
  OutputRecord record{
      Topic::kReply, options_.partition.partition, std::string(command.key), std::move(reply), {}};
  record.headers.push_back({"content-type", "application/json"});
  record.headers.push_back({kSourcePositionHeader, PositionOf(*command.record)});
  if (!command.traceparent.empty())
    record.headers.push_back({kTraceparentHeader, std::string(command.traceparent)});
  if (is_outcome && !command.command_id.empty()) {
    record.headers.push_back({kCommandIdHeader, std::string(command.command_id)});
    record.headers.push_back({kFingerprintHeader, FormatFingerprint(command.fingerprint)});
    esd::v1::StoredOutcome outcome;
    outcome.set_reply(*record.value);
    outcome.set_fingerprint(command.fingerprint);
    outcome.set_recorded_ms(absl::ToUnixMillis(now_));
    outcome.set_command_offset(command.record->offset.value());
    pending_.AddOutcome(command.key, command.command_id, std::move(outcome));
  }
  batch_.part.records.push_back(std::move(record));
}

void PartitionProcessor::StageDeadLetter(const InputRecord& record, const absl::Status& reason) {
  OutputRecord letter{
      Topic::kDeadLetter, options_.partition.partition, {}, {}, CopyHeaders(record)};
  if (record.key) letter.key.emplace(*record.key);
  if (record.value) letter.value.emplace(*record.value);
  letter.headers.push_back({kErrorReasonHeader, ReasonOf(reason)});
  letter.headers.push_back({kErrorMessageHeader, std::string(reason.message())});
  letter.headers.push_back({kSourceTopicHeader, options_.command_topic});
  letter.headers.push_back(
      {kSourcePartitionHeader, absl::StrCat(options_.partition.partition.value())});
  letter.headers.push_back({kSourceOffsetHeader, absl::StrCat(record.offset.value())});
  batch_.part.records.push_back(std::move(letter));
  CommandResult result = Result(record, Effect::kDeadLetter, "", ReasonOf(reason));
  result.request_id = RequestIdOf(record);
  if (!result.request_id.empty()) {
    result.reply = std::string(reason.message());
    result.answered_offset = record.offset;
  }
  batch_.results.push_back(std::move(result));
}

void PartitionProcessor::StageForward(const Command& command, PartitionId home) {
  batch_.part.records.push_back({Topic::kCommand, home, std::string(command.key),
                                 std::string(*command.record->value),
                                 CopyHeaders(*command.record)});
  // Whoever waits is answered by the copy, which has the request id too.
  batch_.results.push_back(Result(*command.record, Effect::kForwarded, command.type));
}

std::string PartitionProcessor::PositionOf(const InputRecord& record) const {
  return absl::StrCat(options_.partition.partition.value(), ":", record.offset.value());
}

void PartitionProcessor::SetTime(absl::Time now) {
  if (now == now_ && !now_text_.empty()) return;
  now_ = now;
  now_text_ = absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", now, absl::UTCTimeZone());
}

}  // namespace esd
