#include "policy/trees.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

namespace fathom::policy {
namespace {

constexpr int kMaxLeaves = 131072;  // LightGBM's own limit
constexpr double kZero = 1e-35f;    // LightGBM's "zero": a float constant widened to double
constexpr int kInStep = 8;          // trees walked together, to overlap their loads

Error bad(const std::string& what) {
  return {Code::corrupt_bundle, what, "make the predictor again with `fathom fit`"};
}
Error refused(const std::string& what) { return {Code::unsupported, what, ""}; }

std::string_view next_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// The text after "key=" on the line that starts with it.
std::optional<std::string_view> value_of(std::string_view block, std::string_view key) {
  while (!block.empty()) {
    const std::string_view line = next_line(block);
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == '=')
      return line.substr(key.size() + 1);
  }
  return std::nullopt;
}

template <class T>
Result<std::vector<T>> numbers(std::string_view block, std::string_view key, std::size_t count) {
  const auto text = value_of(block, key);
  if (!text) return bad("'" + std::string(key) + "' is missing");
  std::vector<T> values;
  values.reserve(std::min(count, text->size() + 1));
  const char* at = text->data();
  const char* end = at + text->size();
  while (at != end) {
    T value{};
    const auto [stop, error] = std::from_chars(at, end, value);
    if (error != std::errc{} || (stop != end && *stop != ' '))
      return bad("'" + std::string(key) + "': entry " + std::to_string(values.size()) + " is not a number of its kind");
    if constexpr (std::is_floating_point_v<T>)
      if (!std::isfinite(value))
        return bad("'" + std::string(key) + "': entry " + std::to_string(values.size()) + " is not finite");
    values.push_back(value);
    if (values.size() > count) break;
    at = stop;
    while (at != end && *at == ' ') ++at;
  }
  if (values.size() != count)
    return bad("'" + std::string(key) + "': expected " + std::to_string(count) + " entries, got " +
               (values.size() > count ? "more" : std::to_string(values.size())));
  return values;
}

Result<int> single(std::string_view block, std::string_view key, int low, int high) {
  FATHOM_TRY(const std::vector<int> values, numbers<int>(block, key, 1));
  if (values[0] < low || values[0] > high)
    return bad("'" + std::string(key) + "' is " + std::to_string(values[0]) + ", must lie in " + std::to_string(low) +
               ".." + std::to_string(high));
  return values[0];
}

// True when the objective turns the raw score into a probability.
Result<bool> read_objective(std::string_view header) {
  const auto text = value_of(header, "objective");
  if (!text) return bad("'objective' is missing");
  const std::string_view name = text->substr(0, text->find(' '));
  const bool plain = name == *text;
  if (name == "binary" && (plain || *text == "binary sigmoid:1")) return true;
  for (const char* known : {"huber", "regression", "regression_l1", "quantile"})
    if (name == known && (plain || name == "quantile")) return false;
  return refused("objective '" + std::string(text->substr(0, 60)) + "' is not one that is evaluated here");
}

// The arrays of one tree, as LightGBM stores them.
struct Arrays {
  std::vector<int> feature, decision, left, right;
  std::vector<double> threshold, leaf, weight_of_leaf;
};

Result<Arrays> read_arrays(std::string_view block, int leaves, int features) {
  const auto splits = static_cast<std::size_t>(leaves - 1);
  Arrays a;
  FATHOM_TRY(a.leaf, numbers<double>(block, "leaf_value", splits + 1));
  if (leaves == 1) return a;
  FATHOM_TRY(a.weight_of_leaf, numbers<double>(block, "leaf_count", splits + 1));
  FATHOM_TRY(a.feature, numbers<int>(block, "split_feature", splits));
  FATHOM_TRY(a.threshold, numbers<double>(block, "threshold", splits));
  FATHOM_TRY(a.decision, numbers<int>(block, "decision_type", splits));
  FATHOM_TRY(a.left, numbers<int>(block, "left_child", splits));
  FATHOM_TRY(a.right, numbers<int>(block, "right_child", splits));
  for (std::size_t i = 0; i < splits; ++i) {
    const std::string at = "split " + std::to_string(i) + ": ";
    if (a.feature[i] < 0 || a.feature[i] >= features)
      return bad(at + "feature " + std::to_string(a.feature[i]) + " of " + std::to_string(features));
    if (a.decision[i] & 1) return refused(at + "is categorical; only numerical splits are evaluated");
    if (a.decision[i] < 0 || a.decision[i] > 10)
      return bad(at + "decision_type " + std::to_string(a.decision[i]) + " is unknown");
    for (const int child : {a.left[i], a.right[i]})
      if (child >= leaves - 1 || child < -leaves) return bad(at + "child " + std::to_string(child) + " does not exist");
  }
  for (const double count : a.weight_of_leaf)
    if (count < 0) return bad("'leaf_count' holds a negative count");
  return a;
}

}  // namespace

