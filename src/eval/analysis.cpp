#include "eval/analysis.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "data/picture.h"
#include "eval/png.h"
#include "eval/timing.h"
#include "policy/theory.h"

namespace fathom::eval {
namespace {

std::size_t at(std::int32_t value) { return static_cast<std::size_t>(value); }

double share(std::size_t part, std::size_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

std::vector<double> doubles(std::span<const std::int32_t> values) { return {values.begin(), values.end()}; }

double mean_of(std::span<const std::int32_t> values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double cross_entropy(std::span<const float> logits, std::int32_t label) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - top);
  return std::log(sum) + top - static_cast<double>(logits[at(label)]);
}

// For each group: how many inputs, and the share of them that ran each layer.
struct Groups {
  std::map<std::int32_t, std::vector<std::size_t>> rows;
  explicit Groups(std::span<const std::int32_t> key) {
    for (std::size_t i = 0; i < key.size(); ++i) rows[key[i]].push_back(i);
  }
};

Json layer_shares(const Outcome& outcome, const std::vector<std::size_t>& rows, int layers) {
  Json shares = Json::array();
  for (int l = 0; l < layers; ++l) {
    std::size_t ran = 0;
    for (const std::size_t i : rows) ran += (outcome.trajectories[i] >> l) & 1;
    shares.push_back(share(ran, rows.size()));
  }
  return shares;
}

double mean_depth_of(const Outcome& outcome, const std::vector<std::size_t>& rows) {
  double sum = 0;
  for (const std::size_t i : rows) sum += outcome.depths[i];
  return rows.empty() ? 0 : sum / static_cast<double>(rows.size());
}

Json group_rows(const Outcome& outcome, const Groups& groups, int layers) {
  Json out = Json::array();
  for (const auto& [value, rows] : groups.rows)
    out.push_back({{"value", value},
                   {"count", rows.size()},
                   {"mean_depth", mean_depth_of(outcome, rows)},
                   {"layers", layer_shares(outcome, rows, layers)}});
  return out;
}

// Bins of complexity: every value its own, or pairs of values (1-2, 3-4, ...) when there are more than eight.
Json bins_of(const Outcome& outcome, const Groups& groups) {
  const bool pairs = groups.rows.size() > 8;
  std::map<std::int32_t, std::vector<std::size_t>> bins;
  for (const auto& [value, rows] : groups.rows) {
    auto& bin = bins[pairs ? (value - 1) / 2 : value];
    bin.insert(bin.end(), rows.begin(), rows.end());
  }
  Json out = Json::array();
  for (const auto& [bin, rows] : bins)
    out.push_back({{"from", pairs ? 2 * bin + 1 : bin},
                   {"to", pairs ? 2 * bin + 2 : bin},
                   {"count", rows.size()},
                   {"mean_depth", mean_depth_of(outcome, rows)}});
  return out;
}

bool rises(const Json& bins) {
  for (std::size_t i = 1; i < bins.size(); ++i)
    if (bins[i]["mean_depth"].get<double>() <= bins[i - 1]["mean_depth"].get<double>()) return false;
  return bins.size() > 1;
}

// Depth the trees alone expect for input i: sum of survival, or the regression's value read back from its sigmoid.
double expected_depth(std::span<const float> scores, policy::PredictorKind kind) {
  if (kind == policy::PredictorKind::survival) {
    double depth = 1;
    for (const float score : scores) depth += 1 - static_cast<double>(score);
    return depth;
  }
  std::size_t best = 0;
  for (std::size_t l = 1; l < scores.size(); ++l)
    if (std::abs(scores[l] - 0.5f) < std::abs(scores[best] - 0.5f)) best = l;
  const double survival = std::clamp(1 - static_cast<double>(scores[best]), 1e-7, 1 - 1e-7);
  return static_cast<double>(best + 1) + std::log(survival / (1 - survival)) / 2;
}

// What the predictor says before layer 1, in whole layers; empty where there is none.
std::vector<std::int32_t> predicted_depths(const Adaptive& adaptive, policy::PredictorKind kind) {
  const policy::Trace& trace = adaptive.traced.trace;
  const auto& scores = trace.scores[static_cast<int>(policy::Score::predictor)];
  if (scores.empty()) return {};
  const std::size_t width = at(trace.layers) - 1;
  std::vector<std::int32_t> out(trace.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double depth = expected_depth(std::span(scores).subspan(i * width, width), kind);
    out[i] = static_cast<std::int32_t>(std::clamp(std::lround(depth), 1L, static_cast<long>(trace.layers)));
  }
  return out;
}

}  // namespace

Json theorem_section(const Adaptive& adaptive, ExitCosts& costs, policy::PredictorKind predictor) {
  const policy::Trace& trace = adaptive.traced.trace;
  const Outcome& fathom = adaptive.outcome;
  const std::size_t n = fathom.size();
  std::size_t equal = 0, under = 0, differ = 0;
  std::vector<double> at_l_opt, at_full;
  for (std::size_t i = 0; i < n; ++i) {
    equal += fathom.depths[i] == adaptive.l_opt[i] ? 1 : 0;
    under += fathom.depths[i] < adaptive.l_opt[i] ? 1 : 0;
    differ += fathom.labels[i] != trace.predictions[(i + 1) * at(trace.layers) - 1] ? 1 : 0;
    at_l_opt.push_back(costs.adaptive(adaptive.score, trace.tokens[i], adaptive.l_opt[i]).macs);
    at_full.push_back(costs.adaptive(adaptive.score, trace.tokens[i], trace.layers).macs);
  }
  const double alpha = share(equal, n), measured = mean(fathom.macs);
  const double bound = policy::bound_eq5(alpha, 0.0, mean(at_l_opt), mean(at_full));
  Json out = {{"alpha", alpha},
              {"epsilon", 0.0},
              {"mean_l_opt", mean_of(adaptive.l_opt)},
              {"macs_at_l_opt", mean(at_l_opt)},
              {"macs_at_full", mean(at_full)},
              {"bound_macs", bound},
              {"measured_macs", measured},
              {"holds", measured <= bound},
              {"disagreement", share(differ, n)}};
  if (const auto depths = predicted_depths(adaptive, predictor); !depths.empty()) {
    std::size_t hit = 0;
    for (std::size_t i = 0; i < n; ++i) hit += depths[i] == adaptive.l_opt[i] ? 1 : 0;
    out["predictor_alpha"] = share(hit, n);
    out["predictor_bound_macs"] = policy::bound_eq5(share(hit, n), 0.0, mean(at_l_opt), mean(at_full));
  }
  if (adaptive.kind == policy::PolicyKind::exits && !trace.labels.empty()) {
    const Outcome full = simulate_fixed(trace, costs, trace.layers);
    out["bound_drop"] = share(under, n);
    out["measured_drop"] = accuracy(full, trace.labels) - accuracy(fathom, trace.labels);
  }
  return out;
}

Json gamma_section(const Traced& traced) {
  const policy::Trace& trace = traced.trace;
  if (trace.labels.empty() || traced.norms.empty()) return nullptr;
  const std::size_t layers = at(trace.layers), classes = at(trace.classes);
  const auto loss = [&](std::size_t i, std::size_t exit) {
    return cross_entropy(std::span(trace.logits).subspan((i * layers + exit) * classes, classes), trace.labels[i]);
  };
  std::vector<std::vector<double>> gammas(layers - 1);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const double last = loss(i, layers - 1);
    for (std::size_t exit = 0; exit + 1 < layers; ++exit) {
      const double norm = traced.norms[i * layers + exit];
      if (norm <= 0) continue;
      const double ratio = std::abs(loss(i, exit) - last) / norm;
      gammas[exit].push_back(std::pow(ratio, 1.0 / static_cast<double>(layers - 1 - exit)));
    }
  }
  Json exits = Json::array();
  double largest = 0;
  std::vector<double> medians;
  for (std::size_t exit = 0; exit + 1 < layers; ++exit) {
    if (gammas[exit].empty()) continue;
    const double top = *std::max_element(gammas[exit].begin(), gammas[exit].end());
    largest = std::max(largest, top);
    medians.push_back(median(gammas[exit]));
    exits.push_back({{"exit", exit + 1}, {"median", medians.back()}, {"max", top}});
  }
  return {{"median", median(medians)}, {"max", largest}, {"exits", exits}};
}

