#include "train/fit.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "bundle/bundle.h"
#include "data/dataset.h"
#include "data/labels.h"
#include "data/split_use.h"
#include "train/distil.h"
#include "train/export.h"
#include "train/frozen.h"
#include "train/heads.h"
#include "train/paper_recipe.h"
#include "train/part_reader.h"
#include "train/scratch_learner.h"
#include "train/trunk.h"
#include "train/tuning.h"
#include "train/whole_model.h"

namespace fathom::train {
namespace {

using data::Part;

// Reads, or writes, what this folder's run was asked for; refuses a folder that holds another run.
Status claim_folder(const std::filesystem::path& folder, const Json& identity) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    return Error{Code::io, "cannot make " + folder.string() + ": " + failed.message(), "choose another --output"};
  for (const auto& part : {folder, folder.parent_path()}) {  // what a killed run was just writing
    for (const auto& entry : fs::directory_iterator(part, failed)) {
      if (entry.path().filename().string().find(".tmp-") != std::string::npos) fs::remove(entry.path(), failed);
    }
  }
  const auto path = folder / "args.json";
  if (!fs::exists(path)) return write_file_atomic(path, identity.dump(2) + "\n");
  FATHOM_TRY(const std::string text, read_file(path));
  FATHOM_TRY(const Json before, parse_json(text, path.string()));
  const std::string other = difference(identity, before);
  if (other.empty()) return {};
  return Error{Code::usage, folder.parent_path().string() + " holds the training of another run: " + other,
               "use the same options, choose another --output, or delete " + folder.parent_path().string()};
}

bool finished(const FitOptions& options, const Json& asked) {
  const auto bundle = Bundle::open(options.output);
  if (!bundle || !(*bundle)->verify()) return false;
  const auto& fathom = (*bundle)->fathom();
  return fathom.contains("provenance") && fathom["provenance"].value("options", Json()) == asked;
}

Result<DecisionResult> decide(Backbone& backbone, const Heads& heads, const Prepared& prepared,
                              const FitOptions& options) {
  torch::NoGradGuard no_grad;
  backbone.eval();
  const auto& tune = prepared.part(Part::tune);
  const auto logits = all_logits(backbone, heads, tune, 64);
  auto h0 = torch::empty({tune.size(), prepared.spec.tokens(), prepared.spec.hidden});
  for (std::int64_t begin = 0; begin < tune.size(); begin += 64) {
    const auto part = tune.slice(begin, std::min(tune.size(), begin + 64));
    const auto h = backbone.embed(part);
    h0.narrow(0, begin, part.size()).zero_().narrow(1, 0, h.size(1)).copy_(h);
  }
  if (options.progress) {
    std::string line = "exits on tune:";
    for (const double a : exit_accuracies(logits, tune.labels)) line += " " + Json(std::round(a * 1000) / 10).dump();
    say(line);
  }
  DecisionOptions decision;
  decision.seed = options.seed;
  decision.budget = options.max_disagreement;
  torch::AutoGradMode grad(true);
  return train_decision({prepared.spec, h0, tune.lengths, logits, tune.labels}, decision);
}

// A finished decision as training state, so that a killed run does not do it again.
State decision_state(const DecisionResult& decision) {
  State state;
  state.tensors = decision.tensors;
  state.facts = {{"policy", policy::policy_to_json(decision.policy)},
                 {"predictor", decision.predictor_text},
                 {"facts", decision.facts}};
  return state;
}

Result<DecisionResult> decision_of(State state, const ModelSpec& spec, const std::string& where) {
  DecisionResult out;
  out.tensors = std::move(state.tensors);
  out.predictor_text = state.facts["predictor"].get<std::string>();
  out.facts = state.facts["facts"];
  FATHOM_TRY(out.policy, policy::policy_from_json(state.facts["policy"], spec, out.predictor_text, where));
  return out;
}

// What a teacher gives.
struct Teaching {
  torch::Tensor logits;                       // of the training rows; undefined: no teacher
  std::shared_ptr<LayerDistillation> layers;  // null: none, or one that reads other tokens
};

// Everything a stage reads and writes.
struct Work {
  const FitOptions& options;
  const Prepared& prepared;
  const Checkpoints& checkpoints;
  Metrics& metrics;
  Backbone& backbone;
  Heads& heads;
  int threads = 1;
  Teaching teacher;
};

// What the teacher answers to the training rows, [n, classes] in the order of the data's classes.
Result<torch::Tensor> teacher_logits(const FitOptions& options, WholeModel& teacher, const data::Dataset& dataset) {
  const ModelSpec& spec = teacher.spec();
  FATHOM_TRY(const auto columns, data::classes_by_name(dataset.label_names, spec.label_names));
  if (dataset.label_names.size() != spec.label_names.size())
    return Error{Code::bad_input,
                 "the teacher '" + options.teacher.string() + "' knows " + std::to_string(spec.label_names.size()) +
                     " classes, the data " + std::to_string(dataset.label_names.size()),
                 "give a teacher of this task"};
  FATHOM_TRY(const PartReader reader, PartReader::open(options.teacher, spec));
  FATHOM_TRY(const Encoded train, reader.read(dataset, Part::train, false));
  const std::vector<std::int64_t> order(columns.begin(), columns.end());
  return teacher.logits(train).index_select(1, torch::tensor(order, torch::kLong));
}

// Answers, and where both read the same tokens states and relations, for which the student's word rows start from the
// teacher's.
Result<Teaching> teach(const FitOptions& options, const fathom::Model& model, const data::Dataset& dataset,
                       const Prepared& prepared, Backbone& student) {
  Teaching out;
  const auto teacher = std::make_shared<WholeModel>(model);
  FATHOM_TRY(out.logits, teacher_logits(options, *teacher, dataset));
  if (prepared.teachers_tokens) {
    out.layers = std::make_shared<LayerDistillation>(prepared.spec, teacher);
    if (prepared.tokenizer) start_from_words(student, *teacher);
  }
  if (options.progress)
    say(!out.layers ? "the student reads other tokens than its teacher: it learns the answers alone"
                    : "the student learns its teacher's answers and hidden states" +
                          std::string(out.layers->relation_heads() > 0
                                          ? ", and its attention"
                                          : "; not its attention, for one of the two has no softmax over all tokens"));
  return out;
}

Status train_exit_heads(const Work& w) {
  const HeadsRun run{w.prepared.part(Part::train), w.prepared.part(Part::tune), {}, w.options.seed,
                     w.checkpoints.folder(),       w.options.progress};
  return train_heads(w.backbone, w.heads, run, w.checkpoints, w.metrics);
}

// Asked before hours of training, not after: the decision stage is cross-fitted on the tune rows.
Status enough_tune_rows(const Prepared& prepared) {
  const auto rows = prepared.part(Part::tune).size();
  const std::int64_t least = least_tune_rows(DecisionOptions{});
  if (rows >= least) return {};
  return Error{
      Code::bad_input,
      "the tune split has " + std::to_string(rows) + " rows, at least " + std::to_string(least) + " are needed",
      "give a tune file, or " + std::to_string(8 * least) + " training rows, an eighth of which is taken for it"};
}

Result<DecisionResult> default_recipe(const Work& w, Json& facts) {
  FATHOM_TRY_VOID(enough_tune_rows(w.prepared));
  const TrunkRun trunk{
      w.prepared.part(Part::train), w.prepared.part(Part::tune), w.prepared.schedule, w.options.seed, w.threads,
      w.options.checkpoint_every,   w.options.progress};
  ScratchLearner learner(w.backbone, w.heads, w.teacher.logits, w.teacher.layers);
  FATHOM_TRY(const TrunkFacts trained, train_trunk(learner, trunk, w.checkpoints, w.metrics));
  facts = {{"tune_accuracy", trained.tune_accuracy},
           {"train_accuracy", trained.train_accuracy},
           {"best_step", trained.best_step}};
  if (w.teacher.layers) facts["teacher"] = w.teacher.layers->facts();
  FATHOM_TRY_VOID(train_exit_heads(w));
  FATHOM_TRY(auto kept, w.checkpoints.load("decision"));
  if (kept) return decision_of(std::move(*kept), w.prepared.spec, w.checkpoints.folder().string());
  FATHOM_TRY(DecisionResult decision, decide(w.backbone, w.heads, w.prepared, w.options));
  FATHOM_TRY_VOID(w.checkpoints.save("decision", decision_state(decision)));
  return decision;
}

// Algorithm 1 with the default recipe's number of training examples. Its exits are distilled afterwards, on the frozen
// result, so that the table can show them; its own decision uses none.
Result<DecisionResult> paper_recipe(const Work& w, Json& facts) {
  const PaperRun run = paper_run(w.prepared, w.options);
  const Interruptible interruptible;
  FATHOM_TRY(DecisionResult decision, train_paper(w.backbone, w.heads, run, w.checkpoints, w.metrics));
  FATHOM_TRY_VOID(train_exit_heads(w));
  facts = {{"schedule", schedule_of(run)},
           {"tune_accuracy", full_depth_accuracy(w.backbone, w.heads, w.prepared.part(Part::tune))}};
  return decision;
}

}  // namespace

