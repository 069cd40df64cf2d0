#include "engine/base/metrics.h"

#include <prometheus/text_serializer.h>

#include <map>
#include <vector>

#ifndef ESD_VERSION
#error "ESD_VERSION must be defined by the build"
#endif

namespace esd {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;
using Labels = std::map<std::string, std::string>;

// From a lone command to the 10,000 that bound a transaction.
const Histogram::BucketBoundaries kBatchBuckets = {1,   2,   5,     10,    20,    50,    100,
                                                   200, 500, 1'000, 2'000, 5'000, 10'000};

// A commit takes some milliseconds; ten seconds is where it is given up.
const Histogram::BucketBoundaries kCommitBuckets = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                                    0.2,   0.5,   1,     2,    5,    10};

// The same, and up to an hour for commands that waited for an instance.
const Histogram::BucketBoundaries kEndToEndBuckets = {
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600, 3'600};

Family<Counter>& AddCounters(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Family<Gauge>& AddGauges(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

Histogram& AddHistogram(Registry& registry, const char* name, const char* help,
                        const Histogram::BucketBoundaries& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets);
}

Labels LabelsOf(const DomainPartition& partition) {
  return {{"domain", partition.domain}, {"partition", std::to_string(partition.partition.value())}};
}

const char* LabelOf(Effect effect) {
  switch (effect) {
    case Effect::kAccepted:
      return "accepted";
    case Effect::kRejected:
      return "rejected";
    case Effect::kDuplicate:
      return "duplicate";
    case Effect::kDeadLetter:
      return "dead_letter";
    case Effect::kForwarded:
      return "forwarded";
  }
  return "unknown";
}

const char* LabelOf(TransactionResult result) {
  switch (result) {
    case TransactionResult::kCommitted:
      return "committed";
    case TransactionResult::kAborted:
      return "aborted";
    case TransactionResult::kFenced:
      return "fenced";
    case TransactionResult::kUnknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace

std::string_view BuildVersion() { return ESD_VERSION; }

Metrics::Metrics()
    : commands_(AddCounters(registry_, "esd_commands_total",
                            "Commands whose effect is committed, by what became of them.")),
      dead_letters_(AddCounters(registry_, "esd_dead_letters_total",
                                "Commands that were put aside as dead letters.")),
      transactions_(
          AddCounters(registry_, "esd_transactions_total", "Transactions, by how they ended.")),
      producer_reopens_(
          AddCounters(registry_, "esd_producer_reopens_total",
                      "Times that a worker had to open its transactional producer again.")),
      transaction_commands_(AddHistogram(registry_, "esd_transaction_commands",
                                         "Commands in a committed transaction.", kBatchBuckets)),
      commit_seconds_(AddHistogram(registry_, "esd_commit_seconds",
                                   "Time from the begin of a transaction's commit to its answer.",
                                   kCommitBuckets)),
      end_to_end_seconds_(AddHistogram(
          registry_, "esd_end_to_end_seconds",
          "Time from the timestamp of a command's record to its commit.", kEndToEndBuckets)),
      partition_lag_(AddGauges(registry_, "esd_partition_lag",
                               "Commands that wait in a partition of this instance.")),
      partition_restored_(
          AddGauges(registry_, "esd_partition_restored",
                    "1 when the partition is processed, 0 while its state is restored.")),
      restore_remaining_records_(
          AddGauges(registry_, "esd_restore_remaining_records",
                    "Changelog records still to be read before the partition is processed.")),
      restore_records_(AddCounters(registry_, "esd_restore_records_total",
                                   "Changelog records that were read to restore the partition.")),
      history_remaining_records_(
          AddGauges(registry_, "esd_history_remaining_records",
                    "Offsets of the event topic still to be read before the history is complete.")),
      api_commands_in_flight_(AddGauges(registry_, "esd_api_commands_in_flight",
                                        "Commands that came over gRPC and are not answered yet.")
                                  .Add({})),
      api_watchers_(AddGauges(registry_, "esd_api_watchers", "Open WatchEvents streams.").Add({})) {
  AddGauges(registry_, "esd_build_info", "1; the label tells the version of the program.")
      .Add({{"version", std::string(BuildVersion())}})
      .Set(1);
}

Counter& Metrics::Commands(std::string_view domain, std::string_view type, Effect effect) {
  return commands_.Add(
      {{"domain", std::string(domain)}, {"type", std::string(type)}, {"outcome", LabelOf(effect)}});
}

Counter& Metrics::DeadLetters(std::string_view domain, std::string_view reason) {
  return dead_letters_.Add({{"domain", std::string(domain)}, {"reason", std::string(reason)}});
}

Counter& Metrics::Transactions(TransactionResult result) {
  return transactions_.Add({{"result", LabelOf(result)}});
}

Counter& Metrics::ProducerReopens(std::string_view reason) {
  return producer_reopens_.Add({{"reason", std::string(reason)}});
}

Gauge& Metrics::PartitionLag(const DomainPartition& partition) {
  return partition_lag_.Add(LabelsOf(partition));
}

Gauge& Metrics::PartitionRestored(const DomainPartition& partition) {
  return partition_restored_.Add(LabelsOf(partition));
}

Gauge& Metrics::RestoreRemainingRecords(const DomainPartition& partition) {
  return restore_remaining_records_.Add(LabelsOf(partition));
}

Counter& Metrics::RestoreRecords(const DomainPartition& partition) {
  return restore_records_.Add(LabelsOf(partition));
}

Gauge& Metrics::HistoryRemainingRecords(const DomainPartition& partition) {
  return history_remaining_records_.Add(LabelsOf(partition));
}

void Metrics::RemovePartition(const DomainPartition& partition) {
  for (Family<Gauge>* family : {&partition_lag_, &partition_restored_, &restore_remaining_records_,
                                &history_remaining_records_}) {
    family->Remove(&family->Add(LabelsOf(partition)));
  }
}

std::string Metrics::Serialize() const {
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

}  // namespace esd
