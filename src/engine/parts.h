// What a Plan holds: every pointer and number a Session needs, resolved once. Private to the engine room.
// Thread rule: immutable after Plan::compile.
#pragma once

#include <array>
#include <atomic>
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
  StoredTable table;                      // [vocab, hidden or word_width]
  const float* here = nullptr;            // its rows, packed: a small one
  const std::byte* copied = nullptr;      // a large one read into memory, as its file holds it; neither: rows are read
  const std::uint64_t* checks = nullptr;  // quick hash of each row that is read; null: nothing to compare with
};

struct Embedding {  // text: word rows, a large table's straight from the safetensors; image: projection, CLS, positions
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
  Buffer<std::byte> words;                              // with Weights::copy: the large word table

  // What is compared with its hashes when it is first used: the embedding, each layer, each head, the decision.
  struct Unit {
    std::size_t first = 0, end = 0;  // entries of `weights`
  };
  static constexpr std::size_t kEmbedding = 0, kDecision = 1, kLayers = 2;
  std::vector<Unit> units;  // embedding and what layers share, decision, layers, heads
  mutable std::unique_ptr<std::atomic<bool>[]> known_good;
  std::size_t layer_unit(std::size_t layer) const { return kLayers + layer; }  // from 0
  std::size_t head_unit(int exit) const { return kLayers + layers.size() + static_cast<std::size_t>(exit - 1); }
  // Thread rule: any thread; two that come first at once both compare.
  Status first_use(std::size_t unit) const {
    if (known_good[unit].load(std::memory_order_acquire)) return {};
    FATHOM_TRY_VOID(weights.check(units[unit].first, units[unit].end));
    known_good[unit].store(true, std::memory_order_release);
    return {};
  }

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

Error damaged_row(const Plan::Parts& parts, std::size_t row);  // of the word table

}  // namespace fathom::engine