Status fit(const FitOptions& given) {
  FitOptions options = given;
  if (!options.states.empty()) return fit_frozen(options);
  if (options.tune == "like") return distil_bundle(options);
  if (!options.tune.empty()) return tune_checkpoint(options);
  if (options.recipe == "paper" && options.dropout)
    return Error{Code::usage, "--recipe paper trains without dropout",
                 "leave out --dropout, or take the default recipe"};
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(1);  // parallel work is split by shards, so that results do not depend on the number of threads
  std::shared_ptr<const fathom::Model> teacher;
  if (!options.teacher.empty()) {
    if (options.recipe == "paper")
      return Error{Code::usage, "--teacher goes with the default recipe alone", "leave out --recipe paper"};
    FATHOM_TRY(teacher, open_model(options.teacher));
    options.teacher_checksum = teacher->bundle()->checksum();
  }
  const Json asked = options_to_json(options);
  const auto folder = options.output / "fit";
  if (finished(options, asked)) {
    if (options.progress) say(options.output.string() + " is already fitted with these options");
    return {};
  }
  FATHOM_TRY(const auto dataset, data::read_dataset(options.data, read_options(options)));
  if (options.progress) {
    for (const auto& note : dataset.notes) say(note);
  }
  Json identity = {{"options", asked}, {"data", {{"fingerprint", dataset.fingerprint}}}};
  FATHOM_TRY(const Prepared prepared, prepare(dataset, options, teacher ? &teacher->spec() : nullptr));
  if (options.progress && prepared.cut > 0)
    say(std::to_string(prepared.cut) + " of " + std::to_string(prepared.part(Part::train).size()) +
        " training texts are longer than " + std::to_string(prepared.spec.max_tokens) +
        " tokens and are cut, as longer texts will be later on; --max-tokens sets how many the model reads");
  FATHOM_TRY_VOID(claim_folder(folder, identity));
  identity["schedule"] = schedule_to_json(prepared.schedule);
  const Checkpoints checkpoints(folder, identity);
  Metrics metrics(folder);

  torch::manual_seed(Random(options.seed, "weights").next());
  Backbone backbone(prepared.spec);
  Heads heads(prepared.spec);
  Work work{options, prepared, checkpoints, metrics, backbone, heads, options.threads > 0 ? options.threads : cores,
            {}};
  if (teacher) {
    FATHOM_TRY(work.teacher, teach(options, *teacher, dataset, prepared, backbone));
  }
  Json facts;
  FATHOM_TRY(const DecisionResult decision,
             options.recipe == "paper" ? paper_recipe(work, facts) : default_recipe(work, facts));
  return export_bundle({prepared, backbone, heads, decision, dataset, options, facts,
                        teacher ? data::split_use_of(teacher->bundle()->fathom()) : Json()});
}

}  // namespace fathom::train
