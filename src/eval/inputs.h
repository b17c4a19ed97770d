// Encoded: one split as the engine reads it: token ids with offsets, or pixel bytes of the spec's size.
// Made once per split; batches are views into it. Errors: bad_input when the data does not fit the bundle's task,
// classes or vocabulary. Thread rule: plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "engine/engine.h"
#include "model/spec.h"

namespace fathom::eval {

struct Encoded {
  std::size_t count = 0;
  std::vector<std::int32_t> ids, offsets;  // text: offsets[count + 1]
  std::vector<std::int32_t> types;         // pairs of texts: token type of each id; else empty
  std::vector<std::uint8_t> pixels;        // image: [count, height, width, 3]
  std::size_t picture_bytes = 0;
  std::size_t truncated = 0;             // texts cut to the model's maximum of tokens
  std::vector<std::int32_t> tokens;      // [count], CLS included
  std::vector<std::int32_t> labels;      // [count], the bundle's class numbers; empty if unknown
  std::vector<std::int32_t> complexity;  // generated data only
};

// Texts go through the bundle's tokenizer, pictures are resized to the spec's size where theirs differs. Labels are
// renumbered to the bundle's classes by name. `most` > 0: a sample of so many rows (data/sample.h).
Result<Encoded> encode_split(const data::Dataset& dataset, data::Part part, const ModelSpec& spec,
                             const std::filesystem::path& bundle, std::size_t most = 0);

Encoded select(const Encoded& all, std::span<const std::size_t> rows);

// Inputs first .. first + count - 1 as an engine batch; `offsets` is scratch that must outlive the batch.
engine::Batch batch_of(const Encoded& all, std::size_t first, std::size_t count, std::vector<std::int32_t>& offsets);

// Of a session that takes up to `batch` of these inputs at once: sized by the longest of them, not by the model's
// maximum.
engine::SessionLimits limits_for(const Encoded& inputs, std::size_t batch);

// The same batches made once, for loops that are timed or repeated.
class Batches {
 public:
  Batches(const Encoded& all, std::size_t size);
  std::size_t size() const { return batches_.size(); }
  const engine::Batch& operator[](std::size_t i) const { return batches_[i]; }
  std::size_t first(std::size_t i) const { return i * size_; }

 private:
  std::size_t size_;
  std::vector<std::vector<std::int32_t>> offsets_;
  std::vector<engine::Batch> batches_;
};

// Texts of `tokens` random ids, or random pictures.
Encoded random_inputs(const ModelSpec& spec, std::size_t count, int tokens, std::uint64_t seed);

}  // namespace fathom::eval
