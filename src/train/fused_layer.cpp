#include "train/fused_layer.h"

#include <torch/csrc/autograd/custom_function.h>

#include "train/fake_int8.h"
#include "train/layer_kernels.h"
#include "train/mixing.h"

namespace fathom::train {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Order of the node's inputs, and of the gradients it returns.
enum Input { kH, kNorm1W, kNorm1B, kQkvW, kQkvB, kOutW, kOutB, kNorm2W, kNorm2B, kUpW, kUpB, kDownW, kDownB, kInputs };

// Dropout masks; hidden from autograd, which refuses undefined tensors as inputs.
struct Keep {
  Tensor attention, feed;
  Keep as_rows(const Tensor& like) const {  // [B, T, hidden] -> [B T, hidden]
    return {attention.defined() ? attention.reshape(like.sizes()) : Tensor(),
            feed.defined() ? feed.reshape(like.sizes()) : Tensor()};
  }
};

struct Normed {
  Tensor y, mean, rstd;
};

NormSize norm_size(const Tensor& x, double eps) { return {x.size(0), x.size(1), static_cast<float>(eps)}; }

Normed norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  Normed out{torch::empty_like(x), torch::empty({x.size(0)}), torch::empty({x.size(0)})};
  norm_forward(norm_size(x, eps), x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(),
               out.y.data_ptr<float>(), out.mean.data_ptr<float>(), out.rstd.data_ptr<float>());
  return out;
}

// Gradient through a norm of x, plus `add`.
Tensor norm_gradient(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& weight,
                     double eps, const Tensor& add, Tensor& dweight, Tensor& dbias) {
  auto dx = torch::empty_like(x);
  dweight = torch::empty_like(weight);
  dbias = torch::empty_like(weight);
  norm_backward(norm_size(x, eps), dy.data_ptr<float>(), x.data_ptr<float>(), weight.data_ptr<float>(),
                mean.data_ptr<float>(), rstd.data_ptr<float>(), add.defined() ? add.data_ptr<float>() : nullptr,
                dx.data_ptr<float>(), dweight.data_ptr<float>(), dbias.data_ptr<float>());
  return dx;
}

Tensor column_sum(const Tensor& x) {
  auto out = torch::empty({x.size(1)});
  column_sums(x.size(0), x.size(1), x.data_ptr<float>(), out.data_ptr<float>());
  return out;
}

// x + keep * (a weight^T + bias)
Tensor residual(const Tensor& x, const Tensor& a, const Tensor& weight, const Tensor& bias, const Tensor& keep) {
  if (!keep.defined()) return torch::add(x, bias).addmm_(a, weight.t());
  return torch::addcmul(x, torch::addmm(bias, a, weight.t()), keep);
}

