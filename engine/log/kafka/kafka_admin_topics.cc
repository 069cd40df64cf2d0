#include "engine/log/kafka/kafka_admin_topics.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <utility>

#include "engine/log/topic_names.h"

namespace esd::kafka {
namespace {

using Configs = std::map<std::string, std::string>;

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;
constexpr int64_t kMiB = int64_t{1} << 20;

Configs Deleted(int64_t retention_ms) {
  return {{"cleanup.policy", "delete"}, {"retention.ms", std::to_string(retention_ms)}};
}

// Only closed segments are compacted: they are closed at a size, and after a day also where little
// is written, so that a restore reads little more than one record per key.
Configs Compacted(int64_t segment_bytes) {
  return {{"cleanup.policy", "compact"},
          {"segment.bytes", std::to_string(segment_bytes)},
          {"segment.ms", std::to_string(kDayMs)},
          {"min.cleanable.dirty.ratio", "0.1"},
          {"delete.retention.ms", std::to_string(kDayMs)}};
}

Configs ConfigsOf(Topic topic) {
  switch (topic) {
    case Topic::kCommand:
      return Deleted(7 * kDayMs);
    case Topic::kEvent:
      return {{"cleanup.policy", "delete"}, {"retention.ms", "-1"}, {"retention.bytes", "-1"}};
    case Topic::kSnapshot:
      return Compacted(64 * kMiB);
    case Topic::kReply:
      return Deleted(48 * kHourMs);
    case Topic::kDeadLetter:
      return Deleted(14 * kDayMs);
  }
  return {};
}

int64_t MaxMessageBytesOf(Topic topic) {
  switch (topic) {
    case Topic::kCommand:
      return kCommandTopicMaxMessageBytes;
    case Topic::kDeadLetter:
      return kDeadLetterTopicMaxMessageBytes;
    case Topic::kEvent:
    case Topic::kSnapshot:
    case Topic::kReply:
      break;
  }
  return kOtherTopicMaxMessageBytes;
}

TopicSpec MakeSpec(std::string name, int32_t partitions, int32_t replication_factor,
                   Configs configs, int64_t max_message_bytes) {
  configs["max.message.bytes"] = std::to_string(max_message_bytes);
  // With three replicas one may fail without stopping writes, and none that was acknowledged is
  // lost.
  configs["min.insync.replicas"] = replication_factor >= 3 ? "2" : "1";
  return {std::move(name), partitions, replication_factor, std::move(configs)};
}

std::string Counted(const std::string& topic, int32_t partitions) {
  return absl::StrCat(topic, " has ", partitions);
}

absl::Status CheckNoneMissing(const TopicScope& scope, const TopicInfos& infos) {
  std::vector<std::string> missing;
  for (const std::string& name : AllTopicNames(scope)) {
    if (!infos.at(name).exists) missing.push_back(name);
  }
  if (missing.empty()) return absl::OkStatus();
  std::string command = "esd topics create";
  for (const std::string& domain : scope.domains) absl::StrAppend(&command, " --domain ", domain);
  if (!scope.prefix.empty()) absl::StrAppend(&command, " --topic-prefix ", scope.prefix);
  if (scope.group != "esd") absl::StrAppend(&command, " --group ", scope.group);
  return absl::FailedPreconditionError(
      absl::StrCat(missing.size() == 1 ? "this topic does not exist, or may not be seen: "
                                       : "these topics do not exist, or may not be seen: ",
                   absl::StrJoin(missing, ", "), ": make them with `", command,
                   " --partitions N`, or start with --create-topics"));
}

absl::StatusOr<int32_t> CheckEqualCounts(const std::string& domain, const std::string& prefix,
                                         const TopicInfos& infos) {
  const int32_t partitions = infos.at(TopicName(prefix, domain, Topic::kCommand)).partitions;
  bool equal = true;
  std::vector<std::string> counts;
  for (Topic topic : kAllTopics) {
    if (topic == Topic::kDeadLetter) continue;
    const std::string name = TopicName(prefix, domain, topic);
    counts.push_back(Counted(name, infos.at(name).partitions));
    equal = equal && infos.at(name).partitions == partitions;
  }
  if (equal) return partitions;
  return absl::FailedPreconditionError(
      absl::StrCat("the topics of domain ", domain,
                   " must have the same number of partitions, but ", absl::StrJoin(counts, ", "),
                   ": delete those that are wrong, if nothing is in them yet, and make them with "
                   "`esd topics create`"));
}

absl::Status CheckDeadLettersFit(const std::string& domain, const std::string& prefix,
                                 const TopicInfos& infos) {
  const std::string command = TopicName(prefix, domain, Topic::kCommand);
  const std::string dead_letter = TopicName(prefix, domain, Topic::kDeadLetter);
  const auto largest = infos.at(command).max_message_bytes;
  const auto room = infos.at(dead_letter).max_message_bytes;
  if (!largest || !room || *room >= *largest + kDeadLetterHeaderBytes) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      dead_letter, " takes messages of ", *room, " bytes, too small for a command of ", command,
      " (up to ", *largest,
      " bytes) with the headers of a dead letter: run `kafka-configs --alter --entity-type topics "
      "--entity-name ",
      dead_letter, " --add-config max.message.bytes=", *largest + (int64_t{64} << 10), "`"));
}

}  // namespace

