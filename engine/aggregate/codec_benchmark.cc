// The codec beside protobuf's own JSON converter (google/protobuf/util/json_util.h), which is what
// one would take otherwise, and beside binary protobuf. The converter gets the same fields in its
// own mapping's envelope,
// `{"registerUser":{…}}`. The benchmarks named …Ratio run both in one go, in turns, and print how
// many times the codec is faster.
#include <benchmark/benchmark.h>
#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "engine/aggregate/codec.h"
#include "security/v1/security.pb.h"

namespace esd {
namespace {

using ::security::v1::Command;
using ::security::v1::Event;

constexpr char kCommandJson[] =
    R"({"type":"RegisterUserCommand","command":{"name":"Alex","email":"foo@bar.com"}})";
constexpr char kConverterJson[] = R"({"registerUser":{"name":"Alex","email":"foo@bar.com"}})";

struct SecurityTypes {
  using Command = ::security::v1::Command;
  using Event = ::security::v1::Event;
  using State = ::security::v1::User;
  static std::string_view KeyOf(const Command&) { return {}; }
  static absl::StatusOr<std::vector<Event>> Decide(const State*, const Command&,
                                                   const DecideContext&) {
    return std::vector<Event>();
  }
  static void Evolve(State&, const Event&) {}
};

std::unique_ptr<Codec> MakeCodec() {
  return Codec::Create(*MakeAggregateType<SecurityTypes>("security")).value();
}

Event MakeEvent() {
  Event event;
  event.mutable_user_registered()->set_email("foo@bar.com");
  event.mutable_user_registered()->set_name("Alex");
  event.mutable_user_registered()->set_version(1234567);
  return event;
}

void Decode(Codec& codec, std::string_view json) {
  Command command;
  if (!codec.DecodeCommand(json, ContentType::kJson, command).ok()) std::abort();
  benchmark::DoNotOptimize(command);
}

void ConverterDecode() {
  Command command;
  if (!google::protobuf::util::JsonStringToMessage(kConverterJson, &command).ok()) std::abort();
  benchmark::DoNotOptimize(command);
}

void ConverterEncode(const Event& event, std::string* json) {
  json->clear();
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  if (!google::protobuf::util::MessageToJsonString(event, json, options).ok()) std::abort();
  benchmark::DoNotOptimize(*json);
}

void BM_DecodeJson(benchmark::State& state) {
  const auto codec = MakeCodec();
  for (auto _ : state) Decode(*codec, kCommandJson);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(sizeof(kCommandJson) - 1));
}
BENCHMARK(BM_DecodeJson);

void BM_DecodeJsonOneMebibyte(benchmark::State& state) {
  const auto codec = MakeCodec();
  const std::string json = R"({"type":"RegisterUserCommand","command":{"name":")" +
                           std::string(1 << 20, 'a') + R"(","email":"foo@bar.com"}})";
  for (auto _ : state) Decode(*codec, json);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(json.size()));
}
BENCHMARK(BM_DecodeJsonOneMebibyte);

void BM_DecodeJsonOfAnUnknownField(benchmark::State& state) {
  const auto codec = MakeCodec();
  for (auto _ : state) {
    Command command;
    constexpr char kJson[] =
        R"({"type":"RegisterUserCommand","command":{"name":"Alex","mail":"foo@bar.com"}})";
    benchmark::DoNotOptimize(codec->DecodeCommand(kJson, ContentType::kJson, command));
  }
}
BENCHMARK(BM_DecodeJsonOfAnUnknownField);

void BM_DecodeJsonPayload(benchmark::State& state) {
  const auto codec = MakeCodec();
  for (auto _ : state) {
    Command command;
    constexpr char kPayload[] = R"({"name":"Alex","email":"foo@bar.com"})";
    if (!codec->DecodeCommandOfType("RegisterUserCommand", kPayload, ContentType::kJson, command)
             .ok()) {
      std::abort();
    }
    benchmark::DoNotOptimize(command);
  }
}
BENCHMARK(BM_DecodeJsonPayload);

