#include "api/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace fathom::api {
namespace {

constexpr std::uint64_t kMaxBytes = 64u << 20;

struct Reference {
  std::vector<std::int32_t> ids, types, offsets{0};
  std::vector<std::uint8_t> pixels;
  std::vector<std::vector<double>> logits;
};

Error bad(const std::string& where, const std::string& what) {
  return {Code::bad_input, where + ": " + what, "make it again, or remove it"};
}

// A list of `count` numbers within [low, high], or any number of them if count is 0.
Result<std::vector<double>> numbers(const Json& list, std::size_t count, double low, double high,
                                    const std::string& where) {
  if (!list.is_array() || (count > 0 && list.size() != count))
    return bad(where, "expected a list of " + std::to_string(count) + " numbers");
  std::vector<double> out;
  for (const Json& item : list) {
    const double value = item.is_number() ? item.get<double>() : low - 1;
    if (!(value >= low && value <= high))
      return bad(where, "expected numbers in " + Json(low).dump() + ".." + Json(high).dump());
    out.push_back(value);
  }
  return out;
}

Result<Reference> read(const std::filesystem::path& file, const ModelSpec& spec) {
  const std::string where = "'" + file.string() + "'";
  FATHOM_TRY(const std::string text, read_file(file, kMaxBytes));
  FATHOM_TRY(const Json json, parse_json(text, where, Code::bad_input));
  const char* inputs = spec.modality == Modality::text ? "ids" : "pixels";
  if (!json.is_object() || !json.contains(inputs) || !json.contains("logits") || !json[inputs].is_array() ||
      !json["logits"].is_array() || json[inputs].size() != json["logits"].size() || json[inputs].empty())
    return bad(where, std::string("expected lists \"") + inputs + "\" and \"logits\" of one length");
  Reference out;
  for (const Json& row : json["logits"]) {
    FATHOM_TRY(auto logits, numbers(row, static_cast<std::size_t>(spec.classes()), -1e6, 1e6, where + ": logits"));
    out.logits.push_back(std::move(logits));
  }
  const std::size_t bytes =
      3 * static_cast<std::size_t>(spec.image_height) * static_cast<std::size_t>(spec.image_width);
  if (json.contains("types")) {
    for (const Json& row : json["types"]) {
      FATHOM_TRY(const auto types, numbers(row, 0, 0, std::max(spec.token_types, 1) - 1, where + ": types"));
      for (const double type : types) out.types.push_back(static_cast<std::int32_t>(type));
    }
  }
  for (const Json& row : json[inputs]) {
    if (spec.modality == Modality::text) {
      FATHOM_TRY(const auto ids, numbers(row, 0, 0, spec.vocab - 1, where + ": ids"));
      for (const double id : ids) out.ids.push_back(static_cast<std::int32_t>(id));
      out.offsets.push_back(static_cast<std::int32_t>(out.ids.size()));
    } else {
      FATHOM_TRY(const auto pixels, numbers(row, bytes, 0, 255, where + ": pixels"));
      for (const double byte : pixels) out.pixels.push_back(static_cast<std::uint8_t>(byte));
    }
  }
  return out;
}

}  // namespace

Result<Parity> compare_with_reference(std::shared_ptr<const engine::Plan> plan, engine::Runtime& runtime,
                                      const std::filesystem::path& file) {
  const ModelSpec& spec = plan->spec();
  FATHOM_TRY(const Reference reference, read(file, spec));
  engine::Batch batch;
  batch.count = reference.logits.size();
  batch.ids = reference.ids;
  batch.offsets = reference.offsets;
  batch.types = reference.types;
  batch.pixels = reference.pixels.data();
  engine::SessionLimits limits;
  limits.max_batch = batch.count;
  FATHOM_TRY(auto session, engine::Session::create(std::move(plan), runtime, limits));
  engine::RunOptions options;
  options.mode = engine::Mode::full_depth;
  std::vector<engine::Prediction> predictions(batch.count);
  FATHOM_TRY_VOID(session.run(batch, options, predictions));
  Parity out;
  out.inputs = batch.count;
  const std::size_t classes = static_cast<std::size_t>(spec.classes());
  for (std::size_t i = 0; i < batch.count; ++i) {
    const auto& expected = reference.logits[i];
    for (std::size_t c = 0; c < classes; ++c) {
      const double difference = std::abs(static_cast<double>(session.logits()[i * classes + c]) - expected[c]);
      // Of what is no number nothing is larger: std::max would keep the other.
      out.largest =
          std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(out.largest, difference);
    }
    const auto best = std::max_element(expected.begin(), expected.end()) - expected.begin();
    out.other_labels += best != predictions[i].label ? 1 : 0;
  }
  return out;
}

}  // namespace fathom::api
