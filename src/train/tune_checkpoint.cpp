// The stage around TuningLearner: a bundle's data, tokenizer and weights in, its weights file out.
#include <ATen/Parallel.h>

#include <thread>

#include "base/log.h"
#include "base/random.h"
#include "bundle/bundle.h"
#include "data/dataset.h"
#include "data/split_use.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/part_reader.h"
#include "train/prepare.h"
#include "train/trunk.h"
#include "train/tuning.h"
#include "train/whole_model.h"

namespace fathom::train {
namespace {

using data::Part;
using torch::Tensor;

constexpr std::int64_t kManyRows = 7000;  // from here on two epochs do what three do below

Status write_trained(const std::filesystem::path& folder, const Bundle& bundle, const fathom::Model& model,
                     const TuningLearner& learner, const Json& use, const Json& facts) {
  std::map<std::string, std::string> files;
  FATHOM_TRY(files["model.safetensors"], learner.file(*bundle.weights(), model.naming()));
  std::map<std::string, std::filesystem::path> copies;
  for (const auto& [name, entry] : bundle.fathom()["files"].items())
    if (!name.ends_with(".safetensors") && name != "model.safetensors.index.json") copies[name] = folder / name;
  Json fathom = bundle.fathom();
  for (const char* old : {"policy", "operating_points", "budget_table", "certificate"}) fathom.erase(old);
  fathom["split_use"] = use;
  fathom["provenance"]["tuned"] = facts;
  return write_bundle(folder, files, fathom, copies);
}

Result<std::unique_ptr<TuningLearner>> read_teacher(const std::filesystem::path& folder, const ModelSpec& student) {
  FATHOM_TRY(const auto model, open_model(folder));
  const ModelSpec& spec = model->spec();
  if (spec.label_names != student.label_names || spec.max_tokens < student.max_tokens ||
      spec.modality != student.modality)
    return Error{Code::bad_input, "the teacher '" + folder.string() + "' has other classes or reads other inputs",
                 "give the model the student was made of"};
  return std::make_unique<TuningLearner>(*model, TuningTask{Tuning::plain, true, {}});
}

}  // namespace

Status tune_checkpoint(const FitOptions& options) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(1);  // shards are the parallel work, so that results do not depend on the number of threads
  const Tuning tuning = options.tune == "plain" ? Tuning::plain : Tuning::exits;
  FATHOM_TRY(const auto bundle, Bundle::open(options.output));
  FATHOM_TRY(const auto model, fathom::Model::load(bundle));
  const ModelSpec& spec = model->spec();
  FATHOM_TRY(const auto dataset, data::read_dataset(options.data, read_options(options)));
  const bool labelled = !dataset.label_names.empty() && !options.no_labels;
  if (tuning == Tuning::plain && !labelled && options.teacher.empty())
    return Error{Code::bad_input, "fine-tuning needs labels; '" + options.data.string() + "' has none",
                 "give labelled data"};
  FATHOM_TRY(const PartReader reader, PartReader::open(options.output, spec));
  FATHOM_TRY(const Encoded train, reader.read(dataset, Part::train, labelled));
  FATHOM_TRY(Encoded tune, reader.read(dataset, Part::tune, labelled));
  FATHOM_TRY(Schedule schedule,
             fine_tuning_schedule(options, train.size(), {train.size() >= kManyRows ? 2.0 : 3.0, 5e-5, 0.1}));
  schedule.keep_best = tuning == Tuning::plain;  // with exits, the last exit's accuracy is not what is trained for
  const Json identity = {
      {"tune", options.tune}, {"model", bundle->checksum()},        {"data", dataset.fingerprint},
      {"seed", options.seed}, {"taught", !options.teacher.empty()}, {"schedule", schedule_to_json(schedule)}};
  std::error_code failed;
  std::filesystem::create_directories(options.output / "fit", failed);
  if (failed)
    return Error{Code::io, "cannot make '" + (options.output / "fit").string() + "': " + failed.message(),
                 "choose another --out"};
  const Checkpoints checkpoints(options.output / "fit", identity);
  Metrics metrics(options.output / "fit");
  torch::manual_seed(Random(options.seed, "weights").next());
  TuningLearner learner(*model, {tuning, labelled, {}});
  if (!labelled || !options.teacher.empty()) {
    std::unique_ptr<TuningLearner> other;
    if (!options.teacher.empty()) {
      FATHOM_TRY(other, read_teacher(options.teacher, spec));
    }
    TuningLearner& teacher = other ? *other : learner;  // without one, the model as it is now
    learner.set_task({tuning, labelled, teacher.logits(train)});
    if (!labelled) tune.labels = teacher.logits(tune).argmax(1);
  }
  const TrunkRun run{train,
                     tune,
                     schedule,
                     options.seed,
                     options.threads > 0 ? options.threads : cores,
                     options.checkpoint_every,
                     options.progress};
  FATHOM_TRY(const TrunkFacts trained, train_trunk(learner, run, checkpoints, metrics));
  if (options.progress)
    say("the last exit's accuracy on tune: " + Json(std::round(trained.tune_accuracy * 1e4) / 1e4).dump());
  Json use = data::split_use_of(bundle->fathom());
  if (!options.teacher.empty()) {
    FATHOM_TRY(const Json teachers, data::read_split_use(options.teacher));
    data::carry_split_use(use, teachers, "teacher");
  }
  data::note_split_use(use, dataset, Part::train, {"trunk"});
  if (schedule.keep_best) data::note_split_use(use, dataset, Part::tune, {"trunk"});
  FATHOM_TRY_VOID(write_trained(options.output, *bundle, *model, learner, use,
                                {{"how", options.tune},
                                 {"schedule", schedule_to_json(schedule)},
                                 {"labels", labelled},
                                 {"from", bundle->checksum()},
                                 {"tune_accuracy", trained.tune_accuracy},
                                 {"train_accuracy", trained.train_accuracy},
                                 {"best_step", trained.best_step},
                                 {"key", options.key}}));
  checkpoints.remove("trunk");
  return {};
}

}  // namespace fathom::train
