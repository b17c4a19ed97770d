// The stage around DistilLearner: two bundles and their data in, the smaller one's weights out.
#include <ATen/Parallel.h>

#include <cmath>
#include <thread>

#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "bundle/bundle.h"
#include "data/dataset_record.h"
#include "data/split_use.h"
#include "model/names.h"
#include "train/checkpoint.h"
#include "train/distil.h"
#include "train/export.h"
#include "train/metrics.h"
#include "train/part_reader.h"
#include "train/trunk.h"

namespace fathom::train {
namespace {

using data::Part;
Status fits(const fathom::Model& student, const fathom::Model& teacher, const FitOptions& options) {
  const auto outside = [](ModelSpec spec) {  // what compression leaves alone
    spec.heads = spec.head_size = spec.ffn = 1;
    spec.word_width = 0;
    spec.ranks = {};
    return spec_to_json(spec);
  };
  if (outside(student.spec()) == outside(teacher.spec()) && student.has_decision() == teacher.has_decision()) return {};
  return Error{Code::bad_input,
               "'" + options.output.string() + "' was not made of the teacher '" + options.teacher.string() +
                   "': they differ in more than what layers are inside",
               "give the bundle that compress read"};
}

// In a folder of others' states one named by what it belongs to: another run's is neither gone on with nor in the way.
Result<std::filesystem::path> state_folder(const FitOptions& options, const Json& identity) {
  const std::filesystem::path state =
      options.state.empty() ? options.output / "fit" : options.state / sha256_hex(identity.dump()).substr(0, 16);
  std::error_code failed;
  std::filesystem::create_directories(state, failed);
  if (failed)
    return Error{Code::io, "cannot make '" + state.string() + "': " + failed.message(), "choose another folder"};
  return state;
}

// What the exits learned, and what of the decision stays as it was.
Result<std::string> decision_file(const fathom::Model& model, const WholeModel& student) {
  auto tensors = student.exit_weights();
  for (const TensorSpec& spec : decision_tensors(model.spec()))
    if (!tensors.contains(spec.name))
      tensors[spec.name] = torch::from_blob(const_cast<float*>(model.weight(spec.name)), spec.shape, torch::kFloat);
  return decision_bytes(model.spec(), tensors);
}

double share_of_zeros(const WholeModel& student) {
  std::int64_t zeros = 0, all = 0;
  for (const auto& matrix : student.layer_matrices()) {
    zeros += (matrix == 0).sum().item<std::int64_t>();
    all += matrix.numel();
  }
  return static_cast<double>(zeros) / static_cast<double>(all);
}

Status write_distilled(const std::filesystem::path& folder, const Bundle& bundle, const fathom::Model& model,
                       const WholeModel& student, const ZeroGoal& goal, const Json& use, const Json& facts) {
  std::map<std::string, std::string> files;
  FATHOM_TRY(files["model.safetensors"],
             checkpoint_file(model.spec(), *bundle.weights(), model.naming(), student.own_weights()));
  if (student.has_exits()) {
    FATHOM_TRY(files["fathom.safetensors"], decision_file(model, student));
  }
  Json fathom = bundle.fathom();
  for (const char* old : {"operating_points", "budget_table", "certificate"}) fathom.erase(old);  // of other answers
  fathom["split_use"] = use;
  Json& history = fathom["provenance"]["compressed"];
  if (!history.contains("from")) history["from"] = facts["teacher"];  // else a transform came first, and said so
  history["tuned"] = facts;
  if (goal.any()) {
    history["zeroed"] = goal.json();
    history["zeroed"]["zeros"] = share_of_zeros(student);
  }
  auto others = other_files(bundle, files);
  std::erase_if(others, [](const auto& file) {  // shards that the weights were read from
    return (file.first.ends_with(".safetensors") && file.first != "fathom.safetensors") ||
           file.first.ends_with(".safetensors.index.json");
  });
  return write_bundle(folder, files, fathom, others);
}

}  // namespace

Status distil_bundle(const FitOptions& options) {
  if (options.teacher.empty())
    return Error{Code::usage, "--tune like needs --teacher: the bundle whose answers are learned",
                 "give the bundle that compress read"};
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(1);  // shards are the parallel work, so that results do not depend on the number of threads
  FATHOM_TRY(const auto model, open_model(options.output));
  FATHOM_TRY(const auto teacher, open_model(options.teacher));
  const Bundle &bundle = *model->bundle(), &teacher_bundle = *teacher->bundle();
  const ModelSpec& spec = model->spec();
  FATHOM_TRY_VOID(fits(*model, *teacher, options));
  if (model->precision() != Precision::fp32)
    return Error{Code::unsupported,
                 "'" + options.output.string() + "' has its layers in " + precision_name(model->precision()) +
                     ": weights are trained in fp32",
                 "tune before --precision"};
  ZeroGoal goal;
  if (!options.zeros.empty()) {
    FATHOM_TRY(goal, parse_zero_goal(options.zeros, options.zeros_by_movement));
    if (spec.ranks.any())
      return Error{
          Code::unsupported,
          "bundle '" + options.teacher.string() + "' has folded maps: zeros in their factors are not looked for",
          "use --prune weights on the bundle it was made from"};
  }
  FATHOM_TRY(const auto how,
             data::recorded_options(teacher_bundle.fathom(), "bundle '" + options.teacher.string() + "': fathom.json"));
  FATHOM_TRY(const auto dataset, data::read_dataset(options.data, how));
  FATHOM_TRY(const PartReader reader, PartReader::open(options.output, spec));
  FATHOM_TRY(const Encoded train, reader.read(dataset, Part::train, false));
  FATHOM_TRY(Encoded tune, reader.read(dataset, Part::tune, false));
  FATHOM_TRY(const Schedule schedule, fine_tuning_schedule(options, train.size(), {3.0, 2e-4, 0.0}));
  Json identity = {
      {"tune", options.tune},        {"model", bundle.checksum()}, {"teacher", teacher_bundle.checksum()},
      {"data", dataset.fingerprint}, {"seed", options.seed},       {"schedule", schedule_to_json(schedule)}};
  if (goal.any()) identity["zeros"] = goal.json();
  if (options.int8_levels > 0) identity["int8_levels"] = options.int8_levels;
  FATHOM_TRY(const auto state, state_folder(options, identity));
  const Checkpoints checkpoints(state, identity);
  Metrics metrics(state);
  torch::manual_seed(Random(options.seed, "weights").next());
  const auto master = std::make_shared<WholeModel>(*teacher);
  tune.labels = master->logits(tune).argmax(1);
  DistilLearner learner(std::make_unique<WholeModel>(*model), master, goal);
  learner.student().backbone().set_int8(options.int8_levels);
  const double before = learner.accuracy(tune);
  const TrunkRun run{train,
                     tune,
                     schedule,
                     options.seed,
                     options.threads > 0 ? options.threads : cores,
                     options.checkpoint_every,
                     options.progress,
                     false};
  FATHOM_TRY(const TrunkFacts trained, train_trunk(learner, run, checkpoints, metrics));
  const auto share = [](double value) { return Json(std::round(value * 1e4) / 100).dump() + " %"; };
  if (options.progress)
    say("answers on tune that are the teacher's: " + share(before) + " -> " + share(trained.tune_accuracy));
  Json facts = {{"schedule", schedule_to_json(schedule)},
                {"teacher", teacher_bundle.checksum()},
                {"data", dataset.fingerprint},
                {"seed", options.seed},
                {"agreement", {before, trained.tune_accuracy}}};
  if (options.int8_levels > 0) facts["int8_levels"] = options.int8_levels;
  Json use = data::split_use_of(teacher_bundle.fathom());  // of which the student was made
  data::carry_split_use(use, bundle.fathom().value("split_use", Json()));
  data::note_split_use(use, dataset, Part::train, {"tuned"});
  FATHOM_TRY_VOID(write_distilled(options.output, bundle, *model, learner.student(), goal, use, facts));
  if (options.state.empty()) checkpoints.remove("trunk");  // else whoever keeps the state knows when it has served
  return {};
}

}  // namespace fathom::train
