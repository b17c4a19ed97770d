// fathom.json's "model" of an imported checkpoint from any bytes (spec and names that need not go together), beside the
// weights of every family that is read: a model of which every weight can be read, or an error. Seeds:
// fuzz/corpus/model.
#include <cstdint>
#include <fstream>
#include <string_view>

#include "model/model.h"
#include "model/names.h"

namespace {

namespace fs = std::filesystem;

// A bundle of every committed checkpoint, without fathom.json.
std::vector<fs::path> bundles() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(FATHOM_CHECKPOINTS)) {
    const auto weights = entry.path() / "model.safetensors";
    if (!fs::exists(weights)) continue;
    const fs::path folder = fs::temp_directory_path() / "fathom-fuzz-model" / entry.path().filename();
    const fathom::Status made =
        fathom::write_bundle(folder, {{"config.json", "{}"}}, fathom::Json::object(), {{"model.safetensors", weights}});
    FATHOM_CHECK(made, "a committed checkpoint cannot be copied");
    out.push_back(folder);
  }
  FATHOM_CHECK(!out.empty(), "no committed checkpoints");
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const auto all = bundles();
  const auto model = fathom::parse_json({reinterpret_cast<const char*>(bytes), size}, "fuzz");
  if (!model) return 0;
  for (const fs::path& folder : all) {
    fathom::Json fathom;
    fathom["model"] = *model;
    if (!fathom::update_bundle(folder, fathom)) continue;
    const auto bundle = fathom::Bundle::open(folder);
    if (!bundle) continue;
    const auto loaded = fathom::Model::load(*bundle);
    if (!loaded) continue;
    float sum = 0;
    const auto& spec = (*loaded)->spec();
    for (const auto& wanted : {fathom::backbone_tensors(spec), fathom::task_head_tensors(spec)})
      for (const auto& tensor : wanted) {
        const float* values = (*loaded)->weight(tensor.name);
        for (std::int64_t i = 0; i < fathom::elements_of(tensor.shape); ++i) sum += values[i];
      }
    [[maybe_unused]] static volatile float read;
    read = sum;
  }
  return 0;
}
