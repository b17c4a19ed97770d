#include "eval/inputs.h"

#include <algorithm>
#include <string>

#include "base/random.h"
#include "data/encode_row.h"
#include "data/labels.h"
#include "data/preprocessing.h"
#include "data/sample.h"
#include "data/split.h"
#include "data/tokenizer.h"

namespace fathom::eval {
namespace {

Status encode_texts(const data::Split& split, std::size_t count, const ModelSpec& spec,
                    const std::filesystem::path& bundle, Encoded& out) {
  FATHOM_TRY(const data::Tokenizer tokenizer, data::Tokenizer::read(bundle));
  if (tokenizer.model_size() > spec.vocab)
    return Error{Code::corrupt_bundle,
                 "tokenizer.json holds " + std::to_string(tokenizer.model_size()) + " pieces, config.json's vocab is " +
                     std::to_string(spec.vocab),
                 "fit the bundle again"};
  out.offsets.assign(1, 0);
  for (std::size_t i = 0; i < count; ++i) {
    out.truncated += data::encode_row(tokenizer, split, i, spec.max_tokens, out.ids, out.types) ? 1 : 0;
    out.offsets.push_back(static_cast<std::int32_t>(out.ids.size()));
    out.tokens.push_back(out.offsets[i + 1] - out.offsets[i]);
  }
  return {};
}

Status encode_pictures(const data::Split& split, std::size_t count, const ModelSpec& spec,
                       const std::filesystem::path& bundle, Encoded& out) {
  FATHOM_TRY(const auto how, data::read_preprocessing(bundle));
  out.picture_bytes = static_cast<std::size_t>(spec.image_height) * static_cast<std::size_t>(spec.image_width) * 3;
  out.tokens.assign(count, spec.tokens());
  FATHOM_TRY(out.pixels, data::fit_pictures(split, count, how, spec.image_height, spec.image_width));
  return {};
}

}  // namespace

Result<Encoded> encode_split(const data::Dataset& dataset, data::Part part, const ModelSpec& spec,
                             const std::filesystem::path& bundle, std::size_t most) {
  const data::Split& all = dataset.part(part);
  const bool sampled = most > 0 && most < all.size();
  const data::Split some = sampled ? data::take_rows(all, data::sample_rows(all.size(), most)) : data::Split();
  const data::Split& split = sampled ? some : all;
  const bool text = dataset.task == data::Task::text_classification;
  if (text != (spec.modality == Modality::text))
    return Error{Code::bad_input,
                 std::string("the data's task is ") + data::task_name(dataset.task) + ", the bundle's model reads " +
                     (spec.modality == Modality::text ? "text" : "pictures"),
                 "give the folder of the task the bundle was fitted on"};
  FATHOM_TRY(const std::vector<std::int32_t> classes, data::classes_by_name(dataset.label_names, spec.label_names));
  Encoded out;
  out.count = split.size();
  if (out.count == 0)
    return Error{Code::bad_input, std::string("the ") + data::part_name(part) + " split is empty",
                 "add a file for it, or more rows to the training file"};
  out.tokens.reserve(out.count);
  if (text) {
    FATHOM_TRY_VOID(encode_texts(split, out.count, spec, bundle, out));
  } else {
    FATHOM_TRY_VOID(encode_pictures(split, out.count, spec, bundle, out));
  }
  for (std::size_t i = 0; i < out.count && !dataset.label_names.empty(); ++i)
    out.labels.push_back(classes[static_cast<std::size_t>(split.labels[i])]);
  out.complexity = split.complexity;
  return out;
}

Encoded select(const Encoded& all, std::span<const std::size_t> rows) {
  Encoded out;
  out.count = rows.size();
  out.picture_bytes = all.picture_bytes;
  if (all.picture_bytes == 0) out.offsets.assign(1, 0);
  for (const std::size_t row : rows) {
    if (all.picture_bytes == 0) {
      const auto begin = all.offsets[row], end = all.offsets[row + 1];
      out.ids.insert(out.ids.end(), all.ids.begin() + begin, all.ids.begin() + end);
      if (!all.types.empty()) out.types.insert(out.types.end(), all.types.begin() + begin, all.types.begin() + end);
      out.offsets.push_back(static_cast<std::int32_t>(out.ids.size()));
    } else {
      const auto* from = all.pixels.data() + row * all.picture_bytes;
      out.pixels.insert(out.pixels.end(), from, from + all.picture_bytes);
    }
    out.tokens.push_back(all.tokens[row]);
    if (!all.labels.empty()) out.labels.push_back(all.labels[row]);
    if (!all.complexity.empty()) out.complexity.push_back(all.complexity[row]);
  }
  return out;
}

engine::Batch batch_of(const Encoded& all, std::size_t first, std::size_t count, std::vector<std::int32_t>& offsets) {
  FATHOM_CHECK(first + count <= all.count, "batch past the split's end");
  engine::Batch batch;
  batch.count = count;
  if (all.picture_bytes > 0) {
    batch.pixels = all.pixels.data() + first * all.picture_bytes;
    return batch;
  }
  const std::int32_t start = all.offsets[first];
  offsets.resize(count + 1);
  for (std::size_t i = 0; i <= count; ++i) offsets[i] = all.offsets[first + i] - start;
  const auto piece = [&](const std::vector<std::int32_t>& of) {
    return std::span(of).subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(offsets[count]));
  };
  batch.ids = piece(all.ids);
  if (!all.types.empty()) batch.types = piece(all.types);
  batch.offsets = offsets;
  return batch;
}

engine::SessionLimits limits_for(const Encoded& inputs, std::size_t batch) {
  engine::SessionLimits limits;
  limits.max_batch = batch;
  if (inputs.count > 0)
    limits.max_tokens = static_cast<std::size_t>(*std::max_element(inputs.tokens.begin(), inputs.tokens.end()));
  return limits;
}

Batches::Batches(const Encoded& all, std::size_t size) : size_(size) {
  const std::size_t number = (all.count + size - 1) / size;
  offsets_.resize(number);
  for (std::size_t i = 0; i < number; ++i)
    batches_.push_back(batch_of(all, i * size, std::min(size, all.count - i * size), offsets_[i]));
}

Encoded random_inputs(const ModelSpec& spec, std::size_t count, int tokens, std::uint64_t seed) {
  Random random(seed, "bench");
  Encoded out;
  out.count = count;
  out.tokens.assign(count, spec.modality == Modality::text ? tokens : spec.tokens());
  if (spec.modality == Modality::image) {
    out.picture_bytes = 3 * static_cast<std::size_t>(spec.image_height) * static_cast<std::size_t>(spec.image_width);
    out.pixels.resize(count * out.picture_bytes);
    for (auto& byte : out.pixels) byte = static_cast<std::uint8_t>(random.below(256));
    return out;
  }
  out.offsets.assign(1, 0);
  for (std::size_t i = 0; i < count; ++i) {
    for (int t = 0; t < tokens; ++t)
      out.ids.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(spec.vocab))));
    out.offsets.push_back(static_cast<std::int32_t>(out.ids.size()));
  }
  return out;
}

}  // namespace fathom::eval
