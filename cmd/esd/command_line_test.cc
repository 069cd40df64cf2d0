#include "cmd/esd/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace esd::cmd {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

// Runs `esd` with arguments and variables, in a world without an engine.
class CommandLineTest : public testing::Test {
 protected:
  int Esd(const std::vector<std::string>& args) {
    out_.str("");
    err_.str("");
    served_.reset();
    developed_.reset();
    return cmd::Run(args, {out_,
                           err_,
                           [this](const std::string& name) {
                             const auto found = env_.find(name);
                             return found == env_.end() ? std::nullopt
                                                        : std::optional(found->second);
                           },
                           {"security", "orders"},
                           [this](const ServeOptions& options) {
                             served_ = options;
                             return serve_exit_code_;
                           },
                           [this](const DevOptions& options) {
                             developed_ = options;
                             return serve_exit_code_;
                           }});
  }

  int Serve(std::vector<std::string> args) {
    args.insert(args.begin(), {"serve", "--bootstrap-servers", "broker:9092"});
    return Esd(args);
  }

  // A file with these contents, until the test ends.
  std::string File(const std::string& contents) {
    if (folder_.empty()) folder_ = MakeFolder();
    const std::string path = folder_ + "/" + std::to_string(files_++);
    std::ofstream(path) << contents;
    return path;
  }

  ~CommandLineTest() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  std::map<std::string, std::string> env_ = {{"HOME", "/home/esd"}};
  std::optional<ServeOptions> served_;
  std::optional<DevOptions> developed_;
  int serve_exit_code_ = 0;

 private:
  static std::string MakeFolder() {
    std::string folder = testing::TempDir() + "/esd_cmd_test_XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    return folder;
  }

  std::ostringstream out_;
  std::ostringstream err_;
  std::string folder_;  // empty until a file is needed
  int files_ = 0;
};

// --- where values come from

TEST_F(CommandLineTest, AFlagWinsOverTheEnvironmentOverTheFileOverTheDefault) {
  ASSERT_EQ(Serve({}), kExitOk) << err();
  EXPECT_EQ(served_->engine.group, "esd");
  const std::string file = File("group = \"from-file\"\n");
  ASSERT_EQ(Serve({"--config", file}), kExitOk) << err();
  EXPECT_EQ(served_->engine.group, "from-file");
  env_["ESD_GROUP"] = "from-env";
  ASSERT_EQ(Serve({"--config", file}), kExitOk) << err();
  EXPECT_EQ(served_->engine.group, "from-env");
  ASSERT_EQ(Serve({"--config", file, "--group", "from-flag"}), kExitOk) << err();
  EXPECT_EQ(served_->engine.group, "from-flag");
}

TEST_F(CommandLineTest, TheFileCanBeNamedByTheEnvironmentToo) {
  env_["ESD_CONFIG"] = File("bootstrap-servers = b:1\nworkers = 3\ncreate-topics = true\n");
  ASSERT_EQ(Esd({"serve"}), kExitOk) << err();
  EXPECT_EQ(served_->engine.bootstrap_servers, "b:1");
  EXPECT_EQ(served_->engine.workers, 3);
  EXPECT_TRUE(served_->engine.create_topics);
}

TEST_F(CommandLineTest, AnEmptyVariableCountsAsNotSet) {
  env_["ESD_GROUP"] = "";
  ASSERT_EQ(Serve({}), kExitOk) << err();
  EXPECT_EQ(served_->engine.group, "esd");
}

