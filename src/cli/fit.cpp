// `fathom fit`: runs fathom-train beside this program with the same arguments, then chooses the bundle's operating
// points through the engine. The two programs meet in files alone, so this one links no training library.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/log.h"
#include "bundle/bundle.h"
#include "cli/fit_from.h"
#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace fathom::cli {
namespace {

struct Options {
  fs::path data, out, from;
  std::string task;
  double max_disagreement = 0.005;
  engine::RuntimeOptions runtime;
  std::vector<int> keep_layers;
  std::optional<bool> header;
  bool no_labels = false, trunk = false, pairs = false, json = false;
};

Result<int> choose_points(const Options& options) {
  FATHOM_TRY(const bool chosen, calibrate(options.out, options.runtime, options.max_disagreement));
  FATHOM_TRY(const auto bundle, Bundle::open(options.out));
  const Json& points = bundle->fathom()["operating_points"];
  if (options.json) {
    std::printf("%s\n",
                Json{{"bundle", options.out.string()}, {"checksum", bundle->checksum()}, {"operating_points", points}}
                    .dump(2)
                    .c_str());
    return 0;
  }
  std::printf("bundle    %s\nchecksum  %s\n", options.out.c_str(), bundle->checksum().c_str());
  for (const auto& [name, point] : points.items())
    std::printf("%-16s %s\n", name.c_str(), one_line(point.dump(), 200).c_str());
  say(std::string(chosen ? "operating points chosen on the calibrate split" : "already fitted and calibrated") +
      "; next: fathom eval " + options.out.string());
  return 0;
}

Result<long> whole_number(const std::string& flag, const std::string& value, long low, long high) {
  char* end = nullptr;
  const long number = std::strtol(value.c_str(), &end, 10);
  if (!value.empty() && *end == '\0' && number >= low && number <= high) return number;
  return Error{Code::usage,
               flag + " must be between " + std::to_string(low) + " and " + std::to_string(high) + ", got " + value,
               "fathom help fit"};
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == ',')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

// Of fathom-train's flags those that mean something for a checkpoint, whose shape and weights are given.
Result<FitFrom> from_flags(const std::vector<std::string>& rest) {
  FitFrom fit;
  for (std::size_t i = 0; i < rest.size(); i += 2) {
    const std::string& flag = rest[i];
    const bool training =
        flag == "--epochs" || flag == "--steps" || flag == "--lr" || flag == "--batch-size" || flag == "--dropout";
    const bool known =
        training || flag == "--seed" || flag == "--max-tokens" || flag == "--text-columns" || flag == "--label-column";
    if (!known)
      return Error{
          Code::usage, "with --from, '" + flag + "' has no meaning: shape and weights are the checkpoint's",
          "what goes with --from: --data -o --task --pairs --max-tokens --text-columns --label-column --header --seed "
          "--max-disagreement --threads; with "
          "--trunk or --keep-layers also --epochs --steps --lr --batch-size --dropout"};
    if (i + 1 == rest.size()) return Error{Code::usage, flag + " needs a value", "fathom help fit"};
    const std::string& value = rest[i + 1];
    if (training) fit.training.emplace_back(flag, value);
    if (flag == "--text-columns") fit.read.text_columns = split_commas(value);
    if (flag == "--label-column") fit.read.label_column = value;
    if (flag == "--seed") {
      FATHOM_TRY(const long seed, whole_number(flag, value, 0, 1L << 53));
      fit.seed = static_cast<std::uint64_t>(seed);
    }
    if (flag == "--max-tokens") {
      FATHOM_TRY(const long tokens, whole_number(flag, value, 2, 1 << 16));
      fit.max_tokens = static_cast<int>(tokens);
    }
  }
  return fit;
}

Result<int> fit_checkpoint(const Options& options, const std::vector<std::string>& rest) {
  FATHOM_TRY(FitFrom fit, from_flags(rest));
  fit.from = options.from;
  fit.data = options.data;
  fit.out = options.out;
  fit.max_disagreement = options.max_disagreement;
  fit.no_labels = options.no_labels;
  fit.trunk = options.trunk;
  fit.keep_layers = options.keep_layers;
  fit.runtime = options.runtime;
  fit.read.pairs = options.pairs;
  fit.read.header = options.header;
  if (!options.task.empty()) {
    FATHOM_TRY(fit.read.task, data::parse_task(options.task));
  }
  FATHOM_TRY(const int code, fit_from(fit));
  if (code != 0) return code;
  return choose_points(options);
}

Result<int> act(const Options& options, const std::vector<std::string>& rest) {
  std::error_code ignored;
  if (!fs::exists(options.data, ignored)) {
    return Error{Code::io, "--data '" + options.data.string() + "' is not there",
                 "give a folder with train and test files (docs/formats/datasets.md)"};
  }
  FATHOM_TRY_VOID(need_train_program());
  if (!options.from.empty()) return fit_checkpoint(options, rest);
  if (options.trunk || options.no_labels || !options.keep_layers.empty())
    return Error{Code::usage,
                 std::string(options.trunk       ? "--trunk"
                             : options.no_labels ? "--no-labels"
                                                 : "--keep-layers") +
                     " goes with --from: without a checkpoint every layer is trained",
                 "leave it out, or give --from"};
  std::vector<std::string> arguments = {"--data", options.data.string(), "--out", options.out.string()};
  if (!options.task.empty()) arguments.insert(arguments.end(), {"--task", options.task});
  if (options.pairs) arguments.push_back("--pairs");
  if (options.header) arguments.push_back(*options.header ? "--header" : "--no-header");
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  FATHOM_TRY(const int code, train(arguments, options.max_disagreement, options.runtime.threads));
  if (code != 0) return code;
  return choose_points(options);
}

}  // namespace

void add_fit(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      frame.verb("fit", "Train an adaptive bundle from data (runs fathom-train; its flags are accepted too)");
  verb->allow_extras();
  verb->add_option("--data", options->data, "Data folder")->required();
  verb->add_option("-o,--out", options->out, "Bundle folder to make")->required();
  verb->add_option(
      "--from", options->from,
      "A Hugging Face folder: make that model adaptive; its layers and its file stay as they are. An encoder "
      "without a classifier is fine-tuned first");
  verb->add_flag("--pairs", options->pairs,
                 "Texts: the two text columns (or the two sides of a TAB in a .txt file) are one pair, not one text");
  verb->add_flag_function(
      "--header,!--no-header", [options](std::int64_t given) { options->header = given > 0; },
      "The first row of CSV and TSV files is a header, or is data; default: found");
  verb->add_flag("--no-labels", options->no_labels, "With --from: do not look at the labels that the data have");
  CLI::Option* trunk =
      verb->add_flag("--trunk", options->trunk, "With --from: train the layers too, together with exits");
  verb->add_option("--keep-layers", options->keep_layers,
                   "With --from: a shallower student of these layers (0,2,4), taught by the checkpoint")
      ->delimiter(',')
      ->excludes(trunk);
  verb->add_option("--task", options->task, "text-classification | image-classification")
      ->check(CLI::IsMember({"text-classification", "image-classification"}));
  verb->add_option("--max-disagreement", options->max_disagreement,
                   "Share of inputs whose answer may differ from full depth")
      ->check(between(0, 1, "[0, 1]"))
      ->capture_default_str();
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  verb->footer("\nEvery other flag goes to fathom-train: `fathom-train --help` lists them.");
  frame.on(verb, [options, verb] { return act(*options, unmarked(verb->remaining())); });
}

}  // namespace fathom::cli
