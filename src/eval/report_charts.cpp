#include "eval/report_charts.h"

#include <algorithm>
#include <map>

#include "eval/eval_json.h"
#include "eval/format.h"
#include "eval/svg.h"
#include "eval/verdict.h"

namespace fathom::eval {
namespace {

// Drawn in this order, so that what matters lies on top.
const char* const kDrawn[] = {"dynamic_depth", "predictor_only", "policy_only", "fixed_depth",
                              "full_depth",    "base",           "early_exit",  "fathom"};

std::string label_of(const std::string& name) {
  std::string label = name == "fathom" ? "Fathom" : name;
  std::replace(label.begin(), label.end(), '_', ' ');
  return label;
}

std::string figure(const std::string& heading, const std::string& svg, const std::string& caption) {
  if (svg.empty()) return "";
  return "<figure><h3>" + escape_html(heading) + "</h3>\n" + svg + "<figcaption>" + escape_html(caption) +
         "</figcaption></figure>\n";
}

std::vector<std::pair<double, double>> pairs(const Json& list) {
  std::vector<std::pair<double, double>> out;
  for (const Json& p : list)
    if (p.is_array() && p.size() == 2 && p[0].is_number() && p[1].is_number())
      out.emplace_back(p[0].get<double>(), p[1].get<double>());
  std::sort(out.begin(), out.end());
  return out;
}

bool same_as_full(const Json& eval, const std::string& name) {
  return name == "full_depth" && find_system(eval, "base") != nullptr &&
         flag_or(member(*find_system(eval, "base"), "same_trunk"), false);
}

// Series of one drawing: lines from `curve`, dots where each system was set on the calibrate split.
std::vector<Series> series_of(const Json& eval, const char* curve, const char* x) {
  std::vector<Series> out;
  std::vector<std::string> names;
  for (const Json& system : member(eval, "systems"))
    if (flag_or(member(system, "rival"), false)) names.push_back(text_of(system, "name"));
  names.insert(names.end(), std::begin(kDrawn), std::end(kDrawn));
  for (const std::string& name : names) {
    const Json* system = find_system(eval, name);
    if (system == nullptr || same_as_full(eval, name) || !member(*system, x).is_number()) continue;
    Series series{label_of(name), system_colour(name), pairs(member(*system, curve)), {}, name == "fathom"};
    if (series.line.size() < 2) series.line.clear();
    series.points.emplace_back(number_or(member(*system, x), 0), number_or(member(*system, "value"), 0));
    out.push_back(std::move(series));
  }
  return out;
}

// The part of the accuracy axis where the systems worth comparing live.
std::pair<double, double> close_up_range(const Json& eval) {
  double high = 0, low = 1;
  for (const Json& system : member(eval, "systems")) high = std::max(high, number_or(member(system, "value"), 0));
  for (const char* name : {"base", "full_depth", "early_exit", "fathom", "policy_only", "predictor_only"})
    if (const Json* system = find_system(eval, name)) low = std::min(low, number_or(member(*system, "value"), 0));
  const double span = std::max(0.01, (high - low) * 2.2);
  return {std::max(0.0, high - span), high};
}

std::vector<double> doubles(const Json& list) {
  std::vector<double> out;
  for (const Json& v : list) out.push_back(v.is_number() ? v.get<double>() : 0.0);
  return out;
}

std::vector<double> shares(const Json& counts) {
  std::vector<double> out = doubles(counts);
  double sum = 0;
  for (const double v : out) sum += v;
  for (double& v : out) v = sum > 0 ? v / sum : 0;
  return out;
}

// Groups of eval.json ("complexity".values or "depth".by_stable_depth) as rows of a heat map.
Heat heat_of(const Json& groups, const char* key) {
  Heat heat;
  for (const Json& group : groups) {
    heat.rows.push_back(number_text(member(group, "value"), 0));
    heat.values.push_back(doubles(member(group, key)));
  }
  return heat;
}

}  // namespace

std::string system_colour(const std::string& name) {
  static const std::map<std::string, std::string> colours = {{"base", "var(--base)"},
                                                             {"full_depth", "var(--full)"},
                                                             {"fixed_depth", "var(--fixed)"},
                                                             {"early_exit", "var(--early)"},
                                                             {"early_exit_calibrated", "var(--early)"},
                                                             {"dynamic_depth", "var(--dynamic)"},
                                                             {"predictor_only", "var(--predictor)"},
                                                             {"policy_only", "var(--policy)"},
                                                             {"fathom", "var(--fathom)"}};
  const auto found = colours.find(name);
  return found == colours.end() ? "var(--soft)" : found->second;
}

std::string accuracy_macs_figure(const Json& eval, bool close_up) {
  Plot plot;
  plot.id = close_up ? "macs-close" : "macs";
  plot.title = "Accuracy against mean MACs per input of every system";
  plot.x_label = "mean MACs per input, decision included";
  plot.x_ticks = Ticks::macs;
  plot.series = series_of(eval, "curve", "macs");
  if (!close_up)
    return figure("Accuracy against MACs", plot_svg(plot),
                  "Dots: settings fixed on the calibrate split. Lines: 'curve', settings swept on the test split; they "
                  "meet no target.");
  std::tie(plot.y_low, plot.y_high) = close_up_range(eval);
  return figure("The same, close up", plot_svg(plot), "The top of the accuracy axis, where full depth is to be kept.");
}

std::string accuracy_ms_figure(const Json& eval) {
  Plot plot;
  plot.id = "ms";
  plot.title = "Accuracy against milliseconds per input of every system";
  plot.x_label = "milliseconds per input, batch 1";
  plot.series = series_of(eval, "curve_ms", "ms_batch1");
  if (plot.series.empty()) return "";
  return figure("Accuracy against time", plot_svg(plot),
                "Measured one input at a time through the engine. Lines join settings that were swept and timed.");
}

std::string selection_figure(const Json& eval) {
  const bool known = member(eval, "complexity").is_object();
  Heat heat =
      heat_of(known ? member(member(eval, "complexity"), "values") : member(member(eval, "depth"), "by_stable_depth"),
              "layers");
  heat.title = "Share of inputs that ran each layer";
  heat.x_label = "layer";
  heat.y_label = known ? "complexity" : "stable depth";
  return figure("Which layers ran", heat_svg(heat),
                known ? "Share of inputs of each true complexity that ran each layer: dark is all of them. Higher rows "
                        "need more depth by construction."
                      : "Share of inputs that ran each layer, by the depth from which the answer no longer changed.");
}

std::string exit_accuracy_figure(const Json& eval) {
  const Json &complexity = member(eval, "complexity"), &values = member(complexity, "values");
  if (!member(item(values, 0), "exit_accuracy").is_array()) return "";
  Heat heat = heat_of(values, "exit_accuracy");
  heat.title = "Accuracy of each exit by complexity";
  heat.x_label = "exit";
  heat.y_label = "complexity";
  heat.numbers = true;
  return figure("What each exit can know", heat_svg(heat),
                "Accuracy in percent of exit k on inputs of each complexity. Left of the staircase the evidence is out "
                "of reach; guessing would score " +
                    percent(member(complexity, "chance"), 0) + ".");
}

std::string depth_figure(const Json& eval) {
  const Json& depth = member(eval, "depth");
  if (!member(depth, "histogram").is_array()) return "";
  Bars bars;
  bars.title = "Histogram of depth";
  bars.x_label = "layers run";
  bars.values = shares(member(depth, "histogram"));
  bars.outline = shares(member(depth, "stable_histogram"));
  return figure("How deep inputs went", bars_svg(bars),
                "Bars: share of inputs by layers run, mean " + number_text(member(depth, "mean"), 2) +
                    ". Outline: the depth from which every later exit agrees with the last, mean " +
                    number_text(member(depth, "mean_stable"), 2) + ".");
}

std::string predictor_figure(const Json& eval) {
  const Json &predictor = member(eval, "predictor"), &matrix = member(predictor, "matrix");
  if (!matrix.is_array() || matrix.empty()) return "";  // [predicted - 1][stable - 1]
  Heat heat;
  heat.title = "Predicted against stable depth";
  heat.x_label = "stable depth";
  heat.y_label = "predicted";
  heat.diagonal = true;
  std::vector<double> totals(matrix.size(), 0);
  for (const Json& row : matrix)
    for (std::size_t c = 0; c < totals.size(); ++c) totals[c] += number_or(item(row, c), 0);
  for (std::size_t r = 0; r < matrix.size(); ++r) {
    heat.rows.push_back(std::to_string(r + 1));
    std::vector<double> values;
    for (std::size_t c = 0; c < totals.size(); ++c)
      values.push_back(totals[c] > 0 ? number_or(item(matrix[r], c), 0) / totals[c] : 0);
    heat.values.push_back(values);
  }
  return figure("What the predictor knows before layer 1", heat_svg(heat),
                "Of the inputs with each stable depth, the share given each predicted depth. Spearman " +
                    number_text(member(predictor, "spearman"), 2) + ", mean error " +
                    number_text(member(predictor, "mean_absolute_error"), 2) + " layers, within one " +
                    percent(member(predictor, "within_one"), 0) + ", too shallow " +
                    percent(member(predictor, "under"), 0) + ".");
}

}  // namespace fathom::eval
