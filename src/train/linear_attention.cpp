#include "train/linear_attention.h"

namespace fathom::train {
namespace {

using torch::Tensor;

// [batch * tokens, parts * heads * dim] -> [parts, batch * heads, tokens, dim], and back.
Tensor by_heads(const AttentionSize& size, const Tensor& x, std::int64_t parts) {
  return x.view({size.batch, size.tokens, parts, size.heads, size.dim})
      .permute({2, 0, 3, 1, 4})
      .contiguous()
      .view({parts, size.batch * size.heads, size.tokens, size.dim});
}
Tensor by_rows(const AttentionSize& size, const Tensor& x, std::int64_t parts) {
  return x.view({parts, size.batch, size.heads, size.tokens, size.dim})
      .permute({1, 3, 0, 2, 4})
      .reshape({size.batch * size.tokens, parts * size.heads * size.dim});
}

struct States {
  Tensor q, k, v;  // [batch * heads, tokens, dim]; features of queries and keys, those of padding keys 0
  Tensor s, z;     // sums over the keys of k v^T [.., dim, dim], and of k [.., dim, 1]
};

States states_of(const AttentionSize& size, const Tensor& qkv, const Tensor& lengths) {
  const auto parts = by_heads(size, qkv, 3);
  const States out{parts[0], parts[1], parts[2], {}, {}};
  linear_features(2 * out.q.numel(), out.q.data_ptr<float>());  // keys lie behind queries
  const auto* length = lengths.data_ptr<std::int64_t>();
  for (std::int64_t b = 0; b < size.batch; ++b)
    out.k.narrow(0, b * size.heads, size.heads).narrow(1, length[b], size.tokens - length[b]).zero_();
  return {out.q, out.k, out.v, torch::bmm(out.k.transpose(1, 2), out.v), out.k.sum(1).unsqueeze(2)};
}

}  // namespace

Tensor linear_attention(const AttentionSize& size, const Tensor& qkv, const Tensor& lengths) {
  const States x = states_of(size, qkv, lengths);
  return by_rows(size, torch::bmm(x.q, x.s).div_(torch::bmm(x.q, x.z)), 1);
}

// out = n / d with n = q s and d = q z: dn = g / d, dd = -(g . out) / d.
Tensor linear_attention_gradient(const AttentionSize& size, const Tensor& qkv, const Tensor& lengths, const Tensor& out,
                                 const Tensor& dout) {
  const States x = states_of(size, qkv, lengths);
  const auto g = by_heads(size, dout, 1)[0], d = torch::bmm(x.q, x.z);
  const auto dd = (g * by_heads(size, out, 1)[0]).sum(2, true).div_(d).neg_(), dn = g / d;
  const auto dqkv = torch::empty({3, size.batch * size.heads, size.tokens, size.dim});
  auto dq = dqkv[0], dk = dqkv[1], dv = dqkv[2];
  const auto ds = torch::bmm(x.q.transpose(1, 2), dn), dz = torch::bmm(dd.transpose(1, 2), x.q);  // dz [.., 1, dim]
  dq.copy_(torch::bmm(dn, x.s.transpose(1, 2)).add_(dd * x.z.transpose(1, 2)));
  dk.copy_(torch::bmm(x.v, ds.transpose(1, 2)).add_(dz));
  torch::bmm_out(dv, x.k, ds);
  linear_features_gradient(dq.numel(), x.q.data_ptr<float>(), dq.data_ptr<float>());
  linear_features_gradient(dk.numel(), x.k.data_ptr<float>(),
                           dk.data_ptr<float>());  // 0 for padding, as its features are
  return by_rows(size, dqkv, 3);
}

}  // namespace fathom::train
