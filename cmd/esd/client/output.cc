#include "cmd/esd/client/output.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "cmd/esd/client/printable.h"

namespace esd::cmd {
namespace {

const char* EscapeOf(Style style) {
  switch (style) {
    case Style::kBold:
      return "\x1b[1m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kPlain:
      break;
  }
  return "";
}

}  // namespace

std::string Styled(const std::string& text, Style style, bool colour) {
  if (!colour || style == Style::kPlain || text.empty()) return text;
  return absl::StrCat(EscapeOf(style), text, "\x1b[0m");
}

Table::Table(std::ostream& out, bool colour, std::vector<std::string> header)
    : out_(out), colour_(colour) {
  for (std::string& name : header) {
    widths_.push_back(Width(name));
    header_.emplace_back(std::move(name), Style::kBold);
  }
}

void Table::Add(std::vector<Cell> row) {
  for (size_t i = 0; i < row.size(); ++i) {
    row[i].text = Printable(row[i].text);
    widths_[i] = std::max(widths_[i], Width(row[i].text));
  }
  pending_.push_back(std::move(row));
  ++count_;
}

void Table::Flush() {
  if (!pending_.empty() && !std::exchange(header_written_, true)) Write(header_);
  for (const auto& row : pending_) Write(row);
  pending_.clear();
  out_.flush();
}

void Table::Write(const std::vector<Cell>& row) {
  // The last cell isn't filled up, nor are empty ones before the end: no blanks at a line's end.
  size_t cells = row.size();
  while (cells > 0 && row[cells - 1].text.empty()) --cells;
  for (size_t i = 0; i < cells; ++i) {
    out_ << Styled(row[i].text, row[i].style, colour_);
    if (i + 1 < cells) out_ << std::string(widths_[i] - Width(row[i].text) + 2, ' ');
  }
  out_ << '\n';
}

}  // namespace esd::cmd
