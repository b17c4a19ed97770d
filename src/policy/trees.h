// LightGBM ensembles evaluated natively from LightGBM's own text format; agrees with LightGBM bit for bit
// (double thresholds and sums in tree order). Numerical splits only; others are refused by name.
// Thread rule: immutable; evaluation allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::policy {

class Trees {
 public:
  static Result<Trees> parse(std::string_view text, const std::string& where);
  // Raw score (sum of leaf values). features.size() >= feature_count(). NaN goes LightGBM's default way.
  double raw(std::span<const double> features) const noexcept;
  // Objective's output: sigmoid(raw) for binary, raw for huber/regression.
  double predict(std::span<const double> features) const noexcept;
  int feature_count() const { return features_; }
  int tree_count() const { return static_cast<int>(roots_.size()); }
  bool is_probability() const { return sigmoid_; }  // objective binary: predict() lies in (0, 1)
  double mean_path() const {
    return mean_path_;
  }  // nodes visited a prediction, estimated by leaf counts: the ledger's cost

 private:
  // Children of a node stand side by side, so one index names both. A leaf is its own left child behind a threshold
  // that sends everything left: walking on from a leaf stays there, which lets several trees be walked in step.
  struct Node {
    double threshold = 0;
    std::int32_t left = 0;  // right child: left + 1
    std::uint16_t feature = 0;
    std::uint8_t missing = 0;        // what counts as missing: 0 nothing (NaN reads as 0), 1 zero and NaN, 2 NaN
    std::uint8_t default_right = 0;  // where missing goes
  };
  static Status add_tree(Trees& trees, std::string_view block, double& path);
  template <bool kMissing>
  double sum(const double* features) const noexcept;

  std::vector<Node> nodes_;
  std::vector<double> values_;  // by node; leaves only
  std::vector<std::int32_t> roots_;
  int features_ = 0;
  bool sigmoid_ = false;
  bool handles_missing_ = false;  // some node has a missing kind other than 0
  double mean_path_ = 0;
};

}  // namespace fathom::policy
