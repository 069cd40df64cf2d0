// Runs the fuzzer's properties on its seeds, with any compiler: what it once found stays mended.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace esd {
namespace {

TEST(JsonCodecCorpus, AllPropertiesHoldForEachSeed) {
  int seeds = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ESD_CORPUS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string input((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
    ASSERT_FALSE(file.bad()) << entry.path();
    SCOPED_TRACE(entry.path());
    RecordProperty("last_seed", entry.path().filename().string());  // a failure aborts
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    ++seeds;
  }
  EXPECT_GE(seeds, 20) << "the seeds were not found in " << ESD_CORPUS;
}

}  // namespace
}  // namespace esd
