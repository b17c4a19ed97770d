#include "train/policy_net.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "model/names.h"
#include "train/adamw.h"

namespace fathom::train {

using torch::Tensor;

namespace {

// All steps of the LSTM as one autograd node: step by step in torch operators the recording costs several times the
// arithmetic of a policy this small. inputs [n, S, 4H] = W_ih x + bias, recurrent [4H, H], first [n, H]; c_0 = 0.
class LstmNode : public torch::autograd::Function<LstmNode> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& inputs, const Tensor& recurrent,
                        const Tensor& first) {
    const std::int64_t n = inputs.size(0), steps = inputs.size(1), h = first.size(1);
    auto gates = torch::empty({steps, n, 4 * h}), cells = torch::zeros({steps + 1, n, h}),
         states = torch::empty({steps + 1, n, h});
    states[0].copy_(first);
    const auto weight = recurrent.t().contiguous();
    for (std::int64_t s = 0; s < steps; ++s) {
      auto gate = gates[s];
      torch::addmm_out(gate, inputs.select(1, s), states[s], weight);
      gate.narrow(1, 0, 2 * h).sigmoid_();  // input, forget
      gate.narrow(1, 2 * h, h).tanh_();     // cell
      gate.narrow(1, 3 * h, h).sigmoid_();  // output
      auto cell = cells[s + 1], state = states[s + 1];
      torch::mul_out(cell, gate.narrow(1, h, h), cells[s]);
      cell.addcmul_(gate.narrow(1, 0, h), gate.narrow(1, 2 * h, h));
      torch::tanh_out(state, cell);
      state.mul_(gate.narrow(1, 3 * h, h));
    }
    context->save_for_backward({gates, cells, states, recurrent});
    return states.narrow(0, 1, steps).transpose(0, 1).contiguous();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &gates = saved[0], &cells = saved[1], &states = saved[2], &recurrent = saved[3];
    const std::int64_t steps = gates.size(0), n = gates.size(1), h = gates.size(2) / 4;
    auto by_gate = torch::empty({steps, n, 4 * h});
    auto state_grad = torch::zeros({n, h}), cell_grad = torch::zeros({n, h});
    for (std::int64_t s = steps - 1; s >= 0; --s) {
      state_grad.add_(grads[0].select(1, s));
      const auto gate = gates[s];
      const auto in = gate.narrow(1, 0, h), forget = gate.narrow(1, h, h), cell = gate.narrow(1, 2 * h, h),
                 out = gate.narrow(1, 3 * h, h);
      const auto bent = torch::tanh(cells[s + 1]);
      cell_grad.add_(state_grad * out * (1 - bent * bent));
      auto to = by_gate[s];
      to.narrow(1, 0, h).copy_(cell_grad * cell * in * (1 - in));
      to.narrow(1, h, h).copy_(cell_grad * cells[s] * forget * (1 - forget));
      to.narrow(1, 2 * h, h).copy_(cell_grad * in * (1 - cell * cell));
      to.narrow(1, 3 * h, h).copy_(state_grad * bent * out * (1 - out));
      cell_grad.mul_(forget);
      state_grad = torch::mm(to, recurrent);
    }
    const auto weight_grad =
        torch::mm(by_gate.view({steps * n, 4 * h}).t(), states.narrow(0, 0, steps).reshape({steps * n, h}));
    return {by_gate.transpose(0, 1), weight_grad, state_grad};
  }
};

}  // namespace

PolicyNet::PolicyNet(const ModelSpec& spec, const Tensor& start, std::uint64_t seed) {
  const std::int64_t h = spec.policy_hidden, width = 2 * spec.extractor.c2 + 1;
  const double bound = 1.0 / std::sqrt(static_cast<double>(h));
  auto init = random_uniform({h, width}, 1.0 / std::sqrt(static_cast<double>(width)), seed, "policy.init");
  auto shift = torch::zeros({h});
  if (start.defined()) {  // standardized inputs, the standardization folded into the weights
    const auto deviation = start.std(0, false), mean = start.mean(0);
    init = init / torch::where(deviation > 1e-4, deviation, torch::ones_like(deviation));
    shift = -torch::mv(init, mean);
  }
  init_w_ = register_parameter("init_w", init);
  init_b_ = register_parameter("init_b", shift);
  auto ih = random_uniform({4 * h, kPolicyInputs}, bound, seed, "policy.ih");
  ih.select(1, 0).mul_(0.3);  // the two signals that reach 10
  ih.select(1, 4).mul_(0.5);
  ih_w_ = register_parameter("ih_w", ih);
  hh_w_ = register_parameter("hh_w", random_uniform({4 * h, h}, bound, seed, "policy.hh"));
  auto bias = torch::zeros({4 * h});
  bias.narrow(0, h, h).fill_(1.0);  // remember by default
  bias_ = register_parameter("bias", bias);
  out_w_ = register_parameter("out_w", random_uniform({2, h}, bound, seed, "policy.out"));
  out_b_ = register_parameter("out_b", torch::zeros({2}));
}

