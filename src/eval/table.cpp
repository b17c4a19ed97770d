// The text table of `fathom eval` (declared in evaluate.h): aligned columns, then what they mean in sentences.
#include <algorithm>
#include <string>
#include <vector>

#include "eval/eval_json.h"
#include "eval/evaluate.h"
#include "eval/format.h"
#include "eval/report_classes.h"
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
  const double of = base == nullptr ? 0 : number_or(member(*base, "macs"), 0);
  if (of <= 0 || text_of(system, "name") == "base") return "—";
  return percent(1 - number_or(member(system, "macs"), 0) / of, 1);
}

std::string range_text(const Json& interval) {
  return " [" + points(item(interval, 0)) + ", " + points(item(interval, 1)) + "]";
}

std::string interval_text(const Json& system) {
  if (text_of(system, "name") == "base") return "—";
  return points(member(system, "difference")) + range_text(member(system, "interval"));
}

std::string systems_table(const Json& eval) {
  const Json* base = find_system(eval, "base");
  std::vector<Row> rows = {
      {"system", "accuracy", "points vs base [95 %]", "MACs", "saved", "decision", "depth", "ms b1", "ms b32", "MB"}};
  for (const Json& s : member(eval, "systems"))
    rows.push_back({plain_text(text_of(s, "name")) + (s.contains("exit") ? ", " + setting_text(s) : ""),
                    percent(member(s, "value")), interval_text(s), macs_text(member(s, "macs")), saved_against(s, base),
                    macs_text(member(s, "decision_macs")), number_text(member(s, "mean_depth"), 2),
                    ms_text(member(s, "ms_batch1")), ms_text(member(s, "ms_batch32")),
                    number_text(member(s, "peak_mb"), 1)});
  return aligned(rows);
}

std::string fathom_lines(const Json& eval) {
  const Json* fathom = find_system(eval, "fathom");
  if (fathom == nullptr) return "";
  const Json &saved = member(eval, "savings"), &versus = member(eval, "fathom_versus");
  std::string out = "fathom saves " + percent(member(saved, "macs"), 1) + " of MACs";
  if (member(saved, "ms_batch1").is_number())
    out += ", " + percent(member(saved, "ms_batch1"), 1) + " of ms at batch 1, " +
           percent(member(saved, "ms_batch32"), 1) + " of ms at batch 32";
  out += "; accuracy " + points(member(*fathom, "difference")) + " points against base\n";
  const Json &fixed = member(versus, "fixed_depth"), &early = member(versus, "early_exit");
  out += "at Fathom's MACs: fixed_depth " + points(-number_or(member(fixed, "difference"), 0)) +
         " points, early_exit " + points(-number_or(member(early, "difference"), 0)) +
         " points against fathom (fathom - early_exit:" + range_text(member(early, "interval")) + ")\n";
  if (const Json& area = member(versus, "area"); area.is_object())
    out += "mean accuracy under the curves, " + macs_text(member(area, "from_macs")) + " to " +
           macs_text(member(area, "to_macs")) + " MACs: fathom " + percent(member(area, "fathom")) + ", early_exit " +
           percent(member(area, "early_exit")) + "\n";
  if (const std::string enough = enough_text(eval); !enough.empty()) out += enough + "\n";
  return out;
}

// How often each class is found, where there are few.
std::string class_lines(const Json& eval) {
  constexpr std::size_t kMost = 20;
  const Json& classes = member(eval, "by_class");
  if (!classes.is_array() || classes.empty() || classes.size() > kMost) return "";
  std::vector<Row> rows = {{"class", "inputs", "found", "at full depth", "right when said"}};
  for (const Json& one : classes)
    rows.push_back({plain_text(text_of(one, "label")), number_text(member(one, "count"), 0),
                    percent(member(one, "recall"), 1), percent(member(one, "full_depth_recall"), 1),
                    percent(member(one, "precision"), 1)});
  return "\n" + aligned(rows);
}

// Rivals, and bundles that read another number of tokens: their MACs are not of the same inputs.
std::string guest_lines(const Json& eval) {
  std::string out;
  const Json& rivals = member(member(eval, "fathom_versus"), "rivals");
  for (const Json& s : member(eval, "systems")) {
    const std::string name = text_of(s, "name"), shown = plain_text(name);
    if (const Json& v = member(rivals, name.c_str()); v.is_object())
      out += shown + " (" + describe_system(s) + "): fathom - " + shown + " " + points(member(v, "difference")) +
             " points" + range_text(member(v, "interval")) + "\n";
    const Json &theirs = member(s, "max_tokens"), &ours = member(eval, "max_tokens");
    if (theirs.is_number() && ours.is_number() && theirs != ours)
      out += "note: " + shown + " reads at most " + number_text(theirs, 0) + " tokens of an input, the bundle " +
             number_text(ours, 0) + "\n";
  }
  return out;
}

