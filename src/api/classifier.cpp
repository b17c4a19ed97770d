#include "api/classifier.h"

#include <algorithm>
#include <cstring>

#include "model/ledger.h"

namespace fathom::api {
namespace {

Error wrong_kind(const char* reads, const char* got) {
  return {Code::invalid_argument, std::string("this bundle reads ") + reads + ", got " + got,
          "use a bundle made for that task"};
}

}  // namespace

Result<std::shared_ptr<Opened>> open_bundle(const std::filesystem::path& folder,
                                            const engine::RuntimeOptions& options) {
  auto opened = std::make_shared<Opened>();
  FATHOM_TRY(auto bundle, Bundle::open(folder));
  FATHOM_TRY(opened->model, Model::load(std::move(bundle)));
  if (const auto data = opened->bundle().fathom().find("data"); data != opened->bundle().fathom().end())
    opened->pairs = data->is_object() && data->contains("pairs") && (*data)["pairs"] == true;
  FATHOM_TRY(opened->runtime, engine::Runtime::create(options));
  FATHOM_TRY(opened->plan, engine::Plan::compile(opened->model, *opened->runtime));
  if (opened->spec().modality == Modality::text) {
    FATHOM_TRY(auto tokenizer, data::Tokenizer::read(folder));
    if (tokenizer.vocab_size() > opened->spec().vocab) {
      return Error{Code::corrupt_bundle,
                   "bundle '" + folder.string() + "': tokenizer.json has " + std::to_string(tokenizer.vocab_size()) +
                       " pieces, config.json allows " + std::to_string(opened->spec().vocab),
                   "fit the bundle again"};
    }
    opened->tokenizer = std::move(tokenizer);
  } else if (opened->bundle().fathom().contains("model")) {
    FATHOM_TRY(opened->preprocessing, data::read_preprocessing(folder));
  }
  return opened;
}

Classifier::Classifier(std::shared_ptr<Opened> opened, engine::Session session, std::size_t max_batch)
    : opened_(std::move(opened)), session_(std::move(session)), max_batch_(max_batch), predictions_(max_batch) {}

Result<Classifier> Classifier::create(std::shared_ptr<Opened> opened, std::size_t max_batch) {
  engine::SessionLimits limits;
  limits.max_batch = max_batch;
  FATHOM_TRY(auto session, engine::Session::create(opened->plan, *opened->runtime, limits));
  return Classifier(std::move(opened), std::move(session), max_batch);
}

Status Classifier::run(const engine::Batch& batch, const engine::RunOptions& options, std::span<Outcome> outcomes) {
  FATHOM_TRY_VOID(session_.run(batch, options, predictions_));
  for (std::size_t i = 0; i < batch.count; ++i) {
    outcomes[i].prediction = predictions_[i];
    outcomes[i].full_macs = full_depth_macs(opened_->spec(), outcomes[i].tokens);
  }
  return {};
}

template <class Encode>
Result<std::vector<Outcome>> Classifier::encoded(std::size_t inputs, const Encode& encode, const engine::RunOptions& options) {
  std::vector<Outcome> outcomes(inputs);
  for (std::size_t begin = 0; begin < inputs; begin += max_batch_) {
    const std::size_t count = std::min(max_batch_, inputs - begin);
    ids_.clear();
    types_.clear();
    offsets_.assign(1, 0);
    for (std::size_t i = 0; i < count; ++i) {
      outcomes[begin + i].cut = encode(begin + i);
      outcomes[begin + i].tokens = static_cast<int>(ids_.size()) - offsets_.back();
      offsets_.push_back(static_cast<std::int32_t>(ids_.size()));
    }
    engine::Batch batch;
    batch.count = count;
    batch.ids = ids_;
    batch.offsets = offsets_;
    batch.types = types_;
    FATHOM_TRY_VOID(run(batch, options, std::span(outcomes).subspan(begin, count)));
  }
  return outcomes;
}

Result<std::vector<Outcome>> Classifier::texts(std::span<const std::string> texts, const engine::RunOptions& options) {
  if (!opened_->tokenizer) return wrong_kind("pictures", "text");
  if (opened_->pairs.value_or(false)) return wrong_kind("pairs of texts", "single texts");
  return encoded(texts.size(), [&](std::size_t i) { return opened_->tokenizer->encode(texts[i], opened_->spec().max_tokens, ids_); }, options);
}

Result<std::vector<Outcome>> Classifier::pairs(std::span<const TextPair> pairs, const engine::RunOptions& options) {
  if (!opened_->tokenizer) return wrong_kind("pictures", "pairs of texts");
  if (!opened_->pairs.value_or(true)) return wrong_kind("single texts", "pairs");
  return encoded(pairs.size(), [&](std::size_t i) {
    return opened_->tokenizer->encode_pair(pairs[i].first, pairs[i].second, opened_->spec().max_tokens, ids_, types_);
  }, options);
}

Result<std::vector<Outcome>> Classifier::pictures(std::span<const data::Picture> pictures,
                                                  const engine::RunOptions& options) {
  if (opened_->tokenizer) return wrong_kind("text", "a picture");
  const int height = opened_->spec().image_height, width = opened_->spec().image_width;
  const std::size_t bytes = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
  std::vector<Outcome> outcomes(pictures.size());
  for (std::size_t begin = 0; begin < pictures.size(); begin += max_batch_) {
    const std::size_t count = std::min(max_batch_, pictures.size() - begin);
    pixels_.resize(count * bytes);
    for (std::size_t i = 0; i < count; ++i) {
      const data::Picture& picture = pictures[begin + i];
      outcomes[begin + i].tokens = opened_->spec().tokens();
      FATHOM_TRY_VOID(data::fit_picture(picture, opened_->preprocessing, height, width, pixels_.data() + i * bytes));
    }
    engine::Batch batch;
    batch.count = count;
    batch.pixels = pixels_.data();
    FATHOM_TRY_VOID(run(batch, options, std::span(outcomes).subspan(begin, count)));
  }
  return outcomes;
}

}  // namespace fathom::api
