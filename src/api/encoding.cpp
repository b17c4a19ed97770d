#include "api/encoding.h"

#include "model/ledger.h"

namespace fathom::api {
namespace {

Error wrong_kind(const char* reads, const char* got) {
  return {Code::invalid_argument, std::string("this bundle reads ") + reads + ", got " + got,
          "use a bundle made for that task"};
}

}  // namespace

Status Encoding::takes(std::span<const std::string>) const {
  if (!opened_->tokenizer) return wrong_kind("pictures", "text");
  if (opened_->pairs.value_or(false)) return wrong_kind("pairs of texts", "single texts");
  return {};
}

Status Encoding::takes(std::span<const TextPair>) const {
  if (!opened_->tokenizer) return wrong_kind("pictures", "pairs of texts");
  if (!opened_->pairs.value_or(true)) return wrong_kind("single texts", "pairs");
  return {};
}

Status Encoding::takes(std::span<const data::Picture>) const {
  if (opened_->tokenizer) return wrong_kind("text", "a picture");
  return {};
}

template <class Append>
engine::Batch Encoding::packed(std::size_t inputs, const Append& append, std::span<Outcome> outcomes) {
  ids_.clear();
  types_.clear();
  offsets_.assign(1, 0);
  for (std::size_t i = 0; i < inputs; ++i) {
    outcomes[i].cut = append(i);
    outcomes[i].tokens = static_cast<int>(ids_.size()) - offsets_.back();
    outcomes[i].full_macs = full_depth_macs(opened_->spec(), outcomes[i].tokens);
    offsets_.push_back(static_cast<std::int32_t>(ids_.size()));
  }
  return {inputs, ids_, offsets_, nullptr, types_};
}

Result<engine::Batch> Encoding::encode(std::span<const std::string> texts, std::span<Outcome> outcomes) {
  return packed(
      texts.size(),
      [&](std::size_t i) { return opened_->tokenizer->encode(texts[i], opened_->spec().max_tokens, ids_); }, outcomes);
}

Result<engine::Batch> Encoding::encode(std::span<const TextPair> pairs, std::span<Outcome> outcomes) {
  return packed(
      pairs.size(),
      [&](std::size_t i) {
        return opened_->tokenizer->encode_pair(pairs[i].first, pairs[i].second, opened_->spec().max_tokens, ids_,
                                               types_);
      },
      outcomes);
}

Result<engine::Batch> Encoding::encode(std::span<const data::Picture> pictures, std::span<Outcome> outcomes) {
  const int height = opened_->spec().image_height, width = opened_->spec().image_width;
  const std::size_t bytes = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
  pixels_.resize(pictures.size() * bytes);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    outcomes[i].tokens = opened_->spec().tokens();
    outcomes[i].full_macs = full_depth_macs(opened_->spec(), outcomes[i].tokens);
    FATHOM_TRY_VOID(data::fit_picture(pictures[i], opened_->preprocessing, height, width, pixels_.data() + i * bytes));
  }
  return engine::Batch{pictures.size(), {}, {}, pixels_.data(), {}};
}

}  // namespace fathom::api
