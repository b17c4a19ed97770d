#include "train/extractor.h"

#include <algorithm>
#include <cmath>

#include "train/adamw.h"

namespace fathom::train {

using torch::Tensor;

namespace {

Tensor kernel(std::int64_t out, std::int64_t in, std::int64_t rows, std::uint64_t seed, const std::string& name) {
  return random_uniform({out, in, rows, 3}, std::sqrt(6.0 / static_cast<double>(in * rows * 3)), seed, name);
}

// Positions that count, per row: a text's tokens; for an image all of the map.
Tensor counts(const ModelSpec& spec, const Tensor& map, const Tensor& lengths) {
  if (spec.modality == Modality::text) return lengths.to(torch::kFloat).view({-1, 1});
  return torch::full({map.size(0), 1}, static_cast<float>(map.size(2) * map.size(3)));
}

// Maximum over positions; through indices, because amax's gradient compares every element with the maximum again.
Tensor most(const Tensor& map) { return std::get<0>(map.flatten(2).max(2)); }

}  // namespace

Extractor::Extractor(const ModelSpec& spec, double scale, std::uint64_t seed) : spec_(spec) {
  const auto& e = spec.extractor;
  const std::int64_t rows = spec.grid_rows() == 1 ? 1 : 3;
  const double bound = std::sqrt(3.0 / spec.hidden) / std::max(scale, 1e-6);
  proj_w_ = register_parameter("proj_w", random_uniform({e.embed, spec.hidden}, bound, seed, "extractor.proj"));
  proj_b_ = register_parameter("proj_b", torch::zeros({e.embed}));
  conv1_w_ = register_parameter("conv1_w", kernel(e.c1, e.embed, rows, seed, "extractor.conv1"));
  conv1_b_ = register_parameter("conv1_b", torch::zeros({e.c1}));
  conv2_w_ = register_parameter("conv2_w", kernel(e.c2, e.c1, rows, seed, "extractor.conv2"));
  conv2_b_ = register_parameter("conv2_b", torch::zeros({e.c2}));
  conv3_w_ = register_parameter("conv3_w", kernel(e.c3, e.c2, rows, seed, "extractor.conv3"));
  conv3_b_ = register_parameter("conv3_b", torch::zeros({e.c3}));
}

Tensor Extractor::keep(const Tensor& map, const Tensor& lengths) const {
  if (spec_.modality == Modality::image) return map;
  const auto inside = torch::arange(map.size(3)).view({1, 1, 1, -1}) < lengths.view({-1, 1, 1, 1});
  return map * inside.to(torch::kFloat);
}

Tensor Extractor::h1(const Tensor& h0, const Tensor& lengths) const {
  const bool image = spec_.modality == Modality::image;
  const auto grid =
      image ? h0.narrow(1, spec_.prefix_tokens, h0.size(1) - spec_.prefix_tokens) : h0;  // an image's CLS is no patch
  const std::int64_t rows = spec_.grid_rows();
  const auto x0 = torch::linear(grid, proj_w_, proj_b_).transpose(1, 2);
  const auto map = keep(x0.reshape({x0.size(0), x0.size(1), rows, x0.size(2) / rows}), lengths);
  const std::vector<std::int64_t> padding = {conv1_w_.size(2) / 2, 1};
  return keep(torch::relu(torch::conv2d(map, conv1_w_, conv1_b_, 1, padding)), lengths);
}

Tensor Extractor::h2(const Tensor& h1, const Tensor& lengths) const {
  const bool image = spec_.modality == Modality::image;
  const auto map = image ? torch::max_pool2d(h1, {2, 2}, {2, 2}, {0, 0}, {1, 1}, /*ceil_mode=*/true) : h1;
  const std::vector<std::int64_t> padding = {conv2_w_.size(2) / 2, 1};
  return keep(torch::relu(torch::conv2d(map, conv2_w_, conv2_b_, 1, padding)), lengths);
}

Tensor Extractor::h3(const Tensor& h2, const Tensor& lengths) const {
  const bool image = spec_.modality == Modality::image;
  const auto map = image ? torch::max_pool2d(h2, {2, 2}, {2, 2}, {0, 0}, {1, 1}, /*ceil_mode=*/true) : h2;
  const std::vector<std::int64_t> padding = {conv3_w_.size(2) / 2, 1};
  return keep(torch::relu(torch::conv2d(map, conv3_w_, conv3_b_, 1, padding)), lengths);
}

std::map<std::string, Tensor> Extractor::named_weights() const {
  return {{"extractor.proj.weight", proj_w_.detach()},   {"extractor.proj.bias", proj_b_.detach()},
          {"extractor.conv1.weight", conv1_w_.detach()}, {"extractor.conv1.bias", conv1_b_.detach()},
          {"extractor.conv2.weight", conv2_w_.detach()}, {"extractor.conv2.bias", conv2_b_.detach()}};
}

Tensor mean_and_max(const ModelSpec& spec, const Tensor& map, const Tensor& lengths) {
  return torch::cat({map.sum({2, 3}) / counts(spec, map, lengths), most(map)}, 1);
}

Tensor predictor_features(const ModelSpec& spec, const Tensor& h1, const Tensor& lengths) {
  const auto map = h1.detach().contiguous();
  const std::int64_t n = map.size(0), channels = map.size(1), positions = map.size(2) * map.size(3);
  auto out = torch::empty({n, 4 * channels + 1}, torch::kDouble);
  const float* values = map.data_ptr<float>();
  double* row = out.data_ptr<double>();
  const bool text = spec.modality == Modality::text;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t count = text ? lengths[i].item<std::int64_t>() : positions;
    for (std::int64_t c = 0; c < channels; ++c, values += positions, row += 4) {
      double sum = 0, squares = 0;
      float peak = values[0];
      for (std::int64_t p = 0; p < count; ++p) {
        const double v = values[p];
        sum += v;
        squares += v * v;
        peak = std::max(peak, values[p]);
      }
      const double size = static_cast<double>(count), mean = sum / size;
      std::int64_t first = 0;
      if (peak > 0) {
        while (static_cast<double>(values[first]) < 0.5 * static_cast<double>(peak)) ++first;
      }
      row[0] = mean;
      row[1] = peak;
      row[2] = std::sqrt(std::max(0.0, squares / size - mean * mean));
      row[3] = static_cast<double>(first) / size;
    }
    *row++ = text ? static_cast<double>(count) / spec.max_tokens : 1.0;
  }
  return out;
}

