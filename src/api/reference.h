// A checkpoint's stored answers against ours: `reference.json` in its folder, as tests/parity/make_checkpoints.py
// writes it: {"ids": [[...], ...]}, with {"types": [[...], ...]} where pairs are among them, or {"pixels": [[height *
// width * 3 bytes], ...]}, and {"logits": [[...], ...]} of `transformers` in float32 on exactly these inputs. Errors:
// bad_input naming what is wrong with the file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

#include "engine/engine.h"

namespace fathom::api {

struct Parity {
  std::size_t inputs = 0, other_labels = 0;  // inputs compared; those whose label differs
  double largest = 0;                        // absolute difference of a logit
};

Result<Parity> compare_with_reference(std::shared_ptr<const engine::Plan> plan, engine::Runtime& runtime,
                                      const std::filesystem::path& file);

}  // namespace fathom::api
