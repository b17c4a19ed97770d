// What a Plan holds: every pointer and number a Session needs, resolved once. Private to the engine room.
// Thread rule: immutable after Plan::compile.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/weights_pack.h"
#include "model/ledger.h"

namespace fathom::engine {

struct Norm {
  const float* gamma = nullptr;
  const float* beta = nullptr;
};

struct Map {      // of a layer: one matrix, or two whose product it is
  Linear factor;  // reads first, no bias; n = 0: none
  Linear out;
  const Linear& first() const { return factor.n > 0 ? factor : out; }
};

struct Layer {
  Map qkv, o, f1, f2;
  Norm first, second;  // pre-LN: before attention, before FFN; post-LN: after attention, after FFN
};

struct Head {
  HeadShape shape;
  Norm norm;     // shape.norm = 0: none
  Linear dense;  // n = 0: none
  Linear out;
  float temperature = 1.0f;
};

struct WordTable {
  StoredTable table;            // [vocab, hidden or word_width]
  const float* here = nullptr;  // its rows, where they can be used as they lie
  bool read = false;            // a large one: rows are read from its file, not through the mapping
};

struct Embedding {  // text: word rows straight from the safetensors; image: projection, CLS, positions
  WordTable word;
  Linear projection;  // of its rows to hidden; n = 0: none
  const float* position = nullptr;
  const float* type = nullptr;  // [token_types, hidden], or null
  Norm norm;                    // post-LN text only
  Linear patch;
  const float* prefix[2] = {};                    // CLS, distillation token
  std::array<std::array<float, 256>, 3> pixel{};  // (byte / 255 - mean) / std, per channel
};

struct Extractor {
  Linear proj, conv1, conv2;
  int kernel_rows = 1;                              // 1 or 3
  std::size_t rows = 1, columns = 0;                // image only: the grid
  std::size_t pooled_rows = 1, pooled_columns = 0;  // after the 2x2 max-pool
};

struct PolicyNet {
  Linear init, lstm, out;
  std::size_t width = 0;
};

struct Plan::Parts {
  std::shared_ptr<const Model> model;
  ModelSpec spec;
  bool decides = false;  // heads, extractor and policy are there
  bool answers = false;  // the last head is there
  policy::Policy policy;
  const kernels::Table* kernels = nullptr;
  PackedWeights weights;
  std::vector<std::size_t> depth_bytes;                 // [layers + 1]: Plan::weight_bytes
  std::vector<std::span<const std::byte>> layer_bytes;  // [layers]: where each layer lies in `weights`

  Embedding embedding;
  std::vector<Layer> layers;
  std::vector<Head> heads;  // [layers]
  Extractor extractor;
  PolicyNet net;
  double conv2_macs_per_position = 0;

  // Widths used everywhere.
  std::size_t hidden = 0, mixed = 0, ffn = 0, classes = 0, head_input = 0, head_width = 0, features = 0;
  float attention_scale = 1.0f;
};

}  // namespace fathom::engine
