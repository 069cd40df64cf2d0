#include "cmd/esd/client/command_lines.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "cmd/esd/client/command_input.h"
#include "cmd/esd/client/command_result.h"
#include "cmd/esd/client/stream_guard.h"

namespace esd::cmd {
namespace {

// A command has at most 1 MiB, and JSON may need six bytes for one.
constexpr size_t kMaxLineBytes = 7 << 20;
// The server takes calls of up to 16 MiB.
constexpr size_t kMaxBatchBytes = 8 << 20;
constexpr char kBrokenLine[] = "BROKEN_LINE";
constexpr absl::Duration kProgressInterval = absl::Milliseconds(200);

struct Line {
  int64_t number = 0;
  CommandResult result;
};

CallError BrokenLine(const std::string& what) {
  CallError error;
  error.code = absl::StatusCode::kInvalidArgument;
  error.reason = kBrokenLine;
  error.domain = "esd";
  error.message = what;
  return error;
}

// One run over stdin.
class LineSender {
 public:
  LineSender(const Session& session, const SendLinesOptions& options)
      : session_(session),
        options_(options),
        reader_(session.process().in, kMaxLineBytes, guard_.ended_fd()),
        sender_(session.client(), &guard_),
        table_(session.MakeTable({"LINE", "RESULT", "VERSION", "WHAT"})) {}

  int Run();

 private:
  // Reads the lines of the next batch: what is there, at least one. A broken line is its last.
  void ReadBatch();
  void SendBatch();
  void Report();
  std::vector<Cell> RowOf(const Line& line) const;
  void ShowProgress(bool last);
  std::string Sum() const;
  // From where on nothing was sent.
  int64_t FirstUnsent() const;
  int End();
  // Whether the user didn't wait for the answer of a line of this batch.
  bool AnyGivenUp() const;
  int EndInterrupted();

  const Session& session_;
  const SendLinesOptions& options_;
  StreamGuard guard_;
  LineReader reader_;
  BatchSender sender_;
  Table table_;
  const absl::Time begin_ = absl::Now();
  absl::Time progress_shown_ = absl::InfinitePast();

  std::vector<Line> lines_;                              // of this batch
  std::vector<esd::v1::SubmitCommandRequest> commands_;  // of its lines but a broken last one
  LineReader::Result read_ = LineReader::Result::kLine;
  int read_errno_ = 0;

