// Small SVG pieces for the report: a plot area with axes, lines, points and labels that never cover each other or a dot
// (those that find no place stand in a legend below), and heat maps. Colours are CSS variables of the page, so one
// drawing serves light and dark. Every text that enters is escaped. Units: the viewBox's; drawings are 460 wide so that
// their text stays readable on a phone.
#pragma once

#include <string>
#include <vector>

namespace fathom::eval {

std::string escape_html(const std::string& text);  // & < > " '; as plain_text() besides

inline constexpr double kChartWidth = 460;

struct Series {
  std::string name;                               // label on the drawing
  std::string colour;                             // CSS value
  std::vector<std::pair<double, double>> line;    // drawn in order; may be empty
  std::vector<std::pair<double, double>> points;  // drawn as dots; the calibrated settings
  bool strong = false;                            // the series the chart is about
};

enum class Ticks { plain, percent, macs };

struct Plot {
  std::string id;                       // unique on the page
  std::string title, x_label, y_label;  // title is read by screen readers
  Ticks x_ticks = Ticks::plain, y_ticks = Ticks::percent;
  double y_low = 0, y_high = 0;  // equal: from the data
  std::vector<Series> series;
};
std::string plot_svg(const Plot& plot);

// Bars, one a value, with an optional outline of other values over them (same scale).
struct Bars {
  std::string title, x_label, y_label;
  std::vector<double> values, outline;  // shares
  int first = 1;                        // number under the first bar
};
std::string bars_svg(const Bars& bars);

// Rows of cells shaded by value in [0, 1]; first row at the bottom. `diagonal`: outlines the cells where row = column.
struct Heat {
  std::string title, x_label, y_label;
  std::vector<std::string> rows;            // labels, bottom row first
  std::vector<std::vector<double>> values;  // [rows][columns]
  int first_column = 1;
  bool diagonal = false;
  bool numbers = false;  // write whole percents into the cells
};
std::string heat_svg(const Heat& heat);

}  // namespace fathom::eval