TEST_F(CommandLineTest, EveryOptionReachesTheEngine) {
  ASSERT_EQ(Serve({"--domain",
                   "orders",
                   "--group",
                   "g",
                   "--instance-id",
                   "i-0",
                   "--data-dir",
                   "/d",
                   "--workers",
                   "2",
                   "--http-listen",
                   "[::1]:0",
                   "--grpc-listen",
                   "0.0.0.0:1",
                   "--advertised-address",
                   "esd-0:1",
                   "--tls-cert",
                   "/tls/cert",
                   "--tls-key",
                   "/tls/key",
                   "--tls-client-ca",
                   "/tls/clients",
                   "--tls-peer-ca",
                   "/tls/peers",
                   "--history",
                   "off",
                   "--max-in-flight",
                   "7",
                   "--max-in-flight-per-connection",
                   "6",
                   "--kafka",
                   "linger.ms=1",
                   "--topic-prefix",
                   "p.",
                   "--log-level",
                   "debug",
                   "--create-topics",
                   "--partitions",
                   "12",
                   "--replication-factor",
                   "3"}),
            kExitOk)
      << err();
  EXPECT_THAT(served_->domains, ElementsAre("orders"));
  EXPECT_EQ(served_->log_level, "debug");
  const EngineOptions& engine = served_->engine;
  EXPECT_EQ(engine.bootstrap_servers, "broker:9092");
  EXPECT_EQ(engine.group, "g");
  EXPECT_EQ(engine.instance_id, "i-0");
  EXPECT_EQ(engine.data_dir, "/d");
  EXPECT_EQ(engine.workers, 2);
  EXPECT_EQ(engine.http_listen, "[::1]:0");
  EXPECT_EQ(engine.grpc_listen, "0.0.0.0:1");
  EXPECT_EQ(engine.advertised_address, "esd-0:1");
  EXPECT_EQ(engine.tls.cert_file, "/tls/cert");
  EXPECT_EQ(engine.tls.key_file, "/tls/key");
  EXPECT_EQ(engine.tls.client_ca_file, "/tls/clients");
  EXPECT_EQ(engine.tls.peer_ca_file, "/tls/peers");
  EXPECT_FALSE(engine.history);
  EXPECT_EQ(engine.max_in_flight, 7);
  EXPECT_EQ(engine.max_in_flight_per_connection, 6);
  EXPECT_EQ(engine.topic_prefix, "p.");
  EXPECT_THAT(engine.kafka_properties, ElementsAre(Pair("linger.ms", "1")));
  EXPECT_TRUE(engine.create_topics);
  EXPECT_EQ(engine.create_partitions, 12);
  EXPECT_EQ(engine.create_replication_factor, 3);
}

TEST_F(CommandLineTest, DefaultsAreThoseOfTheEngine) {
  ASSERT_EQ(Serve({}), kExitOk) << err();
  const EngineOptions defaults;
  const EngineOptions& engine = served_->engine;
  EXPECT_EQ(engine.group, defaults.group);
  EXPECT_EQ(engine.workers, defaults.workers);
  EXPECT_EQ(engine.http_listen, defaults.http_listen);
  EXPECT_EQ(engine.grpc_listen, defaults.grpc_listen);
  EXPECT_EQ(engine.advertised_address, defaults.advertised_address);
  EXPECT_FALSE(engine.tls.enabled());
  EXPECT_EQ(engine.history, defaults.history);
  EXPECT_EQ(engine.max_in_flight, defaults.max_in_flight);
  EXPECT_EQ(engine.max_in_flight_per_connection, defaults.max_in_flight_per_connection);
  EXPECT_EQ(engine.create_topics, defaults.create_topics);
  EXPECT_EQ(engine.create_partitions, defaults.create_partitions);
  EXPECT_EQ(engine.create_replication_factor, defaults.create_replication_factor);
  EXPECT_EQ(engine.data_dir, "/home/esd/.local/state/esd");
  EXPECT_THAT(served_->domains, ElementsAre("security", "orders"));
}

TEST_F(CommandLineTest, TheDataFolderFollowsXdg) {
  env_["XDG_STATE_HOME"] = "/state";
  ASSERT_EQ(Serve({}), kExitOk) << err();
  EXPECT_EQ(served_->engine.data_dir, "/state/esd");
  env_.clear();
  ASSERT_EQ(Serve({}), kExitOk) << err();
  EXPECT_EQ(served_->engine.data_dir, "/var/lib/esd");
}

