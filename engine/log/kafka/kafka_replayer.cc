#include "engine/log/kafka/kafka_replayer.h"

#include <absl/strings/str_cat.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <utility>

namespace esd::kafka {
namespace {

constexpr size_t kRecordsPerCall = 2'000;
constexpr absl::Duration kPollWait = absl::Milliseconds(100);

// Reading of one partition into a queue, for as long as the object lives.
class Reading {
 public:
  Reading(rd_kafka_s* consumer, const std::string& topic, PartitionId partition)
      : partition_(partition),
        topic_(rd_kafka_topic_new(consumer, topic.c_str(), nullptr)),
        queue_(rd_kafka_queue_new(consumer)) {}
  ~Reading() {
    if (started_) rd_kafka_consume_stop(topic_.get(), partition_.value());
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  absl::Status Start(Offset from) {
    if (rd_kafka_consume_start_queue(topic_.get(), partition_.value(), from.value(),
                                     queue_.get()) == -1) {
      return ToStatus(rd_kafka_last_error(),
                      absl::StrCat("read ", rd_kafka_topic_name(topic_.get())));
    }
    started_ = true;
    return absl::OkStatus();
  }
  rd_kafka_queue_s* queue() { return queue_.get(); }

 private:
  const PartitionId partition_;
  const TopicHandle topic_;
  const Queue queue_;
  bool started_ = false;
};

// Errors that the client mends by itself while the replay waits.
bool IsPassing(int error) {
  return error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
         error == RD_KAFKA_RESP_ERR__RESOLVE || error == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

// Sorts one take of messages: records below `end` to `records`, the furthest position known to
// `*next`.
absl::Status Sort(const std::vector<Message>& messages, Offset end, std::string_view what,
                  std::vector<InputRecord>* records, Offset* next) {
  for (const Message& message : messages) {
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      *next = std::max(*next, Offset{message->offset});
    } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (!IsPassing(message->err)) return ToStatus(message->err, what);
    } else {
      *next = Offset{message->offset + 1};
      if (Offset{message->offset} < end) records->push_back(ToInputRecord(*message));
    }
  }
  return absl::OkStatus();
}

}  // namespace

Properties ReplayProperties() {
  return {{"isolation.level", "read_committed"}, {"enable.partition.eof", "true"},
          {"auto.offset.reset", "error"},        {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"}, {"fetch.wait.max.ms", "5"},
          {"queued.min.messages", "10000000"}};
}

absl::Status Replay(rd_kafka_s* consumer, const std::string& topic, PartitionId partition,
                    Offset from, Offset end, const ReplaySink& sink, std::stop_token stop) {
  if (from >= end) return absl::OkStatus();
  const std::string what = absl::StrCat("replay ", topic, "/", partition.value());
  Reading reading(consumer, topic, partition);
  if (absl::Status status = reading.Start(from); !status.ok()) return status;

  Offset next = from;
  absl::Time stalled_at = absl::Now() + kReplayStallTimeout;
  while (next < end) {
    if (stop.stop_requested()) return absl::CancelledError(what + " was cancelled");
    const std::vector<Message> messages = TakeMessages(reading.queue(), kRecordsPerCall, kPollWait);
    std::vector<InputRecord> records;
    const Offset before = next;
    if (absl::Status status = Sort(messages, end, what, &records, &next); !status.ok())
      return status;
    if (next > before) {
      stalled_at = absl::Now() + kReplayStallTimeout;
      if (absl::Status status = sink(records, std::min(next, end)); !status.ok()) return status;
    } else if (absl::Now() >= stalled_at) {
      return absl::DeadlineExceededError(
          absl::StrCat("can't ", what, ": nothing beyond offset ", next.value(), " of ",
                       end.value(), " for ", absl::FormatDuration(kReplayStallTimeout),
                       "; a transaction on it may be hanging (kafka-transactions.sh find-hanging), "
                       "or the broker can't be reached"));
    }
  }
  return absl::OkStatus();
}

}  // namespace esd::kafka
