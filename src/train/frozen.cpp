#include "train/frozen.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "bundle/bundle.h"
#include "model/naming.h"
#include "train/decision.h"
#include "train/export.h"
#include "train/heads.h"

namespace fathom::train {
namespace {

using torch::Tensor;

Error bad(const fs::path& path, const std::string& what) {
  return {Code::bad_input, "'" + path.string() + "': " + what, "run the same `fathom fit --from` again"};
}

Result<Json> read_object(const fs::path& path) {
  FATHOM_TRY(const std::string text, read_file(path, 16u << 20));
  FATHOM_TRY(Json json, parse_json(text, "'" + path.string() + "'"));
  if (!json.is_object()) return bad(path, "must hold a JSON object");
  return json;
}

// One split as the engine left it, mapped.
struct Split {
  Pooled pooled;
  Tensor lengths, labels, start;  // start: tune only
};

Result<Tensor> map(const fs::path& path, std::vector<std::int64_t> shape, torch::ScalarType type) {
  std::int64_t count = 1;
  for (const std::int64_t side : shape) count *= side;
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  const auto expected = static_cast<std::uintmax_t>(count) * 4;
  if (error || bytes != expected)
    return bad(path, error ? error.message()
                           : "expected " + std::to_string(expected) + " bytes, got " + std::to_string(bytes));
  if (count == 0) return torch::empty(shape, type);
  return torch::from_file(path.string(), false, count, torch::TensorOptions(type)).view(shape);
}

Result<Split> read_split(const fs::path& folder, const std::string& part, const ModelSpec& spec, bool with_start) {
  const fs::path facts = folder / (part + ".json");
  FATHOM_TRY(const Json json, read_object(facts));
  const std::string where = "'" + facts.string() + "'";
  FATHOM_TRY(const std::int64_t rows, json_int(json, "rows", 16, std::int64_t{1} << 40, where));
  FATHOM_TRY(const std::int64_t done, json_int(json, "done", rows, rows, where));
  FATHOM_TRY(const std::int64_t longest, json_int(json, "longest", 1, spec.tokens(), where));
  (void)done;
  const auto at = [&](const char* what) { return folder / (part + "." + what + ".bin"); };
  Split out;
  FATHOM_TRY(out.pooled.states, map(at("states"), {spec.layers - 1, rows, 2 * spec.hidden}, torch::kFloat));
  FATHOM_TRY(out.pooled.teacher, map(at("last"), {rows, spec.classes()}, torch::kFloat));
  FATHOM_TRY(const Tensor lengths, map(at("lengths"), {rows}, torch::kInt));
  out.lengths = lengths.to(torch::kLong);
  std::error_code error;
  if (fs::file_size(at("labels"), error) == 0 && !error) {  // none known: the model's own answers stand for them
    out.labels = out.pooled.teacher.argmax(1);
  } else {
    FATHOM_TRY(const Tensor labels, map(at("labels"), {rows}, torch::kInt));
    out.labels = labels.to(torch::kLong);
  }
  if (with_start) {
    FATHOM_TRY(out.start, map(at("start"), {rows, longest, spec.hidden}, torch::kFloat));
  }
  return out;
}

// [n, layers, classes]: the trained exits and, last, the model's own answer.
Tensor all_exits(const ModelSpec& spec, const Heads& heads, const Split& split) {
  torch::NoGradGuard no_grad;
  const std::int64_t n = split.pooled.teacher.size(0);
  auto out = torch::empty({n, spec.layers, spec.classes()});
  for (int e = 1; e < spec.layers; ++e)
    for (std::int64_t begin = 0; begin < n; begin += 1024) {
      const std::int64_t count = std::min<std::int64_t>(1024, n - begin);
      out.narrow(0, begin, count)
          .select(1, e - 1)
          .copy_(heads.logits(e, split.pooled.states[e - 1].narrow(0, begin, count)));
    }
  out.select(1, spec.layers - 1).copy_(split.pooled.teacher);
  return out;
}

}  // namespace

Status fit_frozen(const FitOptions& options) {
  at::set_num_threads(1);  // a product's sums may fall otherwise with more, and threads change no result
  FATHOM_TRY(const Json facts, read_object(options.states / "frozen.json"));
  const std::string where = "'" + (options.states / "frozen.json").string() + "'";
  if (!facts.contains("spec") || !facts.contains("data") || !facts.contains("options") || !facts.contains("key"))
    return bad(options.states / "frozen.json", "expected spec, data, options and key");
  FATHOM_TRY(const ModelSpec spec, spec_from_json(facts["spec"], where));
  FATHOM_TRY(const Split train, read_split(options.states, "train", spec, false));
  FATHOM_TRY(const Split tune, read_split(options.states, "tune", spec, true));
  Metrics metrics(options.output / "fit");
  const Checkpoints checkpoints(options.output / "fit", {{"key", facts["key"]}, {"options", facts["options"]}});
  torch::manual_seed(Random(options.seed, "weights").next());
  Heads heads(spec);
  FATHOM_TRY_VOID(train_heads_on(spec, heads, {train.pooled, tune.pooled, {}, options.seed, options.progress},
                                 checkpoints, metrics));
  const Tensor logits = all_exits(spec, heads, tune);
  if (options.progress) {
    std::string line = "exits on tune, agreement with full depth:";
    for (const double a : exit_accuracies(logits, tune.pooled.teacher.argmax(1)))
      line += " " + Json(std::round(a * 1000) / 10).dump();
    say(line);
  }
  DecisionOptions how;
  how.seed = options.seed;
  how.budget = options.max_disagreement;
  torch::AutoGradMode grad(true);
  FATHOM_TRY(const DecisionResult decision, train_decision({spec, tune.start, tune.lengths, logits, tune.labels}, how));
  return export_onto(options.output, {spec, heads, decision, facts});
}

}  // namespace fathom::train