Json depth_section(const Adaptive& adaptive) {
  const int layers = adaptive.traced.trace.layers;
  std::vector<std::size_t> histogram(at(layers), 0), stable(at(layers), 0);
  for (const std::int32_t depth : adaptive.outcome.depths)
    if (depth >= 1) ++histogram[at(depth) - 1];
  for (const std::int32_t depth : adaptive.l_opt) ++stable[at(depth) - 1];
  std::vector<std::size_t> all(adaptive.outcome.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return {{"histogram", histogram},
          {"stable_histogram", stable},
          {"mean", mean_depth(adaptive.outcome)},
          {"mean_stable", mean_of(adaptive.l_opt)},
          {"spearman_stable", policy::spearman(doubles(adaptive.outcome.depths), doubles(adaptive.l_opt))},
          {"layers", layer_shares(adaptive.outcome, all, layers)},
          {"by_stable_depth", group_rows(adaptive.outcome, Groups(adaptive.l_opt), layers)}};
}

Json complexity_section(const Adaptive& adaptive) {
  const policy::Trace& trace = adaptive.traced.trace;
  if (trace.complexity.empty()) return nullptr;
  const std::size_t layers = at(trace.layers);
  const Groups groups(trace.complexity);
  Json rows = group_rows(adaptive.outcome, groups, trace.layers);
  std::size_t k = 0;
  for (const auto& [value, members] : groups.rows) {
    if (trace.labels.empty()) break;
    Json accuracies = Json::array();
    for (std::size_t exit = 0; exit < layers; ++exit) {
      std::size_t right = 0;
      for (const std::size_t i : members) right += trace.predictions[i * layers + exit] == trace.labels[i] ? 1 : 0;
      accuracies.push_back(share(right, members.size()));
    }
    rows[k++]["exit_accuracy"] = accuracies;
  }
  const Json bins = bins_of(adaptive.outcome, groups);
  return {{"spearman", policy::spearman(doubles(adaptive.outcome.depths), doubles(trace.complexity))},
          {"rises", rises(bins)},
          {"chance", trace.classes > 0 ? 1.0 / trace.classes : 0.0},
          {"bins", bins},
          {"values", rows}};
}

Json predictor_section(const Adaptive& adaptive, policy::PredictorKind kind) {
  const policy::Trace& trace = adaptive.traced.trace;
  const auto& scores = trace.scores[static_cast<int>(policy::Score::predictor)];
  if (scores.empty()) return nullptr;
  const std::size_t layers = at(trace.layers), n = trace.size();
  std::vector<std::vector<std::size_t>> matrix(layers, std::vector<std::size_t>(layers, 0));
  std::vector<double> expected;
  const std::vector<std::int32_t> depths = predicted_depths(adaptive, kind);
  std::size_t exact = 0, near = 0, under = 0;
  double error = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double depth = expected_depth(std::span(scores).subspan(i * (layers - 1), layers - 1), kind);
    expected.push_back(depth);
    const long rounded = depths[i];
    const long stable = adaptive.l_opt[i];
    ++matrix[static_cast<std::size_t>(rounded) - 1][static_cast<std::size_t>(stable) - 1];
    exact += rounded == stable ? 1 : 0;
    near += std::labs(rounded - stable) <= 1 ? 1 : 0;
    under += rounded < stable ? 1 : 0;
    error += std::abs(depth - static_cast<double>(stable));
  }
  return {{"kind", kind == policy::PredictorKind::survival ? "survival" : "huber"},
          {"spearman", policy::spearman(expected, doubles(adaptive.l_opt))},
          {"mean_absolute_error", n > 0 ? error / static_cast<double>(n) : 0.0},
          {"exact", share(exact, n)},
          {"within_one", share(near, n)},
          {"under", share(under, n)},
          {"matrix", matrix}};  // [predicted - 1][stable - 1]
}

