#include "eval/verdict.h"

#include <string>

#include "eval/eval_json.h"

namespace fathom::eval {
namespace {

constexpr const char* kEngineGate = "answers or depths where engine and simulation differ";

double number(const Json& value) { return value.is_number() ? value.get<double>() : 0.0; }

Json saved(const Json& ours, const Json& theirs) {
  if (!ours.is_number() || !theirs.is_number() || number(theirs) <= 0) return nullptr;
  return 1 - number(ours) / number(theirs);
}

class Gates {
 public:
  void at_least(const std::string& what, const Json& value, double limit) { add("quality", what, value, ">=", limit); }
  void at_most(const std::string& what, const Json& value, double limit) { add("quality", what, value, "<=", limit); }
  void time_at_least(const std::string& what, const Json& value, double limit) {
    add("time", what, value, ">=", limit);
  }
  void time_at_most(const std::string& what, const Json& value, double limit) { add("time", what, value, "<=", limit); }
  Json take() { return std::move(list_); }

 private:
  void add(const char* kind, const std::string& what, const Json& value, const char* sense, double limit) {
    Json gate = {{"what", what},   {"kind", kind},   {"value", value},
                 {"sense", sense}, {"limit", limit}, {"met", nullptr}};
    // A hair of slack for the last bits of a mean.
    constexpr double kSlack = 1e-12;
    if (value.is_number())
      gate["met"] = std::string(sense) == ">=" ? number(value) >= limit - kSlack : number(value) <= limit + kSlack;
    list_.push_back(gate);
  }
  Json list_ = Json::array();
};

void overhead_gates(const Json& eval, Gates& gates) {
  const Json& overhead = eval["overhead"];
  if (!overhead.is_object()) return;
  const bool large = number(eval["hidden"]) >= 768;
  const double macs = large ? 0.02 : 0.05, time = large ? 0.03 : 0.10;
  gates.at_most("decision, every checkpoint evaluated: share of full-depth MACs", overhead["macs_share_every"], macs);
  gates.time_at_most("decision, every checkpoint evaluated: share of full-depth time, batch 1",
                     overhead["time_share_every"], time);
  gates.time_at_most("inputs that never exit: time against the static model", overhead["never_exit_time_ratio"], 1.05);
}

void rival_gates(const Json& eval, Gates& gates) {
  const Json& versus = eval["fathom_versus"];
  if (versus.contains("fixed_depth"))
    gates.at_least("accuracy above fixed_depth at Fathom's MACs", versus["fixed_depth"]["difference"], 0.01);
  if (versus.contains("early_exit"))
    gates.at_least("accuracy against early_exit at Fathom's MACs, upper end of the interval",
                   versus["early_exit"]["interval"][1], 0);
}

}  // namespace

const Json* find_system(const Json& eval, const std::string& name) {
  for (const Json& system : member(eval, "systems"))
    if (member(system, "name") == name) return &system;
  return nullptr;
}

Json savings_section(const Json& eval) {
  const Json *fathom = find_system(eval, "fathom"), *base = find_system(eval, "base");
  if (fathom == nullptr || base == nullptr) return nullptr;
  Json out;
  for (const char* key : {"macs", "ms_batch1", "ms_batch32", "peak_mb"}) out[key] = saved((*fathom)[key], (*base)[key]);
  return out;
}

Json gates_section(const Json& eval) {
  Gates gates;
  const Json *fathom = find_system(eval, "fathom"), *base = find_system(eval, "base");
  const bool generated = eval["complexity"].is_object();
  if (fathom == nullptr || base == nullptr) return gates.take();
  if (generated) gates.at_least("accuracy of base", (*base)["value"], 0.96);
  gates.at_least("accuracy against base", (*fathom)["difference"], -0.003);
  gates.at_least("accuracy against full_depth", eval["fathom_versus"]["full_depth"]["difference"], -0.003);
  gates.at_least("MACs saved", eval["savings"]["macs"], 0.50);
  gates.time_at_least("time saved, batch 1", eval["savings"]["ms_batch1"], 0.40);
  gates.time_at_least("time saved, batch 32", eval["savings"]["ms_batch32"], 0.40);
  rival_gates(eval, gates);
  if (generated) {
    gates.at_least("Spearman of depth and complexity", eval["complexity"]["spearman"], 0.8);
    gates.at_least("bins of complexity whose mean depth rises (1: all)",
                   eval["complexity"]["rises"].get<bool>() ? 1.0 : 0.0, 1);
  }
  overhead_gates(eval, gates);
  gates.at_most(kEngineGate, engine_differences(eval), 0);
  return gates.take();
}

std::size_t engine_differences(const Json& eval) {
  double sum = 0;
  for (const Json& check : member(eval, "engine_check"))
    sum += number(member(check, "labels")) + number(member(check, "depths"));
  return static_cast<std::size_t>(sum);
}

std::vector<std::string> failed_gates(const Json& eval) {
  std::vector<std::string> out;
  for (const Json& gate : member(eval, "gates"))
    if (member(gate, "kind") == "quality" && member(gate, "met") == false && member(gate, "what") != kEngineGate)
      out.push_back(member(gate, "what").get<std::string>() + " is " + member(gate, "value").dump() + ", not " +
                    member(gate, "sense").get<std::string>() + " " + member(gate, "limit").dump());
  if (const std::size_t wrong = engine_differences(eval); wrong > 0)
    out.push_back("engine and simulation differ in " + std::to_string(wrong) + " answers or depths");
  return out;
}

}  // namespace fathom::eval
