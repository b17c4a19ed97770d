#include "train/layer_distillation.h"

#include <cmath>
#include <numeric>

namespace fathom::train {
namespace {

using torch::Tensor;

constexpr const char* kWords = "embeddings.word_embeddings.weight";
constexpr const char* kWordProjection = "embeddings.word_projection.weight";
constexpr double kUnseen = -1e9;  // finite, so that no 0 * inf arises; e^it is 0

bool mixes_everything(const ModelSpec& spec) {
  return spec.attention == Attention::softmax && spec.attention_window == 0;
}

// log softmax(X X'^T / sqrt(d)) of every relation head: [B, R, T, T]. x, y [B, T, width].
Tensor log_relations(const Tensor& x, const Tensor& y, std::int64_t heads, const Tensor& keep) {
  const auto split = [heads](const Tensor& z) {
    return z.reshape({z.size(0), z.size(1), heads, z.size(2) / heads}).transpose(1, 2);
  };
  const auto scores =
      torch::matmul(split(x), split(y).transpose(2, 3)) / std::sqrt(static_cast<double>(x.size(2) / heads));
  return torch::log_softmax(scores.masked_fill(keep.view({keep.size(0), 1, 1, -1}) == 0, kUnseen), -1);
}

// Both [B, T, 3 width] with queries, keys and values side by side.
Tensor relation_divergence(const Tensor& student, const Tensor& teacher, std::int64_t heads, const Tensor& keep,
                           const Tensor& lengths) {
  const auto mine = student.chunk(3, -1), taught = teacher.chunk(3, -1);
  Tensor sum = torch::zeros({});
  for (const auto& [x, y] : {std::pair<std::size_t, std::size_t>{0, 1}, {2, 2}}) {  // Q-K, V-V
    const auto log_p = log_relations(taught[x], taught[y], heads, keep),
               log_q = log_relations(mine[x], mine[y], heads, keep);
    const auto divergence = (log_p.exp() * (log_p - log_q)).sum(-1).mean(1);  // [B, T]
    const auto rows = (divergence * keep.squeeze(2)).sum(1) / lengths.to(torch::kFloat);
    sum = sum + rows.sum();
  }
  return sum;
}

}  // namespace

LayerDistillation::LayerDistillation(const ModelSpec& student, std::shared_ptr<WholeModel> teacher)
    : student_(student), teacher_(std::move(teacher)) {
  const ModelSpec& taught = teacher_->spec();
  teacher_->backbone().eval();
  if (mixes_everything(student) && mixes_everything(taught)) relation_heads_ = std::gcd(student.heads, taught.heads);
  if (student.hidden == taught.hidden) return;
  const double bound = 1.0 / std::sqrt(static_cast<double>(student.hidden));
  for (int level = 0; level <= student.layers; ++level)
    projections_.push_back({torch::empty({taught.hidden, student.hidden}).uniform_(-bound, bound).requires_grad_(),
                            torch::zeros({taught.hidden}).requires_grad_()});
}

int LayerDistillation::teacher_level(int level) const {
  return (2 * level * teacher_->spec().layers + student_.layers) / (2 * student_.layers);
}

std::vector<Tensor> LayerDistillation::parameters() const {
  std::vector<Tensor> out;
  for (const auto& projection : projections_) out.insert(out.end(), {projection.weight, projection.bias});
  return out;
}

Json LayerDistillation::facts() const {
  Json levels = Json::array();
  for (int level = 0; level <= student_.layers; ++level) levels.push_back(teacher_level(level));
  return {{"states_after", levels}, {"relation_heads", relation_heads_}};
}

Tensor LayerDistillation::states_distance(const std::vector<Tensor>& states, const std::vector<Tensor>& taught,
                                          const Tensor& keep) const {
  Tensor sum = torch::zeros({});
  for (int level = 0; level <= student_.layers; ++level) {
    const auto at = static_cast<std::size_t>(level);
    const Tensor& t = taught[static_cast<std::size_t>(teacher_level(level))];
    const Tensor h =
        projections_.empty() ? states[at] : torch::linear(states[at], projections_[at].weight, projections_[at].bias);
    sum = sum + relative_distance(h, t, keep);
  }
  return sum / static_cast<double>(student_.layers + 1);
}

Tensor LayerDistillation::relations_divergence(const Backbone& student, const std::vector<Tensor>& states,
                                               const std::vector<Tensor>& taught, const Tensor& keep,
                                               const Tensor& lengths) const {
  Tensor sum = torch::zeros({});
  for (int level = 1; level <= student_.layers; ++level) {
    const int master = teacher_level(level);
    if (master == 0) continue;  // a student deeper than twice its teacher: nothing attends before layer 1
    Tensor wanted;
    {
      torch::NoGradGuard no_grad;
      wanted = teacher_->backbone().queries_keys_values(master - 1, taught[static_cast<std::size_t>(master - 1)]);
    }
    const auto mine = student.queries_keys_values(level - 1, states[static_cast<std::size_t>(level - 1)]);
    sum = sum + relation_divergence(mine, wanted, relation_heads_, keep, lengths);
  }
  return sum / static_cast<double>(student_.layers);
}

Tensor LayerDistillation::loss(const Backbone& student, const std::vector<Tensor>& states, const Encoded& part) const {
  std::vector<Tensor> taught;
  {
    torch::NoGradGuard no_grad;
    taught = all_states(teacher_->backbone(), part);
  }
  const auto keep = tokens_there(part, states[0].size(1));
  const auto distance = states_distance(states, taught, keep);
  return relation_heads_ == 0 ? distance : distance + relations_divergence(student, states, taught, keep, part.lengths);
}

Tensor tokens_there(const Encoded& part, std::int64_t tokens) {
  return (torch::arange(tokens).unsqueeze(0) < part.lengths.unsqueeze(1)).to(torch::kFloat).unsqueeze(2);
}

Tensor relative_distance(const Tensor& h, const Tensor& t, const Tensor& keep) {
  const auto squares = [&](const Tensor& x) { return (x * x * keep).sum({1, 2}); };
  return (squares(h - t) / squares(t)).sum();
}

std::vector<Tensor> all_states(Backbone& backbone, const Encoded& part) {
  const auto mask = backbone.attention_mask(part);
  std::vector<Tensor> out = {backbone.embed(part)};
  for (int l = 0; l < backbone.spec().layers; ++l) out.push_back(backbone.layer(l, out.back(), mask));
  return out;
}

void start_from_words(const Backbone& student, const WholeModel& teacher) {
  torch::NoGradGuard no_grad;
  auto given = teacher.own_weights();
  Tensor rows = given.at(kWords).to(torch::kDouble);
  if (teacher.spec().word_width > 0) rows = rows.mm(given.at(kWordProjection).to(torch::kDouble).t());
  rows = rows - rows.mean(0, true);
  Tensor words = student.named_weights().at(kWords);
  const auto width = std::min(words.size(1), rows.size(1));
  const auto axes = std::get<1>(torch::linalg_eigh(rows.t().mm(rows), "L"));  // by rising variance
  const auto components = rows.mm(axes.narrow(1, axes.size(1) - width, width));
  const auto size = [](const Tensor& x) { return x.square().mean().sqrt().item<double>(); };
  const double scale = size(words) / std::max(size(components), 1e-30);
  words.zero_();
  words.narrow(1, 0, width).copy_(components * scale);
}

}  // namespace fathom::train