void BM_DecodeEvent(benchmark::State& state) {
  const auto codec = MakeCodec();
  std::string json;
  codec->EncodeEvent(MakeEvent(), &json);
  for (auto _ : state) {
    Event event;
    if (!codec->DecodeEvent(json, event).ok()) std::abort();
    benchmark::DoNotOptimize(event);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(json.size()));
}
BENCHMARK(BM_DecodeEvent);

// Of an event with a name of as many bytes.
void BM_SplitEvent(benchmark::State& state) {
  const auto codec = MakeCodec();
  Event event = MakeEvent();
  event.mutable_user_registered()->set_name(std::string(static_cast<size_t>(state.range(0)), 'a'));
  std::string json;
  codec->EncodeEvent(event, &json);
  for (auto _ : state) {
    const auto parts = codec->SplitEvent(json);
    if (!parts.ok()) std::abort();
    benchmark::DoNotOptimize(*parts);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(json.size()));
}
BENCHMARK(BM_SplitEvent)->Arg(4)->Arg(1 << 20);

void BM_DecodeProtobuf(benchmark::State& state) {
  const auto codec = MakeCodec();
  Command original;
  original.mutable_register_user()->set_name("Alex");
  original.mutable_register_user()->set_email("foo@bar.com");
  const std::string bytes = original.SerializeAsString();
  for (auto _ : state) {
    Command command;
    if (!codec->DecodeCommand(bytes, ContentType::kProtobuf, command).ok()) std::abort();
    benchmark::DoNotOptimize(command);
  }
}
BENCHMARK(BM_DecodeProtobuf);

void BM_EncodeEvent(benchmark::State& state) {
  const auto codec = MakeCodec();
  const Event event = MakeEvent();
  std::string json;
  for (auto _ : state) {
    codec->EncodeEvent(event, &json);
    benchmark::DoNotOptimize(json);
  }
}
BENCHMARK(BM_EncodeEvent);

void BM_Fingerprint(benchmark::State& state) {
  Command command;
  command.mutable_register_user()->set_name("Alex");
  command.mutable_register_user()->set_email("foo@bar.com");
  for (auto _ : state) benchmark::DoNotOptimize(Codec::Fingerprint(command));
}
BENCHMARK(BM_Fingerprint);

// Runs `ours` and `theirs` in turns, a hundred times each, and reports the time of both and the
// ratio.
template <typename Ours, typename Theirs>
void RunSideBySide(benchmark::State& state, Ours ours, Theirs theirs) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRun = 100;
  Clock::duration our_time{};
  Clock::duration their_time{};
  for (auto _ : state) {
    const auto start = Clock::now();
    for (int i = 0; i < kRun; ++i) ours();
    const auto middle = Clock::now();
    for (int i = 0; i < kRun; ++i) theirs();
    our_time += middle - start;
    their_time += Clock::now() - middle;
  }
  const auto nanoseconds = [&](Clock::duration time) {
    return std::chrono::duration<double, std::nano>(time).count() / kRun /
           static_cast<double>(state.iterations());
  };
  state.counters["codec_ns"] = nanoseconds(our_time);
  state.counters["converter_ns"] = nanoseconds(their_time);
  state.counters["times_faster"] = nanoseconds(their_time) / nanoseconds(our_time);
}

void BM_DecodeRatio(benchmark::State& state) {
  const auto codec = MakeCodec();
  RunSideBySide(
      state, [&] { Decode(*codec, kCommandJson); }, [] { ConverterDecode(); });
}
BENCHMARK(BM_DecodeRatio);

void BM_EncodeRatio(benchmark::State& state) {
  const auto codec = MakeCodec();
  const Event event = MakeEvent();
  std::string ours;
  std::string theirs;
  RunSideBySide(
      state,
      [&] {
        codec->EncodeEvent(event, &ours);
        benchmark::DoNotOptimize(ours);
      },
      [&] { ConverterEncode(event, &theirs); });
}
BENCHMARK(BM_EncodeRatio);

}  // namespace
}  // namespace esd
