#include "model/spec.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace fathom {
namespace {

constexpr std::int64_t kMaxWidth = 16384, kMaxTokens = 65536;

// One list of fields serves reading, writing and range checks. `visit.number(key, int&, low, high)` and so on;
// `visit.wants(key, written)`: of a key that may be missing, whether it is visited.
template <class Spec, class Visit>
Status visit_fields(Spec& spec, Visit&& visit) {
  FATHOM_TRY_VOID(visit.choice("modality", spec.modality, {"text", "image"}));
  FATHOM_TRY_VOID(visit.number("layers", spec.layers, 1, 64));
  FATHOM_TRY_VOID(visit.number("hidden", spec.hidden, 1, kMaxWidth));
  FATHOM_TRY_VOID(visit.number("heads", spec.heads, 1, 1024));
  FATHOM_TRY_VOID(visit.number("ffn", spec.ffn, 1, 4 * kMaxWidth));
  if (visit.wants("head_size", spec.head_size != 0))
    FATHOM_TRY_VOID(visit.number("head_size", spec.head_size, 1, kMaxWidth));
  FATHOM_TRY_VOID(visit.choice("norm", spec.norm, {"pre", "post"}));
  if (visit.wants("attention", spec.attention != Attention::softmax))
    FATHOM_TRY_VOID(visit.choice("attention", spec.attention, {"softmax", "linear"}));
  FATHOM_TRY_VOID(visit.number("attention_window", spec.attention_window, 0, kMaxTokens));
  const auto width_if_set = [&](const char* key, auto& value) {
    return visit.wants(key, value != 0) ? visit.number(key, value, 1, kMaxWidth) : Status{};
  };
  FATHOM_TRY_VOID(width_if_set("rank_qkv", spec.ranks.qkv));
  FATHOM_TRY_VOID(width_if_set("rank_o", spec.ranks.o));
  FATHOM_TRY_VOID(width_if_set("rank_f1", spec.ranks.f1));
  FATHOM_TRY_VOID(width_if_set("rank_f2", spec.ranks.f2));
  if (visit.wants("factors_shared", spec.ranks.shared))
    FATHOM_TRY_VOID(visit.flag("factors_shared", spec.ranks.shared));
  FATHOM_TRY_VOID(visit.choice("pooling", spec.pooling, {"cls", "cls_mean"}));
  FATHOM_TRY_VOID(visit.real("layer_norm_eps", spec.layer_norm_eps, 1e-20, 0.1));
  if (spec.modality == Modality::text) {
    FATHOM_TRY_VOID(visit.number("vocab", spec.vocab, 1, 1 << 24));
    FATHOM_TRY_VOID(visit.number("max_tokens", spec.max_tokens, 1, kMaxTokens));
    if (visit.wants("padding_id", spec.padding_id >= 0))
      FATHOM_TRY_VOID(visit.number("padding_id", spec.padding_id, 0, (1 << 24) - 1));
    FATHOM_TRY_VOID(width_if_set("word_width", spec.word_width));
    FATHOM_TRY_VOID(visit.number("token_types", spec.token_types, 0, 64));
  } else {
    FATHOM_TRY_VOID(visit.number("image_height", spec.image_height, 1, 8192));
    FATHOM_TRY_VOID(visit.number("image_width", spec.image_width, 1, 8192));
    FATHOM_TRY_VOID(visit.number("patch", spec.patch, 1, 256));
    if (visit.wants("prefix_tokens", true)) FATHOM_TRY_VOID(visit.number("prefix_tokens", spec.prefix_tokens, 1, 2));
    FATHOM_TRY_VOID(visit.channels("pixel_mean", spec.pixel_mean, -10, 10));
    FATHOM_TRY_VOID(visit.channels("pixel_std", spec.pixel_std, 1e-4, 1e4));
  }
  FATHOM_TRY_VOID(visit.number("exit_head_hidden", spec.exit_head_hidden, 0, kMaxWidth));
  FATHOM_TRY_VOID(visit.number("task_head_hidden", spec.task_head_hidden, 0, kMaxWidth));
  if (visit.wants("task_head", true))
    FATHOM_TRY_VOID(visit.choice("task_head", spec.task_head,
                                 {"exit", "pooler_tanh", "pooler_relu", "norm_cls", "norm_distilled"}));
  FATHOM_TRY_VOID(visit.number("extractor_embed", spec.extractor.embed, 1, kMaxWidth));
  FATHOM_TRY_VOID(visit.number("extractor_c1", spec.extractor.c1, 1, kMaxWidth));
  FATHOM_TRY_VOID(visit.number("extractor_c2", spec.extractor.c2, 1, kMaxWidth));
  FATHOM_TRY_VOID(visit.number("extractor_c3", spec.extractor.c3, 1, kMaxWidth));
  FATHOM_TRY_VOID(visit.number("policy_hidden", spec.policy_hidden, 1, kMaxWidth));
  return visit.names("label_names", spec.label_names);
}

struct Writer {
  Json json = Json::object();
  bool wants(const char*, bool written) { return written; }
  Status number(const char* key, const int& value, std::int64_t, std::int64_t) { return json[key] = value, Status{}; }
  Status real(const char* key, const float& value, double, double) {
    return json[key] = short_decimal(value), Status{};
  }
  Status channels(const char* key, const std::array<float, 3>& value, double, double) {
    const bool equal = value[0] == value[1] && value[0] == value[2];
    if (equal) return json[key] = short_decimal(value[0]), Status{};
    json[key] = {short_decimal(value[0]), short_decimal(value[1]), short_decimal(value[2])};
    return {};
  }
  Status flag(const char* key, const bool& value) { return json[key] = value, Status{}; }
  Status names(const char* key, const std::vector<std::string>& value) { return json[key] = value, Status{}; }
  template <class Enum>
  Status choice(const char* key, const Enum& value, std::vector<const char*> words) {
    return json[key] = words[static_cast<std::size_t>(value)], Status{};
  }
};

struct Reader {
  const Json& json;
  const std::string& where;
  std::set<std::string> known{};

