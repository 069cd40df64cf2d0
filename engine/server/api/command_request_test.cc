#include "engine/server/api/command_request.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "domain/security/security.h"
#include "engine/base/murmur2.h"
#include "security/v1/security.pb.h"
#include "tests/log/memory_log.h"

namespace esd::api {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CommandRequestTest : public testing::Test {
 protected:
  CommandRequestTest() {
    registry_["security"] = MakeAggregateType<security::Security>("security");
    domains_ = std::make_unique<Domains>(*log_, registry_);
    request_.set_domain("security");
    request_.set_command_type("ChangeUserNameCommand");
    request_.mutable_payload()->set_json(R"({"email":"foo@bar.com", "newName":"Alex"})");
  }

  // The reason why the request is refused; empty when it is accepted.
  std::string Refusal() {
    prepared_ = {};
    const auto error = Prepare(*domains_, request_, traceparent_, &prepared_);
    if (!error) return "";
    message_ = error->message();
    google::rpc::ErrorInfo info;
    EXPECT_EQ(error->code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
    EXPECT_TRUE(error->details(0).UnpackTo(&info));
    EXPECT_EQ(info.domain(), "esd");
    metadata_ = {info.metadata().begin(), info.metadata().end()};
    return info.reason();
  }

  std::string HeaderValue(std::string_view name) const {
    for (const auto& header : prepared_.record.headers) {
      if (header.name == name) return header.value.value_or("");
    }
    return "";
  }

  MemoryCluster cluster_{{.partitions = {{"security", 8}}}};
  std::unique_ptr<Log> log_ = cluster_.OpenInstance("a");
  DomainRegistry registry_;
  std::unique_ptr<Domains> domains_;
  esd::v1::SubmitCommandRequest request_;
  std::string traceparent_;
  PreparedCommand prepared_;
  std::string message_;
  std::map<std::string, std::string> metadata_;
};

TEST_F(CommandRequestTest, AJsonCommandBecomesTheRecordThatProducersWrite) {
  EXPECT_EQ(Refusal(), "");
  EXPECT_EQ(
      prepared_.record.value,
      R"({"type":"ChangeUserNameCommand","command":{"email":"foo@bar.com", "newName":"Alex"}})");
  EXPECT_EQ(prepared_.record.key, "foo@bar.com");
  EXPECT_EQ(prepared_.record.topic, Topic::kCommand);
  EXPECT_THAT(prepared_.record.headers, IsEmpty());
}

TEST_F(CommandRequestTest, ItGoesToThePartitionOfItsKey) {
  EXPECT_EQ(Refusal(), "");
  EXPECT_EQ(prepared_.partition, (DomainPartition{"security", PartitionForKey("foo@bar.com", 8)}));
  EXPECT_EQ(prepared_.record.partition, prepared_.partition.partition);
}

TEST_F(CommandRequestTest, AProtobufCommandIsWrappedInTheDomainsOneof) {
  ::security::v1::Command command;
  command.mutable_change_user_name()->set_email("foo@bar.com");
  command.mutable_change_user_name()->set_new_name("Alex");
  request_.mutable_payload()->set_protobuf(command.change_user_name().SerializeAsString());
  EXPECT_EQ(Refusal(), "");
  EXPECT_EQ(prepared_.record.value, command.SerializeAsString());
  EXPECT_EQ(HeaderValue("content-type"), "application/x-protobuf");
}

TEST_F(CommandRequestTest, OptionsBecomeHeaders) {
  request_.set_command_id("id 1");
  request_.set_expected_version(-1);
  traceparent_ = "00-a-b-01";
  EXPECT_EQ(Refusal(), "");
  EXPECT_EQ(HeaderValue("ce_id"), "id 1");
  EXPECT_EQ(HeaderValue("esd-expected-version"), "-1");
  EXPECT_EQ(HeaderValue("traceparent"), "00-a-b-01");
}

TEST_F(CommandRequestTest, UnknownDomainsAndTypesListTheKnownOnes) {
  request_.set_command_type("Nonsense");
  EXPECT_EQ(Refusal(), "UNKNOWN_TYPE");
  EXPECT_EQ(metadata_["known"], "RegisterUserCommand, ChangeUserNameCommand");
  request_.set_domain("nonsense");
  EXPECT_EQ(Refusal(), "UNKNOWN_DOMAIN");
  EXPECT_EQ(metadata_["known"], "security");
}

TEST_F(CommandRequestTest, BadJsonSaysWhere) {
  request_.mutable_payload()->set_json(R"({"email":"foo@bar.com","newName":7})");
  EXPECT_EQ(Refusal(), "MALFORMED_JSON");
  EXPECT_THAT(message_, HasSubstr("command.newName"));
}

TEST_F(CommandRequestTest, APayloadCanNotBreakOutOfItsEnvelope) {
  for (const char* payload :
       {R"({"email":"foo@bar.com","newName":"A"},"type":"RegisterUserCommand")",
        R"({"email":"foo@bar.com","newName":"A"}} {"x":{)", R"({}},"command":{"email":"x"})", ""}) {
    request_.mutable_payload()->set_json(payload);
    EXPECT_EQ(Refusal(), "MALFORMED_JSON") << payload;
  }
}

TEST_F(CommandRequestTest, AKeyThatContradictsTheCommandIsRefused) {
  request_.set_aggregate_key("foo@bar.com");
  EXPECT_EQ(Refusal(), "");
  request_.set_aggregate_key("other@bar.com");
  EXPECT_EQ(Refusal(), "KEY_MISMATCH");
}

TEST_F(CommandRequestTest, ACommandMayHaveAMebibyteWithItsEnvelopeAndNoMore) {
  const auto payload_of = [](size_t bytes) {
    const std::string frame = R"({"email":"foo@bar.com","newName":""})";
    std::string json = frame;
    json.insert(json.size() - 2, std::string(bytes - frame.size(), 'x'));
    return json;
  };
  const size_t envelope = std::string(R"({"type":"ChangeUserNameCommand","command":})").size();
  constexpr size_t kMebibyte = size_t{1} << 20;
  request_.mutable_payload()->set_json(payload_of(kMebibyte - envelope));
  EXPECT_EQ(Refusal(), "");
  request_.mutable_payload()->set_json(payload_of(kMebibyte - envelope + 1));
  EXPECT_EQ(Refusal(), "COMMAND_TOO_LARGE");
  request_.mutable_payload()->set_json(payload_of(2 * kMebibyte));
  EXPECT_EQ(Refusal(), "COMMAND_TOO_LARGE");
}

TEST_F(CommandRequestTest, FieldsOutOfTheirRangeAreRefused) {
  request_.set_command_id(std::string(257, 'x'));
  EXPECT_EQ(Refusal(), "INVALID_COMMAND_ID");
  request_.set_command_id("tab\t");
  EXPECT_EQ(Refusal(), "INVALID_COMMAND_ID");
  request_.set_command_id("");
  request_.set_expected_version(-2);
  EXPECT_EQ(Refusal(), "INVALID_EXPECTED_VERSION");
  request_.clear_expected_version();
  request_.clear_payload();
  EXPECT_EQ(Refusal(), "PAYLOAD_MISSING");
}

}  // namespace
}  // namespace esd::api