class Node : public torch::autograd::Function<Node> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& h3, const Tensor& norm1_w, const Tensor& norm1_b,
                        const Tensor& qkv_w, const Tensor& qkv_b, const Tensor& out_w, const Tensor& out_b,
                        const Tensor& norm2_w, const Tensor& norm2_b, const Tensor& up_w, const Tensor& up_b,
                        const Tensor& down_w, const Tensor& down_b, const Tensor& lengths, const Keep& masks,
                        std::int64_t heads, std::int64_t window, bool linear, double eps, bool pre, int levels) {
    const auto read = [levels](const Tensor& rows) { return levels > 0 ? fake_int8_rows(rows, levels) : rows; };
    const auto b = h3.size(0), t = h3.size(1), hidden = h3.size(2), dim = out_w.size(1) / heads;
    const AttentionSize size{b, t, heads, dim, window};
    const auto h = h3.reshape({b * t, hidden}).contiguous();
    const Keep keep = masks.as_rows(h);
    Normed n1, n2;
    if (pre) n1 = norm(h, norm1_w, norm1_b, eps);
    const Tensor a = read(pre ? n1.y : h);
    const auto qkv = torch::addmm(qkv_b, a, qkv_w.t());
    const Mixing mixing = mix(size, linear, qkv, lengths);
    const Tensor m = read(mixing.out);
    const auto s = residual(h, m, out_w, out_b, keep.attention);  // after attention
    if (!pre) n1 = norm(s, norm1_w, norm1_b, eps);
    const Tensor x = pre ? s : n1.y;
    if (pre) n2 = norm(x, norm2_w, norm2_b, eps);
    const Tensor c = read(pre ? n2.y : x);
    const auto up = torch::addmm(up_b, c, up_w.t());
    auto active = torch::empty_like(up);
    gelu_forward(up.numel(), up.data_ptr<float>(), active.data_ptr<float>());
    active = read(active);
    const auto z = residual(x, active, down_w, down_b, keep.feed);
    if (!pre) n2 = norm(z, norm2_w, norm2_b, eps);
    context->save_for_backward({h,
                                a,
                                qkv,
                                mixing.probabilities,
                                mixing.out,
                                m,
                                s,
                                c,
                                up,
                                active,
                                z,
                                n1.mean,
                                n1.rstd,
                                n2.mean,
                                n2.rstd,
                                norm1_w,
                                norm2_w,
                                qkv_w,
                                out_w,
                                up_w,
                                down_w,
                                lengths,
                                keep.attention,
                                keep.feed});
    context->saved_data["size"] =
        std::vector<std::int64_t>{b, t, heads, hidden, window, linear ? 1 : 0, pre ? 1 : 0, dim};
    context->saved_data["eps"] = eps;
    return (pre ? z : n2.y).view({b, t, hidden});
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    const auto saved = context->get_saved_variables();
    enum {
      h,
      a,
      qkv,
      probabilities,
      mixed,
      read_by_out,
      s,
      c,
      up,
      active,
      z,
      mean1,
      rstd1,
      mean2,
      rstd2,
      norm1_w,
      norm2_w,
      qkv_w,
      out_w,
      up_w,
      down_w,
      lengths,
      keep1,
      keep2
    };
    const auto dims = context->saved_data["size"].toIntVector();
    const double eps = context->saved_data["eps"].toDouble();
    const bool pre = dims[6] != 0;
    const AttentionSize size{dims[0], dims[1], dims[2], dims[7], dims[4]};
    const auto dy = outputs[0].reshape({dims[0] * dims[1], dims[3]}).contiguous();
    variable_list d(21);

    const auto dz =
        pre ? dy
            : norm_gradient(dy, saved[z], saved[mean2], saved[rstd2], saved[norm2_w], eps, {}, d[kNorm2W], d[kNorm2B]);
    const auto dfeed = saved[keep2].defined() ? dz * saved[keep2] : dz;
    d[kDownB] = column_sum(dfeed);
    d[kDownW] = dfeed.t().mm(saved[active]);
    auto dup = dfeed.mm(saved[down_w]);
    gelu_backward(dup.numel(), saved[up].data_ptr<float>(), dup.data_ptr<float>(), dup.data_ptr<float>());
    d[kUpB] = column_sum(dup);
    d[kUpW] = dup.t().mm(saved[c]);
    Tensor dx;
    if (pre) {
      dx = norm_gradient(dup.mm(saved[up_w]), saved[s], saved[mean2], saved[rstd2], saved[norm2_w], eps, dz, d[kNorm2W],
                         d[kNorm2B]);
    } else {
      dx = torch::addmm(dz, dup, saved[up_w]);
      dx = norm_gradient(dx, saved[s], saved[mean1], saved[rstd1], saved[norm1_w], eps, {}, d[kNorm1W], d[kNorm1B]);
    }
    const auto dout = saved[keep1].defined() ? dx * saved[keep1] : dx;
    d[kOutB] = column_sum(dout);
    d[kOutW] = dout.t().mm(saved[read_by_out]);
    const auto dmixed = dout.mm(saved[out_w]);
    const auto dqkv =
        mix_gradient(size, dims[5] != 0, saved[qkv], saved[lengths], {saved[mixed], saved[probabilities]}, dmixed);
    d[kQkvB] = column_sum(dqkv);
    d[kQkvW] = dqkv.t().mm(saved[a]);
    Tensor dh;
    if (pre) {
      dh = norm_gradient(dqkv.mm(saved[qkv_w]), saved[h], saved[mean1], saved[rstd1], saved[norm1_w], eps, dx,
                         d[kNorm1W], d[kNorm1B]);
    } else {
      dh = torch::addmm(dx, dqkv, saved[qkv_w]);
    }
    d[kH] = dh.view({dims[0], dims[1], dims[3]});
    return d;
  }
};

}  // namespace

Tensor run_fused_layer(const FusedLayer& p, const Tensor& h, const Tensor& lengths, const Tensor& keep1,
                       const Tensor& keep2) {
  return Node::apply(h, p.norm1_w, p.norm1_b, p.qkv_w, p.qkv_b, p.out_w, p.out_b, p.norm2_w, p.norm2_b, p.up_w, p.up_b,
                     p.down_w, p.down_b, lengths, Keep{keep1, keep2}, p.heads, p.window, p.linear, p.eps, p.pre_norm,
                     p.levels);
}

}  // namespace fathom::train
