// Clients are built from the protos of a release, and stores and topics are written with them: what
// was released must go on to mean the same. The golden file holds the protos as they were.
//
// A change that adds something makes TheGoldenFileIsCurrent fail; when the other test passes, write
// the file anew:
//
//   ESD_UPDATE_GOLDEN=1 build/release/bin/api_descriptor_test
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "esd/v1/admin_service.pb.h"
#include "esd/v1/command_service.pb.h"
#include "esd/v1/query_service.pb.h"
#include "esd/v1/resources.pb.h"
#include "esd/v1/stored.pb.h"

namespace esd {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::EnumDescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorSet;
using google::protobuf::MethodDescriptorProto;
using google::protobuf::ServiceDescriptorProto;

FileDescriptorSet Current() {
  FileDescriptorSet files;
  for (const FileDescriptor* file :
       {esd::v1::ListPartitionsRequest::descriptor()->file(),
        esd::v1::SubmitCommandRequest::descriptor()->file(),
        esd::v1::GetSnapshotRequest::descriptor()->file(), esd::v1::Event::descriptor()->file(),
        esd::v1::StoredSnapshot::descriptor()->file()}) {
    file->CopyTo(files.add_file());
  }
  return files;
}

FileDescriptorSet Golden() {
  std::ifstream in(ESD_GOLDEN_FILE);
  std::stringstream text;
  text << in.rdbuf();
  FileDescriptorSet files;
  EXPECT_TRUE(in && google::protobuf::TextFormat::ParseFromString(text.str(), &files))
      << "can't read " << ESD_GOLDEN_FILE;
  return files;
}

std::string ToText(const FileDescriptorSet& files) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(files, &text);
  return text;
}

// What of `before` is gone in `after`, or means something else there: one line each.
class Comparison {
 public:
  std::vector<std::string> Breaks(const FileDescriptorSet& before, const FileDescriptorSet& after) {
    for (const auto& file : before.file()) {
      const auto* now = Find(after.file(), file.name());
      if (now == nullptr) {
        breaks_.push_back(file.name() + " is gone");
        continue;
      }
      if (now->package() != file.package()) breaks_.push_back(file.name() + ": another package");
      CompareMessages(file.package(), file.message_type(), now->message_type());
      CompareEnums(file.package(), file.enum_type(), now->enum_type());
      CompareServices(file.package(), file.service(), now->service());
    }
    return breaks_;
  }

 private:
  template <typename Items>
  static const typename Items::value_type* Find(const Items& items, const std::string& name) {
    const auto it = std::find_if(items.begin(), items.end(),
                                 [&](const auto& item) { return item.name() == name; });
    return it == items.end() ? nullptr : &*it;
  }

  template <typename Items>
  void CompareMessages(const std::string& scope, const Items& before, const Items& after) {
    for (const DescriptorProto& message : before) {
      const std::string name = scope + "." + message.name();
      const DescriptorProto* now = Find(after, message.name());
      if (now == nullptr) {
        breaks_.push_back(name + " is gone");
        continue;
      }
      for (const FieldDescriptorProto& field : message.field()) CompareField(name, field, *now);
      for (const FieldDescriptorProto& field : now->field()) CheckNotReused(name, field, message);
      CompareMessages(name, message.nested_type(), now->nested_type());
      CompareEnums(name, message.enum_type(), now->enum_type());
    }
  }

  void CompareField(const std::string& scope, const FieldDescriptorProto& field,
                    const DescriptorProto& after) {
    const FieldDescriptorProto* now = Find(after.field(), field.name());
    const std::string name = scope + "." + field.name();
    if (now == nullptr) {
      breaks_.push_back(name + " is gone");
    } else if (now->number() != field.number() || now->type() != field.type() ||
               now->type_name() != field.type_name() || now->label() != field.label() ||
               now->proto3_optional() != field.proto3_optional() ||
               now->has_oneof_index() != field.has_oneof_index()) {
      breaks_.push_back(name + " has another number, type or label");
    }
  }