  bool wants(const char* key, bool) { return json.contains(key); }  // keys that older bundles lack: their defaults hold
  Status number(const char* key, int& value, std::int64_t low, std::int64_t high) {
    known.insert(key);
    FATHOM_TRY(const std::int64_t got, json_int(json, key, low, high, where));
    value = static_cast<int>(got);
    return {};
  }
  Status real(const char* key, float& value, double low, double high) {
    known.insert(key);
    FATHOM_TRY(const double got, json_number(json, key, low, high, where));
    value = static_cast<float>(got);
    return {};
  }
  Status channels(const char* key, std::array<float, 3>& value, double low, double high) {
    known.insert(key);
    const auto it = json.find(key);
    const bool one = it != json.end() && it->is_number();  // for all three
    if (!one && (it == json.end() || !it->is_array() || it->size() != 3))
      return bad(key, "is missing, or not a number or a list of 3");
    for (std::size_t i = 0; i < 3; ++i) {
      const Json& item = one ? *it : (*it)[i];
      const double got = item.is_number() ? item.get<double>() : low - 1;
      if (!(got >= low && got <= high))
        return bad(key, "must hold numbers in " + Json(low).dump() + ".." + Json(high).dump());
      value[i] = static_cast<float>(got);
    }
    return {};
  }
  Status flag(const char* key, bool& value) {
    known.insert(key);
    FATHOM_TRY(value, json_bool(json, key, where));
    return {};
  }
  Status names(const char* key, std::vector<std::string>& value) {
    known.insert(key);
    const auto it = json.find(key);
    if (it == json.end() || !it->is_array()) return bad(key, "is missing or not a list");
    value.clear();
    for (const Json& item : *it) {
      if (!item.is_string()) return bad(key, "must hold text only");
      value.push_back(item.get<std::string>());
    }
    return {};
  }
  template <class Enum>
  Status choice(const char* key, Enum& value, std::vector<const char*> words) {
    known.insert(key);
    FATHOM_TRY(const std::string got, json_string(json, key, where));
    std::string allowed;
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (got == words[i]) return value = static_cast<Enum>(i), Status{};
      allowed += (i ? " or " : "") + std::string("\"") + words[i] + "\"";
    }
    return bad(key, "is \"" + got.substr(0, 40) + "\", must be " + allowed);
  }
  Error bad(const char* key, const std::string& what) const {
    return {Code::corrupt_bundle, where + ": '" + key + "' " + what, ""};
  }
};

