#include "train/predictor.h"

#include <LightGBM/c_api.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "policy/theory.h"
#include "train/backbone.h"

namespace fathom::train {

using torch::Tensor;

namespace {

Error lightgbm_error(const std::string& what) { return {Code::internal, what + ": " + LGBM_GetLastError(), ""}; }

void silence(const char*) {}

class Dataset {
 public:
  Dataset() = default;
  ~Dataset() {
    if (handle_ != nullptr) LGBM_DatasetFree(handle_);
  }
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  Status fill(const Booster::Table& table, const std::string& parameters, const Dataset* reference) {
    const auto rows = table.rows.contiguous();
    const auto target = table.target.contiguous();
    if (LGBM_DatasetCreateFromMat(rows.data_ptr<double>(), C_API_DTYPE_FLOAT64, static_cast<std::int32_t>(rows.size(0)),
                                  static_cast<std::int32_t>(rows.size(1)), 1, parameters.c_str(),
                                  reference == nullptr ? nullptr : reference->handle_, &handle_) != 0) {
      return lightgbm_error("LightGBM cannot take the rows");
    }
    if (LGBM_DatasetSetField(handle_, "label", target.data_ptr<float>(), static_cast<int>(target.size(0)),
                             C_API_DTYPE_FLOAT32) != 0) {
      return lightgbm_error("LightGBM cannot take the labels");
    }
    return {};
  }
  DatasetHandle get() const { return handle_; }