namespace {

// The heads that teach the extractor; none of them is shipped.
class TeachingHeads : public torch::nn::Module {
 public:
  TeachingHeads(const ModelSpec& spec, std::uint64_t seed) : spec_(spec) {
    const std::int64_t c1 = spec.extractor.c1, c2 = spec.extractor.c2, c3 = spec.extractor.c3;
    const std::int64_t width = std::max<std::int64_t>(32, c1);
    add("a", width, 3 * c1 + 1, seed);
    add("b", spec.layers - 1, width, seed);
    add("c", width, 2 * c2, seed);
    add("d", spec.layers - 1, width, seed);
    add("e", spec.classes(), 2 * c3, seed);
  }
  // Mean, maximum, deviation of each h1 channel and the length: what the trees will see, the position left out.
  Tensor complexity(const Tensor& h1, const Tensor& lengths) const {
    const auto size = counts(spec_, h1, lengths);
    const auto mean = h1.sum({2, 3}) / size;
    const auto deviation = torch::sqrt(torch::relu((h1 * h1).sum({2, 3}) / size - mean * mean) + 1e-4);
    const auto length =
        spec_.modality == Modality::text ? size / static_cast<double>(spec_.max_tokens) : torch::ones_like(size);
    return apply("b", torch::relu(apply("a", torch::cat({mean, most(h1), deviation, length}, 1))));
  }
  Tensor control(const Tensor& h2, const Tensor& lengths) const {
    return apply("d", torch::relu(apply("c", mean_and_max(spec_, h2, lengths))));
  }
  Tensor task(const Tensor& h3, const Tensor& lengths) const { return apply("e", mean_and_max(spec_, h3, lengths)); }

 private:
  void add(const std::string& name, std::int64_t out, std::int64_t in, std::uint64_t seed) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in));
    weights_[name] = {register_parameter(name + "_w", random_uniform({out, in}, bound, seed, "teaching." + name)),
                      register_parameter(name + "_b", torch::zeros({out}))};
  }
  Tensor apply(const std::string& name, const Tensor& x) const {
    const auto& [weight, bias] = weights_.at(name);
    return torch::linear(x, weight, bias);
  }
  ModelSpec spec_;
  std::map<std::string, std::pair<Tensor, Tensor>> weights_;
};

struct Batch {
  Tensor h0, lengths, survives, teacher;
};

Batch batch_of(const ModelSpec& spec, const ExtractorData& data, const Tensor& rows) {
  Batch out;
  out.lengths = data.lengths.index_select(0, rows);
  const auto longest = spec.modality == Modality::text ? out.lengths.max().item<std::int64_t>() : data.h0.size(1);
  out.h0 = data.h0.narrow(1, 0, longest).index_select(0, rows);
  const auto exits = torch::arange(1, spec.layers).unsqueeze(0);
  out.survives = (data.depth.index_select(0, rows).unsqueeze(1) > exits).to(torch::kFloat);
  out.teacher = data.teacher.index_select(0, rows);
  return out;
}

