#include "api/encoding.h"

#include <algorithm>

#include "model/ledger.h"

namespace fathom::api {
namespace {

Error wrong_kind(const char* reads, const char* got) {
  return {Code::invalid_argument, std::string("this bundle reads ") + reads + ", got " + got,
          "use a bundle made for that task"};
}

std::size_t picture_bytes(const Opened& opened) {
  return static_cast<std::size_t>(opened.spec().image_height) * static_cast<std::size_t>(opened.spec().image_width) * 3;
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

Status Encoding::takes(std::span<const FittedPicture>) const { return takes(std::span<const data::Picture>()); }

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

template <class Put>
Result<engine::Batch> Encoding::fitted(std::size_t inputs, const Put& put, std::span<Outcome> outcomes) {
  const std::size_t bytes = picture_bytes(*opened_);
  pixels_.resize(inputs * bytes);
  for (std::size_t i = 0; i < inputs; ++i) {
    outcomes[i].tokens = opened_->spec().tokens();
    outcomes[i].full_macs = full_depth_macs(opened_->spec(), outcomes[i].tokens);
    FATHOM_TRY_VOID(put(i, pixels_.data() + i * bytes));
  }
  return engine::Batch{inputs, {}, {}, pixels_.data(), {}};
}

Result<engine::Batch> Encoding::encode(std::span<const data::Picture> pictures, std::span<Outcome> outcomes) {
  const ModelSpec& spec = opened_->spec();
  return fitted(
      pictures.size(),
      [&](std::size_t i, std::uint8_t* to) {
        return data::fit_picture(pictures[i], opened_->preprocessing, spec.image_height, spec.image_width, to);
      },
      outcomes);
}

Result<engine::Batch> Encoding::encode(std::span<const FittedPicture> pictures, std::span<Outcome> outcomes) {
  return fitted(
      pictures.size(),
      [&](std::size_t i, std::uint8_t* to) -> Status {
        FATHOM_CHECK(pictures[i].pixels.size() == picture_bytes(*opened_), "a picture fitted for another model");
        std::copy(pictures[i].pixels.begin(), pictures[i].pixels.end(), to);
        return {};
      },
      outcomes);
}

Result<FittedPicture> fit_picture(const Opened& opened, const data::Picture& picture) {
  FittedPicture out{std::vector<std::uint8_t>(picture_bytes(opened))};
  FATHOM_TRY_VOID(data::fit_picture(picture, opened.preprocessing, opened.spec().image_height,
                                    opened.spec().image_width, out.pixels.data()));
  return out;
}

}  // namespace fathom::api
