#include "bench/report.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace esd::bench {
namespace {

constexpr int kLabelWidth = 56;
constexpr int kValueWidth = 24;

// All runs of one figure.
struct Row {
  Figure figure;
  std::map<std::string, std::vector<double>> values;  // by contender, in the order of the runs

  std::optional<double> Median(const std::string& contender) const {
    const auto it = values.find(contender);
    if (it == values.end()) return std::nullopt;
    std::vector<double> sorted = it->second;
    std::sort(sorted.begin(), sorted.end());
    return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
  }
};

// In the order of their first appearance.
std::vector<std::string> ContendersOf(const std::vector<Run>& runs) {
  std::vector<std::string> names;
  for (const Run& run : runs) {
    if (std::find(names.begin(), names.end(), run.contender) == names.end())
      names.push_back(run.contender);
  }
  return names;
}

std::vector<Row> RowsOf(const std::vector<Run>& runs) {
  std::vector<Row> rows;
  for (const Run& run : runs) {
    for (const Figure& figure : run.figures) {
      auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& candidate) {
        return candidate.figure.id == figure.id;
      });
      if (row == rows.end()) row = rows.insert(rows.end(), Row{figure, {}});
      row->values[run.contender].push_back(figure.value);
    }
  }
  return rows;
}

std::vector<std::string> ContendersOf(const Row& row, const std::vector<std::string>& all) {
  std::vector<std::string> names;
  for (const std::string& name : all) {
    if (row.values.count(name) != 0) names.push_back(name);
  }
  return names;
}

std::optional<double> RatioOf(const Row& row, const std::vector<std::string>& all) {
  const std::vector<std::string> contenders = ContendersOf(row, all);
  if (!row.figure.compared || contenders.size() != 2) return std::nullopt;
  const double second = *row.Median(contenders[1]);
  if (second == 0) return std::nullopt;
  return *row.Median(contenders[0]) / second;
}

// 1234567 as 1,234,567.
std::string Readable(double value, int decimals) {
  std::string text = absl::StrFormat("%.*f", decimals, value);
  const size_t point = text.find('.');
  const size_t whole = point == std::string::npos ? text.size() : point;
  for (size_t at = whole; at > 3 && text[at - 4] != '-'; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string Json(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.6g", value) : "null";
}

// No quote, backslash or control character is in any text of ours.
std::string Quoted(const std::string& text) { return absl::StrCat("\"", text, "\""); }

std::string JsonOf(const Row& row, const std::vector<std::string>& contenders) {
  std::vector<std::string> fields = {"\"id\":" + Quoted(row.figure.id),
                                     "\"label\":" + Quoted(row.figure.label)};
  for (const auto& [contender, values] : row.values) {
    const std::string runs = absl::StrJoin(
        values, ",", [](std::string* out, double value) { absl::StrAppend(out, Json(value)); });
    fields.push_back(absl::StrCat(Quoted(contender), ":{\"median\":", Json(*row.Median(contender)),
                                  ",\"runs\":[", runs, "]}"));
  }
  if (const auto ratio = RatioOf(row, contenders)) fields.push_back("\"ratio\":" + Json(*ratio));
  return absl::StrCat("{", absl::StrJoin(fields, ","), "}");
}

void AppendHeading(const std::vector<std::string>& contenders, std::string* out) {
  absl::StrAppendFormat(out, "\n%-*s", kLabelWidth, "");
  for (const std::string& contender : contenders)
    absl::StrAppendFormat(out, "%*s", kValueWidth, contender);
  absl::StrAppend(out, contenders.size() == 2 ? "   ratio\n" : "\n");
}

void AppendRow(const Row& row, const std::vector<std::string>& contenders, std::string* out) {
  absl::StrAppendFormat(out, "%-*s", kLabelWidth, row.figure.label);
  std::string all;
  for (const std::string& contender : contenders) {
    const auto median = row.Median(contender);
    absl::StrAppendFormat(out, "%*s", kValueWidth,
                          median ? Readable(*median, row.figure.decimals) : "-");
    if (!median || row.values.at(contender).size() == 1) continue;
    const std::string each =
        absl::StrJoin(row.values.at(contender), " ", [&](std::string* text, double value) {
          absl::StrAppend(text, Readable(value, row.figure.decimals));
        });
    absl::StrAppend(&all, "    ", contender, ": ", each, "\n");
  }
  if (const auto ratio = RatioOf(row, contenders)) absl::StrAppendFormat(out, "%8.2f", *ratio);
  absl::StrAppend(out, "\n", all);
}

}  // namespace

double Percentile(const std::vector<double>& sorted, double percent) {
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(1.0, rank)) - 1];
}

std::string FormatTable(const Setup& setup, const std::vector<Run>& runs) {
  const std::vector<std::string> contenders = ContendersOf(runs);
  std::string out;
  for (const auto& [name, value] : setup) absl::StrAppend(&out, name, ": ", value, "\n");
  std::vector<std::string> heading;
  for (const Row& row : RowsOf(runs)) {
    // A figure that only one of them has stands below their heading.
    const bool stays = std::all_of(row.values.begin(), row.values.end(), [&](const auto& values) {
      return std::find(heading.begin(), heading.end(), values.first) != heading.end();
    });
    if (!stays) {
      heading = ContendersOf(row, contenders);
      AppendHeading(heading, &out);
    }
    AppendRow(row, heading, &out);
  }
  return out;
}

std::string FormatJson(const Setup& setup, const std::vector<Run>& runs) {
  const std::vector<std::string> contenders = ContendersOf(runs);
  std::vector<std::string> facts, figures;
  for (const auto& [name, value] : setup) facts.push_back(Quoted(name) + ":" + Quoted(value));
  for (const Row& row : RowsOf(runs)) figures.push_back(JsonOf(row, contenders));
  return absl::StrCat("{\"setup\":{", absl::StrJoin(facts, ","), "},\"figures\":[\n",
                      absl::StrJoin(figures, ",\n"), "]}\n");
}

}  // namespace esd::bench
