#include "api/classifier.h"

#include <algorithm>

namespace fathom::api {

Classifier::Classifier(std::shared_ptr<Opened> opened, engine::Session session, std::size_t max_batch)
    : opened_(std::move(opened)),
      session_(std::move(session)),
      max_batch_(max_batch),
      encoding_(opened_),
      predictions_(max_batch) {}

Result<Classifier> Classifier::create(std::shared_ptr<Opened> opened, std::size_t max_batch) {
  engine::SessionLimits limits;
  limits.max_batch = max_batch;
  FATHOM_TRY(auto session, engine::Session::create(opened->plan, *opened->runtime, limits));
  return Classifier(std::move(opened), std::move(session), max_batch);
}

template <class Input>
Result<std::vector<Outcome>> Classifier::all(std::span<const Input> inputs, const engine::RunOptions& options) {
  FATHOM_TRY_VOID(encoding_.takes(inputs));
  std::vector<Outcome> outcomes(inputs.size());
  for (std::size_t begin = 0; begin < inputs.size(); begin += max_batch_) {
    const std::size_t count = std::min(max_batch_, inputs.size() - begin);
    const auto piece = std::span(outcomes).subspan(begin, count);
    FATHOM_TRY(const engine::Batch batch, encoding_.encode(inputs.subspan(begin, count), piece));
    std::ranges::fill(predictions_, engine::Prediction{});  // of a refused batch none may be left from before
    const Status ran = session_.run(batch, options, predictions_);
    // An input without an answer costs its neighbours nothing: its outcome says so.
    const auto here = std::span(predictions_).first(count);
    if (!ran && std::ranges::none_of(here, [](const engine::Prediction& p) { return p.no_answer > 0; }))
      return ran.error();
    for (std::size_t i = 0; i < count; ++i) piece[i].prediction = predictions_[i];
  }
  return outcomes;
}

template Result<std::vector<Outcome>> Classifier::all(std::span<const std::string>, const engine::RunOptions&);
template Result<std::vector<Outcome>> Classifier::all(std::span<const TextPair>, const engine::RunOptions&);
template Result<std::vector<Outcome>> Classifier::all(std::span<const data::Picture>, const engine::RunOptions&);
template Result<std::vector<Outcome>> Classifier::all(std::span<const FittedPicture>, const engine::RunOptions&);

}  // namespace fathom::api
