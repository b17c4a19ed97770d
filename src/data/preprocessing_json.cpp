// Reads preprocessing.h's settings from JSON: what is absent or null takes the default of the image processor named.
#include <cmath>
#include <set>

#include "base/json.h"
#include "data/picture_formats.h"
#include "data/preprocessing.h"

namespace fathom::data {
namespace {

constexpr int kMaxSide = 16384;

Error unsupported(const std::string& where, const std::string& what, const std::string& hint) {
  return {Code::unsupported, where + ": " + what, hint};
}

Error wrong(const std::string& where, const std::string& key, const std::string& what) {
  return {Code::bad_input, where + ": '" + key + "' " + what, "take the file that belongs to the checkpoint"};
}

// The member, or nothing where it is absent or null (both mean the default).
const Json* member(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Status read_flag(const Json& object, const char* key, bool& value, const std::string& where) {
  const Json* found = member(object, key);
  if (found == nullptr) return {};
  if (!found->is_boolean()) return wrong(where, key, "must be true or false");
  value = found->get<bool>();
  return {};
}

Result<int> side(const Json& value, const std::string& key, const std::string& where) {
  // Compared as a real number: whole numbers beyond 64 bits are kept as reals, and bigger ones than an int exist.
  const double number = value.is_number_integer() ? value.get<double>() : 0;
  if (number < 1 || number > kMaxSide)
    return wrong(where, key, "must be a whole number of 1.." + std::to_string(kMaxSide));
  return static_cast<int>(number);
}

Result<double> real(const Json& value, const std::string& key, double low, double high, const std::string& where) {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= low && number <= high)) return wrong(where, key, "is no number, or out of range");
  return number;
}

// Three numbers, or one for all channels.
Status read_channels(const Json& object, const char* key, double low, std::array<double, 3>& values,
                     const std::string& where) {
  const Json* found = member(object, key);
  if (found == nullptr) return {};
  if (found->is_array() && found->size() != 3) return wrong(where, key, "must hold 3 numbers, red, green, blue");
  for (std::size_t c = 0; c < 3; ++c) {
    FATHOM_TRY(values[c], real(found->is_array() ? (*found)[c] : *found, key, low, 1e6, where));
  }
  return {};
}

struct Extent {
  int height = 0, width = 0, shortest = 0, longest = 0;
};

// {height, width}, {shortest_edge}, {shortest_edge, longest_edge}, [height, width], or a number.
Result<Extent> read_extent(const Json& value, const std::string& key, bool square, const std::string& where) {
  Extent extent;
  if (value.is_number()) {
    FATHOM_TRY(const int edge, side(value, key, where));
    if (square) return Extent{edge, edge, 0, 0};
    return Extent{0, 0, edge, 0};
  }
  if (value.is_array() && value.size() == 2) {
    FATHOM_TRY(extent.height, side(value[0], key, where));
    FATHOM_TRY(extent.width, side(value[1], key, where));
    return extent;
  }
  if (!value.is_object()) return wrong(where, key, "must be a number, [height, width] or an object");
  for (const auto& [name, number] : value.items()) {
    if (number.is_null()) continue;
    int* target = name == "height"          ? &extent.height
                  : name == "width"         ? &extent.width
                  : name == "shortest_edge" ? &extent.shortest
                  : name == "longest_edge"  ? &extent.longest
                                            : nullptr;
    if (target == nullptr)
      return unsupported(where, "'" + key + "' with '" + name + "'", "known are height and width, or shortest_edge");
    FATHOM_TRY(*target, side(number, key + "." + name, where));
  }
  const bool sides = extent.height > 0 && extent.width > 0 && extent.shortest == 0 && extent.longest == 0;
  if (!sides && !(extent.shortest > 0 && extent.height == 0 && extent.width == 0))
    return unsupported(where, "'" + key + "' is neither height and width nor shortest_edge", "give one of these");
  return extent;
}

Status read_size(const Json& json, bool square, Preprocessing& how, const std::string& where) {
  const Json* found = member(json, "size");
  if (found == nullptr) return {};
  FATHOM_TRY(const Extent extent, read_extent(*found, "size", square, where));
  how.height = extent.height, how.width = extent.width, how.shortest_edge = extent.shortest,
  how.longest_edge = extent.longest;
  return {};
}

Status read_crop(const Json& json, Preprocessing& how, const std::string& where) {
  const Json* found = member(json, "crop_size");
  if (found == nullptr) return {};
  FATHOM_TRY(const Extent extent, read_extent(*found, "crop_size", true, where));
  if (extent.height == 0) return unsupported(where, "'crop_size' without height and width", "give both");
  how.crop_height = extent.height, how.crop_width = extent.width;
  return {};
}

Status read_filter(const Json& json, Preprocessing& how, const std::string& where) {
  const Json* found = member(json, "resample");
  if (found == nullptr) return {};
  static const char* const kNames[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
  if (!found->is_number_integer()) return wrong(where, "resample", "must be a whole number");
  const double number = found->get<double>();
  if (number != 0 && number != 2 && number != 3) {
    const std::string name =
        number >= 0 && number <= 5 ? std::string(" (") + kNames[static_cast<int>(number)] + ")" : "";
    return unsupported(where, "'resample' " + found->dump() + name,
                       "known are 0 (nearest), 2 (bilinear) and 3 (bicubic)");
  }
  how.filter = static_cast<Filter>(static_cast<int>(number));
  return {};
}

// The defaults of the processor; true where the name is one that is known.
bool take_defaults(std::string name, Preprocessing& how) {
  for (const std::string ending : {"Fast", "Pil"})
    if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  if (name == "ViTImageProcessor" || name == "ViTFeatureExtractor" || name.empty()) return true;
  if (name != "DeiTImageProcessor" && name != "DeiTFeatureExtractor") return false;
  how.height = how.width = 256;
  how.filter = Filter::bicubic;
  how.crop = true;
  return true;
}

Status read_processor(const Json& json, Preprocessing& how, const std::string& where) {
  const Json* type = member(json, "image_processor_type");
  if (type == nullptr) type = member(json, "feature_extractor_type");
  if (type != nullptr && !type->is_string()) return wrong(where, "image_processor_type", "must be text");
  if (!take_defaults(type == nullptr ? "" : type->get<std::string>(), how))
    return unsupported(where, "image processor " + type->dump(-1, ' ', true, Json::error_handler_t::replace),
                       "known are ViTImageProcessor and DeiTImageProcessor");
  return {};
}

// A step that is switched on and not done here would give other pixels than the checkpoint was trained on.
Status refuse_other_steps(const Json& json, const std::string& where) {
  static const std::set<std::string> known = {
      "do_resize",        "do_center_crop",        "do_rescale", "do_normalize", "do_convert_rgb",
      "do_reduce_labels", "do_convert_annotations"};
  static const std::set<std::string> others = {
      "pad_size",       "crop_pct", "size_divisor",       "size_divisibility", "offset",
      "rescale_offset", "max_size", "ensure_multiple_of", "keep_aspect_ratio"};
  for (const auto& [key, value] : json.items()) {
    if (value.is_null() || value == Json(false)) continue;
    if (others.contains(key) || (key.starts_with("do_") && !known.contains(key)))
      return unsupported(where, "'" + key + "' would change the pixels",
                         "resize, center crop, rescale and normalize are done");
  }
  return {};
}

// Keys that are on and neither read above nor known to change no pixel.
std::vector<std::string> unread_keys(const Json& json) {
  static const std::set<std::string> known = {"do_resize",
                                              "do_center_crop",
                                              "do_rescale",
                                              "do_normalize",
                                              "do_convert_rgb",
                                              "do_reduce_labels",
                                              "do_convert_annotations",
                                              "size",
                                              "crop_size",
                                              "resample",
                                              "rescale_factor",
                                              "image_mean",
                                              "image_std",
                                              "image_processor_type",
                                              "feature_extractor_type",
                                              "default_to_square",
                                              "_processor_class",
                                              "processor_class",
                                              "_valid_processor_keys",
                                              "data_format",
                                              "input_data_format",
                                              "device",
                                              "disable_grouping",
                                              "return_tensors",
                                              "transformers_version",
                                              "_name_or_path"};
  std::vector<std::string> out;
  for (const auto& [key, value] : json.items())
    if (!known.contains(key) && !value.is_null() && value != Json(false))
      out.push_back("preprocessor_config.json: '" + key.substr(0, 80) + "'");
  return out;
}

Status check_sizes(const Preprocessing& how, const std::string& where) {
  const auto check = [&](int height, int width, const char* key) {
    return check_picture_size(static_cast<std::uint64_t>(height), static_cast<std::uint64_t>(width),
                              where + ": '" + key + "'");
  };
  if (how.crop) FATHOM_TRY_VOID(check(how.crop_height, how.crop_width, "crop_size"));
  if (how.resize && how.shortest_edge == 0) FATHOM_TRY_VOID(check(how.height, how.width, "size"));
  return {};
}

Result<Json> parse_object(std::string_view text, const std::string& where) {
  FATHOM_TRY(Json json, parse_json(text, where));
  if (!json.is_object())
    return Error{Code::bad_input, where + ": expected a JSON object", "take the file that belongs to the checkpoint"};
  return json;
}

}  // namespace

Result<Preprocessing> parse_preprocessing(std::string_view text, const std::string& where) {
  FATHOM_TRY(const Json json, parse_object(text, where));
  Preprocessing how;
  FATHOM_TRY_VOID(read_processor(json, how, where));
  FATHOM_TRY_VOID(refuse_other_steps(json, where));
  bool square = true;  // what a bare number as size means
  FATHOM_TRY_VOID(read_flag(json, "default_to_square", square, where));
  FATHOM_TRY_VOID(read_flag(json, "do_resize", how.resize, where));
  FATHOM_TRY_VOID(read_flag(json, "do_center_crop", how.crop, where));
  FATHOM_TRY_VOID(read_flag(json, "do_rescale", how.rescale, where));
  FATHOM_TRY_VOID(read_flag(json, "do_normalize", how.normalize, where));
  FATHOM_TRY_VOID(read_size(json, square, how, where));
  FATHOM_TRY_VOID(read_crop(json, how, where));
  FATHOM_TRY_VOID(read_filter(json, how, where));
  FATHOM_TRY_VOID(read_channels(json, "image_mean", -1e6, how.mean, where));
  FATHOM_TRY_VOID(read_channels(json, "image_std", 1e-6, how.std, where));
  if (const Json* factor = member(json, "rescale_factor")) {
    FATHOM_TRY(how.rescale_factor, real(*factor, "rescale_factor", 1e-6, 1e6, where));
  }
  FATHOM_TRY_VOID(check_sizes(how, where));
  how.unread = unread_keys(json);
  return how;
}

// timm's evaluation transform: shortest edge to floor(input / crop_pct), center crop to input, both for square inputs.
Result<Preprocessing> parse_timm_preprocessing(std::string_view text, const std::string& where) {
  FATHOM_TRY(const Json json, parse_object(text, where));
  const Json* found = member(json, "pretrained_cfg");
  const Json& config = found == nullptr ? json : *found;
  const Json* input = config.is_object() ? member(config, "input_size") : nullptr;
  if (input == nullptr || !input->is_array() || input->size() != 3 || (*input)[0] != Json(3) ||
      (*input)[1] != (*input)[2])
    return unsupported(where, "no 'input_size' of [3, side, side] in 'pretrained_cfg'",
                       "take a model of square RGB pictures");
  Preprocessing how;
  FATHOM_TRY(how.crop_height, side((*input)[1], "input_size", where));
  how.crop = true, how.crop_rounds = true, how.crop_width = how.crop_height;
  double part = 0.875;  // timm's default
  if (const Json* given = member(config, "crop_pct")) {
    FATHOM_TRY(part, real(*given, "crop_pct", 0.01, 1, where));
  }
  const double edge = std::floor(how.crop_height / part);
  if (edge > kMaxSide) return wrong(where, "crop_pct", "asks for a picture too large");
  const Json* mode = member(config, "crop_mode");
  if (mode != nullptr && *mode != Json("center") && *mode != Json("squash"))
    return unsupported(where, "'crop_mode' other than center and squash", "use a model with one of these");
  how.height = how.width = static_cast<int>(edge);
  if (mode == nullptr || *mode == Json("center")) how.shortest_edge = how.height;
  const Json* filter = member(config, "interpolation");
  if (filter != nullptr && *filter != Json("bicubic") && *filter != Json("bilinear"))
    return unsupported(where, "'interpolation' other than bilinear and bicubic", "use a model with one of these");
  how.filter = filter == nullptr || *filter == Json("bicubic") ? Filter::bicubic : Filter::bilinear;
  how.mean = {0.485, 0.456, 0.406}, how.std = {0.229, 0.224, 0.225};  // timm's defaults
  FATHOM_TRY_VOID(read_channels(config, "mean", -1e6, how.mean, where));
  FATHOM_TRY_VOID(read_channels(config, "std", 1e-6, how.std, where));
  FATHOM_TRY_VOID(check_sizes(how, where));
  return how;
}

}  // namespace fathom::data
