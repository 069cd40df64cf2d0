// What was measured, and how it is shown.
#ifndef ESD_BENCH_REPORT_H_
#define ESD_BENCH_REPORT_H_

#include <string>
#include <vector>

namespace esd::bench {

struct Figure {
  std::string id;     // for programs: commands_per_s
  std::string label;  // for people, with the unit
  double value = 0;
  int decimals = 0;      // that are worth showing
  bool compared = true;  // a ratio means something
};

struct Run {
  std::string contender;
  std::vector<Figure> figures;

  void Add(const std::string& id, const std::string& label, double value, int decimals,
           bool compared = true) {
    figures.push_back({id, label, value, decimals, compared});
  }
};

// Nearest rank; `sorted` isn't empty.
double Percentile(const std::vector<double>& sorted, double percent);

// Both show the median of a contender's runs for each figure and, for a figure that two contenders
// have, the ratio of the first's to the second's. The table has a heading wherever the contenders
// change, and shows each single run below the median if there are several; the JSON always holds
// them. `setup`: how it was measured, name and value.
using Setup = std::vector<std::pair<std::string, std::string>>;
std::string FormatTable(const Setup& setup, const std::vector<Run>& runs);
std::string FormatJson(const Setup& setup, const std::vector<Run>& runs);

}  // namespace esd::bench

#endif  // ESD_BENCH_REPORT_H_