std::string overhead_lines(const Json& eval) {
  const Json& o = member(eval, "overhead");
  if (!o.is_object()) return "";
  std::string out = "decision, of full-depth MACs: " + percent(member(o, "macs_share_used")) + " as used, " +
                    percent(member(o, "macs_share_every")) + " with every checkpoint evaluated\n";
  if (member(o, "time_share_used").is_number())
    out += "decision, of time at batch 1: " + percent(member(o, "time_share_used")) + " as used, " +
           percent(member(o, "time_share_every")) + " with every checkpoint evaluated; inputs that never exit take " +
           number_text(member(o, "never_exit_time_ratio"), 3) + " of the static model's time\n";
  return out;
}

std::string theorem_lines(const Json& eval) {
  const Json &t = member(eval, "theorem"), &gamma = member(eval, "gamma");
  if (!t.is_object()) return "";
  std::string out = "Theorem 1, eq. (5): mean MACs " + macs_text(member(t, "measured_macs")) +
                    (flag_or(member(t, "holds"), false) ? " <= " : " > ") + macs_text(member(t, "bound_macs")) +
                    " (alpha " + number_text(member(t, "alpha"), 3) + ", the decision's; epsilon 0";
  if (member(t, "predictor_alpha").is_number())
    out += "; with the predictor's alpha " + number_text(member(t, "predictor_alpha"), 3) + ": " +
           macs_text(member(t, "predictor_bound_macs"));
  out += ")";
  if (member(t, "bound_drop").is_number())
    out += "; accuracy drop " + points(member(t, "measured_drop")) + " <= " + points(member(t, "bound_drop")) +
           " points (share of inputs stopped before their stable depth)";
  out += "\n";
  if (gamma.is_object())
    out += "error propagation, eq. (9): gamma median " + number_text(member(gamma, "median"), 3) + ", largest " +
           number_text(member(gamma, "max"), 3) + "\n";
  return out;
}

std::string complexity_lines(const Json& eval) {
  const Json& c = member(eval, "complexity");
  if (!c.is_object()) return "";
  Row bins = {"complexity"}, depths = {"mean depth"};
  for (const Json& bin : member(c, "bins")) {
    const std::string from = number_text(member(bin, "from"), 0), to = number_text(member(bin, "to"), 0);
    bins.push_back(from == to ? from : from + "-" + to);
    depths.push_back(number_text(member(bin, "mean_depth"), 2));
  }
  return aligned({bins, depths}) + "Spearman of depth and complexity: " + number_text(member(c, "spearman"), 3) + "\n";
}

std::string gate_lines(const Json& eval) {
  std::string out;
  for (const Json& gate : member(eval, "gates")) {
    const Json& known = member(gate, "met");
    const std::string met = !known.is_boolean() ? "unmeasured" : known.get<bool>() ? "met" : "NOT MET";
    out += met + std::string(12 - met.size(), ' ') + plain_text(text_of(gate, "what")) + ": " +
           number_text(member(gate, "value"), 4) + " (" + plain_text(text_of(gate, "sense")) + " " +
           number_text(member(gate, "limit"), 3) + (text_of(gate, "kind") == "time" ? ", time" : "") + ")\n";
  }
  return out;
}

std::string head_lines(const Json& eval) {
  const Json& data = member(eval, "data");
  const std::string name = text_of(data, "name"), date = text_of(data, "date"), note = text_of(eval, "note");
  std::string out = (name.empty() ? "" : name + (date.empty() ? "" : " of " + date) + ": ") + text_of(eval, "task") +
                    ", test split: " + grouped(static_cast<std::uint64_t>(number_or(member(eval, "n_test"), 0))) +
                    " inputs, " + number_text(member(eval, "layers"), 0) + " layers, " + text_of(eval, "tier") +
                    ", threads: " + number_text(member(eval, "threads"), 0) + "; base is " + text_of(eval, "base_is");
  if (!note.empty()) out += "\nnote: " + note;
  return plain_text(out) + "\n";
}

}  // namespace

std::string table_text(const Json& eval) {
  std::string out = head_lines(eval) + "\n" + systems_table(eval) + "\n" + fathom_lines(eval) + guest_lines(eval) +
                    overhead_lines(eval) + theorem_lines(eval) + class_lines(eval);
  const std::string complexity = complexity_lines(eval);
  if (!complexity.empty()) out += "\n" + complexity;
  const std::string gates = gate_lines(eval);
  return gates.empty() ? out : out + "\n" + gates;
}

}  // namespace fathom::eval
