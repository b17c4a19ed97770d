// `fathom info BUNDLE`: what is in a bundle. --verify recomputes every checksum and compares the packed weights.
#include <cstdio>

#include "base/log.h"
#include "cli/flags.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "compress/fold.h"
#include "engine/weights_pack.h"
#include "eval/certificate_record.h"
#include "model/ledger.h"
#include "model/model.h"
#include "policy/policy.h"

namespace fathom::cli {
namespace {

double parameters(const SafeTensors* tensors) {
  double count = 0;
  if (tensors != nullptr)
    for (const auto& [name, view] : tensors->all()) count += static_cast<double>(view.elements());
  return count;
}

Json describe(const Bundle& bundle, const Model& model, bool verified) {
  const ModelSpec& spec = model.spec();
  Json json;
  json["folder"] = bundle.folder().string();
  json["checksum"] = bundle.checksum();
  json["checksums_verified"] = verified;
  json["modality"] = spec.modality == Modality::text ? "text" : "image";
  json["labels"] = spec.label_names;
  json["config"] = bundle.config();
  json["parameters"] = {{"backbone", parameters(bundle.weights().get())},
                        {"decision", parameters(bundle.decision().get())}};
  json["precision"] = precision_name(model.precision());
  json["tokens"] = spec.tokens();
  json["full_depth_macs"] = full_depth_macs(spec, spec.tokens());
  for (const char* part : {"policy", "operating_points", "data", "provenance", "files"})
    if (bundle.fathom().contains(part)) json[part] = bundle.fathom()[part];
  return json;
}

// Whether the certificate holds on this machine, what it claims and supposes, and what would restore it.
Status add_certificate(const Bundle& bundle, const engine::RuntimeOptions& options, Json& json) {
  using State = eval::CertificateStatus::State;
  FATHOM_TRY(const auto runtime, engine::Runtime::create(options));
  FATHOM_TRY(const auto status, eval::certificate_status(bundle, runtime->kernels()));
  if (status.state == State::none) return {};
  const Json& recorded = bundle.fathom()["certificate"];
  Json told = recorded.is_object() ? recorded : Json::object();
  told["state"] = status.word();
  if (!status.why.empty()) told["why"] = status.why;
  if (!status.restore.empty()) told["restore"] = status.restore;
  if (status.state != State::broken) {
    told["claim"] = eval::claim_text(recorded);
    told["supposes"] = eval::supposition_text(recorded);
    if (const std::string whose = eval::reference_text(recorded); !whose.empty()) told["full_depth"] = whose;
  }
  json["certificate"] = told;
  return {};
}

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// "qkv rank 96, f1 rank 128, first factors shared"
std::string folded_text(const ModelSpec& spec) {
  std::string text;
  const auto maps = layer_maps(spec);
  for (std::size_t i = 0; i < maps.size(); ++i)
    if (maps[i].rank > 0)
      text += std::string(text.empty() ? "" : ", ") + compress::kMapNames[i] + " rank " + std::to_string(maps[i].rank);
  return text + (spec.ranks.shared ? ", first factors shared by all layers" : "");
}

void print_table(const Json& json, const ModelSpec& spec) {
  const auto row = [](const char* name, const std::string& value) { std::printf("%-18s %s\n", name, value.c_str()); };
  row("bundle", json["folder"].get<std::string>());
  row("checksum",
      json["checksum"].get<std::string>() + (json["checksums_verified"].get<bool>() ? "  (every file verified)" : ""));
  row("reads",
      std::string(spec.modality == Modality::text
                      ? "text, at most " + std::to_string(spec.max_tokens) + " tokens"
                      : "pictures, " + std::to_string(spec.image_height) + "x" + std::to_string(spec.image_width) +
                            " in patches of " + std::to_string(spec.patch)));
  row("backbone", std::to_string(spec.layers) + " layers, hidden " + std::to_string(spec.hidden) + ", " +
                      std::to_string(spec.heads) + " heads, feed-forward " + std::to_string(spec.ffn) + ", " +
                      (spec.norm == NormOrder::pre ? "pre" : "post") + "-norm" +
                      (spec.attention == Attention::linear ? ", linear attention" : "") +
                      (spec.attention_window > 0 ? ", window " + std::to_string(spec.attention_window) : "") +
                      (spec.word_width > 0 ? ", word rows of " + std::to_string(spec.word_width) : ""));
  if (spec.ranks.any()) row("maps in factors", folded_text(spec));
  row("parameters", std::to_string(static_cast<long long>(json["parameters"]["backbone"].get<double>())) +
                        " backbone, " +
                        std::to_string(static_cast<long long>(json["parameters"]["decision"].get<double>())) +
                        " heads, extractor and policy");
  row("precision", std::string(json["precision"].get<std::string>()) + " layers");
  row("full depth",
      macs_text(json["full_depth_macs"].get<double>()) + " at " + std::to_string(spec.tokens()) + " tokens");
  std::string labels;
  for (const std::string& name : spec.label_names) labels += (labels.empty() ? "" : ", ") + name;
  row("labels", std::to_string(spec.classes()) + ": " + one_line(labels, 160));
  for (const char* part : {"certificate", "policy", "data", "provenance"}) {
    if (!json.contains(part) || !json[part].is_object()) continue;
    for (const auto& [key, value] : json[part].items())
      if (!(key == "groups" && value.is_array()))
        row((std::string(part) + "." + key).c_str(),
            one_line(text_of(value), part == std::string("certificate") ? 300 : 100));
  }
  if (json.contains("certificate") && json["certificate"].contains("groups") &&
      json["certificate"]["groups"].is_array())
    for (const Json& group : json["certificate"]["groups"]) row("certificate.group", one_line(group.dump(), 160));
  if (json.contains("operating_points") && json["operating_points"].is_object())
    for (const auto& [key, value] : json["operating_points"].items())
      row(("point." + key).c_str(), one_line(value.dump(), 200));
  if (json.contains("packed"))
    for (const auto& [name, state] : json["packed"].items()) row(("file " + name).c_str(), state.get<std::string>());
  if (json.contains("files") && json["files"].is_object()) {
    for (const auto& [name, file] : json["files"].items()) {
      if (file.is_object() && file.contains("bytes") && file["bytes"].is_number())
        row(("file " + name).c_str(), bytes_text(file["bytes"].get<double>()));
    }
  }
}

}  // namespace

void add_info(Frame& frame) {
  struct Options {
    fs::path bundle;
    engine::RuntimeOptions runtime{"", 1};
    bool verify = false, json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("info", "Show what is in a bundle");
  verb->add_option("bundle", options->bundle, "Bundle folder")->required();
  verb->add_flag("--verify", options->verify,
                 "Recompute every checksum, and compare the packed weights with the model's");
  add_tier_flag(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options]() -> Result<int> {
    FATHOM_TRY(const auto bundle, Bundle::open(options->bundle));
    FATHOM_TRY(const auto model, Model::load(bundle));
    if (const Status own = bundle->unchanged(); !own) warn(own.error().message + "; `fathom run` refuses it");
    Json json;
    if (options->verify) {
      FATHOM_TRY_VOID(bundle->verify());
      FATHOM_TRY(const auto packed, engine::verify_packed(*model));
      json = describe(*bundle, *model, true);
      json["packed"] = Json::object();
      for (const auto& file : packed)
        json["packed"][file.name] = file.used ? "verified" : "left over from other weights; the next run replaces it";
    } else {
      json = describe(*bundle, *model, false);
    }
    FATHOM_TRY_VOID(add_certificate(*bundle, options->runtime, json));
    if (options->json) {
      std::printf("%s\n", json.dump(2).c_str());
    } else {
      print_table(json, model->spec());
    }
    return 0;
  });
}

}  // namespace fathom::cli
