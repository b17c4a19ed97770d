#include "train/weight_mask.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace fathom::train {
namespace {

using torch::Tensor;

constexpr double kGrowsFrom = 0.05, kGrowsTo = 0.7;  // of the steps
constexpr std::int64_t kChoices = 100;  // about so many if all steps were to choose: each sorts all weights once

struct Growth {
  std::int64_t from, to;
};
Growth growth(std::int64_t steps) {
  const auto from = static_cast<std::int64_t>(kGrowsFrom * static_cast<double>(steps));
  return {from, std::max(from + 1, static_cast<std::int64_t>(kGrowsTo * static_cast<double>(steps)))};
}

// Importance and place in one number that sorts as they do: one comparison, and no two are equal.
std::uint64_t key(float importance, std::int64_t place) {
  const auto bits = std::bit_cast<std::uint32_t>(importance + 0.0f);  // -0 as 0
  const std::uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<std::uint64_t>(ordered) << 32 | static_cast<std::uint32_t>(place);
}

// Of every four the two that matter least (of fewer at a row's end: half of them, rounded down).
std::vector<std::uint64_t> two_of_each_four(const std::vector<std::uint64_t>& keys, std::int64_t columns) {
  std::vector<std::uint64_t> out;
  out.reserve(keys.size() / 2);
  for (std::size_t row = 0; row < keys.size(); row += static_cast<std::size_t>(columns))
    for (std::size_t at = 0; at < static_cast<std::size_t>(columns); at += 4) {
      std::array<std::uint64_t, 4> four{};
      const std::size_t count = std::min<std::size_t>(4, static_cast<std::size_t>(columns) - at);
      std::copy_n(keys.begin() + static_cast<std::ptrdiff_t>(row + at), count, four.begin());
      std::sort(four.begin(), four.begin() + count);
      out.insert(out.end(), four.begin(), four.begin() + count / 2);
    }
  return out;
}

}  // namespace

Result<ZeroGoal> parse_zero_goal(const std::string& share, bool movement) {
  ZeroGoal out{0, share == "2:4", movement};
  if (out.two_of_four) return out;
  const char* end = share.data() + share.size();
  const auto [read, error] = std::from_chars(share.data(), end, out.share);
  if (error != std::errc{} || read != end || !(out.share > 0 && out.share < 1))
    return Error{Code::usage, "'" + share + "' is neither a share of weights between 0 and 1 nor 2:4", "give 0.5, say"};
  return out;
}

double zeros_grown(std::int64_t done, std::int64_t steps) {
  const auto [from, to] = growth(steps);
  const double left = 1 - std::clamp(static_cast<double>(done - from) / static_cast<double>(to - from), 0.0, 1.0);
  return 1 - left * left * left;
}

bool zeros_chosen(std::int64_t done, std::int64_t steps) {
  const auto [from, to] = growth(steps);
  return done > from && done <= to && (to - done) % std::max<std::int64_t>(1, steps / kChoices) == 0;
}

WeightMask::WeightMask(const FlatParameters& parameters, const std::vector<Tensor>& matrices, ZeroGoal goal)
    : parameters_(parameters), goal_(goal) {
  torch::NoGradGuard no_grad;
  const Tensor& values = parameters_.values();
  allowed_ = torch::ones_like(values);
  for (const Tensor& matrix : matrices) {
    matrices_.push_back({matrix.data_ptr<float>() - values.data_ptr<float>(), matrix.size(0), matrix.size(1)});
    allowed_.narrow(0, matrices_.back().begin, matrix.numel()).copy_(matrix.reshape({-1}) != 0);
  }
  const bool whole = !(allowed_ == 0).any().item<bool>();
  if (!whole || goal.any()) mask_ = allowed_.clone();
  if (whole) allowed_ = Tensor();
  if (goal.any()) aside_ = torch::zeros_like(values);
}

void WeightMask::before_update() {
  const Tensor& reached = goal_.movement ? allowed_ : mask_;
  if (reached.defined()) parameters_.gradients().mul_(reached);
}

void WeightMask::after_update(const UpdateAt& at) {
  if (!aside_.defined()) return;
  const Tensor& values = parameters_.values();
  if (goal_.movement) aside_.add_(values - values * mask_);
  values.mul_(mask_).add_(
      0.0);  // the optimiser's memory moves a weight for some steps after its last gradient; and no zero is negative
  if (zeros_chosen(at.step + 1, at.steps)) choose(zeros_grown(at.step + 1, at.steps));
}

void WeightMask::choose(double grown) {
  const Tensor& values = parameters_.values();
  const Tensor latent = values + aside_;  // one of the two is 0
  Tensor importance = latent.abs();
  if (allowed_.defined())
    importance = importance.masked_fill(allowed_ == 0, -std::numeric_limits<float>::infinity());  // they count first
  mask_.fill_(1);
  std::vector<std::uint64_t> keys;
  for (const Matrix& matrix : matrices_) {
    const auto size = matrix.rows * matrix.columns;
    const float* from = importance.data_ptr<float>() + matrix.begin;
    keys.resize(static_cast<std::size_t>(size));
    for (std::int64_t i = 0; i < size; ++i) keys[static_cast<std::size_t>(i)] = key(from[i], i);
    if (goal_.two_of_four) keys = two_of_each_four(keys, matrix.columns);
    const auto count = std::llround((goal_.two_of_four ? 1 : goal_.share) * grown * static_cast<double>(keys.size()));
    std::nth_element(keys.begin(), keys.begin() + count, keys.end());
    float* mask = mask_.data_ptr<float>() + matrix.begin;
    for (std::int64_t i = 0; i < count; ++i) mask[static_cast<std::uint32_t>(keys[static_cast<std::size_t>(i)])] = 0;
  }
  if (allowed_.defined()) mask_.mul_(allowed_);
  values.copy_(latent * mask_).add_(0.0);
  aside_.copy_(latent - values);
}

std::map<std::string, Tensor> WeightMask::kept() const {
  if (!aside_.defined()) return {};
  return {{"mask", mask_}, {"aside", aside_}};
}

}  // namespace fathom::train