PolicyNet::Output PolicyNet::forward(const Tensor& start, const Tensor& steps) const {
  const auto first = torch::tanh(torch::linear(start, init_w_, init_b_));
  const auto all = LstmNode::apply(torch::linear(steps, ih_w_, bias_), hh_w_, first);
  return {torch::linear(all, out_w_, out_b_), all};
}

std::map<std::string, Tensor> PolicyNet::named_weights() const {
  return {{"policy.init.weight", init_w_.detach()},  {"policy.init.bias", init_b_.detach()},
          {"policy.lstm.weight_ih", ih_w_.detach()}, {"policy.lstm.weight_hh", hh_w_.detach()},
          {"policy.lstm.bias", bias_.detach()},      {"policy.out.weight", out_w_.detach()},
          {"policy.out.bias", out_b_.detach()}};
}

void PolicyNet::add_to_stop_bias(double value) {
  torch::NoGradGuard no_grad;
  auto stop = out_b_.select(0, 0);
  stop.add_(value);
}

Tensor closed_inputs(const Tensor& signals) {
  return torch::cat({signals, torch::ones({signals.size(0), signals.size(1), 1})}, 2);
}

Tensor open_inputs(std::int64_t n, int steps, int layers) {
  auto out = torch::zeros({n, steps, kPolicyInputs});
  out.select(2, 5).copy_(
      (torch::arange(1, steps + 1).to(torch::kFloat) / static_cast<float>(layers)).unsqueeze(0).expand({n, steps}));
  return out;
}

std::shared_ptr<PolicyNet> clone_policy(const ModelSpec& spec, const Tensor& start, const Tensor& signals,
                                        const Tensor& depth, const Tensor& train, const CloneSettings& settings) {
  auto net = std::make_shared<PolicyNet>(spec, start.index_select(0, train), settings.seed);
  const FlatParameters flat(net->parameters());
  SmallAdamW optimizer(flat, settings.weight_decay);
  const std::int64_t n = train.size(0), steps = (n + settings.batch - 1) / settings.batch;
  const auto exits = torch::arange(1, spec.layers).unsqueeze(0);
  const auto level = depth.unsqueeze(1);
  const auto targets = torch::stack({exits >= level, exits > level}, 2).to(torch::kFloat);  // stop, skip
  const auto closed = closed_inputs(signals), open = open_inputs(1, spec.layers - 1, spec.layers);
  for (int epoch = 0; epoch < settings.epochs; ++epoch) {
    const auto order = shuffled(n, settings.seed, "policy.order", static_cast<std::uint64_t>(epoch));
    Random random(settings.seed, "policy.drop", static_cast<std::uint64_t>(epoch));
    for (std::int64_t s = 0; s < steps; ++s) {
      const std::int64_t begin = s * settings.batch, size = std::min<std::int64_t>(settings.batch, n - begin);
      const auto rows = train.index_select(
          0, torch::tensor(std::vector<std::int64_t>(order.begin() + begin, order.begin() + begin + size)));
      auto blind = torch::zeros({size, 1, 1}, torch::kBool);
      for (std::int64_t i = 0; i < size; ++i) blind.data_ptr<bool>()[i] = random.chance(settings.drop_signals);
      optimizer.zero();
      const auto out =
          net->forward(start.index_select(0, rows), torch::where(blind, open, closed.index_select(0, rows)));
      torch::binary_cross_entropy_with_logits(out.logits, targets.index_select(0, rows)).backward();
      const double progress = static_cast<double>(epoch * steps + s) / static_cast<double>(settings.epochs * steps);
      optimizer.step(settings.rate * (0.02 + 0.98 * 0.5 * (1 + std::cos(M_PI * progress))), 1.0);
    }
  }
  return net;
}

}  // namespace fathom::train
