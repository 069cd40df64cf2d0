#include "bench/command_sender.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <librdkafka/rdkafka.h>

#include "bench/waiting.h"
#include "bench/workload.h"

namespace esd::bench {
namespace {

constexpr int kFullQueueWaitMs = 10;
constexpr int64_t kCommandsPerCheck = 4096;
constexpr absl::Duration kDeliveryTimeout = absl::Seconds(30);

void OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* failed) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) ++*static_cast<std::atomic<int64_t>*>(failed);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CommandSender>> CommandSender::Open(const KafkaTarget& target,
                                                                   int64_t users,
                                                                   absl::Duration linger) {
  std::unique_ptr<CommandSender> sender(new CommandSender);
  sender->users_ = users;
  auto producer =
      MakeProducer({{"bootstrap.servers", target.bootstrap_servers},
                    {"linger.ms", absl::StrCat(absl::ToInt64Milliseconds(linger))},
                    {"partitioner", "murmur2_random"},
                    {"compression.type", "lz4"},
                    // Keeps the order of a user's commands even if a request is repeated.
                    {"enable.idempotence", "true"},
                    {"queue.buffering.max.messages", "200000"},
                    {"delivery.report.only.error", "true"}},
                   OnDelivery, &sender->failed_);
  if (!producer.ok()) return producer.status();
  sender->producer_ = *std::move(producer);
  auto topic = OpenTopic(sender->producer_.get(), target.commands());
  if (!topic.ok()) return topic.status();
  sender->topic_ = *std::move(topic);
  return sender;
}

absl::Status CommandSender::SendAll(int64_t from, int64_t to, absl::Duration timeout) {
  const int64_t deadline_ns = NowNs() + absl::ToInt64Nanoseconds(timeout);
  for (int64_t number = from; number < to; ++number) {
    if (absl::Status status = Send(number); !status.ok()) return status;
    if (number % kCommandsPerCheck != 0) continue;
    rd_kafka_poll(producer_.get(), 0);
    if (Interrupted()) return absl::CancelledError("interrupted");
    if (NowNs() > deadline_ns) return absl::DeadlineExceededError("sending took too long");
  }
  return Flush(absl::Nanoseconds(deadline_ns - NowNs()));
}

absl::Status CommandSender::SendAtRate(int64_t from, int64_t to, int rate,
                                       std::vector<int64_t>* scheduled_ns) {
  const int64_t start_ns = NowNs();
  for (int64_t number = from; number < to; ++number) {
    const int64_t due_ns = start_ns + (number - from) * 1'000'000'000 / rate;
    if (const int64_t now_ns = NowNs(); now_ns < due_ns)
      absl::SleepFor(absl::Nanoseconds(due_ns - now_ns));
    scheduled_ns->push_back(due_ns);
    if (absl::Status status = Send(number); !status.ok()) return status;
    rd_kafka_poll(producer_.get(), 0);
    if (Interrupted()) return absl::CancelledError("interrupted");
  }
  return Flush(kDeliveryTimeout);
}

absl::Status CommandSender::Send(int64_t number) {
  BenchCommand command = MakeCommand(number, users_);
  const int64_t deadline_ns = NowNs() + absl::ToInt64Nanoseconds(kDeliveryTimeout);
  for (;;) {
    const int result = rd_kafka_produce(topic_.get(), RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                        command.value.data(), command.value.size(),
                                        command.key.data(), command.key.size(), nullptr);
    if (result == 0) return absl::OkStatus();
    const rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || NowNs() > deadline_ns)
      return KafkaStatus("send a command", error);
    rd_kafka_poll(producer_.get(), kFullQueueWaitMs);
  }
}

absl::Status CommandSender::Flush(absl::Duration timeout) {
  const int timeout_ms = static_cast<int>(std::max<int64_t>(0, absl::ToInt64Milliseconds(timeout)));
  const absl::Status flushed =
      KafkaStatus("wait for the delivery of commands", rd_kafka_flush(producer_.get(), timeout_ms));
  if (!flushed.ok()) return flushed;
  if (failed_ == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(failed_.load(), " commands were not delivered"));
}

}  // namespace esd::bench