double held_loss(const ModelSpec& spec, const Extractor& extractor, const TeachingHeads& heads,
                 const ExtractorData& data, const Tensor& held) {
  torch::NoGradGuard no_grad;
  double sum = 0;
  for (std::int64_t at = 0; at < held.size(0); at += 1024) {
    const auto part = held.narrow(0, at, std::min<std::int64_t>(1024, held.size(0) - at));
    const auto b = batch_of(spec, data, part);
    const auto logits = heads.complexity(extractor.h1(b.h0, b.lengths), b.lengths);
    sum +=
        torch::binary_cross_entropy_with_logits(logits, b.survives).item<double>() * static_cast<double>(part.size(0));
  }
  return sum / static_cast<double>(held.size(0));
}

}  // namespace

ExtractorFit fit_extractor(const ModelSpec& spec, const ExtractorData& data, const Tensor& train, const Tensor& held,
                           const ExtractorSettings& settings, int stop_after) {
  ExtractorFit fit;
  const double scale = data.h0.index_select(0, sampled_rows(data.h0.size(0), 256)).std().item<double>();
  fit.extractor = settings.from ? settings.from : std::make_shared<Extractor>(spec, scale, settings.seed);
  TeachingHeads heads(spec, settings.seed);
  auto parameters = fit.extractor->parameters();
  for (const auto& p : heads.parameters()) parameters.push_back(p);
  const FlatParameters flat(parameters);
  SmallAdamW optimizer(flat, settings.weight_decay);
  const std::int64_t n = train.size(0), steps = (n + settings.batch - 1) / settings.batch;
  const int last = stop_after > 0 ? std::min(stop_after, settings.epochs) : settings.epochs;
  Tensor best;
  for (int epoch = 0; epoch < last; ++epoch) {
    const auto order = shuffled(n, settings.seed, "extractor.order", static_cast<std::uint64_t>(epoch));
    double distilled = 0;
    for (std::int64_t s = 0; s < steps; ++s) {
      const std::int64_t begin = s * settings.batch, size = std::min<std::int64_t>(settings.batch, n - begin);
      const auto picked = torch::tensor(std::vector<std::int64_t>(order.begin() + begin, order.begin() + begin + size));
      const auto b = batch_of(spec, data, train.index_select(0, picked));
      optimizer.zero();
      const auto h1 = fit.extractor->h1(b.h0, b.lengths);
      const auto h2 = fit.extractor->h2(h1, b.lengths);
      const auto task = heads.task(fit.extractor->h3(h2, b.lengths), b.lengths);
      const auto target = torch::softmax(b.teacher / 2.0, 1);
      const auto kl =
          (target * (torch::log_softmax(b.teacher / 2.0, 1) - torch::log_softmax(task / 2.0, 1))).sum(1).mean() * 4.0;
      const auto loss = torch::binary_cross_entropy_with_logits(heads.complexity(h1, b.lengths), b.survives) +
                        torch::binary_cross_entropy_with_logits(heads.control(h2, b.lengths), b.survives) +
                        settings.distill_weight * kl;
      loss.backward();
      const double progress = static_cast<double>(epoch * steps + s) / static_cast<double>(settings.epochs * steps);
      const double warm = std::min(1.0, static_cast<double>(epoch * steps + s + 1) / 20.0);
      optimizer.step(settings.rate * warm * (0.02 + 0.98 * 0.5 * (1 + std::cos(M_PI * progress))), 1.0);
      distilled += kl.item<double>();
    }
    fit.distill_loss = distilled / static_cast<double>(steps);
    if (!settings.keep_best || held.numel() == 0) {
      fit.epochs = epoch + 1;
      continue;
    }
    const double loss = held_loss(spec, *fit.extractor, heads, data, held);
    if (best.defined() && loss >= fit.held_loss) continue;
    fit.held_loss = loss;
    fit.epochs = epoch + 1;
    best = flat.values().clone();
  }
  torch::NoGradGuard no_grad;
  if (best.defined()) {
    auto values = flat.values();
    values.copy_(best);
  } else if (held.numel() > 0) {
    fit.held_loss = held_loss(spec, *fit.extractor, heads, data, held);
  }
  return fit;
}

Extracted extract(const ModelSpec& spec, const Extractor& extractor, const Tensor& h0, const Tensor& lengths) {
  torch::NoGradGuard no_grad;
  std::vector<Tensor> features, inputs;
  for (std::int64_t at = 0; at < h0.size(0); at += 512) {
    const std::int64_t size = std::min<std::int64_t>(512, h0.size(0) - at);
    const auto part = lengths.narrow(0, at, size);
    const auto h1 = extractor.h1(h0.narrow(0, at, size), part);
    features.push_back(predictor_features(spec, h1, part));
    inputs.push_back(torch::cat({mean_and_max(spec, extractor.h2(h1, part), part), torch::zeros({size, 1})}, 1));
  }
  return {torch::cat(features), torch::cat(inputs)};
}

}  // namespace fathom::train
