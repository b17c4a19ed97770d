// fathom_random_bundle FOLDER text|image|base|vit [LIKE]: a whole bundle of seeded random weights, for tests of the
// programs. text, image: small. base: 12 layers of 768 as BERT-base has them, with a small vocabulary. vit: 12 layers
// of 768, pictures of 224 x 224 in patches of 32. LIKE: a bundle of as many layers whose threshold and recorded depths
// (budget_table) it takes over.
#include <cstdio>
#include <string>

#include "base/file.h"
#include "bundle/bundle.h"
#include "data/tokenizer.h"
#include "engine/random_bundle.h"

namespace {

using namespace fathom;

ModelSpec base_spec() {
  ModelSpec spec = engine::small_spec(Modality::text);
  spec.layers = 12;
  spec.hidden = 768;
  spec.heads = 12;
  spec.ffn = 3072;
  spec.norm = NormOrder::post;
  spec.max_tokens = 128;
  spec.token_types = 2;
  size_decision(spec);
  return spec;
}

ModelSpec vit_spec() {
  ModelSpec spec = base_spec();
  spec.modality = Modality::image;
  spec.norm = NormOrder::pre;
  spec.image_height = spec.image_width = 224;
  spec.patch = 32;
  size_decision(spec);
  return spec;
}

ModelSpec spec_of(const std::string& kind) {
  if (kind == "base") return base_spec();
  if (kind == "vit") return vit_spec();
  return engine::small_spec(kind == "image" ? Modality::image : Modality::text);
}

// What the bundle is held to: its own threshold, or that of another one.
Status take_over(Json& fathom, const fs::path& like) {
  FATHOM_TRY(const auto other, Bundle::open(like));
  fathom["policy"]["lambda"] = other->fathom()["policy"]["lambda"];
  if (other->fathom().contains("budget_table")) {
    fathom["budget_table"] = other->fathom()["budget_table"];
    fathom["budget_table"]["score"] = "confidence";
  }
  return {};
}

Status write(const fs::path& folder, const std::string& kind, const fs::path& like) {
  data::TokenizerOptions options;
  options.min_count = 1;
  FATHOM_TRY(const auto tokenizer,
             data::Tokenizer::train({"the quick brown fox jumps over the lazy dog", "pack my box with five dozen jugs"},
                                    options));
  ModelSpec spec = spec_of(kind);
  spec.vocab = tokenizer.vocab_size();
  policy::Policy policy = engine::random_policy(spec, 7);
  policy.score = policy::Score::confidence;
  policy.lambda = 0.5f;
  FATHOM_TRY_VOID(engine::write_random_bundle(folder, spec, 7, policy));
  const bool text = spec.modality == Modality::text;
  if (!text && like.empty()) return {};
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  Json fathom = bundle->fathom();
  if (!like.empty()) FATHOM_TRY_VOID(take_over(fathom, like));
  std::map<std::string, fs::path> kept;
  for (const auto& [name, unused] : fathom["files"].items()) kept[name] = folder / name;
  fathom.erase("files");
  std::map<std::string, std::string> files;
  if (text) files = {{"tokenizer.json", tokenizer.to_json()}, {"vocab.txt", tokenizer.vocab_text()}};
  return write_bundle(folder, files, fathom, kept);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  const Status status = write(argv[1], argv[2], argc == 4 ? argv[3] : "");
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
