// The text table of `fathom eval` (declared in evaluate.h): aligned columns, then what they mean in sentences.
#include <algorithm>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "eval/format.h"
#include "eval/verdict.h"

namespace fathom::eval {
namespace {

using Row = std::vector<std::string>;

// Characters on the screen, not bytes: continuation bytes of UTF-8 take no column.
std::size_t columns(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// First column left, the others right, two spaces between.
std::string aligned(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], columns(row[c]));
  }
  std::string out;
  for (const Row& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string pad(widths[c] - columns(row[c]), ' ');
      out += c == 0 ? row[c] + pad : "  " + pad + row[c];
    }
    out += "\n";
  }
  return out;
}

std::string saved_against(const Json& system, const Json* base) {
  if (base == nullptr || system["name"] == "base") return "—";
  return percent(1 - system["macs"].get<double>() / (*base)["macs"].get<double>(), 1);
}

std::string interval_text(const Json& system) {
  if (system["name"] == "base") return "—";
  return points(system["difference"]) + " [" + points(system["interval"][0]) + ", " + points(system["interval"][1]) +
         "]";
}

std::string systems_table(const Json& eval) {
  const Json* base = find_system(eval, "base");
  std::vector<Row> rows = {
      {"system", "accuracy", "points vs base [95 %]", "MACs", "saved", "decision", "depth", "ms b1", "ms b32", "MB"}};
  for (const Json& s : eval["systems"])
    rows.push_back({s["name"].get<std::string>() + (s.contains("exit") ? ", " + setting_text(s) : ""),
                    percent(s["value"]), interval_text(s), macs_text(s["macs"]), saved_against(s, base),
                    macs_text(s["decision_macs"]), number_text(s["mean_depth"], 2), ms_text(s["ms_batch1"]),
                    ms_text(s["ms_batch32"]), number_text(s["peak_mb"], 1)});
  return aligned(rows);
}

std::string fathom_lines(const Json& eval) {
  const Json* fathom = find_system(eval, "fathom");
  if (fathom == nullptr) return "";
  const Json& saved = eval["savings"];
  std::string out = "fathom saves " + percent(saved["macs"], 1) + " of MACs";
  if (saved["ms_batch1"].is_number())
    out += ", " + percent(saved["ms_batch1"], 1) + " of ms at batch 1, " + percent(saved["ms_batch32"], 1) +
           " of ms at batch 32";
  out += "; accuracy " + points((*fathom)["difference"]) + " points against base\n";
  const Json& versus = eval["fathom_versus"];
  out += "at Fathom's MACs: ";
  out += "fixed_depth " + points(-versus["fixed_depth"]["difference"].get<double>()) + " points, early_exit " +
         points(-versus["early_exit"]["difference"].get<double>()) + " points against fathom";
  const Json& v = versus["early_exit"]["interval"];
  out += " (fathom - early_exit: [" + points(v[0]) + ", " + points(v[1]) + "])\n";
  if (versus.contains("area"))
    out += "mean accuracy under the curves, " + macs_text(versus["area"]["from_macs"]) + " to " +
           macs_text(versus["area"]["to_macs"]) + " MACs: fathom " + percent(versus["area"]["fathom"]) +
           ", early_exit " + percent(versus["area"]["early_exit"]) + "\n";
  return out;
}

// Rivals, and bundles that read another number of tokens: their MACs are not of the same inputs.
std::string guest_lines(const Json& eval) {
  std::string out;
  const Json& versus = eval["fathom_versus"];
  for (const Json& s : eval["systems"]) {
    const std::string name = s["name"].get<std::string>();
    if (versus.contains("rivals") && versus["rivals"].contains(name)) {
      const Json& v = versus["rivals"][name];
      out += name + " (" + describe_system(s) + "): fathom - " + name + " " + points(v["difference"]) + " points [" +
             points(v["interval"][0]) + ", " + points(v["interval"][1]) + "]\n";
    }
    if (s.contains("max_tokens") && eval.contains("max_tokens") && s["max_tokens"] != eval["max_tokens"])
      out += "note: " + name + " reads at most " + std::to_string(s["max_tokens"].get<int>()) +
             " tokens of an input, the bundle " + std::to_string(eval["max_tokens"].get<int>()) + "\n";
  }
  return out;
}