TEST_F(CommandLineTest, DomainsMayBeGivenSeveralTimesOrAsAListInTheEnvironment) {
  ASSERT_EQ(Serve({"--domain", "orders", "--domain", "security", "--domain", "orders"}), kExitOk)
      << err();
  EXPECT_THAT(served_->domains, ElementsAre("orders", "security"));
  env_["ESD_DOMAIN"] = "security, orders";
  ASSERT_EQ(Serve({}), kExitOk) << err();
  EXPECT_THAT(served_->domains, ElementsAre("security", "orders"));
}

TEST_F(CommandLineTest, KafkaPropertiesMergeAndTheHighestPlaceWinsForEach) {
  const std::string properties = File("linger.ms=1\nclient.id=properties\nsasl.username=u\n");
  const std::string config =
      File("kafka-config = '" + properties + "'\nkafka = [\"client.id=config\", \"retries=7\"]\n");
  env_["ESD_KAFKA"] = "retries=8\nsasl.password=a,b;c d\n";
  ASSERT_EQ(Serve({"--config", config, "--kafka", "retries=9"}), kExitOk) << err();
  EXPECT_THAT(served_->engine.kafka_properties,
              ElementsAre(Pair("client.id", "config"), Pair("linger.ms", "1"), Pair("retries", "9"),
                          Pair("sasl.password", "a,b;c d"), Pair("sasl.username", "u")));
}

TEST_F(CommandLineTest, AnUnknownKeyInTheFileIsAnErrorWithItsLine) {
  const std::string file = File("group = \"a\"\nworker = 2\n");
  EXPECT_EQ(Serve({"--config", file}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr(file + ":2: there is no setting called worker"));
  EXPECT_THAT(err(), HasSubstr("try: esd serve --help"));
  EXPECT_FALSE(served_);
}

TEST_F(CommandLineTest, AFileMayHoldTheSettingsOfOtherCommands) {
  const std::string file = File("workers = 2\nhttp-listen = \"127.0.0.1:0\"\n");
  EXPECT_EQ(Esd({"topics", "create", "--config", file}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--bootstrap-servers is missing"));
}

// --- exit codes and messages

TEST_F(CommandLineTest, HelpIsPrintedOnStdoutForEveryCommand) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{},
                                             {"serve"},
                                             {"topics"},
                                             {"topics", "create"},
                                             {"config"},
                                             {"config", "show"},
                                             {"version"},
                                             {"completion"}}) {
    std::vector<std::string> args = command;
    args.push_back("--help");
    EXPECT_EQ(Esd(args), kExitOk);
    EXPECT_THAT(out(), HasSubstr("Usage: "));
    EXPECT_THAT(err(), IsEmpty());
  }
  EXPECT_EQ(Esd({"serve", "-h"}), kExitOk);
  EXPECT_THAT(out(), AllOf(HasSubstr("--bootstrap-servers HOST:PORT"),
                           HasSubstr("ESD_BOOTSTRAP_SERVERS"), HasSubstr("Example:")));
}