std::vector<TopicSpec> DomainTopicSpecs(std::string_view domain, std::string_view prefix,
                                        int32_t partitions, int32_t replication_factor) {
  std::vector<TopicSpec> specs;
  for (Topic topic : kAllTopics) {
    specs.push_back(MakeSpec(TopicName(prefix, domain, topic), partitions, replication_factor,
                             ConfigsOf(topic), MaxMessageBytesOf(topic)));
  }
  return specs;
}

TopicSpec OwnershipTopicSpec(std::string_view group, std::string_view prefix,
                             int32_t replication_factor) {
  return MakeSpec(OwnershipTopicName(prefix, group), 1, replication_factor, Compacted(16 * kMiB),
                  kMiB);
}

std::vector<TopicSpec> AllTopicSpecs(const TopicScope& scope, int32_t partitions,
                                     int32_t replication_factor) {
  std::vector<TopicSpec> specs;
  for (const std::string& domain : scope.domains) {
    for (TopicSpec& spec : DomainTopicSpecs(domain, scope.prefix, partitions, replication_factor)) {
      specs.push_back(std::move(spec));
    }
  }
  specs.push_back(OwnershipTopicSpec(scope.group, scope.prefix, replication_factor));
  return specs;
}

std::vector<std::string> AllTopicNames(const TopicScope& scope) {
  std::vector<std::string> names;
  for (const TopicSpec& spec : AllTopicSpecs(scope, 1, 1)) names.push_back(spec.name);
  return names;
}

std::vector<std::string> TopicsOfAnyPartitionCount(const TopicScope& scope) {
  std::vector<std::string> names = {OwnershipTopicName(scope.prefix, scope.group)};
  for (const std::string& domain : scope.domains)
    names.push_back(TopicName(scope.prefix, domain, Topic::kDeadLetter));
  return names;
}

absl::StatusOr<std::map<std::string, int32_t>> CheckTopicInfos(const TopicScope& scope,
                                                               const TopicInfos& infos) {
  if (absl::Status status = CheckNoneMissing(scope, infos); !status.ok()) return status;
  std::map<std::string, int32_t> partitions;
  for (const std::string& domain : scope.domains) {
    auto count = CheckEqualCounts(domain, scope.prefix, infos);
    if (!count.ok()) return count.status();
    if (absl::Status status = CheckDeadLettersFit(domain, scope.prefix, infos); !status.ok())
      return status;
    partitions[domain] = *count;
  }
  return partitions;
}

absl::StatusOr<std::vector<TopicSpec>> MissingTopics(const std::vector<TopicSpec>& specs,
                                                     const TopicInfos& infos,
                                                     const std::vector<std::string>& exempt) {
  std::vector<TopicSpec> missing;
  std::vector<std::string> different;
  int32_t wanted = 0;
  for (const TopicSpec& spec : specs) {
    const TopicInfo& info = infos.at(spec.name);
    if (!info.exists) {
      missing.push_back(spec);
    } else if (info.partitions != spec.partitions &&
               std::find(exempt.begin(), exempt.end(), spec.name) == exempt.end()) {
      different.push_back(Counted(spec.name, info.partitions));
      wanted = spec.partitions;
    }
  }
  if (different.empty()) return missing;
  return absl::FailedPreconditionError(
      absl::StrCat("topics are there with another number of partitions than the ", wanted,
                   " asked for: ", absl::StrJoin(different, ", "),
                   ": it decides where an aggregate lives and can't be changed, so ask for the "
                   "number that is there"));
}

}  // namespace esd::kafka
