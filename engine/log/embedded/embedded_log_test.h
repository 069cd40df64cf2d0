// An embedded log in a folder of its own, which a test opens, closes and opens again.
#ifndef ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_TEST_H_
#define ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_TEST_H_

#include <absl/status/statusor.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "engine/log/embedded/embedded_log_impl.h"
#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"
#include "tests/log/power_loss_env.h"
#include "tests/log/temporary_directory.h"

namespace esd {

class EmbeddedLogTest : public testing::Test {
 protected:
  EmbeddedLogTest() : disk_(/*seed=*/1) {
    options_.directory = directory_.path() + "/log";
    options_.domains = {"alpha", "beta"};
    options_.partitions = 2;
    options_.instance_id = "a";
    options_.min_free_bytes = 0;
    options_.env = disk_.env();
  }

  absl::StatusOr<std::unique_ptr<embedded::EmbeddedLog>> TryOpen() {
    return embedded::EmbeddedLog::Open(options_);
  }

  // Opens it, as the owner of everything, with a worker.
  void Open() {
    auto opened = TryOpen();
    ASSERT_TRUE(opened.ok()) << opened.status();
    log_ = opened->get();
    instance_ = std::make_unique<ContractInstance>(*std::move(opened), "a", &timeline_);
    instance_->Join();
    instance_->listener.AwaitOwned(kAllPartitionCount);
  }
  void Close() {
    instance_.reset();
    log_ = nullptr;
  }

  embedded::EmbeddedLog& log() { return *log_; }
  WorkerLog& worker() { return *instance_->worker; }

  TemporaryDirectory directory_;
  TestDisk disk_;
  EmbeddedLogOptions options_;
  RecordingListener::Timeline timeline_;
  embedded::EmbeddedLog* log_ = nullptr;  // that the instance has
  std::unique_ptr<ContractInstance> instance_;
};

}  // namespace esd

#endif  // ESD_ENGINE_LOG_EMBEDDED_EMBEDDED_LOG_TEST_H_
