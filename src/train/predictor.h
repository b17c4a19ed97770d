// The complexity predictor: LightGBM through its C library on the statistics of h1 (train/extractor.h).
// `survival`: one binary model on rows (input, exit), exit last, decreasing in the exit: S_l = P(l_opt > l).
// `huber`: regression on l_opt, the paper's objective. Searched by cross-validation over rate, depth and leaves, folds
// cut by input, early stopping, and the fewest trees within half a percent of the best loss, because the engine walks
// them at every checkpoint. Deterministic (one thread, fixed seed, row-wise). Errors: internal with LightGBM's words.
// Source: paper 3.1 and 3.2 (as a cumulative ordinal model).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/spec.h"
#include "policy/policy.h"
#include "train/torch.h"

namespace fathom::train {

struct TreeSettings {
  double rate = 0.1;
  int depth = 5, leaves = 15, min_leaf = 50;
  int trees = 40;  // most trees; early stopping may keep fewer
};

// A trained LightGBM model: its text and its own predictions (the reference for policy::Trees).
class Booster {
 public:
  ~Booster();
  Booster(const Booster&) = delete;
  Booster& operator=(const Booster&) = delete;

  // rows: [n, columns] double, row-major; target: [n] float. The last column decreases the output if `decreasing_last`.
  struct Table {
    torch::Tensor rows, target;
  };
  static Result<std::unique_ptr<Booster>> train(const Table& table, const TreeSettings& settings,
                                                policy::PredictorKind kind, std::uint64_t seed);
  // Also fills `losses` with the loss on `valid` after every tree; stops 10 trees after the best.
  static Result<std::unique_ptr<Booster>> train(const Table& table, const Table& valid, const TreeSettings& settings,
                                                policy::PredictorKind kind, std::uint64_t seed,
                                                std::vector<double>& losses);
  Result<std::string> text(int trees) const;  // first `trees` trees; <= 0: all
  Result<torch::Tensor> predict(const torch::Tensor& rows, int trees, bool raw) const;  // [n] double

 private:
  Booster() = default;
  std::shared_ptr<void> data_;
  void* handle_ = nullptr;
};

// Rows (input, exit) for exits 1..layers-1: [n * (layers - 1), features + 1], and targets 1[depth > exit].
Booster::Table survival_table(const torch::Tensor& features, const torch::Tensor& depth, int layers);

// Tree budget sized by the backbone: 40 trees at hidden 64, 200 at 768; 15 leaves below 384, 31 from there.
TreeSettings tree_budget(const ModelSpec& spec);

struct PredictorSearch {
  TreeSettings best;           // trees = the number chosen
  Json table = Json::array();  // every candidate: rate, depth, leaves, trees, loss
  torch::Tensor out_of_fold;   // survival: [n, layers - 1] S_l; huber: [n] l_pred
};

// features[k]: [n, F] as extracted by fold k's extractor (all the same tensor if it is not cross-fitted);
// fold: [n] int64, the fold that holds a row out.
Result<PredictorSearch> search_predictor(const ModelSpec& spec, const std::vector<torch::Tensor>& features,
                                         const torch::Tensor& fold, const torch::Tensor& depth,
                                         policy::PredictorKind kind, std::uint64_t seed);

// Quality of S [n, layers - 1] against the true depth: Spearman of the mean depth 1 + sum S, exact accuracy and mean
// absolute error of the level, share under-predicted and by how much, AUROC of S_l for every exit.
// The level is 1 + number of exits with S_l >= 1/2.
Json predictor_quality(const torch::Tensor& survival, const torch::Tensor& depth);

double auroc(std::span<const double> scores, std::span<const std::uint8_t> positive);  // 0.5 when one class is absent

}  // namespace fathom::train
