// One run of a client command: its settings, its connection, its output.
#ifndef ESD_CMD_ESD_CLIENT_SESSION_H_
#define ESD_CMD_ESD_CLIENT_SESSION_H_

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cmd/esd/client/call_error.h"
#include "cmd/esd/client/client.h"
#include "cmd/esd/client/output.h"
#include "cmd/esd/command_line.h"
#include "cmd/esd/options.h"

namespace esd::cmd {

// The name that heads the options of the connection in help and manual.
inline constexpr char kConnectionGroup[] = "Connection";

class Session {
 public:
  Session(const Process& process, const CLI::App& app, const ConnectionOptions& options, bool json,
          std::string domain);

  const Client& client() const { return client_; }
  const Process& process() const { return process_; }
  bool json() const { return json_; }
  // Whether stdout takes colour.
  bool colour() const { return colour_; }

  // The domain to work on: --domain, or the only one that the server has.
  std::optional<CallError> ResolveDomain();
  const std::string& domain() const { return domain_; }

  Table MakeTable(std::vector<std::string> header) const;
  // Writes a line of JSON.
  void Line(const std::string& json) const;
  // Writes a line to stderr.
  void Note(const std::string& text) const;

  // Says on stderr what went wrong; returns the exit code.
  int Fail(const CallError& error) const;
  int Fail(const std::string& text) const;
  int Usage(const std::string& text) const;

 private:
  const Process& process_;
  const CLI::App& app_;
  const bool json_;
  const bool colour_;
  std::string domain_;
  const Client client_;
};

// What client commands take: the options of the connection, --domain, -o.
class ClientOptions {
 public:
  enum class Domain {
    kNone,
    kFilter,  // --domain, all unless told
    kOne,     // --domain, the only one unless told
  };
  // Adds them to `app`. `timeout` is the default of --timeout, "" for the usual one.
  ClientOptions(CLI::App& app, const Process& process, Domain domain,
                const std::string& timeout = "");

  // Runs the command: `body` gets a session whose domain is resolved if the command takes one.
  int Run(const std::function<int(Session&)>& body) const;

 private:
  CLI::App* const app_;
  const Process& process_;
  const Domain domain_;
  std::unique_ptr<OptionSet> options_;
  bool json_ = false;
};

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_SESSION_H_
