// Appends commands with an idempotent producer.
#ifndef ESD_ENGINE_LOG_KAFKA_KAFKA_APPENDER_H_
#define ESD_ENGINE_LOG_KAFKA_KAFKA_APPENDER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include <deque>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "engine/log/kafka/kafka_client.h"
#include "engine/log/kafka/topic_table.h"
#include "engine/log/log.h"

namespace esd::kafka {

// What the producer of a KafkaAppender is configured with: what a user may change, and what not.
Properties AppenderDefaults(const TopicTable& topics);
Properties AppenderProperties(const TopicTable& topics);

class KafkaAppender : public CommandAppender {
 public:
  // Makes the configuration of a producer, without callbacks.
  using MakeProducerConf = std::function<absl::StatusOr<Conf>()>;

  // `topics` outlives the appender. `make_conf` is called on the appender's thread as well: after a
  // fatal error the producer is made anew.
  static absl::StatusOr<std::unique_ptr<KafkaAppender>> Open(const TopicTable* topics,
                                                             MakeProducerConf make_conf);

  ~KafkaAppender() override;

  void Append(const std::string& domain, const OutputRecord& command, Done done) override;

 private:
  // A command that was given to the producer.
  struct Waiting {
    KafkaAppender* appender;
    const std::string* topic;
    PartitionId partition;
    absl::Time deadline;
    Done done;               // null once it was called
    bool delivered = false;  // the producer has no pointer to this any more
  };
  // A producer and its topics.
  struct Producer;

  KafkaAppender(const TopicTable* topics, MakeProducerConf make_conf);

  absl::StatusOr<std::unique_ptr<Producer>> MakeProducer() const;
  // Gives the command to the producer; `done` is called later when it returns OK, else not.
  absl::Status Enqueue(const std::string& domain, const OutputRecord& command, Done* done)
      ABSL_LOCKS_EXCLUDED(mutex_);

  static void OnDelivery(rd_kafka_s* client, const rd_kafka_message_s* message, void* unused);

  // For the appender's thread, and the destructor after it.
  void Run(std::stop_token stop);
  void ServeReports(absl::Duration wait);
  bool ProducerFailed() const;
  void Renew(const std::stop_token& stop);
  void Retire(absl::Duration timeout);
  void AnswerUntil(absl::Time deadline);

  const TopicTable* const topics_;
  const MakeProducerConf make_conf_;

  mutable absl::Mutex mutex_;
  // Only the appender's thread changes it. While it is being made anew there is no `accepting_`.
  std::unique_ptr<Producer> producer_;
  Producer* accepting_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // In the order of their deadlines. What stands in an element is the appender's thread's.
  std::deque<std::unique_ptr<Waiting>> waiting_ ABSL_GUARDED_BY(mutex_);

  std::jthread thread_;  // last: uses everything above
};

}  // namespace esd::kafka

#endif  // ESD_ENGINE_LOG_KAFKA_KAFKA_APPENDER_H_
