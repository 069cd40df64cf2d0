#include "engine/log/kafka/kafka_membership.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <librdkafka/rdkafka.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace esd::kafka {
namespace {

// How long the group's thread sleeps in a poll, and so how late it notices that it is to leave.
constexpr absl::Duration kPollWait = absl::Milliseconds(50);
constexpr char kLeaseName[] = "esd-group-lease";

void LogError(const char* what, const Error& error) {
  if (error != nullptr)
    spdlog::error("group membership: can't {}: {}", what, rd_kafka_error_string(error.get()));
}

std::optional<GroupLease::Request> LeaseRequestOf(int16_t api_key) {
  // https://kafka.apache.org/protocol#protocol_api_keys
  switch (api_key) {
    case 11:
      return GroupLease::Request::kJoinGroup;
    case 12:
      return GroupLease::Request::kHeartbeat;
    case 14:
      return GroupLease::Request::kSyncGroup;
    default:
      return std::nullopt;
  }
}

rd_kafka_resp_err_t OnRequestSent(rd_kafka_t*, int, const char*, int32_t, int16_t api_key, int16_t,
                                  int32_t, size_t, void* lease) {
  if (const auto request = LeaseRequestOf(api_key))
    static_cast<GroupLease*>(lease)->OnSent(*request);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t OnResponse(rd_kafka_t*, int, const char*, int32_t, int16_t api_key, int16_t,
                               int32_t, size_t, int64_t, rd_kafka_resp_err_t error, void* lease) {
  if (const auto request = LeaseRequestOf(api_key)) {
    static_cast<GroupLease*>(lease)->OnAnswer(*request, error == RD_KAFKA_RESP_ERR_NO_ERROR,
                                              TimeSinceBoot());
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t WatchConnection(rd_kafka_t* client, const rd_kafka_conf_t*, void* lease, char*,
                                    size_t) {
  rd_kafka_resp_err_t error =
      rd_kafka_interceptor_add_on_request_sent(client, kLeaseName, OnRequestSent, lease);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
    error = rd_kafka_interceptor_add_on_response_received(client, kLeaseName, OnResponse, lease);
  return error;
}

// The value of a property, as it is after all that set it.
std::string ValueOf(const rd_kafka_conf_t* conf, const char* name) {
  size_t size = 0;
  if (rd_kafka_conf_get(conf, name, nullptr, &size) != RD_KAFKA_CONF_OK) return "";
  std::string value(size, '\0');
  rd_kafka_conf_get(conf, name, value.data(), &size);
  return value.c_str();  // without what stands behind the final NUL
}

absl::Status Set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
  char error[512];
  if (rd_kafka_conf_set(conf, name, value.c_str(), error, sizeof(error)) == RD_KAFKA_CONF_OK)
    return absl::OkStatus();
  return absl::InternalError(absl::StrCat("librdkafka refuses the property ", name, "=", value,
                                          ": ", error, "; report this"));
}

}  // namespace

HeartbeatError HeartbeatErrorIn(std::string_view facility, std::string_view text) {
  if (facility != "HEARTBEAT" || text.find("heartbeat error response") == std::string_view::npos)
    return HeartbeatError::kNone;
  const auto says = [text](rd_kafka_resp_err_t error) {
    return text.ends_with(rd_kafka_err2str(error));
  };
  if (says(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)) return HeartbeatError::kNone;
  const bool not_member = says(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) ||
                          says(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION) ||
                          says(RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
  return not_member ? HeartbeatError::kNotMember : HeartbeatError::kNotAccepted;
}

KafkaMembership::~KafkaMembership() { Leave(absl::Seconds(5)); }

absl::Status KafkaMembership::PrepareConf(rd_kafka_conf_s* conf) {
  rd_kafka_conf_set_opaque(conf, this);
  rd_kafka_conf_set_rebalance_cb(conf, [](rd_kafka_t* consumer, rd_kafka_resp_err_t error,
                                          rd_kafka_topic_partition_list_t* list, void* self) {
    OnRebalance(consumer, error, list, self);
  });
  return WatchSession(conf);
}

// librdkafka's interceptors show requests and answers, but not the error that an answer holds. It
// says that in a line of its debug log alone, written before it does anything about it.
absl::Status KafkaMembership::WatchSession(rd_kafka_conf_s* conf) {
  int64_t session_timeout_ms = 0;
  if (!absl::SimpleAtoi(ValueOf(conf, "session.timeout.ms"), &session_timeout_ms))
    return absl::InternalError("librdkafka has no session.timeout.ms; report this");
  lease_ = std::make_unique<GroupLease>(absl::Milliseconds(session_timeout_ms));
  rd_kafka_conf_interceptor_add_on_new(conf, kLeaseName, WatchConnection, lease_.get());
  const std::string debug = ValueOf(conf, "debug");
  rd_kafka_conf_set_log_cb(conf, OnLogLine);
  return Set(conf, "debug", debug.empty() ? "cgrp" : debug + ",cgrp");
}

void KafkaMembership::OnLogLine(const rd_kafka_s* consumer, int level, const char* facility,
                                const char* text) {
  LogClientLine(consumer, level, facility, text);
  if (consumer == nullptr) return;
  GroupLease& lease = *static_cast<KafkaMembership*>(rd_kafka_opaque(consumer))->lease_;
  switch (HeartbeatErrorIn(facility, text)) {
    case HeartbeatError::kNone:
      break;
    case HeartbeatError::kNotAccepted:
      lease.OnHeartbeatError();
      break;
    case HeartbeatError::kNotMember:
      lease.End();
      break;
  }
}

absl::Status KafkaMembership::Join(MembershipListener* listener) {
  listener_ = listener;
  if (const auto error = rd_kafka_poll_set_consumer(consumer_.get()))
    return ToStatus(error, "poll the group");
  const PartitionList topics(
      rd_kafka_topic_partition_list_new(static_cast<int>(topics_->domains().size())));
  for (const auto& [domain, facts] : topics_->domains()) {
    rd_kafka_topic_partition_list_add(
        topics.get(), topics_->NameOf(domain, Topic::kCommand).c_str(), RD_KAFKA_PARTITION_UA);
  }
  if (const auto error = rd_kafka_subscribe(consumer_.get(), topics.get()))
    return ToStatus(error, "join the group");
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  return absl::OkStatus();
}

void KafkaMembership::Leave(absl::Duration timeout) {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    leave_timeout_ = timeout;
  }
  thread_.request_stop();
  thread_.join();
}

std::shared_ptr<const Generation> KafkaMembership::current() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

void KafkaMembership::Run(std::stop_token stop) {
  while (!stop.stop_requested()) PollOnce();
  Close();
}

// An answer of before the last poll has been put into the client's queue by now; the question for
// the metadata comes behind it, and so is answered when the client has handled it.
void KafkaMembership::ConfirmLease() {
  const auto unconfirmed = lease_->unconfirmed();
  if (unconfirmed && unconfirmed == unconfirmed_) {
    const GroupMetadata handled(rd_kafka_consumer_group_metadata(consumer_.get()));
    lease_->Confirm(*unconfirmed);
  }
  unconfirmed_ = unconfirmed;
}

void KafkaMembership::PollOnce() {
  ConfirmLease();
  const Message message(rd_kafka_consumer_poll(consumer_.get(), Milliseconds(kPollWait)));
  if (message == nullptr || message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
    char reason[512];
    const rd_kafka_resp_err_t error = rd_kafka_fatal_error(consumer_.get(), reason, sizeof(reason));
    return Fail(absl::FailedPreconditionError(
        absl::StrCat("the group membership ended: ", reason, " (", rd_kafka_err2name(error), ")",
                     error == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
                         ? "; another process runs with this --instance-id: give each its own"
                         : "; start this instance again")));
  }
  const absl::Status status = ToStatus(message->err, "take part in the group");
  if (absl::IsPermissionDenied(status) || absl::IsNotFound(status)) return Fail(status);
  // librdkafka goes on by itself.
  spdlog::warn("group membership: {}", std::string(status.message()));
}

void KafkaMembership::Fail(const absl::Status& status) {
  if (std::exchange(failed_, true)) return;
  listener_->OnFailed(status);
}

// librdkafka 2.0 aborts the process when a consumer is closed after it joined and before it knows
// its first assignment (github.com/confluentinc/librdkafka/issues/4312). That is a moment, unless
// the broker falls silent in it.
void KafkaMembership::AwaitFirstAssignment(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (lease_->AwaitsFirstAssignment() && absl::Now() < deadline) PollOnce();
  if (lease_->AwaitsFirstAssignment()) {
    spdlog::warn(
        "group membership: the broker let this instance join but did not say in time which "
        "partitions it has; leaving now may abort the process (librdkafka issue 4312): it has no "
        "partitions, nothing is lost, and it can be started again once the broker answers");
  }
}

// Hands everything over and leaves. A static member stays in the group until its session times out:
// that is what lets a restart in place resume at once.
void KafkaMembership::Close() {
  absl::Duration timeout;
  {
    absl::MutexLock lock(&mutex_);
    timeout = leave_timeout_;
  }
  AwaitFirstAssignment(timeout);
  closing_ = true;
  // Otherwise at the end of the hand-over, in OnRevoke().
  if (owned_.empty()) lease_->End();
  const Queue queue(rd_kafka_queue_new(consumer_.get()));
  LogError("leave", Error(rd_kafka_consumer_close_queue(consumer_.get(), queue.get())));
  absl::Time deadline = absl::Now() + timeout;
  while (!rd_kafka_consumer_closed(consumer_.get()) && absl::Now() < deadline) {
    const Event event(rd_kafka_queue_poll(queue.get(), Milliseconds(kPollWait)));
    if (event == nullptr || rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_REBALANCE) continue;
    OnRebalance(consumer_.get(), rd_kafka_event_error(event.get()),
                rd_kafka_event_topic_partition_list(event.get()), this);
    deadline = absl::Now() + timeout;  // a hand-over has bounds of its own
  }
  if (!rd_kafka_consumer_closed(consumer_.get())) {
    spdlog::warn(
        "group membership: the broker did not answer in time to the wish to leave; the partitions "
        "move to other instances when the session times out");
  }
  lease_->End();
  SetGeneration(nullptr, {});
}

void KafkaMembership::OnRebalance(rd_kafka_s* consumer, int error,
                                  rd_kafka_topic_partition_list_s* list, void* opaque) {
  auto* self = static_cast<KafkaMembership*>(opaque);
  switch (error) {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
      self->OnAssign(list);
      break;
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
      self->OnRevoke(list);
      break;
    default:
      spdlog::error("group membership: the rebalance failed: {}",
                    rd_kafka_err2str(static_cast<rd_kafka_resp_err_t>(error)));
      LogError("unassign", Error(rd_kafka_incremental_unassign(consumer, list)));
  }
}

void KafkaMembership::OnAssign(rd_kafka_topic_partition_list_s* list) {
  lease_->OnAssigned();
  // Asked for before the assignment is acknowledged: until then the client joins no other
  // generation. This callback comes in every generation, also when nothing is added.
  GroupMetadata metadata(rd_kafka_consumer_group_metadata(consumer_.get()));
  const std::vector<DomainPartition> added = ToPartitions(list);
  owned_.insert(added.begin(), added.end());
  SetGeneration(std::move(metadata), owned_);
  // Nothing is to be fetched here, and so no committed offset is to be looked up.
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = RD_KAFKA_OFFSET_END;
  LogError("take an assignment", Error(rd_kafka_incremental_assign(consumer_.get(), list)));
  rd_kafka_pause_partitions(consumer_.get(), list);
  if (!added.empty()) listener_->OnAssigned(added);
}

void KafkaMembership::OnRevoke(rd_kafka_topic_partition_list_s* list) {
  const std::vector<DomainPartition> removed = ToPartitions(list);
  // The group may be in a new generation already; the last transaction needs its metadata. Asked
  // for before the question whether the assignment is lost: that is when the metadata would name no
  // generation, which a broker may let pass.
  GroupMetadata metadata(rd_kafka_consumer_group_metadata(consumer_.get()));
  if (rd_kafka_assignment_lost(consumer_.get())) {
    owned_.clear();
    lease_->End();
    SetGeneration(nullptr, {});
    listener_->OnLost(removed);
  } else {
    // The partitions are this member's until they are unassigned below.
    const std::shared_ptr<rd_kafka_consumer_group_metadata_s> shared = std::move(metadata);
    SetGeneration(shared, owned_);
    listener_->OnRevoked(removed);
    for (const DomainPartition& partition : removed) owned_.erase(partition);
    SetGeneration(shared, owned_);
    // The unassignment lets the client leave.
    if (closing_ && owned_.empty()) lease_->End();
  }
  LogError("give an assignment back", Error(rd_kafka_incremental_unassign(consumer_.get(), list)));
}

std::vector<DomainPartition> KafkaMembership::ToPartitions(
    const rd_kafka_topic_partition_list_s* list) const {
  std::vector<DomainPartition> partitions;
  for (int i = 0; i < list->cnt; ++i) {
    partitions.push_back(
        {topics_->DomainOf(list->elems[i].topic), PartitionId{list->elems[i].partition}});
  }
  return partitions;
}

void KafkaMembership::SetGeneration(std::shared_ptr<rd_kafka_consumer_group_metadata_s> metadata,
                                    absl::flat_hash_set<DomainPartition> partitions) {
  std::shared_ptr<const Generation> next;
  if (metadata != nullptr) {
    next =
        std::make_shared<const Generation>(Generation{std::move(metadata), std::move(partitions)});
  }
  absl::MutexLock lock(&mutex_);
  current_ = std::move(next);
}

}  // namespace esd::kafka
