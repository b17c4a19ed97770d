#include "engine/requests.h"

#include <cmath>
#include <string>

#include "engine/decision.h"

namespace fathom::engine {
namespace {

Status check_text(const Session::State& st, const Batch& batch) {
  const ModelSpec& spec = st.parts->spec;
  if (batch.offsets.size() < batch.count + 1)
    return refuse("batch: expected " + number(batch.count + 1) + " offsets, got " + number(batch.offsets.size()),
                  "offsets hold the start of each input and the end of the last");
  if (batch.offsets[0] < 0) return refuse("input 0: its offset is below 0", "offsets index the ids");
  for (std::size_t i = 0; i < batch.count; ++i) {
    const std::int32_t begin = batch.offsets[i], end = batch.offsets[i + 1];
    const std::string input = "input " + number(i) + ": ";
    if (end <= begin)
      return refuse(input + "offsets must rise, got " + std::to_string(begin) + " then " + std::to_string(end),
                    "every input needs at least one token");
    if (static_cast<std::size_t>(end) > batch.ids.size())
      return refuse(input + "ends at id " + std::to_string(end) + " of " + number(batch.ids.size()),
                    "the last offset is the number of ids");
    const std::size_t tokens = static_cast<std::size_t>(end) - static_cast<std::size_t>(begin);
    if (tokens > st.max_tokens)
      return refuse(input + "expected at most " + number(st.max_tokens) + " tokens, got " + number(tokens),
                    "truncate it, or create the session with a larger max_tokens");
    for (std::int32_t t = begin; t < end; ++t)
      if (const std::int32_t id = batch.ids[static_cast<std::size_t>(t)]; id < 0 || id >= spec.vocab)
        return refuse(input + "token " + std::to_string(t - begin) + ": expected an id in 0.." +
                          std::to_string(spec.vocab - 1) + ", got " + std::to_string(id),
                      "encode with the bundle's own tokenizer");
  }
  return {};
}

// A model without a table of types reads pairs by their separators alone: types then say nothing.
Status check_types(const Session::State& st, const Batch& batch) {
  const int known = st.parts->spec.token_types;
  if (batch.types.empty() || known == 0) return {};
  if (batch.types.size() != batch.ids.size())
    return refuse("batch: expected " + number(batch.ids.size()) + " token types, got " + number(batch.types.size()),
                  "one for each id, or none");
  const std::size_t end = static_cast<std::size_t>(batch.offsets[batch.count]);
  for (std::size_t i = static_cast<std::size_t>(batch.offsets[0]); i < end; ++i)
    if (batch.types[i] < 0 || batch.types[i] >= known)
      return refuse("id " + number(i) + ": expected a token type in 0.." + std::to_string(known - 1) + ", got " +
                        std::to_string(batch.types[i]),
                    "encode with the bundle's own tokenizer");
  return {};
}

}  // namespace

Error refuse(const std::string& message, const std::string& hint) { return {Code::invalid_argument, message, hint}; }

std::string number(std::size_t value) { return std::to_string(value); }

Status check_batch(const Session::State& st, const Batch& batch) {
  if (batch.count > st.max_batch)
    return refuse("batch: expected at most " + number(st.max_batch) + " inputs, got " + number(batch.count),
                  "create the session with a larger max_batch");
  if (batch.count == 0) return {};
  if (st.parts->spec.modality == Modality::text) {
    FATHOM_TRY_VOID(check_text(st, batch));
    return check_types(st, batch);
  }
  if (batch.pixels == nullptr && batch.values == nullptr)
    return refuse("batch: an image model needs pixels, got none", "give [count, height, width, 3] bytes");
  return {};
}

Status check_masks(const Session::State& st, const Batch& batch, std::span<const std::uint64_t> masks) {
  if (masks.size() < batch.count)
    return refuse("masks: expected " + number(batch.count) + ", got " + number(masks.size()),
                  "one trajectory for each input");
  const int layers = st.parts->spec.layers;
  for (std::size_t i = 0; i < batch.count; ++i)
    if (layers < 64 && masks[i] >> layers != 0)
      return refuse("input " + number(i) + ": its mask names layers above " + std::to_string(layers),
                    "bit l-1 stands for layer l");
  return {};
}

Status check_options(const Session::State& st, const RunOptions& options) {
  const Plan::Parts& parts = *st.parts;
  if (!parts.answers)
    return Error{Code::unsupported, "this plan is a backbone alone: it has no heads",
                 "call run_backbone, or load a bundle"};
  const bool plain =
      options.mode == Mode::adaptive && options.score < 0 && options.lambda < 0.0f;  // as the bundle says: full depth
  const bool last = plain || options.mode == Mode::full_depth || options.mode == Mode::masks ||
                    (options.mode == Mode::fixed_exit && options.exit == parts.spec.layers);
  if (!parts.decides && !last)
    return Error{Code::unsupported, "this model has no exits yet: it runs at full depth only",
                 "make it adaptive with `fathom fit --from`"};
  if (options.mode == Mode::fixed_exit && (options.exit < 1 || options.exit > parts.spec.layers))
    return refuse("exit: expected 1.." + std::to_string(parts.spec.layers) + ", got " + std::to_string(options.exit),
                  "exit l reads the state after layer l");
  if (std::isnan(options.lambda)) return refuse("lambda: expected a number, got NaN", "below 0 takes the bundle's");
  if (options.max_depth < 0 || options.max_depth > parts.spec.layers)
    return refuse("max_depth: expected 0 (no bound) to " + std::to_string(parts.spec.layers) + ", got " +
                      std::to_string(options.max_depth),
                  "");
  if (options.max_depth > 0 && options.mode == Mode::adaptive &&
      (!parts.decides || (parts.policy.kind == policy::PolicyKind::gates && options.score < 0)))
    return Error{Code::unsupported, "a bound on depth needs a bundle that decides after each layer",
                 "fit it with the default recipe"};
  if (options.mode == Mode::adaptive && options.score >= 0) {
    if (options.score > 3)
      return refuse("score: expected 0..3 (confidence, predictor, policy, fused), got " + std::to_string(options.score),
                    "");
    const auto score = static_cast<policy::Score>(options.score);
    const bool level = parts.policy.policy_reads_level && score == policy::Score::policy;
    if (!has_parts(parts, score) || (level && !parts.policy.predictor))
      return refuse(std::string("score '") + policy::score_name(score) + "': this bundle has no parts for it",
                    "its predictor or fusion is missing; use another score");
  }
  return {};
}

}  // namespace fathom::engine
