#include "train/fusion.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "policy/calibrate.h"
#include "policy/exit_costs.h"
#include "policy/signals.h"

namespace fathom::train {

using torch::Tensor;

namespace {

// Minimum of a unimodal function by golden section.
double golden(double low, double high, int steps, const std::function<double(double)>& value) {
  constexpr double kRatio = 0.6180339887498949;
  double a = high - kRatio * (high - low), b = low + kRatio * (high - low);
  double at_a = value(a), at_b = value(b);
  for (int i = 0; i < steps; ++i) {
    if (at_a <= at_b) {
      high = b;
      b = a;
      at_b = at_a;
      a = high - kRatio * (high - low);
      at_a = value(a);
    } else {
      low = a;
      a = b;
      at_a = at_b;
      b = low + kRatio * (high - low);
      at_b = value(b);
    }
  }
  return 0.5 * (low + high);
}

}  // namespace

std::vector<float> fit_temperatures(const Tensor& logits, const Tensor& labels) {
  torch::NoGradGuard no_grad;
  std::vector<float> out;
  const auto index = labels.unsqueeze(1);
  for (std::int64_t l = 0; l < logits.size(1); ++l) {
    const auto z = logits.select(1, l).contiguous();
    const auto right = z.gather(1, index).squeeze(1);
    const double log_t = golden(std::log(0.2), std::log(8.0), 24, [&](double x) {
      const double scale = std::exp(-x);
      return (torch::logsumexp(z * scale, 1) - right * scale).mean().item<double>();
    });
    out.push_back(static_cast<float>(std::exp(log_t)));
  }
  return out;
}

Tensor all_signals(const Tensor& logits, const std::vector<float>& temperature) {
  torch::NoGradGuard no_grad;
  const std::int64_t n = logits.size(0), layers = logits.size(1);
  const auto scale = torch::tensor(temperature).view({1, -1, 1});
  const auto p = torch::softmax(logits / scale, 2).contiguous();
  const auto classes = static_cast<std::size_t>(p.size(2));
  auto out = torch::empty({n, layers - 1, policy::Signals::kCount});
  const float* at = p.data_ptr<float>();
  float* to = out.data_ptr<float>();
  for (std::int64_t i = 0; i < n; ++i, at += classes * static_cast<std::size_t>(layers)) {
    for (std::int64_t l = 0; l + 1 < layers; ++l) {
      const std::span<const float> now(at + static_cast<std::size_t>(l) * classes, classes);
      const auto before = l == 0 ? std::span<const float>() : std::span<const float>(now.data() - classes, classes);
      for (const float v : policy::signals_of(now, before, static_cast<int>(l) + 1, static_cast<int>(layers)).values())
        *to++ = v;
    }
  }
  return out;
}

Tensor fusion_inputs(const Tensor& signals, const Tensor& survival, const Tensor& stop_logits) {
  const auto s = survival.to(torch::kDouble).clamp(1e-6, 1 - 1e-6);
  const auto odds = torch::log((1 - s) / s).clamp(-6, 6).unsqueeze(2);
  return torch::cat({signals.to(torch::kDouble).narrow(2, 0, 5), odds, stop_logits.to(torch::kDouble).unsqueeze(2)}, 2)
      .contiguous();
}

policy::Fusion fit_fusion(const Tensor& inputs, const Tensor& target, double ridge) {
  torch::NoGradGuard no_grad;
  const std::int64_t n = inputs.size(0), exits = inputs.size(1);
  const auto exit = torch::eye(exits, torch::kDouble).unsqueeze(0).expand({n, exits, exits});
  const auto x = torch::cat({inputs, exit}, 2).reshape({n * exits, 7 + exits}).contiguous();
  const auto y = target.to(torch::kDouble).reshape({-1}).contiguous();
  auto w = torch::zeros({7 + exits}, torch::kDouble);
  const auto penalty = torch::full({7 + exits}, ridge, torch::kDouble);
  const auto loss_at = [&](const Tensor& v) {
    const auto z = torch::mv(x, v);
    return (torch::softplus(z) - y * z).sum().item<double>() + 0.5 * (penalty * v * v).sum().item<double>();
  };
  double loss = loss_at(w);
  for (int step = 0; step < 50; ++step) {
    const auto p = torch::sigmoid(torch::mv(x, w));
    const auto gradient = torch::mv(x.t(), p - y) + penalty * w;
    const auto hessian = torch::mm(x.t(), x * (p * (1 - p)).unsqueeze(1)) + torch::diag(penalty);
    const auto move = torch::linalg_solve(hessian, gradient);
    double size = 1, next = loss;
    for (; size > 1e-4; size *= 0.5) {  // Newton with halving: always downhill
      next = loss_at(w - size * move);
      if (next <= loss) break;
    }
    if (next > loss) break;
    w = w - size * move;
    const bool settled = loss - next <= 1e-10 * std::abs(loss);
    loss = next;
    if (settled) break;
  }
  policy::Fusion out;
  const double* values = w.data_ptr<double>();
  for (std::size_t i = 0; i < 7; ++i) out.weights[i] = static_cast<float>(values[i]);
  for (std::int64_t e = 0; e < exits; ++e) out.bias.push_back(static_cast<float>(values[7 + e]));
  return out;
}

Tensor fused_logits(const policy::Fusion& fusion, const Tensor& inputs) {
  std::vector<double> weights(fusion.weights.begin(), fusion.weights.end()),
      bias(fusion.bias.begin(), fusion.bias.end());
  return torch::matmul(inputs, torch::tensor(weights, torch::kDouble)) + torch::tensor(bias, torch::kDouble);
}

Evidence evidence_of(const ModelSpec& spec, const policy::Policy& policy, const Tensor& logits, const Tensor& lengths) {
  Evidence out;
  out.layers = spec.layers;
  out.predictions = logits.argmax(2);
  const std::int64_t n = logits.size(0);
  out.full_macs = torch::empty({n}, torch::kDouble);
  for (auto& m : out.macs) m = torch::empty({n, spec.layers}, torch::kDouble);
  policy::ExitCosts costs(spec, policy);
  for (std::int64_t i = 0; i < n; ++i) {
    const int tokens =
        spec.modality == Modality::text ? static_cast<int>(lengths[i].item<std::int64_t>()) : spec.tokens();
    out.full_macs.data_ptr<double>()[i] = costs.full(tokens).macs;
    for (std::size_t s = 0; s < 4; ++s)
      for (int e = 1; e <= spec.layers; ++e)
        out.macs[s].data_ptr<double>()[i * spec.layers + e - 1] =
            costs.adaptive(static_cast<policy::Score>(s), tokens, e).macs;
  }
  return out;
}

namespace {

Point point_of(const Evidence& evidence, std::span<const float> scores, policy::Score score, float lambda) {
  const auto exits = policy::exits_at(scores, evidence.layers, lambda, 1);
  const auto n = static_cast<std::int64_t>(exits.size());
  const std::int64_t* predictions = evidence.predictions.data_ptr<std::int64_t>();
  const double* macs = evidence.macs[static_cast<int>(score)].data_ptr<double>();
  double wrong = 0, used = 0, depth = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t row = i * evidence.layers, exit = exits[static_cast<std::size_t>(i)];
    wrong += predictions[row + exit - 1] != predictions[row + evidence.layers - 1] ? 1 : 0;
    used += macs[row + exit - 1];
    depth += static_cast<double>(exit);
  }
  const double size = static_cast<double>(n);
  return {lambda, wrong / size, 1 - used / evidence.full_macs.sum().item<double>(), depth / size};
}

struct Thresholds {
  Tensor kept;
  std::span<const float> scores;
  std::vector<float> lambdas;
};

Thresholds thresholds_of(const Tensor& scores) {
  Thresholds out;
  out.kept = scores.to(torch::kFloat).contiguous();
  out.scores = {out.kept.data_ptr<float>(), static_cast<std::size_t>(out.kept.numel())};
  out.lambdas = policy::candidate_thresholds(out.scores, 2000);
  return out;
}

}  // namespace

Point point_at_budget(const Evidence& evidence, const Tensor& scores, policy::Score score, double budget) {
  const auto all = thresholds_of(scores);
  Point best = point_of(evidence, all.scores, score, 2.0f);
  for (const float lambda : all.lambdas) {
    const Point point = point_of(evidence, all.scores, score, lambda);
    if (!(point.disagreement <= budget)) break;
    best = point;
  }
  return best;
}

Json point_to_json(const Point& point) {
  return {{"lambda", point.lambda},
          {"disagreement", point.disagreement},
          {"saved", point.saved},
          {"mean_exit", point.mean_exit}};
}

}  // namespace fathom::train
