// Reads pieces of a topic for a call of an operator's.
#ifndef ESD_ENGINE_SERVER_API_TOPIC_SCAN_H_
#define ESD_ENGINE_SERVER_API_TOPIC_SCAN_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "engine/log/log.h"

namespace esd::api {

// With a reader of its own, which it opens when it is needed first: unlike Log::Replay(), it is in
// nobody's way who reads the same partition. For one thread.
class TopicScan {
 public:
  // False: enough.
  using Sink = std::function<bool(const InputRecord& record)>;

  // The log outlives it.
  TopicScan(Log* log, std::string domain, Topic topic)
      : log_(log), domain_(std::move(domain)), topic_(topic) {}

  // Calls `sink` with each committed record from `from` up to `end`, which may still have to be
  // committed. Errors: kDeadlineExceeded at `deadline`; kCancelled when `stop` was requested;
  // kUnavailable when nothing more came for some seconds; kOutOfRange when `from` isn't there (any
  // more); the log's.
  absl::Status Read(PartitionId partition, Offset from, Offset end, const Sink& sink,
                    absl::Time deadline, const std::stop_token& stop);

 private:
  absl::Status Start(PartitionId partition, Offset from);
  absl::Status ReadOn(PartitionId partition, Offset from, Offset end, const Sink& sink,
                      absl::Time deadline, const std::stop_token& stop);
  std::string NameOf(PartitionId partition) const;

  Log* const log_;
  const std::string domain_;
  const Topic topic_;
  std::unique_ptr<LogReader> reader_;
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_TOPIC_SCAN_H_
