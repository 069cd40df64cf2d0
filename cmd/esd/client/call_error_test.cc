#include "cmd/esd/client/call_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cmd/esd/client/arguments.h"
#include "google/rpc/error_details.pb.h"

namespace esd::cmd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

google::rpc::Status WithInfo(absl::StatusCode code, const std::string& reason,
                             const std::string& domain = "esd") {
  google::rpc::Status status;
  status.set_code(static_cast<int>(code));
  status.set_message("what happened");
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(domain);
  (*info.mutable_metadata())["version"] = "3";
  status.add_details()->PackFrom(info);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(250'000'000);
  status.add_details()->PackFrom(retry);
  return status;
}

CallError Unavailable(const std::string& message) {
  return FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, message));
}

TEST(CallErrorTest, DetailsAreReadFromACallAsFromAResult) {
  const google::rpc::Status status = WithInfo(absl::StatusCode::kUnavailable, "PARTITION_MOVING");
  const CallError call = FromGrpc(
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "what happened", status.SerializeAsString()));
  for (const CallError& error : {call, FromRpc(status)}) {
    EXPECT_EQ(CodeAndReason(error), "UNAVAILABLE PARTITION_MOVING");
    EXPECT_EQ(error.retry_delay, absl::Milliseconds(250));
    EXPECT_EQ(error.metadata.at("version"), "3");
    EXPECT_TRUE(error.Refused());
    EXPECT_FALSE(error.OutcomeUnknown());
    EXPECT_FALSE(error.Rejection());
  }
}

TEST(CallErrorTest, WhetherACommandMayHaveBeenWrittenIsTold) {
  EXPECT_TRUE(
      FromRpc(WithInfo(absl::StatusCode::kUnavailable, "OUTCOME_UNKNOWN")).OutcomeUnknown());
  EXPECT_FALSE(FromRpc(WithInfo(absl::StatusCode::kUnavailable, "OUTCOME_UNKNOWN")).Refused());
  EXPECT_TRUE(Unavailable("Socket closed").OutcomeUnknown());
  EXPECT_FALSE(Unavailable("Socket closed").Refused());
  const CallError refused = Unavailable("failed to connect to all addresses; Connection refused");
  EXPECT_TRUE(refused.Refused());
  EXPECT_FALSE(refused.OutcomeUnknown());
  EXPECT_TRUE(NoAnswer(absl::Seconds(1)).OutcomeUnknown());
  EXPECT_FALSE(FromRpc(WithInfo(absl::StatusCode::kNotFound, "USER_NOT_FOUND", "security"))
                   .OutcomeUnknown());
}

TEST(CallErrorTest, ARejectionIsTheDomains) {
  EXPECT_TRUE(
      FromRpc(WithInfo(absl::StatusCode::kNotFound, "USER_NOT_FOUND", "security")).Rejection());
  EXPECT_FALSE(FromRpc(WithInfo(absl::StatusCode::kInvalidArgument, "UNKNOWN_TYPE")).Rejection());
  EXPECT_FALSE(Unavailable("Socket closed").Rejection());
}

TEST(CallErrorTest, EveryTextSaysWhatToDoNext) {
  const std::string refused = "failed to connect to all addresses; last error: ";
  const auto text = [&](const std::string& message, bool tls) {
    return Describe(Unavailable(refused + message), "h:1", tls);
  };
  EXPECT_THAT(text("Connection refused", false),
              AllOf(HasSubstr("nothing listens at h:1"), HasSubstr("esd dev")));
  EXPECT_THAT(text("SSL routines::wrong version number", true), HasSubstr("leave out --tls"));
  EXPECT_THAT(text("CERTIFICATE_VERIFY_FAILED", true), HasSubstr("--tls-ca"));
  EXPECT_THAT(text("Socket closed", false), HasSubstr("add --tls"));
  EXPECT_THAT(text("Socket closed", true), HasSubstr("--tls-client-cert"));
  EXPECT_THAT(Describe(Unavailable("DNS resolution failed for h:1"), "h:1", false),
              HasSubstr("HOST:PORT"));
  EXPECT_THAT(
      Describe(FromRpc(WithInfo(absl::StatusCode::kAborted, "VERSION_MISMATCH", "security")), "h:1",
               false),
      AllOf(HasSubstr("ABORTED VERSION_MISMATCH"), HasSubstr("it is at version 3")));
  EXPECT_THAT(Describe(NoAnswer(absl::Seconds(3)), "h:1", false),
              AllOf(HasSubstr("DEADLINE_EXCEEDED: no answer within 3s"), HasSubstr("same id")));
}

TEST(CallErrorTest, NoTextCarriesControlCharacters) {
  CallError error;
  error.code = absl::StatusCode::kNotFound;
  error.message = "\x1b[31mred\n";
  EXPECT_THAT(Describe(error, "h:1", false), Not(HasSubstr("\x1b")));
}

TEST(ArgumentsTest, PositionsAreAPartitionAndAnOffset) {
  const auto position = ParsePosition("3:17");
  ASSERT_TRUE(position);
  EXPECT_EQ(position->partition, 3);
  EXPECT_EQ(position->offset, 17);
  for (const char* wrong : {"", "3", ":", "3:", ":1", "-1:0", "1:-1", "1:2:3", "1:x"})
    EXPECT_FALSE(ParsePosition(wrong)) << wrong;
}

TEST(ArgumentsTest, NumbersOutOfRangeAreToldTheRange) {
  EXPECT_EQ(InRange(1, 3)("3"), "");
  EXPECT_EQ(InRange(1, 3)("4"), "must be a whole number, 1 to 3, not '4'");
  EXPECT_EQ(AtLeast(-1)("-1"), "");
  EXPECT_EQ(AtLeast(0)("x"), "must be a whole number, 0 or more, not 'x'");
}

}  // namespace
}  // namespace esd::cmd