 private:
  DatasetHandle handle_ = nullptr;
};

std::string parameters_text(const TreeSettings& settings, policy::PredictorKind kind, std::int64_t columns,
                            std::uint64_t seed) {
  std::ostringstream out;
  const bool survival = kind == policy::PredictorKind::survival;
  out << "objective=" << (survival ? "binary" : "huber") << " metric=" << (survival ? "binary_logloss" : "l1")
      << " learning_rate=" << settings.rate << " max_depth=" << settings.depth << " num_leaves=" << settings.leaves
      << " min_data_in_leaf=" << settings.min_leaf << " lambda_l2=1 max_bin=255 feature_pre_filter=false"
      << " deterministic=true force_row_wise=true num_threads=1 verbosity=-1 seed="
      << static_cast<std::uint32_t>(seed >> 33);
  if (survival) {
    out << " monotone_constraints=";
    for (std::int64_t c = 0; c + 1 < columns; ++c) out << "0,";
    out << "-1";
  }
  return out.str();
}

std::span<const double> view(const Tensor& t) { return {t.data_ptr<double>(), static_cast<std::size_t>(t.numel())}; }

}  // namespace

double auroc(std::span<const double> scores, std::span<const std::uint8_t> positive) {
  const auto rank = policy::mean_ranks(scores);
  double sum = 0, hits = 0;
  for (std::size_t i = 0; i < rank.size(); ++i) {
    if (positive[i] == 0) continue;
    sum += rank[i];
    hits += 1;
  }
  const double rest = static_cast<double>(rank.size()) - hits;
  return hits > 0 && rest > 0 ? (sum - hits * (hits + 1) / 2) / (hits * rest) : 0.5;
}

Booster::~Booster() {
  if (handle_ != nullptr) LGBM_BoosterFree(handle_);
}

Result<std::unique_ptr<Booster>> Booster::train(const Table& table, const TreeSettings& settings,
                                                policy::PredictorKind kind, std::uint64_t seed) {
  std::vector<double> losses;
  return train(table, Table{}, settings, kind, seed, losses);
}

Result<std::unique_ptr<Booster>> Booster::train(const Table& table, const Table& valid, const TreeSettings& settings,
                                                policy::PredictorKind kind, std::uint64_t seed,
                                                std::vector<double>& losses) {
  LGBM_RegisterLogCallback(silence);
  const std::string parameters = parameters_text(settings, kind, table.rows.size(1), seed);
  std::unique_ptr<Booster> booster(new Booster);
  const auto data =
      std::make_shared<std::pair<Dataset, Dataset>>();  // outlives the LightGBM object that points into it
  booster->data_ = data;
  auto& [train_set, valid_set] = *data;
  FATHOM_TRY_VOID(train_set.fill(table, parameters, nullptr));
  if (LGBM_BoosterCreate(train_set.get(), parameters.c_str(), &booster->handle_) != 0)
    return lightgbm_error("LightGBM");
  const bool watched = valid.rows.defined();
  if (watched) {
    FATHOM_TRY_VOID(valid_set.fill(valid, parameters, &train_set));
    if (LGBM_BoosterAddValidData(booster->handle_, valid_set.get()) != 0) return lightgbm_error("LightGBM");
  }
  std::size_t best = 0;
  for (int tree = 0; tree < settings.trees; ++tree) {
    int finished = 0;
    if (LGBM_BoosterUpdateOneIter(booster->handle_, &finished) != 0) return lightgbm_error("LightGBM");
    // Nothing to split, as when every input has the same depth: LightGBM then holds one tree of a single leaf, which
    // counts.
    if (finished != 0 && tree > 0) break;
    if (!watched) continue;
    double loss = 0;
    int count = 0;
    if (LGBM_BoosterGetEval(booster->handle_, 1, &count, &loss) != 0) return lightgbm_error("LightGBM");
    losses.push_back(loss);
    if (loss < losses[best]) best = losses.size() - 1;
    if (losses.size() > best + 10) break;
  }
  return booster;
}

Result<std::string> Booster::text(int trees) const {
  std::int64_t size = 0;
  std::string out(1 << 20, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (LGBM_BoosterSaveModelToString(handle_, 0, trees, C_API_FEATURE_IMPORTANCE_SPLIT,
                                      static_cast<std::int64_t>(out.size()), &size, out.data()) != 0) {
      return lightgbm_error("LightGBM cannot write its model");
    }
    if (size <= static_cast<std::int64_t>(out.size())) break;
    out.assign(static_cast<std::size_t>(size), '\0');
  }
  out.resize(static_cast<std::size_t>(size) - 1);  // without the closing zero
  return out;
}

Result<Tensor> Booster::predict(const Tensor& rows, int trees, bool raw) const {
  const auto input = rows.contiguous();
  auto out = torch::empty({input.size(0)}, torch::kDouble);
  std::int64_t count = 0;
  if (LGBM_BoosterPredictForMat(handle_, input.data_ptr<double>(), C_API_DTYPE_FLOAT64,
                                static_cast<std::int32_t>(input.size(0)), static_cast<std::int32_t>(input.size(1)), 1,
                                raw ? C_API_PREDICT_RAW_SCORE : C_API_PREDICT_NORMAL, 0, trees, "num_threads=1", &count,
                                out.data_ptr<double>()) != 0) {
    return lightgbm_error("LightGBM cannot predict");
  }
  return out;
}

Booster::Table survival_table(const Tensor& features, const Tensor& depth, int layers) {
  const std::int64_t n = features.size(0), exits = layers - 1;
  const auto exit = torch::arange(1, layers).view({1, exits, 1}).expand({n, exits, 1}).to(torch::kDouble);
  const auto rows = torch::cat({features.unsqueeze(1).expand({n, exits, features.size(1)}), exit}, 2);
  const auto target = (depth.unsqueeze(1) > torch::arange(1, layers).unsqueeze(0)).to(torch::kFloat);
  return {rows.reshape({n * exits, features.size(1) + 1}).contiguous(), target.reshape({-1}).contiguous()};
}

TreeSettings tree_budget(const ModelSpec& spec) {
  TreeSettings out;
  out.trees = static_cast<int>(std::clamp(40.0 + (spec.hidden - 64) * 160.0 / 704.0, 40.0, 200.0));
  out.leaves = spec.hidden >= 384 ? 31 : 15;
  return out;
}

namespace {

Booster::Table table_of(const ModelSpec& spec, const Tensor& features, const Tensor& depth, const Tensor& rows,
                        policy::PredictorKind kind) {
  const auto x = features.index_select(0, rows), y = depth.index_select(0, rows);
  if (kind == policy::PredictorKind::survival) return survival_table(x, y, spec.layers);
  return {x.contiguous(), y.to(torch::kFloat).contiguous()};
}

std::vector<TreeSettings> candidates(const ModelSpec& spec) {
  std::vector<TreeSettings> out;
  const TreeSettings budget = tree_budget(spec);
  const bool large = budget.trees > 100;
  for (const double rate : large ? std::vector<double>{0.05, 0.1} : std::vector<double>{0.15, 0.3}) {
    for (const int depth : {4, 6}) {
      TreeSettings one = budget;
      one.rate = rate;
      one.depth = depth;
      if (depth == 4) one.leaves = std::min(one.leaves, 15) / 2 + 1;
      out.push_back(one);
    }
  }
  return out;
}

// Mean loss over the folds after every tree, cut to the shortest run; then the fewest trees within 0.5 % of the best.
std::pair<int, double> trees_and_loss(const std::vector<std::vector<double>>& losses) {
  std::size_t length = losses[0].size();
  for (const auto& one : losses) length = std::min(length, one.size());
  std::vector<double> mean(length, 0.0);
  for (const auto& one : losses) {
    for (std::size_t t = 0; t < length; ++t) mean[t] += one[t] / static_cast<double>(losses.size());
  }
  const double best = *std::min_element(mean.begin(), mean.end());
  std::size_t tree = 0;
  while (mean[tree] > best * 1.005) ++tree;
  return {static_cast<int>(tree) + 1, mean[tree]};
}

constexpr std::int64_t kSearchInputs = 2000;  // inputs of a fold that candidates are compared on

Tensor some_of(const Tensor& rows, std::int64_t most) { return rows.index_select(0, sampled_rows(rows.size(0), most)); }

}  // namespace

Result<PredictorSearch> search_predictor(const ModelSpec& spec, const std::vector<Tensor>& features, const Tensor& fold,
                                         const Tensor& depth, policy::PredictorKind kind, std::uint64_t seed) {
  const std::size_t folds = features.size();
  const std::int64_t n = depth.size(0), exits = spec.layers - 1;
  std::vector<Booster::Table> train(folds), valid(folds), some_train(folds), some_valid(folds);
  std::vector<Tensor> held(folds);
  for (std::size_t k = 0; k < folds; ++k) {
    held[k] = (fold == static_cast<std::int64_t>(k)).nonzero().squeeze(1);
    const Tensor rest = (fold != static_cast<std::int64_t>(k)).nonzero().squeeze(1);
    train[k] = table_of(spec, features[k], depth, rest, kind);
    valid[k] = table_of(spec, features[k], depth, held[k], kind);
    some_train[k] = table_of(spec, features[k], depth, some_of(rest, kSearchInputs), kind);
    some_valid[k] = table_of(spec, features[k], depth, some_of(held[k], kSearchInputs / 2), kind);
  }
  PredictorSearch out;
  double best_loss = 0;
  for (const auto& candidate : candidates(spec)) {  // compared on part of every fold, trained whole only once chosen
    std::vector<std::vector<double>> losses(folds);
    for (std::size_t k = 0; k < folds; ++k) {
      FATHOM_TRY(const auto booster, Booster::train(some_train[k], some_valid[k], candidate, kind, seed, losses[k]));
    }
    const auto [trees, loss] = trees_and_loss(losses);
    out.table.push_back({{"rate", candidate.rate},
                         {"depth", candidate.depth},
                         {"leaves", candidate.leaves},
                         {"trees", trees},
                         {"loss", loss}});
    if (out.table.size() > 1 && loss >= best_loss) continue;
    best_loss = loss;
    out.best = candidate;
  }
  std::vector<std::vector<double>> losses(folds);
  std::vector<std::unique_ptr<Booster>> boosters(folds);
  for (std::size_t k = 0; k < folds; ++k) {
    FATHOM_TRY(boosters[k], Booster::train(train[k], valid[k], out.best, kind, seed, losses[k]));
  }
  out.best.trees = trees_and_loss(losses).first;
  const bool survival = kind == policy::PredictorKind::survival;
  out.out_of_fold = survival ? torch::empty({n, exits}, torch::kDouble) : torch::empty({n}, torch::kDouble);
  for (std::size_t k = 0; k < folds; ++k) {
    FATHOM_TRY(auto p, boosters[k]->predict(valid[k].rows, out.best.trees, false));
    out.out_of_fold.index_copy_(0, held[k], survival ? p.view({-1, exits}) : p);
  }
  return out;
}

Json predictor_quality(const Tensor& survival, const Tensor& depth) {
  const auto s = survival.to(torch::kDouble).contiguous();
  const auto truth = depth.to(torch::kDouble).contiguous();
  const auto mean = (s.sum(1) + 1).contiguous();
  const auto level = (s >= 0.5).sum(1) + 1;
  const auto under = level < depth;
  Json out;
  const double correlation = policy::spearman(view(mean), view(truth));
  out["spearman"] = std::isfinite(correlation) ? Json(correlation) : Json();  // null: one side never changes
  out["exact"] = (level == depth).to(torch::kDouble).mean().item<double>();
  out["mean_absolute_error"] = (mean - truth).abs().mean().item<double>();
  out["under_prediction_rate"] = under.to(torch::kDouble).mean().item<double>();
  const double misses = under.sum().item<double>();
  out["mean_shortfall"] = misses > 0 ? ((depth - level) * under).sum().item<double>() / misses : 0.0;
  Json per_exit = Json::array();
  for (std::int64_t l = 1; l <= s.size(1); ++l) {
    const auto column = s.select(1, l - 1).contiguous();
    const auto deep = (depth > l).to(torch::kUInt8).contiguous();
    per_exit.push_back(auroc(view(column), {deep.data_ptr<std::uint8_t>(), static_cast<std::size_t>(deep.numel())}));
  }
  out["auroc_per_exit"] = per_exit;
  return out;
}

}  // namespace fathom::train