struct Checker {
  const std::string& where;
  bool wants(const char*, bool written) { return written; }
  Status number(const char* key, const int& value, std::int64_t low, std::int64_t high) {
    if (value >= low && value <= high) return {};
    return bad(key,
               "is " + std::to_string(value) + ", must lie in " + std::to_string(low) + ".." + std::to_string(high));
  }
  Status real(const char* key, const float& value, double low, double high) {
    // A bound is met as a float too: the float next to 1e-20 may lie just below it.
    if (value >= static_cast<float>(low) && value <= static_cast<float>(high)) return {};
    return bad(key, "is out of range");
  }
  Status channels(const char* key, const std::array<float, 3>& value, double low, double high) {
    for (const float v : value) FATHOM_TRY_VOID(real(key, v, low, high));
    return {};
  }
  Status flag(const char*, const bool&) { return {}; }
  Status names(const char* key, const std::vector<std::string>& value) {
    if (value.size() < 2 || value.size() > 1'000'000)
      return bad(key, "has " + std::to_string(value.size()) + " labels, at least 2 are needed");
    for (const std::string& name : value)  // two classes may have one name, as in some checkpoints
      if (name.empty()) return bad(key, "holds an empty label");
    return {};
  }
  template <class Enum>
  Status choice(const char* key, const Enum& value, std::vector<const char*> words) {
    return static_cast<std::size_t>(value) < words.size() ? Status{} : bad(key, "is not a known choice");
  }
  Status bad(const char* key, const std::string& what) const {
    return Error{Code::corrupt_bundle, where + ": '" + key + "' " + what, ""};
  }
};

// Rules between fields.
Status check_together(const ModelSpec& spec, const std::string& where) {
  const auto bad = [&](const std::string& what) { return Error{Code::corrupt_bundle, where + ": " + what, ""}; };
  const auto text = [](auto value) { return std::to_string(value); };
  if (spec.head_size > 0 && spec.attention_width() > spec.hidden)
    return bad("'heads' " + text(spec.heads) + " of 'head_size' " + text(spec.head_size) + " are wider than 'hidden' " +
               text(spec.hidden));
  if (spec.head_size == 0 && spec.hidden % spec.heads != 0)
    return bad("'hidden' " + text(spec.hidden) + " is not a multiple of 'heads' " + text(spec.heads));
  if (spec.attention == Attention::linear && spec.attention_window > 0)
    return bad("'attention_window' goes with 'attention' \"softmax\" alone");
  const int mixed = spec.attention_width();
  const struct {
    const char* key;
    int rank, in, out;
  } folded[] = {{"rank_qkv", spec.ranks.qkv, spec.hidden, 3 * mixed},
                {"rank_o", spec.ranks.o, mixed, spec.hidden},
                {"rank_f1", spec.ranks.f1, spec.hidden, spec.ffn},
                {"rank_f2", spec.ranks.f2, spec.ffn, spec.hidden},
                {"word_width", spec.word_width, spec.hidden, spec.vocab}};
  for (const auto& map : folded)
    if (map.rank > std::min(map.in, map.out))
      return bad("'" + std::string(map.key) + "' " + text(map.rank) + " is more than the map has, " +
                 text(std::min(map.in, map.out)));
  if (spec.ranks.shared && !spec.ranks.any()) return bad("'factors_shared' needs a rank");
  if (spec.task_head == TaskHead::norm_distilled && (spec.modality == Modality::text || spec.prefix_tokens != 2))
    return bad("'task_head' \"norm_distilled\" needs pictures with 'prefix_tokens' 2");
  const bool pooler = spec.task_head == TaskHead::pooler_tanh || spec.task_head == TaskHead::pooler_relu;
  if (spec.task_head != TaskHead::exit && pooler != (spec.task_head_hidden > 0))
    return bad("'task_head_hidden' " + text(spec.task_head_hidden) + " does not go with 'task_head'");
  if (spec.modality == Modality::text) return {};
  if (spec.image_height % spec.patch != 0 || spec.image_width % spec.patch != 0)
    return bad("image " + text(spec.image_height) + "x" + text(spec.image_width) + " is not a multiple of 'patch' " +
               text(spec.patch));
  if (spec.tokens() > kMaxTokens)
    return bad(text(spec.tokens()) + " patches, at most " + text(kMaxTokens) + " tokens are run");
  return {};
}

