// This instance as one member of the consumer group that shares out the command partitions.
//
// The member only takes part: it fetches nothing (what it is assigned stays paused), workers read
// with another client. So a long restore or a slow transaction costs no membership: a thread of its
// own polls the group.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_MEMBERSHIP_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_MEMBERSHIP_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/log/kafka/group_lease.h"
#include "engine/log/kafka/kafka_client.h"
#include "engine/log/kafka/ownership_follower.h"
#include "engine/log/kafka/topic_table.h"
#include "engine/log/log.h"

namespace esd::kafka {

// What the group agreed on: this member owns `partitions` in the generation that `metadata` names.
// Offsets that are sent with it are refused by the broker as soon as the group has moved on.
struct Generation {
  std::shared_ptr<rd_kafka_consumer_group_metadata_s> metadata;
  absl::flat_hash_set<DomainPartition> partitions;
};

// What a line of librdkafka's log says about a heartbeat.
enum class HeartbeatError {
  kNone,         // nothing, or that the group is rebalancing: the member is known
  kNotAccepted,  // it was answered with an error
  kNotMember,    // the group knows no such member, or not any more
};
HeartbeatError HeartbeatErrorIn(std::string_view facility, std::string_view text);

class KafkaMembership : public Membership {
 public:
  // The consumer has group.id set and went through PrepareConf(); it is subscribed by Join(). What
  // is passed here outlives the membership.
  KafkaMembership(const TopicTable* topics, const OwnershipFollower* owners)
      : topics_(topics), owners_(owners) {}
  ~KafkaMembership() override;

  // Registers callbacks in a configuration before the consumer is made of it.
  absl::Status PrepareConf(rd_kafka_conf_s* conf);
  void SetConsumer(Client consumer) { consumer_ = std::move(consumer); }

  absl::Status Join(MembershipListener* listener) override;
  void Leave(absl::Duration timeout) override;
  bool joined() const override { return current() != nullptr; }
  bool HoldsLease() const override { return lease_->Holds(TimeSinceBoot()); }
  std::optional<PartitionOwner> OwnerOf(const DomainPartition& partition) const override {
    return owners_->OwnerOf(partition);
  }

  // The generation that holds now; null while this member is in no group. Any thread.
  //
  // It changes only in rebalance callbacks: a worker that slept through a rebalance finds that its
  // partitions are gone, even when this member has joined again meanwhile and has a valid
  // generation again. With the client's current group metadata, which librdkafka would hand out
  // instead, such a worker could commit for a partition that another owns.
  std::shared_ptr<const Generation> current() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Status WatchSession(rd_kafka_conf_s* conf);
  static void OnLogLine(const rd_kafka_s* consumer, int level, const char* facility,
                        const char* text);

  static void OnRebalance(rd_kafka_s* consumer, int error, rd_kafka_topic_partition_list_s* list,
                          void* self);
  void OnAssign(rd_kafka_topic_partition_list_s* list);
  void OnRevoke(rd_kafka_topic_partition_list_s* list);

  void Run(std::stop_token stop);
  void PollOnce();
  void ConfirmLease();
  void Fail(const absl::Status& status);
  void AwaitFirstAssignment(absl::Duration timeout);
  void Close();

  std::vector<DomainPartition> ToPartitions(const rd_kafka_topic_partition_list_s* list) const;
  void SetGeneration(std::shared_ptr<rd_kafka_consumer_group_metadata_s> metadata,
                     absl::flat_hash_set<DomainPartition> partitions);

  const TopicTable* const topics_;
  const OwnershipFollower* const owners_;
  std::unique_ptr<GroupLease> lease_;  // told by the consumer's callbacks
  Client consumer_;

  // For the membership's thread only.
  MembershipListener* listener_ = nullptr;
  absl::flat_hash_set<DomainPartition> owned_;
  bool failed_ = false;
  bool closing_ = false;
  // An answer to a heartbeat that was not confirmed yet at the last poll.
  std::optional<GroupLease::Answer> unconfirmed_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Generation> current_ ABSL_GUARDED_BY(mutex_);
  absl::Duration leave_timeout_ ABSL_GUARDED_BY(mutex_);

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_MEMBERSHIP_H_