// Lays one tree out breadth first, children side by side, and adds its expected path length to `path`.
Status Trees::add_tree(Trees& trees, std::string_view block, double& path) {
  FATHOM_TRY(const int leaves, single(block, "num_leaves", 1, kMaxLeaves));
  if (const auto text = value_of(block, "num_cat"); text && *text != "0")
    return refused("has categorical splits; only numerical ones are evaluated");
  if (const auto text = value_of(block, "is_linear"); text && *text != "0")
    return refused("has linear leaves, which are not evaluated");
  FATHOM_TRY(const Arrays a, read_arrays(block, leaves, trees.features_));

  struct Pending {
    int child;  // LightGBM's index: >= 0 split, < 0 leaf ~child
    int depth;
  };
  std::vector<Pending> order{{leaves == 1 ? -1 : 0, 0}};  // order[k] becomes node base + k
  const std::size_t most = 2 * static_cast<std::size_t>(leaves) - 1;
  const std::size_t base = trees.nodes_.size();
  if (base + most > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    return bad("the ensemble is too large");
  double weight = 0, weighted_depth = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    const auto [child, depth] = order[k];
    Node node;
    double value = 0;
    if (child < 0) {
      const auto leaf = static_cast<std::size_t>(~child);
      node.threshold = std::numeric_limits<double>::infinity();
      node.left = static_cast<std::int32_t>(base + k);
      value = a.leaf[leaf];
      if (leaves > 1) weight += a.weight_of_leaf[leaf], weighted_depth += a.weight_of_leaf[leaf] * depth;
    } else {
      const auto split = static_cast<std::size_t>(child);
      node.threshold = a.threshold[split];
      node.feature = static_cast<std::uint16_t>(a.feature[split]);
      node.missing = static_cast<std::uint8_t>(a.decision[split] >> 2);
      node.default_right = (a.decision[split] & 2) ? 0 : 1;
      node.left = static_cast<std::int32_t>(base + order.size());
      // A tree has exactly 2 * leaves - 1 nodes; a cycle or a node with two parents would exceed or fall short of it.
      if (order.size() + 2 > most) return bad("its splits do not form a tree");
      order.push_back({a.left[split], depth + 1});
      order.push_back({a.right[split], depth + 1});
      trees.handles_missing_ |= node.missing != 0;
    }
    trees.nodes_.push_back(node);
    trees.values_.push_back(value);
  }
  std::vector<char> seen(most, 0);  // splits, then leaves
  for (const auto& [child, depth] : order) {
    const int slot = child >= 0 ? child : leaves - 1 + ~child;
    if (seen[static_cast<std::size_t>(slot)]++) return bad("its splits do not form a tree");
  }
  if (order.size() != most) return bad("its splits do not form a tree");
  trees.roots_.push_back(static_cast<std::int32_t>(base));
  path += weight > 0 ? weighted_depth / weight : 0;
  return {};
}