int sized(int paper, int hidden, int least) {
  const int eighths = (paper * hidden + 768 * 8 - 1) / (768 * 8);
  return std::max(least, 8 * eighths);
}

}  // namespace

double short_decimal(float value) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof text, value);
  double shortest = value;
  std::from_chars(text, written.ptr, shortest);
  return shortest;
}

HeadShape ModelSpec::head_shape(int exit) const {
  const TaskHead form = exit == layers ? task_head : TaskHead::exit;
  HeadShape shape;
  shape.dense = head_hidden(exit);
  shape.input = hidden;
  switch (form) {
    case TaskHead::exit:
      shape.reads = pooling == Pooling::cls ? HeadShape::Reads::cls : HeadShape::Reads::cls_mean;
      shape.input = shape.norm = pooled();
      return shape;
    case TaskHead::pooler_tanh:
      shape.activation = HeadActivation::tanh;
      return shape;
    case TaskHead::pooler_relu:
      shape.activation = HeadActivation::relu;
      return shape;
    case TaskHead::norm_cls:
      shape.norm = hidden;
      return shape;
    case TaskHead::norm_distilled:
      shape.reads = HeadShape::Reads::first_two;
      shape.input = 2 * hidden;
      shape.norm = hidden;
      return shape;
  }
  return shape;
}

void size_decision(ModelSpec& spec) {
  const ExtractorSpec paper;
  spec.extractor.embed = sized(paper.embed, spec.hidden, 8);
  spec.extractor.c1 = sized(paper.c1, spec.hidden, 8);
  spec.extractor.c2 = sized(paper.c2, spec.hidden, 8);
  spec.extractor.c3 = sized(paper.c3, spec.hidden, 8);
  spec.policy_hidden = sized(128, spec.hidden, 16);
  spec.exit_head_hidden = std::min(256, spec.hidden);
}

bool unnamed_labels(const std::vector<std::string>& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] != "LABEL_" + std::to_string(i) && labels[i] != "class_" + std::to_string(i)) return false;
  return true;
}

Status validate(const ModelSpec& spec, const std::string& where) {
  FATHOM_TRY_VOID(visit_fields(spec, Checker{where}));
  return check_together(spec, where);
}

Json spec_to_json(const ModelSpec& spec) {
  Writer writer;
  (void)visit_fields(spec, writer);  // writing cannot fail
  return writer.json;
}

Result<ModelSpec> spec_from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) return Error{Code::corrupt_bundle, where + ": must hold a JSON object", ""};
  ModelSpec spec;
  Reader reader{json, where};
  FATHOM_TRY_VOID(visit_fields(spec, reader));
  constexpr const char* kRetired = "heads_shared";  // older bundles say false; exits that share a matrix are gone
  if (json.contains(kRetired)) {
    FATHOM_TRY(const bool shared, json_bool(json, kRetired, where));
    if (shared)
      return Error{Code::unsupported, where + ": '" + kRetired + "' is true, and exits no longer share one matrix",
                   "fit the bundle again"};
    reader.known.insert(kRetired);
  }
  for (const auto& [key, value] : json.items())
    if (!reader.known.contains(key))
      return Error{Code::corrupt_bundle, where + ": unknown key '" + key.substr(0, 80) + "'", ""};
  FATHOM_TRY_VOID(validate(spec, where));
  return spec;
}

}  // namespace fathom
