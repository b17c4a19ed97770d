// config.json of a checkpoint from any bytes, beside the weights of every family that is read: a model whose tensors
// are all there, or an error. Seeds: tests/parity/checkpoints/*/config.json.
#include <cstdint>
#include <string_view>

#include "model/hugging_face.h"
#include "model/model.h"

namespace {

std::vector<std::shared_ptr<const fathom::SafeTensors>> weights() {
  std::vector<std::shared_ptr<const fathom::SafeTensors>> out;
  for (const auto& entry : std::filesystem::directory_iterator(FATHOM_CHECKPOINTS)) {
    const auto file = entry.path() / "model.safetensors";
    if (!std::filesystem::exists(file)) continue;
    const auto opened = fathom::SafeTensors::open(file);
    FATHOM_CHECK(opened, "a committed checkpoint cannot be read");
    out.push_back(*opened);
  }
  FATHOM_CHECK(!out.empty(), "no committed checkpoints");
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const auto all = weights();
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto config = fathom::parse_json(std::string(text), "fuzz");
  if (!config) return 0;
  for (const auto& tensors : all) {
    const auto read = fathom::read_checkpoint(*config, *tensors, "fuzz", {"a", "b"});
    if (!read) continue;
    (void)fathom::Model::of_checkpoint(read->spec, read->naming, tensors);
  }
  return 0;
}