  std::array<int64_t, 4> counts_{};  // by ResultKind
  int64_t answered_ = 0;
  int64_t first_failed_ = 0;  // line; 0: none
  int64_t last_done_ = 0;     // line, of the batches before this one
};

void LineSender::ReadBatch() {
  lines_.clear();
  commands_.clear();
  size_t bytes = 0;
  while (lines_.size() < options_.batch_size && bytes < kMaxBatchBytes) {
    InputLine input;
    read_ = reader_.Next(lines_.empty(), &input);
    read_errno_ = errno;
    if (read_ != LineReader::Result::kLine) return;
    bytes += input.text.size();
    lines_.push_back({input.number, {}});
    auto command = input.too_long ? absl::InvalidArgumentError(absl::StrCat(
                                        "the line has more than ", kMaxLineBytes, " bytes"))
                                  : ParseCommand(input.text, session_.domain(), options_.type);
    if (!command.ok()) {
      lines_.back().result.error = BrokenLine(std::string(command.status().message()));
      return;
    }
    commands_.push_back(*std::move(command));
  }
}

void LineSender::SendBatch() {
  if (commands_.empty()) return;
  std::vector<CommandResult> results = sender_.Send(commands_);
  for (size_t i = 0; i < results.size(); ++i) lines_[i].result = std::move(results[i]);
}

std::vector<Cell> LineSender::RowOf(const Line& line) const {
  const ResultKind kind = KindOf(line.result);
  Cell name(NameOf(kind), kind == ResultKind::kAccepted ? Style::kGood : Style::kBad);
  if (line.result.error) {
    return {absl::StrCat(line.number), std::move(name), "",
            session_.client().Describe(*line.result.error)};
  }
  const esd::v1::Outcome& outcome = line.result.response.outcome();
  const auto type = [](std::string* out, const esd::v1::Event& event) {
    out->append(event.type());
  };
  std::string what = outcome.events().empty()
                         ? "nothing changed"
                         : absl::StrCat(absl::StrJoin(outcome.events(), ", ", type), " of ",
                                        outcome.events(0).aggregate_key());
  if (line.result.response.replayed()) absl::StrAppend(&what, " (sent before)");
  return {absl::StrCat(line.number), std::move(name),
          outcome.has_version() ? absl::StrCat(outcome.version()) : "-", std::move(what)};
}

void LineSender::Report() {
  for (const Line& line : lines_) {
    if (line.result.given_up) continue;
    ++answered_;
    ++counts_[static_cast<size_t>(KindOf(line.result))];
    if (line.result.error && first_failed_ == 0) first_failed_ = line.number;
    if (session_.json()) {
      session_.Line(absl::StrCat("{\"line\":", line.number, ",", ResultMembers(line.result), "}"));
    } else {
      table_.Add(RowOf(line));
    }
  }
  table_.Flush();
}

std::string LineSender::Sum() const {
  std::string sum;
  for (const ResultKind kind :
       {ResultKind::kAccepted, ResultKind::kRejected, ResultKind::kFailed, ResultKind::kUnknown}) {
    const int64_t count = counts_[static_cast<size_t>(kind)];
    if (count > 0 || kind == ResultKind::kAccepted)
      absl::StrAppend(&sum, sum.empty() ? ": " : ", ", count, " ", NameOf(kind));
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin_);
  return absl::StrFormat("%d commands%s; %.1f s, %.0f/s", answered_, sum, seconds,
                         seconds > 0 ? static_cast<double>(answered_) / seconds : 0.0);
}

// On a terminal that doesn't scroll with results.
void LineSender::ShowProgress(bool last) {
  const Terminals& terminals = session_.process().terminals;
  if (!terminals.err || terminals.out) return;
  if (!last && absl::Now() - progress_shown_ < kProgressInterval) return;
  progress_shown_ = absl::Now();
  session_.process().err << "\r\x1b[K" << (last ? "" : Sum()) << std::flush;
}

int64_t LineSender::FirstUnsent() const {
  int64_t first = lines_.back().number + 1;
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
    if (line->result.error && line->result.error->reason == kBrokenLine) continue;
    if (!line->result.error || !line->result.error->Refused()) break;
    first = line->number;
  }
  return first;
}

int LineSender::End() {
  ShowProgress(true);
  session_.Note(Sum());
  if (read_ == LineReader::Result::kFailed)
    return session_.Fail(absl::StrCat("can't read stdin: ", std::strerror(read_errno_)));
  if (first_failed_ == 0) return kExitOk;
  const int64_t next = lines_.empty() ? 0 : FirstUnsent();
  if (read_ == LineReader::Result::kEnd && (lines_.empty() || next > lines_.back().number))
    return session_.Fail(absl::StrCat("the first line that failed is line ", first_failed_));
  if (next <= first_failed_) {
    return session_.Fail(absl::StrCat("stopped: line ", next,
                                      " and those behind it were not sent; go on with: tail -n +",
                                      next, " FILE | esd command send -"));
  }
  const std::string with_it =
      next == first_failed_ + 1
          ? ""
          : absl::StrCat(", and the lines up to ", next - 1,
                         " were sent with it (--batch-size 1 stops at the line itself)");
  return session_.Fail(absl::StrCat("stopped: line ", first_failed_, " failed", with_it,
                                    "; go on behind with: tail -n +", next,
                                    " FILE | esd command send -, or use --keep-going"));
}

bool LineSender::AnyGivenUp() const {
  return std::any_of(lines_.begin(), lines_.end(),
                     [](const Line& line) { return line.result.given_up; });
}

int LineSender::EndInterrupted() {
  ShowProgress(true);
  session_.Note(Sum());
  int64_t next = last_done_ + 1;
  std::string rest = "nothing behind them was sent";
  if (AnyGivenUp()) {
    for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
      if (line->result.given_up) next = line->number;
    }
    rest = absl::StrCat("of lines ", next, " to ", lines_.back().number,
                        ", those without a result may have been processed or not, and nothing "
                        "behind them was sent");
  }
  if (first_failed_ != 0) absl::StrAppend(&rest, "; the first that failed is line ", first_failed_);
  session_.Fail(absl::StrCat(
      guard_.reader_gone() ? "stopped, nobody reads stdout any more: " : "interrupted: ", answered_,
      " lines were answered, ", rest, "; go on with: tail -n +", next,
      " FILE | esd command send - (a line with an \"id\" has its effect once, however often it "
      "is sent)"));
  return kExitSignal + guard_.signal();
}

int LineSender::Run() {
  while (true) {
    ReadBatch();
    const bool all_read = read_ == LineReader::Result::kEnd || read_ == LineReader::Result::kFailed;
    if (guard_.ended() && !(lines_.empty() && all_read)) {
      lines_.clear();  // they were read, not sent
      return EndInterrupted();
    }
    if (!lines_.empty()) {
      SendBatch();
      Report();
      if (AnyGivenUp()) return EndInterrupted();
      last_done_ = lines_.back().number;
      // Without a server there is nothing to go on with.
      if (first_failed_ != 0 && (!options_.keep_going || sender_.unreachable())) {
        // So that a failure in the last batch of all isn't called a stop.
        InputLine next;
        if (read_ == LineReader::Result::kNotYet || read_ == LineReader::Result::kLine)
          read_ = reader_.Next(false, &next);
        return End();
      }
    }
    if (all_read) return End();
    ShowProgress(false);
    session_.process().out.flush();
  }
}

}  // namespace

int SendLines(const Session& session, const SendLinesOptions& options) {
  return LineSender(session, options).Run();
}

}  // namespace esd::cmd
