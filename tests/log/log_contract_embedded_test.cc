// The log's contract on the embedded log.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/log/embedded/embedded_log_impl.h"
#include "tests/log/fault_log.h"
#include "tests/log/log_contract_language.h"
#include "tests/log/log_contract_test.h"
#include "tests/log/temporary_directory.h"

namespace esd {
namespace {

class EmbeddedHarness : public LogContractHarness {
 public:
  std::unique_ptr<Log> OpenInstance(const std::string& instance) override {
    EmbeddedLogOptions options;
    options.directory = directory_.path();
    options.domains = {"alpha", "beta"};
    options.partitions = 2;
    options.instance_id = instance;
    options.address = AddressOf(instance);
    options.min_free_bytes = 0;
    auto opened = OpenEmbeddedLog(std::move(options));
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (!opened.ok()) return nullptr;
    open_ = static_cast<embedded::EmbeddedLog*>(opened->get());
    return std::make_unique<OpenLog>(this, *std::move(opened));
  }

  void Append(const DomainPartition& partition, const std::vector<TestRecord>& records) override {
    ASSERT_NE(open_, nullptr) << "no instance is open to append with";
    auto appender = open_->OpenAppender();
    ASSERT_TRUE(appender.ok()) << appender.status();
    for (const TestRecord& record : records) {
      OutputRecord command{Topic::kCommand, partition.partition, record.key, record.value, {}};
      for (const auto& [name, value] : record.headers) command.headers.push_back({name, value});
      (*appender)->Append(partition.domain, command, [](const absl::StatusOr<Offset>& offset) {
        EXPECT_TRUE(offset.ok()) << offset.status();
      });
    }
  }

  void Truncate(const DomainPartition& partition, Topic topic, Offset begin) override {
    const absl::Status status = open_->Truncate(partition, topic, begin);
    EXPECT_TRUE(status.ok()) << status;
  }

 private:
  // Tells the harness when it goes.
  class OpenLog : public FaultLog {
   public:
    OpenLog(EmbeddedHarness* harness, std::unique_ptr<Log> log)
        : FaultLog(std::move(log), /*seed=*/1, /*print_seed=*/false), harness_(harness) {}
    ~OpenLog() override { harness_->open_ = nullptr; }

   private:
    EmbeddedHarness* const harness_;
  };

  const TemporaryDirectory directory_;
  embedded::EmbeddedLog* open_ = nullptr;
};

std::unique_ptr<LogContractHarness> MakeEmbeddedHarness() {
  return std::make_unique<EmbeddedHarness>();
}

INSTANTIATE_TEST_SUITE_P(Embedded, LogContract, testing::Values(&MakeEmbeddedHarness));

}  // namespace
}  // namespace esd
