#include "cmd/esd/manual_writer.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <utility>

namespace esd::cmd {
namespace {

// So that roff shows each character as it is, a hyphen as one that can be copied.
std::string RoffEscaped(const std::string& text) {
  return absl::StrReplaceAll(
      text,
      {{"\\", "\\e"}, {"-", "\\-"}, {"'", "\\(aq"}, {"`", "\\(ga"}, {"…", "..."}, {"’", "\\(aq"}});
}

// A line of text: one that begins with a dot or a quote would be a request.
std::string RoffLine(const std::string& text) {
  std::string line = RoffEscaped(text);
  return !line.empty() && (line[0] == '.' || line[0] == '\'') ? "\\&" + line : line;
}

// Text with `code` in bold.
std::string RoffText(const std::string& text) {
  std::string formatted;
  bool code = false;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = text.find('`', begin);
    formatted += RoffEscaped(text.substr(begin, end - begin));
    if (end == std::string::npos) break;
    code = !code;
    formatted += code ? "\\fB" : "\\fR";
    begin = end + 1;
  }
  return !formatted.empty() && formatted[0] == '.' ? "\\&" + formatted : formatted;
}

// Outside of backticks, what Markdown would take for markup.
std::string MarkdownText(const std::string& text) {
  std::string escaped;
  bool code = false;
  for (const char c : text) {
    if (c == '`') code = !code;
    if (!code && (c == '<' || c == '*' || c == '|')) escaped.push_back('\\');
    escaped.push_back(c);
  }
  return escaped;
}

}  // namespace

void RoffWriter::Begin(const std::string& name, const std::string& version) {
  out_ << ".TH " << absl::AsciiStrToUpper(name) << " 1 \"\" \"" << RoffEscaped(version)
       << "\" \"User Commands\"\n";
  // No hyphens in words, no justified lines: flags and paths stay what they are.
  out_ << ".nh\n.ad l\n";
}

void RoffWriter::Section(const std::string& title) {
  out_ << ".SH " << absl::AsciiStrToUpper(RoffEscaped(title)) << "\n";
}

void RoffWriter::Subsection(const std::string& title) {
  out_ << ".SS \"" << absl::StrReplaceAll(RoffEscaped(title), {{"\"", "\\(dq"}}) << "\"\n";
}

void RoffWriter::Paragraph(const std::string& text) { out_ << ".PP\n" << RoffText(text) << "\n"; }

void RoffWriter::Code(const std::vector<std::string>& lines) {
  out_ << ".PP\n.RS 4\n.nf\n";
  for (const std::string& line : lines) out_ << RoffLine(line) << "\n";
  out_ << ".fi\n.RE\n";
}

void RoffWriter::Item(const std::string& term, const std::string& value, const std::string& text) {
  out_ << ".TP\n\\fB" << RoffEscaped(term) << "\\fR";
  if (!value.empty()) out_ << " \\fI" << RoffEscaped(value) << "\\fR";
  out_ << "\n" << RoffText(text) << "\n";
}

void MarkdownWriter::EndItems() {
  if (std::exchange(in_items_, false)) out_ << "\n";
}

void MarkdownWriter::Begin(const std::string& name, const std::string&) {
  out_ << "# " << name << ": the command line\n\n"
       << "<!-- Written by `esd man --markdown`, and held against it by a test. To change it, "
          "change the command's text, then: build/release/bin/esd man --markdown > docs/cli.md "
          "-->\n\n";
}

void MarkdownWriter::Section(const std::string& title) {
  EndItems();
  out_ << "## " << title << "\n\n";
}

void MarkdownWriter::Subsection(const std::string& title) {
  EndItems();
  out_ << "### `" << title << "`\n\n";
}

void MarkdownWriter::Paragraph(const std::string& text) {
  EndItems();
  out_ << MarkdownText(text) << "\n\n";
}

void MarkdownWriter::Code(const std::vector<std::string>& lines) {
  EndItems();
  out_ << "```text\n";
  for (const std::string& line : lines) out_ << line << "\n";
  out_ << "```\n\n";
}

void MarkdownWriter::Item(const std::string& term, const std::string& value,
                          const std::string& text) {
  in_items_ = true;
  out_ << "- `" << term << (value.empty() ? "" : " ") << value << "`: " << MarkdownText(text)
       << "\n";
}

}  // namespace esd::cmd
