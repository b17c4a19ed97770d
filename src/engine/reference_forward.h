// Tests only: the whole of docs/formats/bundle.md "The decision, exactly" in plain double-precision loops, written
// apart from the engine. Slow on purpose; reads weights by name from a Model.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"
#include "policy/policy.h"

namespace fathom::engine::reference {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

struct Forward {
  const Model& model;
  const policy::Policy& policy;
  const ModelSpec& spec = model.spec();

  Row linear(const Row& x, const std::string& weight, const std::string& bias, std::size_t n) const {
    const float* w = model.weight(weight);
    const float* b = bias.empty() ? nullptr : model.weight(bias);
    Row y(n);
    for (std::size_t i = 0; i < n; ++i) {
      y[i] = b == nullptr ? 0.0 : static_cast<double>(b[i]);
      for (std::size_t j = 0; j < x.size(); ++j) y[i] += static_cast<double>(w[i * x.size() + j]) * x[j];
    }
    return y;
  }
  Row linear(const Row& x, const std::string& name, int n) const {
    return linear(x, name + ".weight", name + ".bias", static_cast<std::size_t>(n));
  }
  Row times(const Row& x, const std::string& weight, int n) const {  // no bias
    Row y(static_cast<std::size_t>(n), 0.0);
    const float* w = model.weight(weight);
    for (std::size_t i = 0; i < y.size(); ++i)
      for (std::size_t j = 0; j < x.size(); ++j) y[i] += static_cast<double>(w[i * x.size() + j]) * x[j];
    return y;
  }
  // What the `which`-th map of a layer reads: x, or its factor's rows of it.
  Row read_by(const Row& x, int index, std::size_t which) const {
    const LayerMap map = layer_maps(spec)[which];
    return map.rank > 0 ? times(x, factor_name(spec, index, map), map.rank) : x;
  }
  Row norm(const Row& x, const std::string& name) const {
    double mean = 0, variance = 0;
    for (const double v : x) mean += v / static_cast<double>(x.size());
    for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
    const float *g = model.weight(name + ".weight"), *b = model.weight(name + ".bias");
    Row y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      y[i] =
          (x[i] - mean) / std::sqrt(variance + static_cast<double>(spec.layer_norm_eps)) * static_cast<double>(g[i]) +
          static_cast<double>(b[i]);
    return y;
  }
  static double gelu(double x) { return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))); }
  static double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
  static Row sum(const Row& a, const Row& b) {
    Row y = a;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += b[i];
    return y;
  }

  Rows text(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& types) const {
    const std::size_t h = static_cast<std::size_t>(spec.hidden);
    const float* word = model.weight("embeddings.word_embeddings.weight");
    const float* position = model.weight("embeddings.position_embeddings.weight");
    Rows rows;
    std::size_t next = spec.padding_id < 0 ? 0 : 1;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      const std::size_t place = spec.padding_id >= 0 && ids[t] == spec.padding_id ? 0 : next++;
      const std::size_t width = spec.word_width > 0 ? static_cast<std::size_t>(spec.word_width) : h;
      const float* const row = word + static_cast<std::size_t>(ids[t]) * width;
      Row x(row, row + width);
      if (spec.word_width > 0) x = times(x, "embeddings.word_projection.weight", spec.hidden);
      for (std::size_t i = 0; i < h; ++i) {
        x[i] += static_cast<double>(position[place * h + i]);
        if (spec.token_types > 0)
          x[i] += static_cast<double>(
              model.weight("embeddings.token_type_embeddings.weight")[static_cast<std::size_t>(types[t]) * h + i]);
      }
      rows.push_back(spec.norm == NormOrder::post ? norm(x, "embeddings.LayerNorm") : x);
    }
    return rows;
  }
  Rows image(const std::uint8_t* pixels) const {
    const int p = spec.patch;
    const std::size_t h = static_cast<std::size_t>(spec.hidden);
    const float* cls = model.weight("embeddings.cls_token");
    const float* position = model.weight("embeddings.position_embeddings");
    Rows rows(1, Row(h));
    for (std::size_t i = 0; i < h; ++i) rows[0][i] = static_cast<double>(cls[i]) + static_cast<double>(position[i]);
    if (spec.prefix_tokens == 2) {
      const float* second = model.weight("embeddings.distillation_token");
      rows.emplace_back(h);
      for (std::size_t i = 0; i < h; ++i)
        rows[1][i] = static_cast<double>(second[i]) + static_cast<double>(position[h + i]);
    }
    for (int r = 0; r < spec.grid_rows(); ++r)
      for (int c = 0; c < spec.grid_columns(); ++c) {
        Row patch;
        for (int channel = 0; channel < 3; ++channel) {
          const double mean = static_cast<double>(spec.pixel_mean[static_cast<std::size_t>(channel)]);
          const double deviation = static_cast<double>(spec.pixel_std[static_cast<std::size_t>(channel)]);
          for (int y = 0; y < p; ++y)
            for (int x = 0; x < p; ++x) {
              const double byte = pixels[((r * p + y) * spec.image_width + c * p + x) * 3 + channel];
              patch.push_back((byte / 255.0 - mean) / deviation);
            }
        }
        Row x = linear(patch, "embeddings.patch_embeddings.projection", spec.hidden);
        for (std::size_t i = 0; i < h; ++i) x[i] += static_cast<double>(position[rows.size() * h + i]);
        rows.push_back(x);
      }
    return rows;
  }

  Rows attention(const Rows& x, int index) const {
    const std::string layer = "encoder.layer." + std::to_string(index) + ".";
    const std::size_t n = x.size(), dim = static_cast<std::size_t>(spec.head_dim());
    Rows q, k, v, out(n, Row(static_cast<std::size_t>(spec.attention_width()), 0.0));
    for (const Row& in : x) {
      const Row row = read_by(in, index, 0);
      q.push_back(linear(row, layer + "attention.self.query", spec.attention_width()));
      k.push_back(linear(row, layer + "attention.self.key", spec.attention_width()));
      v.push_back(linear(row, layer + "attention.self.value", spec.attention_width()));
    }
    const bool linear = spec.attention == Attention::linear;
    const auto feature = [](double value) { return value > 0 ? value + 1 : std::exp(std::max(value, -30.0)); };
    for (std::size_t head = 0; head < static_cast<std::size_t>(spec.heads); ++head)
      for (std::size_t i = 0; i < n; ++i) {
        Row weight(n, 0.0);
        double most = -1e300, total = 0;
        const auto sees = [&](std::size_t j) {
          return spec.attention_window == 0 ||
                 std::abs(static_cast<int>(i) - static_cast<int>(j)) <= spec.attention_window;
        };
        for (std::size_t j = 0; j < n; ++j) {
          if (!sees(j)) continue;
          for (std::size_t d = 0; d < dim; ++d) {
            const double query = q[i][head * dim + d], key = k[j][head * dim + d];
            weight[j] += linear ? feature(query) * feature(key) : query * key / std::sqrt(static_cast<double>(dim));
          }
          most = std::max(most, weight[j]);
        }
        for (std::size_t j = 0; j < n; ++j)
          total += weight[j] = linear ? weight[j] : sees(j) ? std::exp(weight[j] - most) : 0.0;
        for (std::size_t j = 0; j < n; ++j)
          for (std::size_t d = 0; d < dim; ++d) out[i][head * dim + d] += weight[j] / total * v[j][head * dim + d];
      }
    return out;
  }
  Rows layer(const Rows& x, int index) const {
    const std::string name = "encoder.layer." + std::to_string(index) + ".";
    const bool pre = spec.norm == NormOrder::pre;
    Rows in = x;
    if (pre)
      for (Row& row : in) row = norm(row, name + "layernorm_before");
    const Rows attended = attention(in, index);
    Rows out;
    for (std::size_t t = 0; t < x.size(); ++t) {
      Row y = sum(x[t], linear(read_by(attended[t], index, 1), name + "attention.output.dense", spec.hidden));
      if (!pre) y = norm(y, name + "attention.output.LayerNorm");
      Row inner =
          linear(read_by(pre ? norm(y, name + "layernorm_after") : y, index, 2), name + "intermediate.dense", spec.ffn);
      for (double& value : inner) value = gelu(value);
      y = sum(y, linear(read_by(inner, index, 3), name + "output.dense", spec.hidden));
      out.push_back(pre ? y : norm(y, name + "output.LayerNorm"));
    }
    return out;
  }

  Row pooled(const Rows& x) const {
    Row p = x[0];
    if (spec.pooling == Pooling::cls) return p;
    for (std::size_t i = 0; i < x[0].size(); ++i) {
      double mean = 0;
      for (const Row& row : x) mean += row[i] / static_cast<double>(x.size());
      p.push_back(mean);
    }
    return p;
  }
  Row head(const Rows& x, int exit) const {
    const std::string name = "exits." + std::to_string(exit) + ".";
    Row in;
    switch (exit == spec.layers ? spec.task_head : TaskHead::exit) {
      case TaskHead::exit:
        in = norm(pooled(x), name + "norm");
        break;
      case TaskHead::pooler_tanh:
      case TaskHead::pooler_relu:
        in = x[0];
        break;
      case TaskHead::norm_cls:
        in = norm(x[0], name + "norm");
        break;
      case TaskHead::norm_distilled:
        in = norm(x[0], name + "norm");
        for (const double value : norm(x[1], name + "norm")) in.push_back(value);
        break;
    }
    if (spec.head_hidden(exit) > 0) {
      in = linear(in, name + "dense", spec.head_hidden(exit));
      const TaskHead form = exit == spec.layers ? spec.task_head : TaskHead::exit;
      for (double& value : in)
        value = form == TaskHead::pooler_tanh   ? std::tanh(value)
                : form == TaskHead::pooler_relu ? std::max(0.0, value)
                                                : gelu(value);
    }
    return linear(in, name + "out", spec.classes());
  }
  std::vector<float> probabilities(const Row& logits, int exit) const {
    const double temperature = static_cast<double>(policy.temperature[static_cast<std::size_t>(exit - 1)]);
    const double most = *std::max_element(logits.begin(), logits.end());
    double total = 0;
    for (const double z : logits) total += std::exp((z - most) / temperature);
    std::vector<float> p;
    for (const double z : logits) p.push_back(static_cast<float>(std::exp((z - most) / temperature) / total));
    return p;
  }

  // A map of channels over rows x columns, [row * columns + column][channel].
  struct Map {
    int rows, columns;
    Rows at;
  };
  Map convolve(const Map& in, const std::string& name, int channels) const {
    const float *w = model.weight(name + ".weight"), *b = model.weight(name + ".bias");
    const int kh = spec.grid_rows() == 1 ? 1 : 3, inputs = static_cast<int>(in.at[0].size());
    Map out{in.rows, in.columns, {}};
    for (int r = 0; r < in.rows; ++r)
      for (int c = 0; c < in.columns; ++c) {
        Row y;
        for (int o = 0; o < channels; ++o) {
          double total = static_cast<double>(b[o]);
          for (int i = 0; i < inputs; ++i)
            for (int ky = 0; ky < kh; ++ky)
              for (int kx = 0; kx < 3; ++kx) {
                const int y0 = r + ky - kh / 2, x0 = c + kx - 1;
                if (y0 < 0 || y0 >= in.rows || x0 < 0 || x0 >= in.columns) continue;
                total += static_cast<double>(w[((o * inputs + i) * kh + ky) * 3 + kx]) *
                         in.at[static_cast<std::size_t>(y0 * in.columns + x0)][static_cast<std::size_t>(i)];
              }
          y.push_back(std::max(0.0, total));
        }
        out.at.push_back(y);
      }
    return out;
  }
  static Map max_pool(const Map& in) {
    Map out{(in.rows + 1) / 2, (in.columns + 1) / 2, {}};
    for (int r = 0; r < out.rows; ++r)
      for (int c = 0; c < out.columns; ++c) {
        Row y(in.at[0].size(), -1e300);
        for (int dy = 0; dy < 2; ++dy)
          for (int dx = 0; dx < 2; ++dx)
            if (2 * r + dy < in.rows && 2 * c + dx < in.columns)
              for (std::size_t i = 0; i < y.size(); ++i)
                y[i] = std::max(y[i], in.at[static_cast<std::size_t>((2 * r + dy) * in.columns + 2 * c + dx)][i]);
        out.at.push_back(y);
      }
    return out;
  }

  struct Extracted {
    std::vector<double> features;  // with room for the exit
    Row h;                         // the LSTM's start
  };
  Extracted extract(const Rows& h0) const {
    const bool text = spec.modality == Modality::text;
    Map grid{text ? 1 : spec.grid_rows(), text ? static_cast<int>(h0.size()) : spec.grid_columns(), {}};
    for (std::size_t t = text ? 0 : static_cast<std::size_t>(spec.prefix_tokens); t < h0.size(); ++t)
      grid.at.push_back(linear(h0[t], "extractor.proj", spec.extractor.embed));
    const Map h1 = convolve(grid, "extractor.conv1", spec.extractor.c1);
    const Map h2 = convolve(text ? h1 : max_pool(h1), "extractor.conv2", spec.extractor.c2);
    Extracted out;
    const double n = static_cast<double>(h1.at.size());
    for (std::size_t c = 0; c < h1.at[0].size(); ++c) {
      double total = 0, squares = 0, most = h1.at[0][c], first = 0;
      for (const Row& row : h1.at) total += row[c], squares += row[c] * row[c], most = std::max(most, row[c]);
      if (most > 0)
        while (h1.at[static_cast<std::size_t>(first)][c] < 0.5 * most) ++first;
      const double mean = total / n;
      for (const double f : {mean, most, std::sqrt(std::max(0.0, squares / n - mean * mean)), first / n})
        out.features.push_back(f);
    }
    out.features.push_back(text ? static_cast<double>(h0.size()) / spec.max_tokens : 1.0);
    out.features.push_back(0.0);
    Row u, most = h2.at[0];
    for (std::size_t c = 0; c < h2.at[0].size(); ++c) {
      double mean = 0;
      for (const Row& row : h2.at)
        mean += row[c] / static_cast<double>(h2.at.size()), most[c] = std::max(most[c], row[c]);
      u.push_back(mean);
    }
    u.insert(u.end(), most.begin(), most.end());
    u.push_back(policy.policy_reads_level ? policy::predicted_depth(policy, out.features, spec.layers) / spec.layers
                                          : 0.0);
    out.h = linear(u, "policy.init", spec.policy_hidden);
    for (double& value : out.h) value = std::tanh(value);
    return out;
  }

  struct Lstm {
    Row h, c;
  };
  Row step(Lstm& state, const Row& input) const {  // [stop, skip]
    const std::size_t n = state.h.size();
    const Row g = sum(linear(input, "policy.lstm.weight_ih", "policy.lstm.bias", 4 * n),
                      linear(state.h, "policy.lstm.weight_hh", "", 4 * n));
    for (std::size_t i = 0; i < n; ++i) {
      state.c[i] = sigmoid(g[n + i]) * state.c[i] + sigmoid(g[i]) * std::tanh(g[2 * n + i]);
      state.h[i] = sigmoid(g[3 * n + i]) * std::tanh(state.c[i]);
    }
    return linear(state.h, "policy.out", 2);
  }

  struct Answer {
    Rows logits;                   // [layers][classes]
    std::vector<double> norms;     // [layers]
    std::vector<float> scores[4];  // [layers - 1]
    std::uint64_t gates = 0;
    Rows hidden;  // after the last layer
  };
  Answer run(const Rows& h0) const {
    Answer answer;
    const Extracted extracted = extract(h0);
    std::vector<double> features = extracted.features;
    Lstm lstm{extracted.h, Row(extracted.h.size(), 0.0)}, open = lstm;
    std::vector<float> previous;
    Rows x = h0;
    for (int l = 1; l <= spec.layers; ++l) {
      Row blind(7, 0.0);
      blind[5] = static_cast<double>(l) / spec.layers;
      if (sigmoid(step(open, blind)[1]) < 0.5) answer.gates |= std::uint64_t{1} << (l - 1);
      x = layer(x, l - 1);
      answer.logits.push_back(head(x, l));
      double squares = 0;
      for (const double v : pooled(x)) squares += v * v;
      answer.norms.push_back(std::sqrt(squares));
      if (l == spec.layers) break;
      const std::vector<float> p = probabilities(answer.logits.back(), l);
      const float survival = static_cast<float>(policy::survival(policy, features, l));
      answer.scores[0].push_back(*std::max_element(p.begin(), p.end()));
      answer.scores[1].push_back(1.0f - survival);
      answer.scores[2].push_back(0.0f);
      answer.scores[3].push_back(0.0f);
      if (l < policy.first_exit) continue;
      const policy::Signals signals = policy::signals_of(p, previous, l, spec.layers);
      Row in;
      for (const float v : signals.values()) in.push_back(static_cast<double>(v));
      in.push_back(1.0);
      const double logit = step(lstm, in)[0];
      answer.scores[2].back() = static_cast<float>(sigmoid(logit));
      answer.scores[3].back() = policy::fused_score(policy.fusion, signals, survival, static_cast<float>(logit), l);
      previous = p;
    }
    if (answer.gates == 0) answer.gates = 1;
    answer.hidden = x;
    return answer;
  }

  // Last head after running only the layers of `mask`.
  Row masked_logits(const Rows& h0, std::uint64_t mask) const {
    Rows x = h0;
    for (int l = 1; l <= spec.layers; ++l)
      if (mask >> (l - 1) & 1) x = layer(x, l - 1);
    return head(x, spec.layers);
  }
};

}  // namespace fathom::engine::reference
