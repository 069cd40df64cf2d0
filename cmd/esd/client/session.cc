#include "cmd/esd/client/session.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/synchronization/mutex.h>

#include <set>
#include <utility>

#include "cmd/esd/client/printable.h"
#include "cmd/esd/commands.h"

namespace esd::cmd {
namespace {

bool TakesColour(const Process& process) {
  if (!process.terminals.out) return false;
  const auto no_color = process.env("NO_COLOR");
  const auto term = process.env("TERM");
  return (!no_color || no_color->empty()) && term && !term->empty() && *term != "dumb";
}

std::vector<OptionSpec> SpecsOf(const std::vector<OptionSpec>& all, ClientOptions::Domain domain,
                                const std::string& timeout) {
  std::vector<std::string> names = {"address",         "timeout",        "tls",   "tls-ca",
                                    "tls-client-cert", "tls-client-key", "config"};
  if (domain != ClientOptions::Domain::kNone) names.insert(names.begin(), "domain");
  std::vector<OptionSpec> specs = SelectOptions(all, names);
  for (OptionSpec& spec : specs) {
    if (spec.name == "domain") {
      spec.help = domain == ClientOptions::Domain::kOne
                      ? "Domain to work on. The server's only one unless told."
                      : "Only this domain. All unless told.";
    }
    if (spec.name == "timeout" && !timeout.empty()) spec.default_value = timeout;
  }
  return specs;
}

// --domain serves commands that take many, too: here only one of them can be meant. Several in a
// variable or file are those of `esd serve`.
absl::StatusOr<std::string> DomainOf(const Settings& settings) {
  const Setting& setting = settings.Get("domain");
  if (setting.values.size() == 1) return setting.value();
  if (setting.origin == Origin::kFlag)
    return absl::InvalidArgumentError("--domain: one domain at a time");
  return std::string();
}

}  // namespace

Session::Session(const Process& process, const CLI::App& app, const ConnectionOptions& options,
                 bool json, std::string domain)
    : process_(process),
      app_(app),
      json_(json),
      colour_(TakesColour(process)),
      domain_(std::move(domain)),
      client_(options) {}

std::optional<CallError> Session::ResolveDomain() {
  if (!domain_.empty()) return std::nullopt;
  esd::v1::ListPartitionsResponse response;
  if (auto error = client_.Try([&](grpc::ClientContext* context) {
        return client_.admin().ListPartitions(context, {}, &response);
      })) {
    return error;
  }
  std::set<std::string> domains;
  for (const auto& partition : response.partitions()) domains.insert(partition.domain());
  if (domains.size() == 1) {
    domain_ = *domains.begin();
    return std::nullopt;
  }
  CallError error;
  error.code = absl::StatusCode::kInvalidArgument;
  error.message = domains.empty()
                      ? "the server names no domain yet: try again, or give --domain"
                      : absl::StrCat("the server has several domains; give --domain one of: ",
                                     absl::StrJoin(domains, ", "));
  return error;
}

Table Session::MakeTable(std::vector<std::string> header) const {
  return Table(process_.out, colour_, std::move(header));
}

void Session::Line(const std::string& json) const { process_.out << json << '\n'; }

void Session::Note(const std::string& text) const {
  process_.out.flush();
  process_.err << text << '\n' << std::flush;
}

int Session::Fail(const CallError& error) const { return Fail(client_.Describe(error)); }

int Session::Fail(const std::string& text) const {
  process_.out.flush();
  return Failure(process_, absl::UnknownError(text));
}

int Session::Usage(const std::string& text) const {
  return UsageError(process_, app_, absl::InvalidArgumentError(text));
}

ClientOptions::ClientOptions(CLI::App& app, const Process& process, Domain domain,
                             const std::string& timeout)
    : app_(&app), process_(process), domain_(domain) {
  const auto all = AllOptions(process.env);
  options_ = std::make_unique<OptionSet>(&app, SpecsOf(all, domain, timeout), all);
  for (const OptionSpec& spec : options_->specs()) {
    if (spec.name != "domain") app.get_option("--" + spec.name)->group(kConnectionGroup);
  }
  AddOutputOption(app, json_);
}

int ClientOptions::Run(const std::function<int(Session&)>& body) const {
  const auto settings = options_->Resolve(process_.env);
  if (!settings.ok()) return UsageError(process_, *app_, settings.status());
  const auto connection = ParseConnectionOptions(*settings);
  if (!connection.ok()) return UsageError(process_, *app_, connection.status());
  std::string domain;
  if (domain_ != Domain::kNone) {
    auto named = DomainOf(*settings);
    if (!named.ok()) return UsageError(process_, *app_, named.status());
    domain = *std::move(named);
  }
  // Debian's Abseil looks for lock cycles at every lock, in a graph of all of the process.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  Session session(process_, *app_, *connection, json_, std::move(domain));
  if (domain_ == Domain::kOne) {
    if (const auto error = session.ResolveDomain()) return session.Fail(*error);
  }
  return body(session);
}

}  // namespace esd::cmd