std::string overhead_lines(const Json& eval) {
  const Json& o = eval["overhead"];
  if (!o.is_object()) return "";
  std::string out = "decision, of full-depth MACs: " + percent(o["macs_share_used"]) + " as used, " +
                    percent(o["macs_share_every"]) + " with every checkpoint evaluated\n";
  if (o["time_share_used"].is_number())
    out += "decision, of time at batch 1: " + percent(o["time_share_used"]) + " as used, " +
           percent(o["time_share_every"]) + " with every checkpoint evaluated; inputs that never exit take " +
           number_text(o["never_exit_time_ratio"], 3) + " of the static model's time\n";
  return out;
}

std::string theorem_lines(const Json& eval) {
  const Json& t = eval["theorem"];
  std::string out = "Theorem 1, eq. (5): mean MACs " + macs_text(t["measured_macs"]) +
                    (t["holds"].get<bool>() ? " <= " : " > ") + macs_text(t["bound_macs"]) + " (alpha " +
                    number_text(t["alpha"], 3) + ", epsilon 0)";
  if (t.contains("bound_drop"))
    out += "; accuracy drop " + points(t["measured_drop"]) + " <= " + points(t["bound_drop"]) +
           " points (share of inputs stopped before their stable depth)";
  out += "\n";
  if (eval["gamma"].is_object())
    out += "error propagation, eq. (9): gamma median " + number_text(eval["gamma"]["median"], 3) + ", largest " +
           number_text(eval["gamma"]["max"], 3) + "\n";
  return out;
}

std::string complexity_lines(const Json& eval) {
  const Json& c = eval["complexity"];
  if (!c.is_object()) return "";
  Row bins = {"complexity"}, depths = {"mean depth"};
  for (const Json& bin : c["bins"]) {
    const int from = bin["from"].get<int>(), to = bin["to"].get<int>();
    bins.push_back(from == to ? std::to_string(from) : std::to_string(from) + "-" + std::to_string(to));
    depths.push_back(number_text(bin["mean_depth"], 2));
  }
  return aligned({bins, depths}) + "Spearman of depth and complexity: " + number_text(c["spearman"], 3) + "\n";
}

std::string gate_lines(const Json& eval) {
  std::string out;
  for (const Json& gate : eval["gates"]) {
    const std::string met = gate["met"].is_null() ? "unmeasured" : gate["met"].get<bool>() ? "met" : "NOT MET";
    out += met + std::string(12 - met.size(), ' ') + gate["what"].get<std::string>() + ": " +
           number_text(gate["value"], 4) + " (" + gate["sense"].get<std::string>() + " " +
           number_text(gate["limit"], 3) + ")\n";
  }
  return out;
}

}  // namespace

std::string table_text(const Json& eval) {
  std::string out = eval["task"].get<std::string>() + ", test split: " + grouped(eval["n_test"].get<std::uint64_t>()) +
                    " inputs, " + std::to_string(eval["layers"].get<int>()) + " layers, " +
                    eval["tier"].get<std::string>() + ", threads: " + std::to_string(eval["threads"].get<int>()) +
                    "; base is " + eval["base_is"].get<std::string>() + "\n";
  if (eval.contains("note")) out += "note: " + eval["note"].get<std::string>() + "\n";
  out += "\n" + systems_table(eval) + "\n" + fathom_lines(eval) + guest_lines(eval) + overhead_lines(eval) +
         theorem_lines(eval);
  const std::string complexity = complexity_lines(eval);
  if (!complexity.empty()) out += "\n" + complexity;
  const std::string gates = gate_lines(eval);
  return gates.empty() ? out : out + "\n" + gates;
}

}  // namespace fathom::eval
