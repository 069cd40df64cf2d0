#include "engine/log/kafka/ownership_follower.h"

#include <absl/time/clock.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "esd/v1/stored.pb.h"

namespace esd::kafka {
namespace {

// How long the thread waits for news, and so how late it notices that it is to end.
constexpr absl::Duration kPollWait = absl::Milliseconds(100);
// Between two tries to read on after an error.
constexpr absl::Duration kRetry = absl::Milliseconds(500);

}  // namespace

OwnershipFollower::~OwnershipFollower() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void OwnershipFollower::Apply(const std::string& key, const std::string& value) {
  // Keys without a slash are of records that fix a domain's partition count.
  if (key.find('/') == std::string::npos) return;
  esd::v1::OwnershipRecord record;
  // A tombstone, without a value, is nobody's as well.
  const bool owned = !value.empty() && record.ParseFromString(value) && !record.released();
  absl::MutexLock lock(&mutex_);
  if (owned) {
    owners_[key] = {record.instance(), record.address(), record.generation()};
  } else {
    owners_.erase(key);
  }
}

absl::Status OwnershipFollower::Start(OpenReader open_reader, Offset from) {
  open_reader_ = std::move(open_reader);
  auto reader = open_reader_(from);
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  return absl::OkStatus();
}

std::optional<PartitionOwner> OwnershipFollower::OwnerOf(const DomainPartition& partition) const {
  const std::string key = ToString(partition);
  absl::MutexLock lock(&mutex_);
  const auto it = owners_.find(key);
  if (it == owners_.end()) return std::nullopt;
  return it->second;
}

void OwnershipFollower::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const absl::Status status = Poll();
    if (status.ok()) continue;
    spdlog::warn("following the ownership topic: {}; trying again", std::string(status.message()));
    absl::SleepFor(kRetry);
  }
}

absl::Status OwnershipFollower::Poll() {
  if (reader_ == nullptr) {
    // The position was gone: everything again.
    auto reader = open_reader_(std::nullopt);
    if (!reader.ok()) return reader.status();
    reader_ = *std::move(reader);
  }
  const auto polled = reader_->Poll({}, kPollWait);
  if (!polled.ok()) {
    // The reader goes on by itself after an error that passes.
    if (!absl::IsUnavailable(polled.status())) reader_.reset();
    return polled.status();
  }
  for (const LogReader::Batch& batch : polled->batches) {
    for (const InputRecord& record : batch.records) {
      if (record.key) Apply(std::string(*record.key), std::string(record.value.value_or("")));
    }
  }
  return absl::OkStatus();
}

}  // namespace esd::kafka
