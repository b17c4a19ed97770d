#include "eval/eval_json.h"

#include <cmath>

namespace fathom::eval {
namespace {

enum class Kind { text, flag, number, whole, list, object };

// A path of keys; "[]": each item of a list, "*": each value of an object. Any value may be null: not measured.
struct Rule {
  const char* path;
  Kind kind;
  double low = -1e18, high = 1e18;
};

constexpr double kMost = 1e18;      // MACs, bytes, milliseconds: more is nonsense
constexpr double kMostItems = 1e6;  // of any list
constexpr double kMostLayers = 64;

constexpr Rule kRules[] = {
    {"task", Kind::text},
    {"metric", Kind::text},
    {"n_test", Kind::whole, 0, kMost},
    {"n_calibrate", Kind::whole, 0, kMost},
    {"seed", Kind::whole, 0, 1.9e19},
    {"classes", Kind::list},
    {"classes[]", Kind::text},
    {"layers", Kind::whole, 1, kMostLayers},
    {"hidden", Kind::whole, 1, 1e9},
    {"max_tokens", Kind::whole, 0, 1e9},
    {"bundle", Kind::text},
    {"fingerprint", Kind::text},
    {"data", Kind::object},
    {"data.name", Kind::text},
    {"data.date", Kind::text},
    {"measured", Kind::text},
    {"base_is", Kind::text},
    {"note", Kind::text},
    {"cpu", Kind::text},
    {"tier", Kind::text},
    {"threads", Kind::whole, 0, 1e6},
    {"systems", Kind::list},
    {"systems[]", Kind::object},
    {"systems[].name", Kind::text},
    {"systems[].value", Kind::number, -1, 1},
    {"systems[].macs", Kind::number, 0, kMost},
    {"systems[].decision_macs", Kind::number, 0, kMost},
    {"systems[].mean_depth", Kind::number, 0, kMostLayers},
    {"systems[].ms_batch1", Kind::number, 0, kMost},
    {"systems[].ms_batch32", Kind::number, 0, kMost},
    {"systems[].peak_mb", Kind::number, 0, kMost},
    {"systems[].difference", Kind::number, -1, 1},
    {"systems[].interval", Kind::list},
    {"systems[].interval[]", Kind::number, -1, 1},
    {"systems[].curve", Kind::list},
    {"systems[].curve[]", Kind::list},
    {"systems[].curve[][]", Kind::number, 0, kMost},
    {"systems[].curve_ms", Kind::list},
    {"systems[].curve_ms[]", Kind::list},
    {"systems[].curve_ms[][]", Kind::number, 0, kMost},
    {"systems[].rival", Kind::flag},
    {"systems[].same_trunk", Kind::flag},
    {"systems[].layers", Kind::whole, 0, kMostLayers},
    {"systems[].exit", Kind::whole, 0, kMostLayers},
    {"systems[].lambda", Kind::number, 0, 2},
    {"systems[].max_tokens", Kind::whole, 0, 1e9},
    {"savings", Kind::object},
    {"savings.*", Kind::number, -1e9, 1},
    {"fathom_versus", Kind::object},
    {"fathom_versus.*", Kind::object},
    {"fathom_versus.*.difference", Kind::number, -1, 1},
    {"fathom_versus.*.interval", Kind::list},
    {"fathom_versus.*.interval[]", Kind::number, -1, 1},
    {"fathom_versus.rivals.*", Kind::object},
    {"fathom_versus.rivals.*.difference", Kind::number, -1, 1},
    {"fathom_versus.rivals.*.interval", Kind::list},
    {"fathom_versus.rivals.*.interval[]", Kind::number, -1, 1},
    {"fathom_versus.area.*", Kind::number, 0, kMost},
    {"overhead", Kind::object},
    {"overhead.*", Kind::number, -1e9, 1e9},
    {"theorem", Kind::object},
    {"theorem.alpha", Kind::number, 0, 1},
    {"theorem.bound_macs", Kind::number, 0, kMost},
    {"theorem.measured_macs", Kind::number, 0, kMost},
    {"theorem.holds", Kind::flag},
    {"theorem.bound_drop", Kind::number, -1, 1},
    {"theorem.measured_drop", Kind::number, -1, 1},
    {"theorem.predictor_alpha", Kind::number, 0, 1},
    {"theorem.predictor_bound_macs", Kind::number, 0, kMost},
    {"gamma", Kind::object},
    {"gamma.median", Kind::number},
    {"gamma.max", Kind::number},
    {"depth", Kind::object},
    {"depth.histogram", Kind::list, 0, kMostLayers},
    {"depth.histogram[]", Kind::number, 0, kMost},
    {"depth.stable_histogram", Kind::list, 0, kMostLayers},
    {"depth.stable_histogram[]", Kind::number, 0, kMost},
    {"depth.mean", Kind::number, 0, kMostLayers},
    {"depth.mean_stable", Kind::number, 0, kMostLayers},
    {"depth.by_stable_depth", Kind::list, 0, kMostLayers},
    {"depth.by_stable_depth[]", Kind::object},
    {"depth.by_stable_depth[].value", Kind::whole, -1e9, 1e9},
    {"depth.by_stable_depth[].layers", Kind::list, 0, kMostLayers},
    {"depth.by_stable_depth[].layers[]", Kind::number, 0, 1},
    {"complexity", Kind::object},
    {"complexity.spearman", Kind::number, -1, 1},
    {"complexity.rises", Kind::flag},
    {"complexity.chance", Kind::number, 0, 1},
    {"complexity.bins", Kind::list, 0, 4096},
    {"complexity.bins[]", Kind::object},
    {"complexity.bins[].from", Kind::whole, -1e9, 1e9},
    {"complexity.bins[].to", Kind::whole, -1e9, 1e9},
    {"complexity.bins[].mean_depth", Kind::number, 0, kMostLayers},
    {"complexity.values", Kind::list, 0, 4096},
    {"complexity.values[]", Kind::object},
    {"complexity.values[].value", Kind::whole, -1e9, 1e9},
    {"complexity.values[].layers", Kind::list, 0, kMostLayers},
    {"complexity.values[].layers[]", Kind::number, 0, 1},
    {"complexity.values[].exit_accuracy", Kind::list, 0, kMostLayers},
    {"complexity.values[].exit_accuracy[]", Kind::number, 0, 1},
    {"predictor", Kind::object},
    {"predictor.spearman", Kind::number, -1, 1},
    {"predictor.mean_absolute_error", Kind::number, 0, 1e9},
    {"predictor.within_one", Kind::number, 0, 1},
    {"predictor.under", Kind::number, 0, 1},
    {"predictor.matrix", Kind::list, 0, kMostLayers},
    {"predictor.matrix[]", Kind::list, 0, kMostLayers},
    {"predictor.matrix[][]", Kind::number, 0, kMost},
    {"by_class", Kind::list},
    {"by_class[]", Kind::object},
    {"by_class[].label", Kind::text},
    {"by_class[].count", Kind::whole, 0, kMost},
    {"by_class[].recall", Kind::number, 0, 1},
    {"by_class[].full_depth_recall", Kind::number, 0, 1},
    {"by_class[].precision", Kind::number, 0, 1},
    {"confusion", Kind::list, 0, kMostLayers},
    {"confusion[]", Kind::list, 0, kMostLayers},
    {"confusion[][]", Kind::whole, 0, kMost},
    {"confused", Kind::list},
    {"confused[]", Kind::object},
    {"confused[].label", Kind::text},
    {"confused[].answer", Kind::text},
    {"confused[].count", Kind::whole, 0, kMost},
    {"enough", Kind::object},
    {"enough.exit", Kind::whole, 1, kMostLayers},
    {"enough.macs", Kind::number, 0, kMost},
    {"enough.difference", Kind::number, -1, 1},
    {"enough.interval", Kind::list},
    {"enough.interval[]", Kind::number, -1, 1},
    {"worst", Kind::list},
    {"worst[]", Kind::object},
    {"worst[].row", Kind::whole, 0, kMost},
    {"worst[].depth", Kind::whole, 0, kMostLayers},
    {"worst[].stable_depth", Kind::whole, 0, kMostLayers},
    {"worst[].complexity", Kind::whole, -1e9, 1e9},
    {"worst[].answer", Kind::text},
    {"worst[].full_depth_answer", Kind::text},
    {"worst[].label", Kind::text},
    {"worst[].text", Kind::text},
    {"worst[].picture", Kind::text},
    {"engine_check", Kind::list},
    {"engine_check[]", Kind::object},
    {"engine_check[].inputs", Kind::whole, 0, kMost},
    {"engine_check[].labels", Kind::whole, 0, kMost},
    {"engine_check[].depths", Kind::whole, 0, kMost},
    {"gates", Kind::list},
    {"gates[]", Kind::object},
    {"gates[].what", Kind::text},
    {"gates[].kind", Kind::text},
    {"gates[].value", Kind::number},
    {"gates[].sense", Kind::text},
    {"gates[].limit", Kind::number},
    {"gates[].met", Kind::flag},
};

// What is wrong with one value, or "".
std::string fault(const Json& value, const Rule& rule) {
  const auto in_range = [&](double number) { return number >= rule.low && number <= rule.high; };
  const auto range = [&] { return Json(rule.low).dump() + " to " + Json(rule.high).dump(); };
  switch (rule.kind) {
    case Kind::text:
      return value.is_string() ? "" : "expected text";
    case Kind::flag:
      return value.is_boolean() ? "" : "expected true or false";
    case Kind::number:
      return value.is_number() && in_range(value.get<double>()) ? "" : "expected a number, " + range();
    case Kind::whole:
      return value.is_number_integer() && in_range(value.get<double>()) ? "" : "expected a whole number, " + range();
    case Kind::object:
      return value.is_object() ? "" : "expected an object";
    case Kind::list: {
      const double most = rule.low == 0 ? rule.high : kMostItems;
      if (!value.is_array()) return "expected a list";
      return static_cast<double>(value.size()) <= most ? "" : "expected a list of at most " + Json(most).dump();
    }
  }
  return "";
}

Status check(const Json& value, std::string_view path, const std::string& place, const Rule& rule) {
  if (value.is_null()) return {};
  if (path.empty()) {
    const std::string wrong = fault(value, rule);
    if (wrong.empty()) return {};
    const std::string got = value.is_structured() ? value.type_name() : value.dump(-1, ' ', true).substr(0, 60);
    return Error{Code::bad_input, place + ": " + wrong + "; got " + got, "run fathom eval again"};
  }
  if (path.starts_with("[]")) {
    if (!value.is_array()) return {};
    for (std::size_t i = 0; i < value.size(); ++i)
      FATHOM_TRY_VOID(check(value[i], path.substr(2), place + "[" + std::to_string(i) + "]", rule));
    return {};
  }
  if (path.starts_with(".")) path.remove_prefix(1);
  const std::string key(path.substr(0, path.find_first_of(".[")));
  const std::string_view rest = path.substr(key.size());
  if (!value.is_object()) return {};
  const std::string inside = place.ends_with(' ') ? place : place + ".";
  if (key == "*") {
    for (const auto& [name, one] : value.items()) FATHOM_TRY_VOID(check(one, rest, inside + name.substr(0, 40), rule));
    return {};
  }
  const auto found = value.find(key);
  return found == value.end() ? Status{} : check(*found, rest, inside + key, rule);
}

const Json kNothing;

}  // namespace

Status check_eval_json(const Json& eval, const std::string& where) {
  if (!eval.is_object() || !member(eval, "systems").is_array())
    return Error{Code::bad_input, where + ": no \"systems\" list, so this is not what `fathom eval` writes",
                 "run fathom eval again"};
  for (const Rule& rule : kRules) FATHOM_TRY_VOID(check(eval, rule.path, where + ": ", rule));
  for (const Json& system : eval["systems"])
    if (!member(system, "name").is_string())
      return Error{Code::bad_input, where + ": systems: one has no \"name\"", "run fathom eval again"};
  return {};
}

const Json& member(const Json& object, const char* key) {
  if (!object.is_object()) return kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

const Json& item(const Json& list, std::size_t index) {
  return list.is_array() && index < list.size() ? list[index] : kNothing;
}

double number_or(const Json& value, double otherwise) { return value.is_number() ? value.get<double>() : otherwise; }

bool flag_or(const Json& value, bool otherwise) { return value.is_boolean() ? value.get<bool>() : otherwise; }

}  // namespace fathom::eval
