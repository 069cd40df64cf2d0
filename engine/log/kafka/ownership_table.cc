#include "engine/log/kafka/ownership_table.h"

#include "engine/log/kafka/kafka_replayer.h"

namespace esd::kafka {
namespace {

constexpr PartitionId kOnlyPartition{0};

template <typename Record, typename Records>
std::optional<Record> Parse(const Records& records, const std::string& key) {
  const auto it = records.find(key);
  Record record;
  if (it == records.end() || !record.ParseFromString(it->second)) return std::nullopt;
  return record;
}

}  // namespace

absl::Status OwnershipTable::Refresh(std::stop_token stop) {
  absl::MutexLock refresh_lock(&refresh_mutex_);
  // The client that reads committed records sees the end before the first open transaction, the
  // other one the real end.
  const absl::StatusOr<Watermarks> stable = QueryWatermarks(committed_, topic_, kOnlyPartition);
  if (!stable.ok()) return stable.status();
  const absl::StatusOr<Watermarks> all = QueryWatermarks(uncommitted_, topic_, kOnlyPartition);
  if (!all.ok()) return all.status();

  Offset from;
  {
    absl::MutexLock lock(&mutex_);
    from = std::max(position_, stable->begin);
  }
  Records decided;
  Records undecided;
  if (absl::Status status = Read(committed_, from, stable->end, stop, &decided); !status.ok())
    return status;
  if (absl::Status status = Read(uncommitted_, stable->end, all->end, stop, &undecided);
      !status.ok())
    return status;

  absl::MutexLock lock(&mutex_);
  position_ = std::max(position_, stable->end);
  for (auto& [key, value] : decided) {
    records_[key] = std::move(value);
    fenced_.erase(key);
  }
  undecided_ = std::move(undecided);
  return absl::OkStatus();
}

std::optional<esd::v1::OwnershipRecord> OwnershipTable::Find(
    const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  return Parse<esd::v1::OwnershipRecord>(records_, ToString(partition));
}

std::optional<esd::v1::DomainRecord> OwnershipTable::FindDomain(const std::string& domain) const {
  absl::MutexLock lock(&mutex_);
  return Parse<esd::v1::DomainRecord>(records_, domain);
}

std::pair<std::vector<std::pair<std::string, std::string>>, Offset> OwnershipTable::Committed()
    const {
  absl::MutexLock lock(&mutex_);
  return {{records_.begin(), records_.end()}, position_};
}

std::vector<std::string> OwnershipTable::Suspects(const DomainPartition& partition) const {
  absl::MutexLock lock(&mutex_);
  const std::string key = ToString(partition);
  const auto committed = Parse<esd::v1::OwnershipRecord>(records_, key);
  const auto undecided = Parse<esd::v1::OwnershipRecord>(undecided_, key);
  std::vector<std::string> ids;
  if (committed && !committed->released() && !fenced_.contains(key))
    ids.push_back(committed->transactional_id());
  if (undecided) ids.push_back(undecided->transactional_id());
  return ids;
}

void OwnershipTable::MarkFenced(const std::string& transactional_id) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, value] : records_) {
    esd::v1::OwnershipRecord record;
    if (record.ParseFromString(value) && record.transactional_id() == transactional_id)
      fenced_.insert(key);
  }
}

absl::Status OwnershipTable::Read(rd_kafka_s* consumer, Offset from, Offset end,
                                  std::stop_token stop, Records* records) {
  const ReplaySink sink = [records](const std::vector<InputRecord>& batch, Offset) {
    for (const InputRecord& record : batch) {
      if (record.key && record.value)
        (*records)[std::string(*record.key)] = std::string(*record.value);
    }
    return absl::OkStatus();
  };
  return Replay(consumer, topic_, kOnlyPartition, from, end, sink, stop);
}

}  // namespace esd::kafka
