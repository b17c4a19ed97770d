#include "train/mixing.h"

#include <algorithm>
#include <cmath>

#include "train/linear_attention.h"

namespace fathom::train {
namespace {

using torch::Tensor;

constexpr std::int64_t kRows = 64;  // of weights at once: with 2,048 keys half a megabyte, twice in the gradient

bool by_blocks(const AttentionSize& size) { return size.window == 0 && size.tokens > kLongTokens; }
float scale_of(const AttentionSize& size) { return 1.0f / std::sqrt(static_cast<float>(size.dim)); }

// The columns of one (input, head) pair that are no padding: [length, dim] of x, `part` 0..2 of q, k and v.
Tensor part_of(const Tensor& x, const AttentionSize& size, std::int64_t b, std::int64_t length, std::int64_t head,
               std::int64_t part = 0) {
  return x.narrow(0, b * size.tokens, length).narrow(1, (part * size.heads + head) * size.dim, size.dim);
}

struct Pair {
  Tensor q, k, v;
  std::int64_t length;
};

template <class Each>
void over_pairs(const AttentionSize& size, const Tensor& qkv, const Tensor& lengths, const Each& each) {
  const auto* length = lengths.data_ptr<std::int64_t>();
  for (std::int64_t b = 0; b < size.batch; ++b)
    for (std::int64_t head = 0; head < size.heads; ++head) {
      const auto part = [&](std::int64_t p) { return part_of(qkv, size, b, length[b], head, p).contiguous(); };
      each(Pair{part(0), part(1), part(2), length[b]}, b, head);
    }
}

// Calls each(first row, its rows, their weights [rows, length]).
template <class Each>
void over_blocks(const Pair& pair, float scale, const Each& each) {
  const auto keys = pair.k.t();
  for (std::int64_t i = 0; i < pair.length; i += kRows) {
    const auto rows = std::min(kRows, pair.length - i);
    auto weights = torch::mm(pair.q.narrow(0, i, rows), keys);
    softmax_rows(rows, pair.length, scale, weights.data_ptr<float>());
    each(i, rows, weights);
  }
}

Tensor mix_blocks(const AttentionSize& size, const Tensor& qkv, const Tensor& lengths) {
  auto out = torch::zeros({size.batch * size.tokens, size.heads * size.dim});
  over_pairs(size, qkv, lengths, [&](const Pair& pair, std::int64_t b, std::int64_t head) {
    auto to = part_of(out, size, b, pair.length, head);
    over_blocks(pair, scale_of(size), [&](std::int64_t i, std::int64_t rows, const Tensor& weights) {
      to.narrow(0, i, rows).copy_(torch::mm(weights, pair.v));
    });
  });
  return out;
}

Tensor mix_blocks_gradient(const AttentionSize& size, const Tensor& qkv, const Tensor& lengths, const Tensor& dmixed) {
  auto dqkv = torch::zeros_like(qkv);
  over_pairs(size, qkv, lengths, [&](const Pair& pair, std::int64_t b, std::int64_t head) {
    const auto g = part_of(dmixed, size, b, pair.length, head).contiguous();
    auto dq = part_of(dqkv, size, b, pair.length, head, 0);
    auto dk = torch::zeros_like(pair.k), dv = torch::zeros_like(pair.v);
    over_blocks(pair, scale_of(size), [&](std::int64_t i, std::int64_t rows, const Tensor& weights) {
      const auto gi = g.narrow(0, i, rows);
      dv.addmm_(weights.t(), gi);
      auto scores = torch::mm(gi, pair.v.t());
      softmax_rows_gradient(rows, pair.length, scale_of(size), weights.data_ptr<float>(), scores.data_ptr<float>());
      dq.narrow(0, i, rows).copy_(torch::mm(scores, pair.k));
      dk.addmm_(scores.t(), pair.q.narrow(0, i, rows));
    });
    part_of(dqkv, size, b, pair.length, head, 1).copy_(dk);
    part_of(dqkv, size, b, pair.length, head, 2).copy_(dv);
  });
  return dqkv;
}

}  // namespace

Mixing mix(const AttentionSize& size, bool linear, const Tensor& qkv, const Tensor& lengths) {
  if (linear) return {linear_attention(size, qkv, lengths), {}};
  if (by_blocks(size)) return {mix_blocks(size, qkv, lengths), {}};
  Mixing mixing{torch::empty({size.batch * size.tokens, size.heads * size.dim}),
                torch::empty({size.batch, size.heads, size.tokens, size.span()})};
  attention_forward(size, qkv.data_ptr<float>(), lengths.data_ptr<std::int64_t>(),
                    mixing.probabilities.data_ptr<float>(), mixing.out.data_ptr<float>());
  return mixing;
}

Tensor mix_gradient(const AttentionSize& size, bool linear, const Tensor& qkv, const Tensor& lengths,
                    const Mixing& mixing, const Tensor& dmixed) {
  if (linear) return linear_attention_gradient(size, qkv, lengths, mixing.out, dmixed);
  if (by_blocks(size)) return mix_blocks_gradient(size, qkv, lengths, dmixed);
  auto dqkv = torch::empty_like(qkv);
  attention_backward(size, qkv.data_ptr<float>(), lengths.data_ptr<std::int64_t>(),
                     mixing.probabilities.data_ptr<float>(), dmixed.data_ptr<float>(), dqkv.data_ptr<float>());
  return dqkv;
}

}  // namespace fathom::train
