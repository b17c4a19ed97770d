// The report page (declared in evaluate.h): one HTML file with everything inside, from eval.json alone.
#include <string>

#include "eval/evaluate.h"
#include "eval/format.h"
#include "eval/report_charts.h"
#include "eval/report_style.h"
#include "eval/svg.h"
#include "eval/verdict.h"

namespace fathom::eval {
namespace {

std::string text_of(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

std::string number_of(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_number() ? grouped(object[key].get<std::uint64_t>()) : "—";
}

std::string tile(const std::string& figure, const std::string& words) {
  return "<div class=\"tile\"><b>" + escape_html(figure) + "</b><span>" + escape_html(words) + "</span></div>\n";
}

std::string tiles(const Json& eval) {
  const Json *fathom = find_system(eval, "fathom"), *base = find_system(eval, "base");
  if (fathom == nullptr || base == nullptr) return "";
  const Json& saved = eval["savings"];
  std::string out = "<div class=\"tiles\">\n";
  out += tile(percent(saved["macs"], 1), "of MACs saved against base, decision included");
  if (saved["ms_batch1"].is_number())
    out += tile(percent(saved["ms_batch1"], 1),
                "of time saved at batch 1, " + percent(saved["ms_batch32"], 1) + " at batch 32");
  out += tile(points((*fathom)["difference"]), "points of accuracy against base's " + percent((*base)["value"]) +
                                                   ", 95 % interval " + points((*fathom)["interval"][0]) + " to " +
                                                   points((*fathom)["interval"][1]));
  out += tile(number_text((*fathom)["mean_depth"], 2),
              "layers of " + std::to_string(eval["layers"].get<int>()) + " on average");
  return out + "</div>\n";
}

std::string head(const Json& eval) {
  const std::string task = text_of(eval, "task");
  std::string out = "<h1>Depth as needed: " + escape_html(task) + "</h1>\n<p class=\"facts\">" +
                    number_of(eval, "n_test") + " test inputs, settings fixed on " + number_of(eval, "n_calibrate") +
                    " others · " + std::to_string(eval["layers"].get<int>()) + " layers, width " +
                    number_of(eval, "hidden") + " · " + escape_html(text_of(eval, "cpu")) + ", " +
                    escape_html(text_of(eval, "tier")) + ", threads: " + number_of(eval, "threads") + " · base is " +
                    escape_html(text_of(eval, "base_is")) + "</p>\n";
  if (eval.contains("note")) out += "<p><strong>Note:</strong> " + escape_html(text_of(eval, "note")) + "</p>\n";
  return out;
}

// A name in which a narrow column may break after an underscore.
std::string breakable(const std::string& name) {
  std::string out;
  for (const char c : escape_html(name)) out += c == '_' ? "_<wbr>" : std::string(1, c);
  return out;
}

std::string row(const Json& eval, const Json& s) {
  const std::string name = text_of(s, "name");
  const Json* base = find_system(eval, "base");
  const bool is_base = name == "base";
  const std::string setting = setting_text(s);
  const std::string saved =
      is_base || base == nullptr ? "—" : percent(1 - s["macs"].get<double>() / (*base)["macs"].get<double>(), 1);
  std::string out = std::string("<tr") + (name == "fathom" ? " class=\"us\"" : "") +
                    "><td><span class=\"key\" style=\"background:" + system_colour(name) + "\"></span>" +
                    breakable(name) + "<small>" +
                    escape_html(describe_system(s) + (setting.empty() ? "" : ", " + setting)) + "</small></td>";
  const std::string interval = is_base ? "" : points(s["interval"][0]) + " to " + points(s["interval"][1]);
  out += "<td>" + percent(s["value"]) + "</td><td>" + (is_base ? "—" : points(s["difference"])) + "<small>" + interval +
         "</small></td>";
  for (const std::string& cell :
       {macs_text(s["macs"]), saved, macs_text(s["decision_macs"]), number_text(s["mean_depth"], 2),
        ms_text(s["ms_batch1"]), ms_text(s["ms_batch32"]), number_text(s["peak_mb"], 1)})
    out += "<td>" + cell + "</td>";
  return out + "</tr>\n";
}

std::string table(const Json& eval) {
  std::string out =
      "<h2>All systems</h2>\n<p>Same test inputs; same backbone, except for a base of its own and rivals. Differences "
      "to base in points of accuracy, with 95 % "
      "paired-bootstrap intervals; MACs include every decision.</p>\n<div class=\"scroll\" tabindex=\"0\" "
      "role=\"region\" "
      "aria-label=\"All systems\"><table><thead><tr><th>system</th><th>accuracy</th><th>points vs "
      "base</th><th>MACs</th>"
      "<th>saved</th><th>decision</th><th>depth</th><th>ms, batch 1</th><th>ms, batch 32</th><th>peak MB</th></tr>"
      "</thead><tbody>\n";
  for (const Json& s : eval["systems"]) out += row(eval, s);
  return out + "</tbody></table></div>\n";
}

std::string curves(const Json& eval) {
  return "<h2>What accuracy costs</h2>\n<div class=\"grid\">\n" + accuracy_macs_figure(eval, false) +
         accuracy_macs_figure(eval, true) + accuracy_ms_figure(eval) + depth_figure(eval) + "</div>\n";
}

std::string depths(const Json& eval) {
  std::string out = "<h2>Where the depth goes</h2>\n";
  if (eval["complexity"].is_object())
    out += "<p>The data was generated with a known complexity per input. Spearman of depth and complexity: " +
           number_text(eval["complexity"]["spearman"], 3) + "; mean depth " +
           (eval["complexity"]["rises"].get<bool>() ? "rises over every bin" : "does not rise over every bin") +
           ".</p>\n";
  return out + "<div class=\"grid\">\n" + selection_figure(eval) + exit_accuracy_figure(eval) + predictor_figure(eval) +
         "</div>\n";
}

std::string overhead(const Json& eval) {
  const Json& o = eval["overhead"];
  if (!o.is_object()) return "";
  std::string out =
      "<h2>What deciding costs</h2>\n<div class=\"box\"><p>Extractor, trees, LSTM and the heads of exits not taken: " +
      percent(o["macs_share_used"]) + " of full-depth MACs as used, " + percent(o["macs_share_every"]) +
      " if every checkpoint is evaluated.";
  if (o["time_share_used"].is_number())
    out += " Of the time at batch 1: " + percent(o["time_share_used"]) + " as used, " + percent(o["time_share_every"]) +
           " of full-depth time at every checkpoint. Inputs that never exit take " +
           number_text(o["never_exit_time_ratio"], 3) + " of the static model's time.";
  return out + "</p></div>\n";
}

std::string theorem(const Json& eval) {
  const Json& t = eval["theorem"];
  std::string out =
      "<h2>Theorem 1 beside the measurement</h2>\n<div class=\"box\"><p><code>E[F] ≤ α(1−ε)·F(l_opt) + "
      "(1−α(1−ε))·F(L)</code> (eq. 5) with α = " +
      number_text(t["alpha"], 3) + ", ε = 0: mean MACs <strong>" + macs_text(t["measured_macs"]) + "</strong> " +
      (t["holds"].get<bool>() ? "≤" : "&gt;") + " <strong>" + macs_text(t["bound_macs"]) + "</strong>.</p>\n";
  if (t.contains("bound_drop"))
    out +=
        "<p>The side the theorem leaves out: accuracy can fall by at most the share of inputs stopped before their "
        "stable depth, " +
        points(t["bound_drop"]) + " points; measured drop " + points(t["measured_drop"]) + ".</p>\n";
  const Json& g = eval["gamma"];
  if (g.is_object())
    out += "<p>Error propagation (eq. 9), smallest γ with <code>|CE_l − CE_L| ≤ γ^(L−l)·‖h_l‖</code>: median " +
           number_text(g["median"], 3) + ", largest " + number_text(g["max"], 3) + ".</p>\n";
  return out + "</div>\n";
}

std::string gates(const Json& eval) {
  if (!eval.contains("gates") || eval["gates"].empty()) return "";
  std::string out = "<h2>Targets</h2>\n<ul class=\"gates\">\n";
  for (const Json& gate : eval["gates"]) {
    const bool known = !gate["met"].is_null(), met = known && gate["met"].get<bool>();
    out += "<li><span>" + escape_html(text_of(gate, "what")) + "<br><span class=\"soft\">" +
           number_text(gate["value"], 4) + ", target " + escape_html(text_of(gate, "sense")) + " " +
           number_text(gate["limit"], 3) + "</span></span>" +
           (known ? met ? "<span class=\"met\">met</span>" : "<span class=\"missed\">not met</span>"
                  : "<span class=\"soft\">unmeasured</span>") +
           "</li>\n";
  }
  return out + "</ul>\n";
}

// Only pictures that this program wrote itself: a PNG data URI of base64 letters.
bool is_picture(const std::string& uri) {
  const std::string start = "data:image/png;base64,";
  return uri.starts_with(start) &&
         uri.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", start.size()) ==
             std::string::npos;
}

std::string worst(const Json& eval) {
  const Json& list = eval["worst"];
  std::string out = "<h2>Stopped too early</h2>\n";
  if (list.empty()) return out + "<p>No input was stopped before its stable depth.</p>\n";
  out += "<p>The inputs whose answer still changed the longest after they had been let go.</p>\n<ol class=\"worst\">\n";
  for (const Json& w : list) {
    out += "<li><span class=\"soft\">row " + number_of(w, "row") + " · stopped at " + number_of(w, "depth") +
           ", stable from " + number_of(w, "stable_depth") +
           (w.contains("complexity") ? ", complexity " + number_of(w, "complexity") : "") + "</span>";
    if (w.contains("text")) out += "<q>" + escape_html(text_of(w, "text")) + "</q>";
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
  std::size_t inputs = 0, wrong = 0;
  for (const Json& check : eval["engine_check"]) {
    inputs += check["inputs"].get<std::size_t>();
    wrong += check["labels"].get<std::size_t>() + check["depths"].get<std::size_t>();
  }
  return "<footer><p>Engine against simulation: " + grouped(wrong) + " differences in " + grouped(inputs) +
         " runs. Bundle " + escape_html(text_of(eval, "bundle").substr(0, 16)) + ", data " +
         escape_html(text_of(eval, "fingerprint").substr(0, 16)) + ", seed " + number_of(eval, "seed") +
         ". Ratios of times compare systems timed in turn in one run.</p></footer>\n";
}

}  // namespace

std::string report_html(const Json& eval) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\">\n<title>Fathom: " +
         escape_html(text_of(eval, "task")) + "</title>\n<style>" + kReportStyle +
         "</style>\n</head>\n<body>\n<main>\n" + head(eval) + tiles(eval) + table(eval) + curves(eval) + depths(eval) +
         overhead(eval) + theorem(eval) + gates(eval) + worst(eval) + foot(eval) + "</main>\n</body>\n</html>\n";
}

}  // namespace fathom::eval