void add_classes(const Adaptive& adaptive, const std::vector<std::string>& label_names, Json& eval) {
  constexpr std::size_t kMostInMatrix = 32, kMostConfused = 30;
  const policy::Trace& trace = adaptive.traced.trace;
  const Outcome& fathom = adaptive.outcome;
  const std::size_t classes = label_names.size();
  if (trace.labels.empty()) return;
  std::vector<std::size_t> count(classes, 0), right(classes, 0), full_right(classes, 0), answered(classes, 0);
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> cells;
  for (std::size_t i = 0; i < fathom.size(); ++i) {
    const std::size_t label = at(trace.labels[i]), answer = at(fathom.labels[i]);
    ++count[label];
    ++answered[answer];
    ++cells[{label, answer}];
    right[label] += label == answer ? 1 : 0;
    full_right[label] += trace.predictions[(i + 1) * at(trace.layers) - 1] == trace.labels[i] ? 1 : 0;
  }
  const auto part = [](std::size_t some, std::size_t all) { return all > 0 ? Json(share(some, all)) : Json(nullptr); };
  Json rows = Json::array(), confused = Json::array();
  for (std::size_t c = 0; c < classes; ++c)
    rows.push_back({{"label", label_names[c]},
                    {"count", count[c]},
                    {"recall", part(right[c], count[c])},
                    {"full_depth_recall", part(full_right[c], count[c])},
                    {"precision", part(right[c], answered[c])}});
  eval["by_class"] = rows;
  if (classes <= kMostInMatrix) {
    std::vector<std::vector<std::size_t>> matrix(classes, std::vector<std::size_t>(classes, 0));
    for (const auto& [cell, times] : cells) matrix[cell.first][cell.second] = times;
    eval["confusion"] = matrix;
  }
  std::vector<std::pair<std::size_t, std::pair<std::size_t, std::size_t>>> mistakes;
  for (const auto& [cell, times] : cells)
    if (cell.first != cell.second) mistakes.push_back({times, cell});
  std::stable_sort(mistakes.begin(), mistakes.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  if (mistakes.size() > kMostConfused) mistakes.resize(kMostConfused);
  for (const auto& [times, cell] : mistakes)
    confused.push_back({{"label", label_names[cell.first]}, {"answer", label_names[cell.second]}, {"count", times}});
  eval["confused"] = confused;
}

Json enough_section(const Adaptive& adaptive, ExitCosts& costs, std::uint64_t seed) {
  constexpr double kMostLost = 0.005;
  const policy::Trace& trace = adaptive.traced.trace;
  if (trace.labels.empty()) return nullptr;
  const Outcome full = simulate_fixed(trace, costs, trace.layers);
  for (int exit = 1; exit < trace.layers; ++exit) {
    const Outcome outcome = simulate_fixed(trace, costs, exit);
    const policy::Interval d = difference(outcome, full, trace.labels, seed);
    if (d.low >= -kMostLost)
      return {{"exit", exit}, {"macs", mean(outcome.macs)}, {"difference", d.mean}, {"interval", {d.low, d.high}}};
  }
  return nullptr;
}

namespace {

// As a report shows it: pixels as they are, pictures in files no larger than a thumbnail. Nothing: there is none.
std::optional<data::Picture> shown_picture(const data::Split& split, std::size_t row) {
  constexpr int kSide = 96;
  if (row >= split.size() || split.height == 0) return std::nullopt;
  if (split.files.empty())
    return data::Picture{split.height, split.width, {split.picture(row), split.picture(row) + split.picture_bytes()}};
  auto picture = data::read_picture(split.files[row].path);
  if (!picture) return std::nullopt;
  const int longer = std::max(picture->height, picture->width);
  if (longer <= kSide) return std::move(*picture);
  return data::resize_picture(*picture, std::max(1, picture->height * kSide / longer),
                              std::max(1, picture->width * kSide / longer));
}

}  // namespace

Json worst_section(const Adaptive& adaptive, const data::Dataset& dataset, data::Part part,
                   const std::vector<std::string>& label_names, std::size_t most) {
  const policy::Trace& trace = adaptive.traced.trace;
  const Outcome& fathom = adaptive.outcome;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < fathom.size(); ++i)
    if (fathom.depths[i] < adaptive.l_opt[i]) rows.push_back(i);
  const auto wrong = [&](std::size_t i) { return fathom.labels[i] != trace.labels[i]; };
  std::stable_sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) {
    const int short_a = adaptive.l_opt[a] - fathom.depths[a], short_b = adaptive.l_opt[b] - fathom.depths[b];
    return short_a != short_b ? short_a > short_b : wrong(a) > wrong(b);
  });
  if (rows.size() > most) rows.resize(most);
  const data::Split& split = dataset.part(part);
  Json out = Json::array();
  for (const std::size_t i : rows) {
    const std::int32_t full = trace.predictions[(i + 1) * at(trace.layers) - 1];
    Json row = {{"row", i + 1},
                {"depth", fathom.depths[i]},
                {"stable_depth", adaptive.l_opt[i]},
                {"answer", label_names[at(fathom.labels[i])]},
                {"full_depth_answer", label_names[at(full)]},
                {"label", label_names[at(trace.labels[i])]}};
    if (!trace.complexity.empty()) row["complexity"] = trace.complexity[i];
    if (i < split.texts.size()) {
      row["text"] = split.second.empty() ? split.texts[i] : split.texts[i] + " | " + split.second[i];
    } else if (const auto picture = shown_picture(split, i)) {
      row["picture"] = png_data_uri(picture->pixels.data(), picture->height, picture->width);
      row["height"] = picture->height;
      row["width"] = picture->width;
    }
    out.push_back(row);
  }
  return out;
}

}  // namespace fathom::eval
