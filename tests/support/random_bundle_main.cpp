// fathom_random_bundle FOLDER text|image|base: a whole bundle of seeded random weights, for tests of the programs.
// text, image: small. base: 12 layers of 768 as BERT-base has them, with a small vocabulary.
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

Status write(const fs::path& folder, const std::string& kind) {
  data::TokenizerOptions options;
  options.min_count = 1;
  FATHOM_TRY(const auto tokenizer,
             data::Tokenizer::train({"the quick brown fox jumps over the lazy dog", "pack my box with five dozen jugs"},
                                    options));
  ModelSpec spec = kind == "base" ? base_spec() : engine::small_spec(kind == "text" ? Modality::text : Modality::image);
  spec.vocab = tokenizer.vocab_size();
  policy::Policy policy = engine::random_policy(spec, 7);
  policy.score = policy::Score::confidence;
  policy.lambda = 0.5f;
  FATHOM_TRY_VOID(engine::write_random_bundle(folder, spec, 7, policy));
  if (kind == "image") return {};
  FATHOM_TRY(const auto bundle, Bundle::open(folder));
  Json fathom = bundle->fathom();
  std::map<std::string, fs::path> kept;
  for (const auto& [name, unused] : fathom["files"].items()) kept[name] = folder / name;
  fathom.erase("files");
  return write_bundle(folder, {{"tokenizer.json", tokenizer.to_json()}, {"vocab.txt", tokenizer.vocab_text()}}, fathom,
                      kept);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const Status status = write(argv[1], argv[2]);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
