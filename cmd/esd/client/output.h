// What the client commands write to stdout: tables for people, JSON lines for programs.
#ifndef ESD_CMD_ESD_CLIENT_OUTPUT_H_
#define ESD_CMD_ESD_CLIENT_OUTPUT_H_

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace esd::cmd {

enum class Style { kPlain, kBold, kGood, kBad, kDim };

// Writes text in a style where `colour` is; the text must be printable.
std::string Styled(const std::string& text, Style style, bool colour);

struct Cell {
  Cell(std::string cell_text, Style cell_style = Style::kPlain)  // NOLINT: cells are written down
      : text(std::move(cell_text)), style(cell_style) {}
  Cell(const char* cell_text) : text(cell_text) {}  // NOLINT: likewise
  std::string text;                                 // any bytes: the table makes them printable
  Style style = Style::kPlain;
};

// Columns that are as wide as what is in them. May be written in pieces: the header comes once, and
// columns only grow. Nothing is written, no header either, when there are no rows.
class Table {
 public:
  Table(std::ostream& out, bool colour, std::vector<std::string> header);

  void Add(std::vector<Cell> row);  // as many cells as the header has
  // Writes the rows so far.
  void Flush();
  // How many there have been.
  size_t rows() const { return count_; }

 private:
  void Write(const std::vector<Cell>& row);

  std::ostream& out_;
  const bool colour_;
  std::vector<Cell> header_;
  std::vector<size_t> widths_;
  std::vector<std::vector<Cell>> pending_;
  size_t count_ = 0;
  bool header_written_ = false;
};

}  // namespace esd::cmd

#endif  // ESD_CMD_ESD_CLIENT_OUTPUT_H_
