#include "eval/svg.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "eval/format.h"

namespace fathom::eval {
namespace {

using XY = std::pair<double, double>;

constexpr double kLetter = 6.6;  // average width of a letter at the chart's 12 units of text

std::string n(double value) {  // short coordinates; what is far off the page stays countable
  constexpr double kFar = 1e5;
  value = std::isnan(value) ? 0 : std::clamp(value, -kFar, kFar);
  std::string text = fixed(value, 1);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

// Letters of a UTF-8 text.
double letters(const std::string& text) {
  double count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

std::string text_at(double x, double y, const std::string& text, const char* anchor, const std::string& more = "") {
  return "<text x=\"" + n(x) + "\" y=\"" + n(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" + escape_html(text) +
         "</text>\n";
}

std::string line_at(double x1, double y1, double x2, double y2, const char* kind) {
  return "<line class=\"" + std::string(kind) + "\" x1=\"" + n(x1) + "\" y1=\"" + n(y1) + "\" x2=\"" + n(x2) +
         "\" y2=\"" + n(y2) + "\"/>\n";
}

std::string open_svg(double height, const std::string& title) {
  return "<svg viewBox=\"0 0 " + n(kChartWidth) + " " + n(height) + "\" role=\"img\" aria-label=\"" +
         escape_html(title) + "\">\n";
}

// Round numbers from low to high, about `most` of them.
std::vector<double> ticks_between(double low, double high, int most) {
  const double raw = (high - low) / most;
  if (!(raw > 0) || !std::isfinite(raw)) return {low};
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = power * 10;
  for (const double m : {5.0, 2.5, 2.0, 1.0})
    if (power * m >= raw) step = power * m;
  // Counted, not added up: a step below the last bit of `low` would never arrive at `high`.
  const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
  if (!std::isfinite(first) || !std::isfinite(last) || last < first) return {low};
  std::vector<double> ticks;
  const int count = static_cast<int>(std::min(last - first, 2.0 * most)) + 1;
  for (int i = 0; i < count; ++i) ticks.push_back((first + i) * step);
  return ticks;
}

// As many digits as the step between ticks needs: 0.25 -> 2.
int digits_for(double step) {
  for (int digits = 0; digits < 4; ++digits) {
    const double scaled = step * std::pow(10.0, digits);
    if (scaled > 0.9999 && std::abs(scaled - std::round(scaled)) < 1e-6) return digits;
  }
  return 4;
}

std::string tick_text(double value, Ticks kind, double step) {
  if (std::abs(value) < step * 1e-6) value = 0;
  if (kind == Ticks::percent) return fixed(value * 100, digits_for(step * 100)) + "%";
  if (kind == Ticks::macs) {
    if (value == 0) return "0";
    for (const auto& [unit, scale] : {std::pair("G", 1e9), std::pair("M", 1e6), std::pair("K", 1e3)})
      if (value >= scale) return fixed(value / scale, std::min(2, digits_for(step / scale))) + " " + unit;
  }
  return fixed(value, digits_for(step));
}

struct Box {
  double x, y, width, height;
  bool holds(const XY& p) const { return p.first > x && p.first < x + width && p.second > y && p.second < y + height; }
  double shared(const Box& o) const {
    const double w = std::min(x + width, o.x + o.width) - std::max(x, o.x);
    const double h = std::min(y + height, o.y + o.height) - std::max(y, o.y);
    return w > 0 && h > 0 ? w * h : 0;
  }
};

// The plot's frame: where data land on the drawing.
struct Frame {
  double left = 52, top = 14, width = kChartWidth - 52 - 12, height = 250;
  double x_low = 0, x_high = 1, y_low = 0, y_high = 1;
  double x(double v) const { return left + (v - x_low) / (x_high - x_low) * width; }
  double y(double v) const { return top + height - (v - y_low) / (y_high - y_low) * height; }
  Box box() const { return {left, top, width, height}; }
};

Frame frame_of(const Plot& plot) {
  Frame frame;
  double x_high = 0, low = std::numeric_limits<double>::max(), high = -low;
  for (const Series& series : plot.series)
    for (const auto* list : {&series.line, &series.points})
      for (const XY& p : *list) {
        x_high = std::max(x_high, p.first);
        low = std::min(low, p.second);
        high = std::max(high, p.second);
      }
  frame.x_high = x_high > 0 ? x_high * 1.04 : 1;
  if (plot.y_high > plot.y_low) {
    low = plot.y_low;
    high = plot.y_high;
  }
  if (low > high) low = 0, high = 1;
  const double margin = std::max(1e-4, (high - low) * 0.05);
  frame.y_low = low - margin;
  frame.y_high = high + margin;
  return frame;
}

std::string axes(const Plot& plot, const Frame& f) {
  std::string out;
  const auto ys = ticks_between(f.y_low, f.y_high, 6), xs = ticks_between(f.x_low, f.x_high, 6);
  const auto step = [](const std::vector<double>& t) { return t.size() > 1 ? t[1] - t[0] : 1.0; };
  for (const double y : ys) {
    out += line_at(f.left, f.y(y), f.left + f.width, f.y(y), "grid");
    out += text_at(f.left - 6, f.y(y) + 4, tick_text(y, plot.y_ticks, step(ys)), "end", " class=\"tick\"");
  }
  for (const double x : xs)
    out += text_at(f.x(x), f.top + f.height + 17, tick_text(x, plot.x_ticks, step(xs)), "middle", " class=\"tick\"");
  out += line_at(f.left, f.top + f.height, f.left + f.width, f.top + f.height, "axis");
  out += text_at(f.left + f.width / 2, f.top + f.height + 35, plot.x_label, "middle");
  return out;
}

// The line's points on the drawing, densely enough to see whether a label would cover it.
std::vector<XY> dense(const std::vector<XY>& line, const Frame& f) {
  std::vector<XY> out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const XY b = {f.x(line[i].first), f.y(line[i].second)};
    if (i > 0) {
      const XY a = {f.x(line[i - 1].first), f.y(line[i - 1].second)};
      const double length = std::hypot(b.first - a.first, b.second - a.second);
      const int steps = 1 + static_cast<int>(std::min(length, 2000.0) / 5);
      for (int k = 1; k < steps; ++k)
        out.push_back({a.first + (b.first - a.first) * k / steps, a.second + (b.second - a.second) * k / steps});
    }
    out.push_back(b);
  }
  return out;
}

// A place for a label near its own line or dots that hides as little as possible: never another label or anybody's dot.
std::optional<Box> place_label(const std::string& text, const std::vector<XY>& own, const std::vector<XY>& lines,
                               const std::vector<XY>& dots, const std::vector<Box>& placed, const Frame& f) {
  const double width = kLetter * letters(text) + 4, height = 15;
  std::optional<Box> best;
  double least = std::numeric_limits<double>::max();
  for (const XY& at : own) {
    for (const auto& [dx, dy] : {XY{7, -7.5}, XY{-width - 7, -7.5}, XY{-width / 2, -21}, XY{-width / 2, 7}, XY{5, 4},
                                 XY{-width - 5, -18}, XY{5, -19}, XY{-width - 5, 4}}) {
      const Box box{at.first + dx, at.second + dy, width, height};
      const Box area = f.box(), round{box.x - 5, box.y - 5, box.width + 10, box.height + 10};
      if (box.x < area.x || box.x + width > area.x + area.width + 8 || box.y < area.y - 6 ||
          box.y + height > area.y + area.height)
        continue;
      if (std::any_of(placed.begin(), placed.end(), [&](const Box& other) { return box.shared(other) > 0; })) continue;
      if (std::any_of(dots.begin(), dots.end(), [&](const XY& dot) { return round.holds(dot); })) continue;
      double cost = 0;
      for (const XY& p : lines) cost += box.holds(p) ? 6 : 0;
      if (cost < least) least = cost, best = box;
    }
  }
  return best;
}

struct Legend {  // names that found no place on the drawing, in rows under it
  double top;
  double x = 0, rows = 0;
  std::string svg{};
  void add(const Series& series) {
    const double width = 14 + kLetter * letters(series.name) + 12;
    if (rows == 0 || x + width > kChartWidth) x = 0, rows += 1;
    const double y = top + 17 * (rows - 1);
    svg += "<circle class=\"dot\" style=\"color:" + series.colour + "\" cx=\"" + n(x + 5) + "\" cy=\"" + n(y + 7) +
           "\" r=\"4\"/>";
    svg += text_at(x + 13, y + 11.5, series.name, "start", " class=\"label\" style=\"fill:" + series.colour + "\"");
    x += width;
  }
};

// Which of many numbers under an axis are written, so that they do not touch: every first, second, third ...
std::size_t every(std::size_t count, double width) {
  const double needed = 7.0 * static_cast<double>(std::to_string(count).size()) + 5;
  return static_cast<std::size_t>(std::max(1.0, std::ceil(needed / std::max(width, 1.0))));
}

std::string series_svg(const Series& series, const Frame& f, const std::string& clip) {
  const bool strong = series.strong;
  std::string out = "<g style=\"color:" + series.colour + "\">";
  if (!series.line.empty()) {
    out += "<polyline class=\"line" + std::string(strong ? " strong" : "") + "\" clip-path=\"url(#" + clip +
           ")\" points=\"";
    for (const XY& p : series.line) out += n(f.x(p.first)) + "," + n(f.y(p.second)) + " ";
    out += "\"/>";
  }
  for (const XY& p : series.points) {
    if (p.second < f.y_low || p.second > f.y_high) continue;
    out += "<circle class=\"dot\" cx=\"" + n(f.x(p.first)) + "\" cy=\"" + n(f.y(p.second)) + "\" r=\"" +
           (strong ? "5.5" : "4") + "\"/>";
  }
  return out + "</g>\n";
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : plain_text(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string plot_svg(const Plot& plot) {
  const Frame f = frame_of(plot);
  const std::string clip = "clip-" + escape_html(plot.id);
  std::string drawing;
  std::vector<XY> lines, dots;
  for (const Series& series : plot.series) {
    drawing += series_svg(series, f, clip);
    const std::vector<XY> on_page = dense(series.line, f);
    lines.insert(lines.end(), on_page.begin(), on_page.end());
    for (const XY& p : series.points)
      if (p.second >= f.y_low && p.second <= f.y_high) dots.push_back({f.x(p.first), f.y(p.second)});
  }
  std::vector<Box> placed;
  Legend legend{f.top + f.height + 44};
  for (auto series = plot.series.rbegin(); series != plot.series.rend(); ++series) {  // the strongest is drawn last
    std::vector<XY> own = dense(series->line, f);
    for (const XY& p : series->points) own.push_back({f.x(p.first), f.y(p.second)});
    const Box area = f.box();
    std::erase_if(own, [&](const XY& p) { return p.second < area.y - 1 || p.second > area.y + area.height + 1; });
    if (series->name.empty() || own.empty()) continue;  // out of view: a close-up names what it shows
    const auto box = place_label(series->name, own, lines, dots, placed, f);
    if (!box) {
      legend.add(*series);
      continue;
    }
    placed.push_back(*box);
    drawing += text_at(
        box->x + 2, box->y + 11.5, series->name, "start",
        " class=\"label" + std::string(series->strong ? " strong" : "") + "\" style=\"fill:" + series->colour + "\"");
  }
  return open_svg(legend.top - 2 + 17 * legend.rows, plot.title) + "<clipPath id=\"" + clip + "\"><rect x=\"" +
         n(f.left) + "\" y=\"" + n(f.top - 6) + "\" width=\"" + n(f.width + 8) + "\" height=\"" + n(f.height + 6) +
         "\"/></clipPath>\n" + axes(plot, f) + drawing + legend.svg + "</svg>\n";
}

std::string bars_svg(const Bars& bars) {
  Frame f;
  f.height = 190;
  double high = 0.01;
  for (const auto* list : {&bars.values, &bars.outline})
    for (const double v : *list) high = std::max(high, v);
  f.y_high = high * 1.08;
  f.x_low = 0;
  f.x_high = static_cast<double>(std::max<std::size_t>(1, bars.values.size()));
  std::string out = open_svg(f.top + f.height + 42, bars.title);
  const auto ys = ticks_between(0, f.y_high, 4);
  for (const double y : ys) {
    out += line_at(f.left, f.y(y), f.left + f.width, f.y(y), "grid");
    out += text_at(f.left - 6, f.y(y) + 4, tick_text(y, Ticks::percent, ys.size() > 1 ? ys[1] - ys[0] : 1), "end",
                   " class=\"tick\"");
  }
  for (std::size_t i = 0; i < bars.values.size(); ++i) {
    const double x = f.x(static_cast<double>(i)), w = f.width / f.x_high;
    out += "<rect class=\"bar\" x=\"" + n(x + w * 0.14) + "\" y=\"" + n(f.y(bars.values[i])) + "\" width=\"" +
           n(w * 0.72) + "\" height=\"" + n(f.y(0) - f.y(bars.values[i])) + "\"/>\n";
    if (i % every(bars.values.size(), w) == 0)
      out += text_at(x + w / 2, f.y(0) + 17, std::to_string(bars.first + static_cast<int>(i)), "middle",
                     " class=\"tick\"");
  }
  std::string steps;
  for (std::size_t i = 0; i < bars.outline.size(); ++i) {
    const double y = f.y(bars.outline[i]), x = f.x(static_cast<double>(i)), w = f.width / f.x_high;
    steps += n(x) + "," + n(y) + " " + n(x + w) + "," + n(y) + " ";
  }
  if (!steps.empty()) out += "<polyline class=\"outline\" points=\"" + steps + "\"/>\n";
  out += line_at(f.left, f.y(0), f.left + f.width, f.y(0), "axis");
  out += text_at(f.left + f.width / 2, f.y(0) + 35, bars.x_label, "middle");
  return out + "</svg>\n";
}

std::string heat_svg(const Heat& heat) {
  const std::size_t rows = std::min(heat.values.size(), heat.rows.size());
  const std::size_t columns = rows == 0 ? 0 : heat.values[0].size();
  if (rows == 0 || columns == 0) return "";
  double widest = 0;
  for (const std::string& name : heat.rows) widest = std::max(widest, letters(name));
  const double left = std::clamp(14 + 6.2 * widest, 62.0, 190.0), top = 22, width = kChartWidth - left - 8;
  const double w = width / static_cast<double>(columns), h = std::clamp(300 / static_cast<double>(rows), 16.0, 34.0);
  const double bottom = top + h * static_cast<double>(rows);
  std::string out = open_svg(bottom + 40, heat.title);
  out += text_at(0, 12, heat.y_label, "start");
  for (std::size_t r = 0; r < rows; ++r) {
    const double y = bottom - h * static_cast<double>(r + 1);
    out += text_at(left - 7, y + h / 2 + 4, heat.rows[r], "end", " class=\"tick\"");
    for (std::size_t c = 0; c < std::min(columns, heat.values[r].size()); ++c) {
      const double value = std::clamp(heat.values[r][c], 0.0, 1.0), x = left + w * static_cast<double>(c);
      out += "<rect class=\"cell" + std::string(heat.diagonal && r == c ? " diagonal" : "") + "\" x=\"" + n(x + 0.7) +
             "\" y=\"" + n(y + 0.7) + "\" width=\"" + n(w - 1.4) + "\" height=\"" + n(h - 1.4) +
             "\" style=\"fill-opacity:" + fixed(0.05 + 0.95 * value, 3) + "\"/>\n";
      if (heat.numbers)
        out += text_at(x + w / 2, y + h / 2 + 4, fixed(value * 100, 0), "middle",
                       std::string(" class=\"number") + (value > 0.55 ? " on" : "") + "\"");
    }
  }
  for (std::size_t c = 0; c < columns; c += every(columns, w))
    out += text_at(left + w * (static_cast<double>(c) + 0.5), bottom + 16,
                   std::to_string(heat.first_column + static_cast<int>(c)), "middle", " class=\"tick\"");
  out += text_at(left + width / 2, bottom + 34, heat.x_label, "middle");
  return out + "</svg>\n";
}

}  // namespace fathom::eval
