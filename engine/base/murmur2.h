// The hash behind Kafka's default partitioner in its Java clients.
#ifndef ESD_ENGINE_BASE_MURMUR2_H_
#define ESD_ENGINE_BASE_MURMUR2_H_

#include <cstdint>
#include <string_view>

#include "engine/base/types.h"

namespace esd {

// MurmurHash2 with Kafka's seed, as org.apache.kafka.common.utils.Utils.murmur2.
uint32_t Murmur2(std::string_view data);

// The partition that Kafka's Java producer sends `key` to: toPositive(murmur2(key)) %
// partition_count (org.apache.kafka.clients.producer.internals.BuiltInPartitioner).
// `partition_count` is at least 1.
PartitionId PartitionForKey(std::string_view key, int32_t partition_count);

}  // namespace esd

#endif  // ESD_ENGINE_BASE_MURMUR2_H_
