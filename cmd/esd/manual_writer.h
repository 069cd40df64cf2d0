// Two forms of the manual: a man page and Markdown. Text is given plain; `code` in backticks.
#ifndef ESD_CMD_ESD_MANUAL_WRITER_H_
#define ESD_CMD_ESD_MANUAL_WRITER_H_

#include <ostream>
#include <string>
#include <vector>

namespace esd::cmd {

class ManualWriter {
 public:
  virtual ~ManualWriter() = default;

  virtual void Begin(const std::string& name, const std::string& version) = 0;
  virtual void Section(const std::string& title) = 0;
  virtual void Subsection(const std::string& title) = 0;
  virtual void Paragraph(const std::string& text) = 0;
  virtual void Code(const std::vector<std::string>& lines) = 0;
  // A flag, variable or file, what stands behind it (or nothing), and what it is.
  virtual void Item(const std::string& term, const std::string& value, const std::string& text) = 0;
};

// roff with the man macros, for man(1).
class RoffWriter final : public ManualWriter {
 public:
  explicit RoffWriter(std::ostream& out) : out_(out) {}
  void Begin(const std::string& name, const std::string& version) override;
  void Section(const std::string& title) override;
  void Subsection(const std::string& title) override;
  void Paragraph(const std::string& text) override;
  void Code(const std::vector<std::string>& lines) override;
  void Item(const std::string& term, const std::string& value, const std::string& text) override;

 private:
  std::ostream& out_;
};

class MarkdownWriter final : public ManualWriter {
 public:
  explicit MarkdownWriter(std::ostream& out) : out_(out) {}
  void Begin(const std::string& name, const std::string& version) override;
  void Section(const std::string& title) override;
  void Subsection(const std::string& title) override;
  void Paragraph(const std::string& text) override;
  void Code(const std::vector<std::string>& lines) override;
  void Item(const std::string& term, const std::string& value, const std::string& text) override;

 private:
  void EndItems();

  std::ostream& out_;
  bool in_items_ = false;
};

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_MANUAL_WRITER_H_
