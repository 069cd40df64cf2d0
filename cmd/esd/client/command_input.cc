#include "cmd/esd/client/command_input.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <poll.h>
#include <simdjson.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>

#include "engine/base/json_string.h"
#include "engine/base/string_view.h"

namespace esd::cmd {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr size_t kReadBytes = 64 << 10;
constexpr char kForm[] =
    R"(a command is {"type":"…","command":{…}}, which may also have "id" and "expectedVersion")";

bool IsReadable(int fd) {
  pollfd readable{fd, POLLIN, 0};
  return poll(&readable, 1, 0) > 0;
}

absl::Status Broken(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(ToAbsl(what), ": ", kForm));
}

// One member of the envelope.
absl::Status ReadMember(std::string_view name, ondemand::value value,
                        esd::v1::SubmitCommandRequest* request) {
  std::string_view text;
  if (name == "type") {
    if (value.get_string().get(text)) return Broken("\"type\" must be a string");
    request->set_command_type(std::string(text));
  } else if (name == "id") {
    if (value.get_string().get(text)) return Broken("\"id\" must be a string");
    request->set_command_id(std::string(text));
  } else if (name == "expectedVersion") {
    int64_t version = 0;
    if (value.get_int64().get(version)) return Broken("\"expectedVersion\" must be a whole number");
    request->set_expected_version(version);
  } else if (name == "command") {
    ondemand::object object;
    if (value.get_object().get(object) || object.raw_json().get(text))
      return Broken("\"command\" must be an object");
    // The text runs up to the next member.
    request->mutable_payload()->set_json(
        std::string(absl::StripTrailingAsciiWhitespace(ToAbsl(text))));
  } else {
    return Broken(absl::StrCat("there is no member ", JsonString(name)));
  }
  return absl::OkStatus();
}

absl::Status ReadEnvelope(std::string_view text, esd::v1::SubmitCommandRequest* request) {
  ondemand::parser parser;
  const simdjson::padded_string padded(text);
  ondemand::document document;
  ondemand::object envelope;
  if (parser.iterate(padded).get(document) || document.get_object().get(envelope))
    return Broken("this isn't a JSON object");
  std::set<std::string> names;
  for (auto field : envelope) {
    std::string_view name;
    ondemand::value value;
    if (field.unescaped_key().get(name)) return Broken("this isn't JSON");
    const std::string key(name);
    if (field.value().get(value)) return Broken("this isn't JSON");
    if (!names.insert(key).second)
      return Broken(absl::StrCat(JsonString(key), " is there more than once"));
    if (absl::Status status = ReadMember(key, value, request); !status.ok()) return status;
  }
  // At the end there is no location.
  if (const char* rest = nullptr; !document.current_location().get(rest))
    return Broken("there is something behind the JSON object");
  if (names.count("type") == 0) return Broken("\"type\" is missing");
  if (names.count("command") == 0) return Broken("\"command\" is missing");
  return absl::OkStatus();
}

}  // namespace

LineReader::Result LineReader::Next(bool wait, InputLine* line) {
  while (true) {
    while (Cut(line)) {
      if (line->too_long || !absl::StripAsciiWhitespace(line->text).empty()) return Result::kLine;
    }
    if (ended_) return failed_ ? Result::kFailed : Result::kEnd;
    if (wait ? !WaitForMore() : !IsReadable(fd_)) return Result::kNotYet;
    ended_ = !Fill();
  }
}

bool LineReader::WaitForMore() const {
  pollfd fds[] = {{fd_, POLLIN, 0}, {end_fd_, POLLIN, 0}};
  // What else poll() may fail with, and what isn't open, is for read() to tell.
  while (fd_ >= 0 && poll(fds, 2, -1) < 0 && errno == EINTR) {
  }
  return fds[1].revents == 0;
}

bool LineReader::Cut(InputLine* line) {
  const size_t end = buffer_.find('\n', scanned_);
  const bool complete = end != std::string::npos;
  const size_t length = (complete ? end : buffer_.size()) - begin_;
  if (length > max_bytes_) skipping_ = true;
  // The last line may lack its end.
  if (!complete && !(ended_ && (length > 0 || skipping_))) {
    scanned_ = buffer_.size();
    if (skipping_) begin_ = scanned_;  // what is too long isn't kept
    return false;
  }
  line->number = ++number_;
  line->too_long = std::exchange(skipping_, false);
  line->text = line->too_long ? "" : buffer_.substr(begin_, length);
  if (!line->text.empty() && line->text.back() == '\r') line->text.pop_back();
  begin_ = scanned_ = complete ? end + 1 : buffer_.size();
  return true;
}

bool LineReader::Fill() {
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  const size_t size = buffer_.size();
  buffer_.resize(size + kReadBytes);
  ssize_t count = 0;
  do {
    count = read(fd_, buffer_.data() + size, kReadBytes);
  } while (count < 0 && errno == EINTR);
  failed_ = count < 0;
  buffer_.resize(size + (count > 0 ? static_cast<size_t>(count) : 0));
  return count > 0;
}

absl::StatusOr<esd::v1::SubmitCommandRequest> ParseCommand(std::string_view text,
                                                           const std::string& domain,
                                                           const std::string& type) {
  esd::v1::SubmitCommandRequest request;
  request.set_domain(domain);
  if (!simdjson::validate_utf8(text.data(), text.size())) return Broken("this isn't UTF-8");
  if (type.empty()) {
    if (absl::Status status = ReadEnvelope(text, &request); !status.ok()) return status;
  } else {
    request.set_command_type(type);
    request.mutable_payload()->set_json(std::string(text));
  }
  return request;
}

}  // namespace esd::cmd