TEST_F(CommandLineTest, WrongUsageExitsWith2AndAHintOnStderr) {
  EXPECT_EQ(Serve({"--wrokers", "2"}), kExitUsage);
  EXPECT_THAT(err(), AllOf(HasSubstr("--wrokers"), HasSubstr("try: esd serve --help")));
  EXPECT_EQ(Esd({}), kExitUsage);
  EXPECT_THAT(err(), AllOf(HasSubstr("say which command to run"), HasSubstr("try: esd --help")));
  EXPECT_EQ(Esd({"topics"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("try: esd topics --help"));
  EXPECT_EQ(Esd({"sevre"}), kExitUsage);
  EXPECT_THAT(err(), AllOf(HasSubstr("there is no command 'sevre'"), HasSubstr("try: esd --help")));
  EXPECT_EQ(Esd({"topics", "crate"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("there is no command 'crate'"));
  EXPECT_EQ(Esd({"--bogus"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("there is no flag '--bogus'"));
  EXPECT_EQ(Esd({""}), kExitUsage);
  EXPECT_EQ(Serve({"--group"}), kExitUsage);
  EXPECT_EQ(Serve({"--group", "a", "--group", "b"}), kExitUsage);
  EXPECT_EQ(Serve({"extra"}), kExitUsage);
  EXPECT_EQ(Esd({"serve"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--bootstrap-servers is missing"));
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(CommandLineTest, ValuesThatCanNotBeAreRefusedBeforeAnythingIsTried) {
  const std::vector<std::vector<std::string>> wrong = {{"--workers", "65"},
                                                       {"--workers", "-1"},
                                                       {"--workers", "two"},
                                                       {"--group", "a b"},
                                                       {"--group", ""},
                                                       {"--group", "ü"},
                                                       {"--topic-prefix", "a/"},
                                                       {"--instance-id", "a:b"},
                                                       {"--http-listen", "7071"},
                                                       {"--grpc-listen", "::1:1"},
                                                       {"--log-level", "loud"},
                                                       {"--history", "maybe"},
                                                       {"--insecure=maybe"},
                                                       {"--max-in-flight", "0"},
                                                       {"--max-in-flight", "1000001"},
                                                       {"--max-in-flight-per-connection", "0"},
                                                       {"--advertised-address", "esd-0"},
                                                       {"--advertised-address", ""},
                                                       {"--advertised-address", "0.0.0.0:7070"},
                                                       {"--advertised-address", "[::]:7070"},
                                                       {"--domain", "none"},
                                                       {"--kafka", "acks=1"},
                                                       {"--kafka", "no.such=1"},
                                                       {"--kafka", "linger.ms"},
                                                       {"--partitions", "0"},
                                                       {"--kafka-config", "/no/f"},
                                                       {"--config", "/no/f"},
                                                       {"--data-dir", ""},
                                                       {"--create-topics=maybe"},
                                                       {"--replication-factor", "0"},
                                                       {"--group", std::string(250, 'a')}};
  for (const auto& args : wrong) {
    EXPECT_EQ(Serve(args), kExitUsage) << args[0] << " " << args.back();
    EXPECT_THAT(err(), HasSubstr("try: esd serve --help"));
    EXPECT_FALSE(served_);
  }
  for (const char* servers : {"", ":9092", "a:b", "a:9092,", "a:0", "a b:1"}) {
    EXPECT_EQ(Esd({"serve", "--bootstrap-servers", servers}), kExitUsage) << servers;
  }
  for (const char* servers : {"a", "a:1,b:2", "SASL_SSL://a:1", "[::1]:9092", "[::1]"}) {
    EXPECT_EQ(Esd({"serve", "--bootstrap-servers", servers}), kExitOk) << servers << err();
  }
}

TEST_F(CommandLineTest, TheApiIsOpenToOtherMachinesOnlyWithTlsOrWhenToldSo) {
  for (const char* open : {"0.0.0.0:7070", "[::]:7070", "10.1.2.3:7070", "esd-0:7070",
                           "[::ffff:10.1.2.3]:7070", "128.0.0.1:7070"}) {
    EXPECT_EQ(Serve({"--grpc-listen", open}), kExitUsage) << open;
    EXPECT_THAT(err(), AllOf(HasSubstr(std::string("--grpc-listen: ") + open),
                             HasSubstr("--tls-cert and --tls-key"), HasSubstr("--insecure"),
                             HasSubstr("try: esd serve --help")));
    EXPECT_EQ(Serve({"--grpc-listen", open, "--insecure"}), kExitOk) << err();
    EXPECT_EQ(Serve({"--grpc-listen", open, "--tls-cert", "c", "--tls-key", "k"}), kExitOk)
        << err();
  }
  for (const char* local :
       {"127.0.0.1:7070", "127.8.9.10:0", "[::1]:7070", "localhost:7070", "LocalHost:0"}) {
    EXPECT_EQ(Serve({"--grpc-listen", local}), kExitOk) << err();
  }
  env_["ESD_INSECURE"] = "true";
  EXPECT_EQ(Serve({"--grpc-listen", "0.0.0.0:7070"}), kExitOk) << err();
  env_["ESD_INSECURE"] = "false";
  EXPECT_EQ(Serve({"--grpc-listen", "0.0.0.0:7070"}), kExitUsage);
}

TEST_F(CommandLineTest, MetricsMayBeOpenToOtherMachinesWithoutMore) {
  EXPECT_EQ(Serve({"--http-listen", "0.0.0.0:7071"}), kExitOk) << err();
}

TEST_F(CommandLineTest, APartOfWhatTlsNeedsIsWrongUsage) {
  EXPECT_EQ(Serve({"--tls-cert", "c"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--tls-cert: needs --tls-key, too"));
  EXPECT_EQ(Serve({"--tls-key", "k"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--tls-key: needs --tls-cert, too"));
  EXPECT_EQ(Serve({"--tls-client-ca", "a"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--tls-client-ca: needs --tls-cert, too"));
  EXPECT_EQ(Serve({"--tls-peer-ca", "a"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--tls-peer-ca: needs --tls-cert, too"));
  // As when a variable in a script is not set: TLS must not be switched off by it.
  EXPECT_EQ(Serve({"--tls-cert", "", "--tls-key", ""}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--tls-cert: must not be empty"));
}

TEST_F(CommandLineTest, HistoryIsKeptUnlessSwitchedOffAnywhere) {
  ASSERT_EQ(Serve({"--history", "on"}), kExitOk) << err();
  EXPECT_TRUE(served_->engine.history);
  env_["ESD_HISTORY"] = "off";
  ASSERT_EQ(Serve({}), kExitOk) << err();
  EXPECT_FALSE(served_->engine.history);
  env_.erase("ESD_HISTORY");
  ASSERT_EQ(Serve({"--config", File("history = \"off\"\n")}), kExitOk) << err();
  EXPECT_FALSE(served_->engine.history);
  EXPECT_EQ(Serve({"--history", "maybe"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--history: must be on or off, not 'maybe'"));
}

TEST_F(CommandLineTest, AMessageAboutAValueSaysWhereItCameFrom) {
  env_["ESD_WORKERS"] = "99";
  EXPECT_EQ(Serve({}), kExitUsage);
  EXPECT_THAT(
      err(),
      HasSubstr("--workers (environment ESD_WORKERS): must be a number from 0 to 64, not '99'"));
}

TEST_F(CommandLineTest, TheEnginesExitCodeIsTheProgramsExitCode) {
  serve_exit_code_ = 1;
  EXPECT_EQ(Serve({}), 1);
}

TEST_F(CommandLineTest, TopicsCreateWantsANumberOfPartitions) {
  EXPECT_EQ(Esd({"topics", "create", "--bootstrap-servers", "b:1"}), kExitUsage);
  EXPECT_THAT(err(), AllOf(HasSubstr("--partitions is missing"),
                           HasSubstr("try: esd topics create --help")));
}

TEST_F(CommandLineTest, ASecretIsInNoMessage) {
  EXPECT_EQ(Serve({"--kafka", "hunter2"}), kExitUsage);
  EXPECT_THAT(err(), Not(HasSubstr("hunter2")));
  EXPECT_EQ(Serve({"--kafka", "ssl.password=hunter2"}), kExitUsage);
  EXPECT_THAT(err(), Not(HasSubstr("hunter2")));
  EXPECT_EQ(Serve({"--kafka-config", File("sasl.password:hunter2\n")}), kExitUsage);
  EXPECT_THAT(err(), Not(HasSubstr("hunter2")));
}

// --- config show, version, completion

TEST_F(CommandLineTest, ConfigShowTellsEachValueAndItsSourceAndHidesSecrets) {
  env_["ESD_GROUP"] = "from-env";
  env_["ESD_TLS_CERT"] = "/tls/cert";
  env_["ESD_TLS_KEY"] = "/tls/key";
  const std::string properties = File("sasl.password=hunter2\n");
  const std::string config = File("\nworkers = 3\n");
  ASSERT_EQ(Esd({"config", "show", "--bootstrap-servers", "b:1", "--config", config,
                 "--kafka-config", properties, "--kafka", "linger.ms=5"}),
            kExitOk)
      << err();
  EXPECT_THAT(out(), testing::ContainsRegex("bootstrap-servers +b:1 +flag --bootstrap-servers\n"));
  EXPECT_THAT(out(), testing::ContainsRegex("group +from-env +environment ESD_GROUP\n"));
  EXPECT_THAT(out(), HasSubstr("file " + config + ":2\n"));
  EXPECT_THAT(out(), testing::ContainsRegex("http-listen +127.0.0.1:7071 +default\n"));
  EXPECT_THAT(out(), testing::ContainsRegex("domain +security,orders +default\n"));
  EXPECT_THAT(out(), testing::ContainsRegex("tls-cert +/tls/cert +environment ESD_TLS_CERT\n"));
  EXPECT_THAT(out(), testing::ContainsRegex("insecure +false +default\n"));
  EXPECT_THAT(out(), testing::ContainsRegex("history +on +default\n"));
  EXPECT_THAT(out(), testing::ContainsRegex("kafka +linger.ms=5 +flag --kafka\n"));
  EXPECT_THAT(out(), HasSubstr("sasl.password=********"));
  EXPECT_THAT(out() + err(), Not(HasSubstr("hunter2")));
}

TEST_F(CommandLineTest, ConfigShowSpeaksJson) {
  ASSERT_EQ(Esd({"config", "show", "--bootstrap-servers", "b:1", "--kafka", "sasl.password=hunter2",
                 "-o", "json"}),
            kExitOk)
      << err();
  simdjson::dom::parser parser;
  const auto json = parser.parse(out());
  EXPECT_EQ(std::string_view(json["group"]["value"]), "esd");
  EXPECT_EQ(std::string_view(json["group"]["source"]), "default");
  EXPECT_EQ(std::string_view(json["domain"]["value"].at(1)), "orders");
  EXPECT_EQ(std::string_view(json["kafka"]["sasl.password"]["value"]), "********");
  EXPECT_EQ(std::string_view(json["kafka"]["sasl.password"]["source"]), "flag --kafka");
}

TEST_F(CommandLineTest, ConfigShowShowsWhatIsWrongAndExitsWith2) {
  EXPECT_EQ(Esd({"config", "show", "--workers", "99"}), kExitUsage);
  EXPECT_THAT(out(), testing::ContainsRegex("workers +99 +flag --workers\n"));
  EXPECT_THAT(err(), HasSubstr("--bootstrap-servers is missing"));
  EXPECT_EQ(Esd({"config", "show", "-o", "xml"}), kExitUsage);
}

TEST_F(CommandLineTest, VersionIsPrintedAsTextOrJson) {
  EXPECT_EQ(Esd({"version"}), kExitOk);
  EXPECT_THAT(out(), testing::MatchesRegex("esd [0-9.]+\n"));
  const std::string text = out();
  EXPECT_EQ(Esd({"--version"}), kExitOk);
  EXPECT_EQ(out(), text);
  EXPECT_EQ(Esd({"version", "-o", "json"}), kExitOk);
  EXPECT_THAT(out(), testing::MatchesRegex("\\{\"version\":\"[0-9.]+\"\\}\n"));
}

TEST_F(CommandLineTest, CompletionKnowsEveryCommandAndFlag) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Esd({"completion", shell}), kExitOk) << err();
    EXPECT_THAT(out(), AllOf(HasSubstr("topics"), HasSubstr("esd topics create"),
                             HasSubstr("replication-factor"), HasSubstr("trace debug info"),
                             HasSubstr("tls-peer-ca"), HasSubstr("insecure"), HasSubstr("on off"),
                             HasSubstr("bootstrap-servers")))
        << shell;
  }
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Esd({"completion", shell}), kExitOk) << err();
    EXPECT_THAT(out(), AllOf(HasSubstr("esd command send"), HasSubstr("esd aggregate history"),
                             HasSubstr("esd dead-letters replay"), HasSubstr("esd events tail"),
                             HasSubstr("keep-going"), HasSubstr("text json")))
        << shell;
  }
  EXPECT_EQ(Esd({"completion", "tcsh"}), kExitUsage);
  EXPECT_EQ(Esd({"completion"}), kExitUsage);
}

// --- without a broker

TEST_F(CommandLineTest, DevNeedsNoSetting) {
  ASSERT_EQ(Esd({"dev"}), kExitOk) << err();
  EXPECT_EQ(developed_->serve.engine.log, LogKind::kEmbedded);
  EXPECT_EQ(developed_->serve.engine.data_dir, "");  // a temporary one
  EXPECT_THAT(developed_->serve.domains, ElementsAre("security", "orders"));
  EXPECT_EQ(developed_->serve.log_level, "warning");
  EXPECT_FALSE(developed_->demo);
}

TEST_F(CommandLineTest, OptionsOfDevReachTheEngine) {
  ASSERT_EQ(Esd({"dev", "--data-dir", "/data", "--demo", "--exit-after-demo", "--partitions", "7",
                 "--grpc-listen", "127.0.0.1:0", "--domain", "security", "--history", "off"}),
            kExitOk)
      << err();
  EXPECT_EQ(developed_->serve.engine.data_dir, "/data");
  EXPECT_EQ(developed_->serve.engine.create_partitions, 7);
  EXPECT_EQ(developed_->serve.engine.grpc_listen, "127.0.0.1:0");
  EXPECT_THAT(developed_->serve.domains, ElementsAre("security"));
  EXPECT_FALSE(developed_->serve.engine.history);
  EXPECT_TRUE(developed_->demo);
  EXPECT_TRUE(developed_->exit_after_demo);
}

TEST_F(CommandLineTest, WhatMakesNoSenseInDevIsAUsageError) {
  EXPECT_EQ(Esd({"dev", "--exit-after-demo"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--exit-after-demo: needs --demo"));
  EXPECT_EQ(Esd({"dev", "--demo", "--tls-cert", "a", "--tls-key", "b"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--demo: doesn't speak TLS"));
  EXPECT_EQ(Esd({"dev", "--grpc-listen", "0.0.0.0:7070"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--insecure"));
}

TEST_F(CommandLineTest, TheEmbeddedLogServesFromADataDirectoryThatSomebodyChose) {
  EXPECT_EQ(Esd({"serve", "--log", "embedded"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--data-dir is missing"));
  ASSERT_EQ(Esd({"serve", "--log", "embedded", "--data-dir", "/data", "--partitions", "8"}),
            kExitOk)
      << err();
  EXPECT_EQ(served_->engine.log, LogKind::kEmbedded);
  EXPECT_EQ(served_->engine.data_dir, "/data");
  EXPECT_EQ(served_->engine.create_partitions, 8);
}

TEST_F(CommandLineTest, AFlagForKafkaHasNoMeaningWithTheEmbeddedLog) {
  EXPECT_EQ(Serve({"--log", "embedded", "--data-dir", "/data"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("--bootstrap-servers: has no meaning with --log embedded"));
  env_["ESD_BOOTSTRAP_SERVERS"] = "broker:9092";  // for other instances
  EXPECT_EQ(Esd({"serve", "--log", "embedded", "--data-dir", "/data"}), kExitOk) << err();
}

TEST_F(CommandLineTest, ThereAreTwoLogs) {
  EXPECT_EQ(Serve({"--log", "paper"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("must be kafka or embedded, not 'paper'"));
}

}  // namespace
}  // namespace esd::cmd