Result<Trees> Trees::parse(std::string_view text, const std::string& where) {
  const std::size_t first = text.find("\nTree=");
  const std::size_t last = text.find("\nend of trees");
  if (!text.starts_with("tree\n") && !text.starts_with("tree\r\n"))
    return bad("not a LightGBM text model").within(where);
  if (last == std::string_view::npos || first == std::string_view::npos || first > last)
    return bad(first == std::string_view::npos ? "holds no trees" : "cut short: 'end of trees' is missing")
        .within(where);

  Trees trees;
  const std::string_view header = text.substr(0, first);
  const auto read = [&]() -> Status {
    if (value_of(header, "version") != "v4") return refused("only version v4 of LightGBM's text model is read");
    FATHOM_TRY_VOID(single(header, "num_class", 1, 1));
    FATHOM_TRY_VOID(single(header, "num_tree_per_iteration", 1, 1));
    FATHOM_TRY(const int top, single(header, "max_feature_idx", 0, std::numeric_limits<std::uint16_t>::max()));
    trees.features_ = top + 1;
    if (header.find("\naverage_output") != std::string_view::npos)
      return refused("averaged (random forest) models are not evaluated");
    FATHOM_TRY(trees.sigmoid_, read_objective(header));
    return {};
  };
  if (const Status status = read(); !status) return status.error().within(where);

  std::string_view rest = text.substr(first + 1, last - first);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find("\nTree=", 1), rest.size() - 1) + 1;
    const std::string tree = "tree " + std::to_string(trees.roots_.size());
    const std::string_view block = rest.substr(0, end);
    if (value_of(block, "Tree") != std::to_string(trees.roots_.size()))
      return bad(tree + " is missing or out of order").within(where);
    if (const Status status = add_tree(trees, block, trees.mean_path_); !status)
      return status.error().within(where + ": " + tree);
    rest.remove_prefix(end);
  }
  if (const auto sizes = value_of(header, "tree_sizes")) {
    const auto listed = std::count(sizes->begin(), sizes->end(), ' ') + 1;
    if (listed != trees.tree_count())
      return bad("lists " + std::to_string(listed) + " trees, holds " + std::to_string(trees.tree_count()))
          .within(where);
  }
  return trees;
}

template <bool kMissing>
double Trees::sum(const double* features) const noexcept {
  const Node* nodes = nodes_.data();
  const auto step = [&](std::int32_t index) {
    const Node& node = nodes[index];
    double value = features[node.feature];
    if constexpr (kMissing) {
      const bool nan = std::isnan(value);
      if (nan && node.missing != 2) value = 0.0;
      const bool absent = (node.missing == 2 && nan) || (node.missing == 1 && std::fabs(value) <= kZero);
      if (absent) return node.left + node.default_right;
    } else {
      value = std::isnan(value) ? 0.0 : value;
    }
    return node.left + static_cast<std::int32_t>(!(value <= node.threshold));
  };
  double total = 0.0;
  std::size_t tree = 0;
  for (; tree + kInStep <= roots_.size(); tree += kInStep) {
    std::int32_t at[kInStep];
    for (int k = 0; k < kInStep; ++k) at[k] = roots_[tree + static_cast<std::size_t>(k)];
    for (std::int32_t moved = 1; moved != 0;) {
      moved = 0;
      for (int k = 0; k < kInStep; ++k) {
        const std::int32_t next = step(at[k]);
        moved |= next ^ at[k];
        at[k] = next;
      }
    }
    for (int k = 0; k < kInStep; ++k)
      total += values_[static_cast<std::size_t>(at[k])];  // in tree order, as LightGBM adds
  }
  for (; tree < roots_.size(); ++tree) {
    std::int32_t at = roots_[tree];
    for (std::int32_t next = step(at); next != at; next = step(at)) at = next;
    total += values_[static_cast<std::size_t>(at)];
  }
  return total;
}

double Trees::raw(std::span<const double> features) const noexcept {
  FATHOM_CHECK(features.size() >= static_cast<std::size_t>(features_), "too few features");
  return handles_missing_ ? sum<true>(features.data()) : sum<false>(features.data());
}

double Trees::predict(std::span<const double> features) const noexcept {
  const double score = raw(features);
  return sigmoid_ ? 1.0 / (1.0 + std::exp(-score)) : score;
}

}  // namespace fathom::policy