  void CheckNotReused(const std::string& scope, const FieldDescriptorProto& field,
                      const DescriptorProto& before) {
    for (const FieldDescriptorProto& old : before.field()) {
      if (old.number() == field.number() && old.name() != field.name())
        breaks_.push_back(scope + "." + field.name() + " takes the number of " + old.name());
    }
  }

  template <typename Items>
  void CompareEnums(const std::string& scope, const Items& before, const Items& after) {
    for (const EnumDescriptorProto& one : before) {
      const EnumDescriptorProto* now = Find(after, one.name());
      for (const auto& value : one.value()) {
        const auto* same = now == nullptr ? nullptr : Find(now->value(), value.name());
        if (same == nullptr || same->number() != value.number())
          breaks_.push_back(scope + "." + value.name() + " is gone or has another number");
      }
    }
  }

  template <typename Items>
  void CompareServices(const std::string& scope, const Items& before, const Items& after) {
    for (const ServiceDescriptorProto& service : before) {
      const ServiceDescriptorProto* now = Find(after, service.name());
      for (const MethodDescriptorProto& method : service.method()) {
        const MethodDescriptorProto* same =
            now == nullptr ? nullptr : Find(now->method(), method.name());
        if (same == nullptr || same->input_type() != method.input_type() ||
            same->output_type() != method.output_type() ||
            same->client_streaming() != method.client_streaming() ||
            same->server_streaming() != method.server_streaming()) {
          breaks_.push_back(scope + "." + service.name() + "." + method.name() +
                            " is gone or has another form");
        }
      }
    }
  }

  std::vector<std::string> breaks_;
};

TEST(ApiDescriptorTest, NothingThatWasReleasedChanges) {
  EXPECT_THAT(Comparison().Breaks(Golden(), Current()), testing::IsEmpty());
}

TEST(ApiDescriptorTest, TheGoldenFileIsCurrent) {
  if (std::getenv("ESD_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(ESD_GOLDEN_FILE) << ToText(Current());
  }
  EXPECT_EQ(ToText(Golden()), ToText(Current()))
      << "the protos were extended: see the top of this test";
}

// The comparison itself: each of these would break somebody.
class IncompatibleChangeTest : public testing::TestWithParam<void (*)(FileDescriptorSet*)> {};

FieldDescriptorProto* AFieldOf(FileDescriptorSet* files) {
  return files->mutable_file(1)->mutable_message_type(0)->mutable_field(0);
}

TEST_P(IncompatibleChangeTest, IsFound) {
  FileDescriptorSet changed = Current();
  GetParam()(&changed);
  EXPECT_THAT(Comparison().Breaks(Current(), changed), testing::Not(testing::IsEmpty()));
}

INSTANTIATE_TEST_SUITE_P(
    All, IncompatibleChangeTest,
    testing::Values(
        [](FileDescriptorSet* files) { files->mutable_file()->RemoveLast(); },
        [](FileDescriptorSet* files) {
          files->mutable_file(1)->mutable_message_type()->RemoveLast();
        },
        [](FileDescriptorSet* files) { AFieldOf(files)->set_number(77); },
        [](FileDescriptorSet* files) { AFieldOf(files)->set_name("other"); },
        [](FileDescriptorSet* files) {
          AFieldOf(files)->set_type(FieldDescriptorProto::TYPE_BYTES);
        },
        [](FileDescriptorSet* files) {
          AFieldOf(files)->set_label(FieldDescriptorProto::LABEL_REPEATED);
        },
        [](FileDescriptorSet* files) {
          files->mutable_file(1)->mutable_service(0)->mutable_method()->RemoveLast();
        },
        [](FileDescriptorSet* files) {
          files->mutable_file(1)->mutable_service(0)->mutable_method(0)->set_server_streaming(true);
        },
        [](FileDescriptorSet* files) {
          files->mutable_file(3)->mutable_enum_type(0)->mutable_value(1)->set_number(9);
        }));

}  // namespace
}  // namespace esd
