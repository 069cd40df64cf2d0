// What an instance tells Prometheus about itself.
//
//   Metrics metrics;
//   prometheus::Counter& accepted = metrics.Commands("security", "RegisterUserCommand",
//                                                  Effect::kAccepted);
//   accepted.Increment();  // hot path: atomic, no lock
//
// A function that takes labels looks them up under a lock: call it once and keep the reference,
// which is valid as long as the Metrics (for those of a partition: until RemovePartition()). All
// functions, and the metrics, are for any thread.
//
// Labels hold nothing that a client chooses freely: no key, no personal data, and types only if a
// domain knows them.
#ifndef ESD_ENGINE_BASE_METRICS_H_
#define ESD_ENGINE_BASE_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <string>
#include <string_view>

#include "engine/base/effect.h"
#include "engine/base/types.h"

namespace esd {

// The version of this build: `0.1.0`.
std::string_view BuildVersion();

// How a transaction ended: label `result`.
enum class TransactionResult {
  kCommitted,  // committed
  kAborted,    // aborted: nothing happened, it is tried again
  kFenced,     // fenced: another owner has taken over
  kUnknown,    // unknown: the answer did not arrive in time
};

class Metrics {
 public:
  // The type to give for commands whose type no domain knows: clients must not be able to make new
  // time series.
  static constexpr std::string_view kUnknownType = "unknown";

  Metrics();

  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // esd_commands_total{domain,type,outcome}: commands whose effect is committed; `outcome` is
  // accepted, rejected, duplicate, dead_letter or forwarded. `type`: the name of a command of the
  // domain, or kUnknownType.
  prometheus::Counter& Commands(std::string_view domain, std::string_view type, Effect effect);

  // esd_dead_letters_total{domain,reason}: `reason` is one of the engine's constants (the header
  // esd-error-reason).
  prometheus::Counter& DeadLetters(std::string_view domain, std::string_view reason);

  // esd_transactions_total{result}: transactions by how they ended.
  prometheus::Counter& Transactions(TransactionResult result);

  // esd_producer_reopens_total{reason}: times that a worker had to take up its identity again;
  // `reason` is a constant.
  prometheus::Counter& ProducerReopens(std::string_view reason);

  // esd_transaction_commands: commands in a committed transaction.
  prometheus::Histogram& transaction_commands() { return transaction_commands_; }

  // esd_commit_seconds: from the begin of a transaction's commit to the answer.
  prometheus::Histogram& commit_seconds() { return commit_seconds_; }

  // esd_end_to_end_seconds: from the timestamp of a command's record to its commit. Clocks of
  // clients are involved unless the topic has log append time: callers make negative values 0.
  prometheus::Histogram& end_to_end_seconds() { return end_to_end_seconds_; }

  // esd_partition_lag{domain,partition}: commands that wait in a partition which this instance
  // owns.
  prometheus::Gauge& PartitionLag(const DomainPartition& partition);

  // esd_partition_restored{domain,partition}: 1 when the partition is processed, 0 while it is
  // restored.
  prometheus::Gauge& PartitionRestored(const DomainPartition& partition);

  // esd_restore_remaining_records{domain,partition}: records of the changelog still to be read
  // before it is processed.
  prometheus::Gauge& RestoreRemainingRecords(const DomainPartition& partition);

  // esd_restore_records_total{domain,partition}: records of the changelog that were read to restore
  // the partition.
  prometheus::Counter& RestoreRecords(const DomainPartition& partition);

  // esd_history_remaining_records{domain,partition}: offsets of the event topic still to be read
  // before the partition's history is complete.
  prometheus::Gauge& HistoryRemainingRecords(const DomainPartition& partition);

  // esd_api_commands_in_flight: commands that came over gRPC and are not answered yet, those that
  // were forwarded among them.
  prometheus::Gauge& api_commands_in_flight() { return api_commands_in_flight_; }

  // esd_api_watchers: open WatchEvents streams.
  prometheus::Gauge& api_watchers() { return api_watchers_; }

  // Ends the gauges of a partition that this instance no longer owns; a stale lag would raise
  // alarms for ever. References to them are invalid from now on. The counter stays.
  void RemovePartition(const DomainPartition& partition);

  // All metrics in Prometheus' text format 0.0.4, as /metrics shows them.
  std::string Serialize() const;

  // For metrics that a part of the engine keeps to itself.
  prometheus::Registry& registry() { return registry_; }

 private:
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& commands_;
  prometheus::Family<prometheus::Counter>& dead_letters_;
  prometheus::Family<prometheus::Counter>& transactions_;
  prometheus::Family<prometheus::Counter>& producer_reopens_;
  prometheus::Histogram& transaction_commands_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& end_to_end_seconds_;
  prometheus::Family<prometheus::Gauge>& partition_lag_;
  prometheus::Family<prometheus::Gauge>& partition_restored_;
  prometheus::Family<prometheus::Gauge>& restore_remaining_records_;
  prometheus::Family<prometheus::Counter>& restore_records_;
  prometheus::Family<prometheus::Gauge>& history_remaining_records_;
  prometheus::Gauge& api_commands_in_flight_;
  prometheus::Gauge& api_watchers_;
};

}  // namespace esd

#endif  // ESD_ENGINE_BASE_METRICS_H_
