// The report page (declared in evaluate.h): one HTML file with everything inside, from eval.json alone. Written for the
// person whose data it is: how often the answers are right and where they are not comes first, what it costs next, what
// only concerns the method last. Nothing here reads a key that may be missing but through member().
#include <algorithm>
#include <string>

#include "eval/eval_json.h"
#include "eval/evaluate.h"
#include "eval/format.h"
#include "eval/report_charts.h"
#include "eval/report_classes.h"
#include "eval/report_style.h"
#include "eval/svg.h"
#include "eval/verdict.h"

namespace fathom::eval {
namespace {

std::string number_of(const Json& object, const char* key) {
  const double value = number_or(member(object, key), -1);
  return value >= 0 ? grouped(static_cast<std::uint64_t>(value)) : "—";
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : " · ") + part;
  return out;
}

const Json& of_system(const Json& eval, const char* name, const char* key) {
  const Json* system = find_system(eval, name);
  return member(system == nullptr ? Json(nullptr) : *system, key);
}

std::string data_name(const Json& eval) {
  const std::string name = text_of(member(eval, "data"), "name");
  return name.empty() ? text_of(eval, "task") : name;
}

std::string head(const Json& eval) {
  const Json& data = member(eval, "data");
  std::string out = "<h1>" + escape_html(data_name(eval)) + "</h1>\n<p class=\"facts\">";
  std::vector<std::string> parts = {escape_html(text_of(eval, "task"))};
  if (!text_of(data, "date").empty()) parts.push_back("data of " + escape_html(text_of(data, "date")));
  if (!text_of(eval, "measured").empty()) parts.push_back("measured " + escape_html(text_of(eval, "measured")));
  parts.push_back(number_of(eval, "n_test") + " test inputs, settings fixed on " + number_of(eval, "n_calibrate") +
                  " others");
  if (member(eval, "classes").is_array()) parts.push_back(grouped(member(eval, "classes").size()) + " classes");
  parts.push_back(number_of(eval, "layers") + " layers of " + number_of(eval, "hidden"));
  parts.push_back(escape_html(text_of(eval, "cpu")) + ", " + escape_html(text_of(eval, "tier")) + ", " +
                  number_of(eval, "threads") + (number_or(member(eval, "threads"), 0) == 1 ? " thread" : " threads"));
  out += joined(parts) + "</p>\n";
  if (!text_of(eval, "note").empty())
    out += "<p><strong>Note:</strong> " + escape_html(text_of(eval, "note")) + "</p>\n";
  const std::string enough = enough_text(eval);
  return enough.empty() ? out : out + "<p class=\"box enough\">" + escape_html(enough) + "</p>\n";
}

std::string tile(const std::string& figure, const std::string& words) {
  return "<div class=\"tile\"><b>" + escape_html(figure) + "</b><span>" + escape_html(words) + "</span></div>\n";
}

std::string tiles(const Json& eval) {
  const Json *fathom = find_system(eval, "fathom"), *base = find_system(eval, "base");
  if (fathom == nullptr || base == nullptr) return "";
  const Json &saved = member(eval, "savings"), &interval = member(*fathom, "interval");
  std::string out = "<div class=\"tiles\">\n";
  out += tile(percent(member(*fathom, "value")), "of the answers are right; " + percent(member(*base, "value")) +
                                                     " at full depth (" + points(member(*fathom, "difference")) +
                                                     " points, 95 % interval " + points(item(interval, 0)) + " to " +
                                                     points(item(interval, 1)) + ")");
  out += tile(percent(member(saved, "macs"), 1), "of the arithmetic saved, the decision's own included");
  if (member(saved, "ms_batch1").is_number())
    out += tile(percent(member(saved, "ms_batch1"), 1),
                "of the time saved one by one, " + percent(member(saved, "ms_batch32"), 1) + " in batches of 32");
  out += tile(number_text(member(*fathom, "mean_depth"), 2), "layers of " + number_of(eval, "layers") + " on average");
  return out + "</div>\n";
}

// A name in which a narrow column may break after an underscore.
std::string breakable(const std::string& name) {
  std::string out;
  for (const char c : escape_html(name)) out += c == '_' ? "_<wbr>" : std::string(1, c);
  return out;
}

std::string cell(const char* what, const std::string& content) {
  return "<td data-what=\"" + std::string(what) + "\">" + content + "</td>";
}

std::string row(const Json& eval, const Json& s) {
  const std::string name = text_of(s, "name");
  const bool is_base = name == "base";
  const std::string setting = setting_text(s);
  const double macs = number_or(member(s, "macs"), 0), of = number_or(of_system(eval, "base", "macs"), 0);
  const Json& interval = member(s, "interval");
  std::string out = std::string("<tr") + (name == "fathom" ? " class=\"us\"" : "") +
                    "><td><span class=\"key\" style=\"background:" + system_colour(name) + "\"></span>" +
                    breakable(name) + "<small>" +
                    escape_html(describe_system(s) + (setting.empty() ? "" : ", " + setting)) + "</small></td>";
  out += cell("accuracy", percent(member(s, "value")));
  out += cell("points against base", is_base ? "—"
                                             : points(member(s, "difference")) + "<small>" + points(item(interval, 0)) +
                                                   " to " + points(item(interval, 1)) + "</small>");
  out += cell("MACs", macs_text(member(s, "macs")));
  out += cell("saved", is_base || of <= 0 ? "—" : percent(1 - macs / of, 1));
  out += cell("decision", macs_text(member(s, "decision_macs")));
  out += cell("depth", number_text(member(s, "mean_depth"), 2));
  out += cell("ms, batch 1", ms_text(member(s, "ms_batch1")));
  out += cell("ms, batch 32", ms_text(member(s, "ms_batch32")));
  return out + cell("peak MB", number_text(member(s, "peak_mb"), 1)) + "</tr>\n";
}

std::string table(const Json& eval) {
  std::string out =
      "<h2>Beside what else could be done</h2>\n<p>The same test inputs; base is " +
      escape_html(text_of(eval, "base_is")) +
      ". Differences in points of accuracy, with 95 % paired-bootstrap intervals; MACs (multiply-accumulates an input) "
      "include every decision.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All systems\">"
      "<table class=\"systems\"><thead><tr><th>system</th><th>accuracy</th><th>points vs base</th><th>MACs</th>"
      "<th>saved</th><th>decision</th><th>depth</th><th>ms, batch 1</th><th>ms, batch 32</th><th>peak MB</th></tr>"
      "</thead><tbody>\n";
  for (const Json& s : member(eval, "systems")) out += row(eval, s);
  return out + "</tbody></table></div>\n";
}

std::string curves(const Json& eval) {
  return "<h2>What accuracy costs</h2>\n<div class=\"grid\">\n" + accuracy_macs_figure(eval, false) +
         accuracy_macs_figure(eval, true) + accuracy_ms_figure(eval) + depth_figure(eval) + "</div>\n";
}

std::string depths(const Json& eval) {
  const std::string figures = selection_figure(eval) + exit_accuracy_figure(eval) + predictor_figure(eval);
  if (figures.empty()) return "";
  std::string out = "<h2>Where the depth goes</h2>\n";
  const Json& complexity = member(eval, "complexity");
  if (complexity.is_object())
    out += "<p>The data was generated with a known complexity per input. Spearman of depth and complexity: " +
           number_text(member(complexity, "spearman"), 3) + "; mean depth " +
           (flag_or(member(complexity, "rises"), false) ? "rises over every bin" : "does not rise over every bin") +
           ".</p>\n";
  return out + "<div class=\"grid\">\n" + figures + "</div>\n";
}

std::string overhead(const Json& eval) {
  const Json& o = member(eval, "overhead");
  if (!o.is_object()) return "";
  std::string out = "<h3>What deciding costs</h3>\n<p>Extractor, trees, LSTM and the heads of exits not taken: " +
                    percent(member(o, "macs_share_used")) + " of full-depth MACs as used, " +
                    percent(member(o, "macs_share_every")) + " if every checkpoint is evaluated.";
  if (member(o, "time_share_used").is_number())
    out += " Of the time at batch 1: " + percent(member(o, "time_share_used")) + " as used, " +
           percent(member(o, "time_share_every")) +
           " of full-depth time at every checkpoint. Inputs that never exit take " +
           number_text(member(o, "never_exit_time_ratio"), 3) + " of the static model's time.";
  return out + "</p>\n";
}

std::string theorem(const Json& eval) {
  const Json& t = member(eval, "theorem");
  if (!t.is_object()) return "";
  std::string out =
      "<h3>Theorem 1 beside the measurement</h3>\n<p><code>E[F] ≤ α(1−ε)·F(l_opt) + (1−α(1−ε))·F(L)</code> (eq. 5) "
      "with α = " +
      number_text(member(t, "alpha"), 3) +
      ", the decision's share of exits at the stable depth, ε = 0: mean MACs <strong>" +
      macs_text(member(t, "measured_macs")) + "</strong> " + (flag_or(member(t, "holds"), false) ? "≤" : "&gt;") +
      " <strong>" + macs_text(member(t, "bound_macs")) + "</strong>.";
  if (member(t, "predictor_alpha").is_number())
    out += " With the predictor's own α, " + number_text(member(t, "predictor_alpha"), 3) + ", the right side is " +
           macs_text(member(t, "predictor_bound_macs")) + ".";
  out += "</p>\n";
  if (member(t, "bound_drop").is_number())
    out +=
        "<p>The side the theorem leaves out: accuracy can fall by at most the share of inputs stopped before their "
        "stable depth, " +
        points(member(t, "bound_drop")) + " points; measured drop " + points(member(t, "measured_drop")) + ".</p>\n";
  const Json& g = member(eval, "gamma");
  if (g.is_object())
    out += "<p>Error propagation (eq. 9), smallest γ with <code>|CE_l − CE_L| ≤ γ^(L−l)·‖h_l‖</code>: median " +
           number_text(member(g, "median"), 3) + ", largest " + number_text(member(g, "max"), 3) + ".</p>\n";
  return out;
}

std::string gates(const Json& eval) {
  if (member(eval, "gates").empty()) return "";
  std::string out = "<h3>What the demo is held to</h3>\n<ul class=\"gates\">\n";
  for (const Json& gate : member(eval, "gates")) {
    const bool known = member(gate, "met").is_boolean(), met = flag_or(member(gate, "met"), false);
    out += "<li><span>" + escape_html(text_of(gate, "what")) + "<br><span class=\"soft\">" +
           number_text(member(gate, "value"), 4) + ", target " + escape_html(text_of(gate, "sense")) + " " +
           number_text(member(gate, "limit"), 3) + "</span></span>" +
           (known ? met ? "<span class=\"met\">met</span>" : "<span class=\"missed\">not met</span>"
                  : "<span class=\"soft\">unmeasured</span>") +
           "</li>\n";
  }
  return out + "</ul>\n";
}

std::string method(const Json& eval) {
  const std::string inside = overhead(eval) + theorem(eval) + gates(eval);
  if (inside.empty()) return "";
  const bool open = !member(eval, "gates").empty();
  return std::string("<details") + (open ? " open" : "") + "><summary>About the method</summary>\n<div class=\"box\">" +
         inside + "</div></details>\n";
}

// Only pictures that this program wrote itself: a PNG data URI of base64 letters.
bool is_picture(const std::string& uri) {
  const std::string start = "data:image/png;base64,";
  return uri.starts_with(start) &&
         uri.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", start.size()) ==
             std::string::npos;
}

std::string worst(const Json& eval) {
  const Json& list = member(eval, "worst");
  if (!list.is_array()) return "";
  std::string out = "<h2>Stopped too early</h2>\n";
  if (list.empty()) return out + "<p>No input was stopped before its stable depth.</p>\n";
  out += "<p>The inputs whose answer still changed the longest after they had been let go.</p>\n<ol class=\"worst\">\n";
  for (const Json& w : list) {
    out += "<li><span class=\"soft\">row " + number_of(w, "row") + " · stopped at " + number_of(w, "depth") +
           ", stable from " + number_of(w, "stable_depth") +
           (member(w, "complexity").is_number() ? ", complexity " + number_of(w, "complexity") : "") + "</span>";
    if (member(w, "text").is_string()) out += "<q>" + escape_html(text_of(w, "text")) + "</q>";
    if (const std::string picture = text_of(w, "picture"); is_picture(picture))
      out += "<img alt=\"input of row " + number_of(w, "row") + "\" src=\"" + picture + "\">";
    const bool right = text_of(w, "answer") == text_of(w, "label");
    out += std::string("<span class=\"") + (right ? "met" : "missed") + "\">" + escape_html(text_of(w, "answer")) +
           "</span> <span class=\"soft\">· full depth says " + escape_html(text_of(w, "full_depth_answer")) +
           " · label " + escape_html(text_of(w, "label")) + "</span></li>\n";
  }
  return out + "</ol>\n";
}

std::string foot(const Json& eval) {
  double inputs = 0;
  for (const Json& check : member(eval, "engine_check")) inputs += number_or(member(check, "inputs"), 0);
  return "<footer><p>Engine against simulation: " + grouped(engine_differences(eval)) + " differences in " +
         grouped(static_cast<std::uint64_t>(inputs)) + " runs. Bundle " +
         escape_html(text_of(eval, "bundle").substr(0, 16)) + ", data " +
         escape_html(text_of(eval, "fingerprint").substr(0, 16)) + ", seed " + number_of(eval, "seed") +
         ". Ratios of times compare systems timed in turn in one run; they hold for this processor.</p></footer>\n";
}

}  // namespace

std::string report_html(const Json& eval) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\">\n<title>Fathom: " +
         escape_html(data_name(eval)) + "</title>\n<style>" + kReportStyle + "</style>\n</head>\n<body>\n<main>\n" +
         head(eval) + tiles(eval) + classes_section_html(eval) + table(eval) + curves(eval) + depths(eval) +
         worst(eval) + method(eval) + foot(eval) + "</main>\n</body>\n</html>\n";
}

}  // namespace fathom::eval
