// Codecs for threads that come and go: a Codec keeps buffers and serves one thread at a time.
#ifndef ESD_ENGINE_SERVER_API_CODEC_POOL_H_
#define ESD_ENGINE_SERVER_API_CODEC_POOL_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <memory>
#include <utility>
#include <vector>

#include "engine/aggregate/aggregate_type.h"
#include "engine/aggregate/codec.h"

namespace esd::api {

// Of one domain. Any thread.
class CodecPool {
 public:
  // Borrows a codec for as long as it lives.
  class Lease {
   public:
    Lease(CodecPool* pool, std::unique_ptr<Codec> codec) : pool_(pool), codec_(std::move(codec)) {}
    ~Lease() { pool_->Return(std::move(codec_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Codec* operator->() const { return codec_.get(); }
    Codec& operator*() const { return *codec_; }

   private:
    CodecPool* const pool_;
    std::unique_ptr<Codec> codec_;
  };

  // `type` outlives the pool, and a codec can be made for it.
  explicit CodecPool(const AggregateType* type) : type_(type) {}

  const AggregateType& type() const { return *type_; }

  Lease Borrow() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Codec> codec = std::move(idle_.back());
        idle_.pop_back();
        return Lease(this, std::move(codec));
      }
    }
    return Lease(this, *Codec::Create(*type_));
  }

 private:
  void Return(std::unique_ptr<Codec> codec) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    idle_.push_back(std::move(codec));
  }

  const AggregateType* const type_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Codec>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace esd::api

#endif  // ESD_ENGINE_SERVER_API_CODEC_POOL_H_
