// The log without a broker: topics in a RocksDB of this process, for `esd dev` and for a small
// production on one node.
//
// - A transaction is one write batch, and durable (synced to the disk) before Commit() returns; so
//   is a command before its Append() is answered. Those that wait at the same time share a sync.
// - One process opens a directory at a time. It is the only member of its group, so it owns every
//   partition from Join() to Leave(), and its lease never lapses.
// - Retention is time-based and by whole offsets from the beginning, as with Kafka's cleanup policy
//   `delete`: commands that have not been processed yet are never removed. The snapshot topic is
//   compacted: the last record of each key stays. Events stay for ever.
// - When the disk is full, or nearly so, appends fail with kResourceExhausted and nothing is
//   written; a Commit() that finds no room is kAborted. Both succeed again when there is room.
#ifndef ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_H_
#define ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/log/log.h"

namespace rocksdb {
class Env;
}

namespace esd {

struct EmbeddedLogOptions {
  // Made when it is missing.
  std::string directory;
  std::vector<std::string> domains;
  // Of a domain that the directory doesn't hold yet. The others keep the number they were made
  // with.
  int32_t partitions = 4;
  // For PartitionOwner.
  std::string instance_id;
  std::string address;
  // How long records of these topics stay, at least; they are removed some minutes later.
  absl::Duration command_retention = absl::Hours(7 * 24);
  absl::Duration reply_retention = absl::Hours(2 * 24);
  absl::Duration dead_letter_retention = absl::Hours(14 * 24);
  // Appends are refused while the file system has less room than this, so that there is some left
  // for what has been accepted: the transactions and the snapshot store.
  int64_t min_free_bytes = int64_t{64} << 20;
  // For tests; nothing: the machine's own.
  rocksdb::Env* env = nullptr;
};

// FAILED_PRECONDITION when another process has the directory open, or it holds something else, or
// was made by a version of esd that this one can't read; RESOURCE_EXHAUSTED when the disk is full;
// DATA_LOSS when what it holds is broken. An error is one sentence that says what to do.
absl::StatusOr<std::unique_ptr<Log>> OpenEmbeddedLog(EmbeddedLogOptions options);

}  // namespace esd

#endif  // ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_H_
