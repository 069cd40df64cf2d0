// What the codec's tests and its fuzzer share: domains that are only their messages. Needs no
// GoogleTest.
#ifndef ESD_ENGINE_AGGREGATE_CODEC_TEST_H_
#define ESD_ENGINE_AGGREGATE_CODEC_TEST_H_

#include <absl/status/statusor.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/aggregate/aggregate_type.h"
#include "engine/aggregate/codec.h"

namespace esd {

// A domain that is only its types.
class TypesOnly final : public AggregateType {
 public:
  TypesOnly(const Message& command, const Message& event, const Message& state)
      : command_(command), event_(event), state_(state) {}

  const std::string& name() const override { return name_; }
  const Message& command_prototype() const override { return command_; }
  const Message& event_prototype() const override { return event_; }
  const Message& state_prototype() const override { return state_; }
  std::string_view KeyOf(const Message&) const override { return {}; }
  absl::StatusOr<std::vector<std::unique_ptr<Message>>> Decide(
      const Message*, const Message&, const DecideContext&) const override {
    return absl::UnimplementedError("types only");
  }
  void Evolve(Message&, const Message&) const override {}

 private:
  const std::string name_ = "types";
  const Message& command_;
  const Message& event_;
  const Message& state_;
};

// A domain made at run time, so that its .proto file stands here.
class DynamicDomain {
 public:
  // `fields` is the text form of a FileDescriptorProto; Command, Event and State are among its
  // messages.
  explicit DynamicDomain(const std::string& fields,
                         std::vector<const google::protobuf::FileDescriptor*> imports = {}) {
    google::protobuf::FileDescriptorProto file;
    CheckMade(google::protobuf::TextFormat::ParseFromString(fields, &file), fields);
    file.set_name("domain.proto");
    file.set_package("test");
    for (const auto* import : imports) {
      google::protobuf::FileDescriptorProto copy;
      import->CopyTo(&copy);
      CheckMade(pool_.BuildFile(copy) != nullptr, import->name());
      file.add_dependency(import->name());
    }
    CheckMade(pool_.BuildFile(file) != nullptr, fields);
  }

  const google::protobuf::Message& Prototype(const std::string& name) {
    return *factory_.GetPrototype(pool_.FindMessageTypeByName("test." + name));
  }

  absl::StatusOr<std::unique_ptr<Codec>> MakeCodec() {
    return Codec::Create(TypesOnly(Prototype("Command"), Prototype("Event"), Prototype("State")));
  }

 private:
  // Not a test's own failure, which these could state: the fuzzer uses them without GoogleTest.
  static void CheckMade(bool made, const std::string& what) {
    if (made) return;
    std::cerr << "the test's own domain is wrong; mend it: " << what << "\n";
    std::abort();
  }

  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_{&pool_};
};

inline constexpr char kEnvelopes[] = R"(
  message_type { name: "Command" oneof_decl { name: "command" }
    field { name: "kinds" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".test.Kinds" oneof_index: 0 } }
  message_type { name: "Event" oneof_decl { name: "event" }
    field { name: "kinds" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".test.Kinds" oneof_index: 0 } }
  message_type { name: "State" }
)";

struct Kind {
  const char* name;
  const char* type;
  const char* type_name = nullptr;
};

inline constexpr Kind kKinds[] = {
    {"int32", "TYPE_INT32"},
    {"sint32", "TYPE_SINT32"},
    {"sfixed32", "TYPE_SFIXED32"},
    {"int64", "TYPE_INT64"},
    {"sint64", "TYPE_SINT64"},
    {"sfixed64", "TYPE_SFIXED64"},
    {"uint32", "TYPE_UINT32"},
    {"fixed32", "TYPE_FIXED32"},
    {"uint64", "TYPE_UINT64"},
    {"fixed64", "TYPE_FIXED64"},
    {"double", "TYPE_DOUBLE"},
    {"float", "TYPE_FLOAT"},
    {"bool", "TYPE_BOOL"},
    {"string", "TYPE_STRING"},
    {"bytes", "TYPE_BYTES"},
    {"enum", "TYPE_ENUM", "Color"},
    {"message", "TYPE_MESSAGE", "Kinds"},
};

// For each kind of value a field, an optional one, a repeated one and a map; and a oneof of two.
inline std::string KindsProto() {
  std::string fields;
  std::string entries;
  std::string oneofs = R"(oneof_decl { name: "choice" })";
  int number = 0;
  int oneof_index = 0;
  const auto type = [](const Kind& kind) {
    std::string text = std::string(" type: ") + kind.type;
    if (kind.type_name != nullptr)
      text += " type_name: \".test." + std::string(kind.type_name) + "\"";
    return text;
  };
  const auto add = [&](const std::string& name, const std::string& rest) {
    fields += "field { name: \"" + name + "\" number: " + std::to_string(++number) + rest + " }\n";
  };
  for (const Kind& kind : kKinds) {
    const std::string name = kind.name;
    const std::string entry = static_cast<char>(name[0] - 'a' + 'A') + name.substr(1) + "MapEntry";
    add("a_" + name, " label: LABEL_OPTIONAL" + type(kind));
    add("opt_" + name, " label: LABEL_OPTIONAL proto3_optional: true oneof_index: " +
                           std::to_string(++oneof_index) + type(kind));
    oneofs += " oneof_decl { name: \"_opt_" + name + "\" }";
    add("many_" + name, " label: LABEL_REPEATED" + type(kind));
    add(name + "_map",
        " label: LABEL_REPEATED type: TYPE_MESSAGE type_name: \".test.Kinds." + entry + "\"");
    entries += "nested_type { name: \"" + entry +
               R"(" options { map_entry: true }
                  field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
                  field { name: "value" number: 2 label: LABEL_OPTIONAL)" +
               type(kind) + " } }\n";
  }
  add("this_one", " label: LABEL_OPTIONAL type: TYPE_INT32 oneof_index: 0");
  add("that_one",
      " label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: \".test.Kinds\" oneof_index: 0");
  return std::string("syntax: \"proto3\"") + kEnvelopes +
         R"(enum_type { name: "Color" value { name: "NONE" number: 0 } value { name: "RED" number: 1 }
                        value { name: "DARK" number: -7 } }
            message_type { name: "Kinds" )" +
         fields + entries + oneofs + "}";
}

}  // namespace esd

#endif  // ESD_ENGINE_AGGREGATE_CODEC_TEST_H_
