// `fathom import DIR -o BUNDLE`: a Hugging Face folder becomes a bundle; `--check` only says what is in it.
#include <cstdio>

#include "api/checkpoint.h"
#include "base/log.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "model/ledger.h"

namespace fathom::cli {
namespace {

struct Options {
  fs::path folder, out;
  engine::RuntimeOptions runtime;
  bool check = false, json = false;
};

Json describe(const api::Imported& imported) {
  const ModelSpec& spec = imported.checkpoint.spec;
  Json json = {{"family", imported.checkpoint.family},
               {"spec", spec_to_json(spec)},
               {"names", naming_to_json(imported.checkpoint.naming)},
               {"parameters", imported.parameters},
               {"full_depth_macs", full_depth_macs(spec, spec.tokens())},
               {"files", imported.files},
               {"notes", imported.checkpoint.notes},
               {"unread", imported.checkpoint.unread},
               {"parity", nullptr}};
  if (imported.parity)
    json["parity"] = {{"inputs", imported.parity->inputs},
                      {"largest_difference", imported.parity->largest},
                      {"other_labels", imported.parity->other_labels}};
  return json;
}

void print(const api::Imported& imported) {
  const ModelSpec& spec = imported.checkpoint.spec;
  const auto row = [](const char* name, const std::string& value) { std::printf("%-12s %s\n", name, value.c_str()); };
  row("family", imported.checkpoint.family);
  row("backbone", std::to_string(spec.layers) + " layers, hidden " + std::to_string(spec.hidden) + ", " +
                      std::to_string(spec.heads) + " heads, feed-forward " + std::to_string(spec.ffn));
  row("reads", spec.modality == Modality::text
                   ? "text, at most " + std::to_string(spec.max_tokens) + " tokens"
                   : "pictures, " + std::to_string(spec.image_height) + "x" + std::to_string(spec.image_width) +
                         " in patches of " + std::to_string(spec.patch));
  row("parameters", std::to_string(imported.parameters));
  row("full depth",
      macs_text(full_depth_macs(spec, spec.tokens())) + " at " + std::to_string(spec.tokens()) + " tokens");
  std::string labels;
  for (const std::string& name : spec.label_names) labels += (labels.empty() ? "" : ", ") + name;
  row("labels", std::to_string(spec.classes()) + ": " + one_line(labels, 120));
  for (const std::string& note : imported.checkpoint.notes) row("note", one_line(note, 400));
  for (const std::string& key : imported.checkpoint.unread) row("not read", one_line(key, 160));
  if (!imported.parity) return;
  char line[160];
  std::snprintf(line, sizeof line, "%zu reference inputs: largest difference of a logit %.2g, %zu other labels",
                imported.parity->inputs, imported.parity->largest, imported.parity->other_labels);
  row("parity", line);
}

Result<int> act(const Options& options) {
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options.runtime));
  const auto imported = options.check ? api::check_checkpoint(options.folder, *runtime)
                                      : api::import_checkpoint(options.folder, options.out, *runtime);
  if (!imported) return imported.error();
  if (options.json)
    std::printf("%s\n", describe(*imported).dump(2).c_str());
  else
    print(*imported);
  const std::size_t unread = imported->checkpoint.unread.size();
  if (options.check && unread > 0)
    say("what is read is supported; " + std::to_string(unread) +
        " keys are not read: see whether they change answers; next: fathom import " + options.folder.string() +
        " -o BUNDLE");
  else if (options.check)
    say("every part is supported; next: fathom import " + options.folder.string() + " -o BUNDLE");
  else
    say("wrote " + options.out.string() + "; next: fathom run " + options.out.string() + ", or fathom fit --from " +
        options.out.string());
  return 0;
}

}  // namespace

void add_import(Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb(
      "import", "Make a bundle of a Hugging Face (or timm) classifier's folder; its weights stay as they are");
  verb->add_option("folder", options->folder, "Folder with config.json and model.safetensors")->required();
  CLI::Option* out = verb->add_option("-o,--out", options->out, "Bundle folder to make");
  CLI::Option* check = verb->add_flag("--check", options->check, "Say what is supported, write nothing");
  out->excludes(check);
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options]() -> Result<int> {
    if (!options->check && options->out.empty())
      return Error{Code::usage, "import needs -o BUNDLE, or --check", "fathom import FOLDER -o BUNDLE"};
    return act(*options);
  });
}

}  // namespace fathom::cli
