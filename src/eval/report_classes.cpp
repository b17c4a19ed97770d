#include "eval/report_classes.h"

#include <algorithm>
#include <vector>

#include "eval/eval_json.h"
#include "eval/format.h"
#include "eval/svg.h"
#include "eval/verdict.h"

namespace fathom::eval {
namespace {

constexpr std::size_t kMostShown = 24;     // rows of the table: beyond, those found least
constexpr std::size_t kMostInMatrix = 16;  // classes of the drawing
constexpr std::size_t kMostConfused = 10;

std::string shortened(const std::string& name) {
  constexpr std::size_t kMost = 24;  // letters
  std::size_t letters = 0, at = 0;
  for (; at < name.size(); ++at)
    if ((static_cast<unsigned char>(name[at]) & 0xC0) != 0x80 && ++letters > kMost) break;
  return at == name.size() ? name : name.substr(0, at) + "…";
}

std::string class_table(const Json& rows) {
  std::vector<const Json*> shown;
  for (const Json& row : rows) shown.push_back(&row);
  std::string note;
  if (shown.size() > kMostShown) {
    std::stable_sort(shown.begin(), shown.end(), [](const Json* a, const Json* b) {
      return number_or(member(*a, "recall"), 2) < number_or(member(*b, "recall"), 2);
    });
    shown.resize(kMostShown);
    note = "<p>Of " + grouped(rows.size()) + " classes the " + grouped(kMostShown) + " found least often.</p>\n";
  }
  std::string out = note +
                    "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Classes\"><table "
                    "class=\"classes\"><thead><tr><th>class</th><th>inputs</th><th>found</th><th>at full "
                    "depth</th><th>right when said</th></tr></thead><tbody>\n";
  for (const Json* row : shown)
    out += "<tr><td>" + escape_html(text_of(*row, "label")) + "</td><td>" +
           grouped(static_cast<std::uint64_t>(number_or(member(*row, "count"), 0))) + "</td><td>" +
           percent(member(*row, "recall"), 1) + "</td><td>" + percent(member(*row, "full_depth_recall"), 1) +
           "</td><td>" + percent(member(*row, "precision"), 1) + "</td></tr>\n";
  return out + "</tbody></table></div>\n";
}

std::string confusion_figure(const Json& eval) {
  const Json &matrix = member(eval, "confusion"), &rows = member(eval, "by_class");
  if (!matrix.is_array() || matrix.empty() || matrix.size() > kMostInMatrix || matrix.size() != rows.size()) return "";
  Heat heat;
  heat.title = "Answers by class";
  heat.x_label = "answered";
  heat.y_label = "is";
  heat.numbers = true;
  for (std::size_t r = matrix.size(); r-- > 0;) {  // the first class on top
    double sum = 0;
    for (const Json& count : matrix[r]) sum += number_or(count, 0);
    std::vector<double> values;
    for (std::size_t c = 0; c < matrix.size(); ++c)
      values.push_back(sum > 0 ? number_or(item(matrix[r], c), 0) / sum : 0);
    heat.rows.push_back(shortened(text_of(rows[r], "label")) + " " + std::to_string(r + 1));
    heat.values.push_back(values);
  }
  return "<figure><h3>What each class is taken for</h3>\n" + heat_svg(heat) +
         "<figcaption>Percent of a class's inputs by answer; columns are numbered as rows are.</figcaption></figure>\n";
}

std::string confused_list(const Json& eval) {
  const Json& list = member(eval, "confused");
  if (!list.is_array() || list.empty()) return "";
  std::string out = "<figure><h3>Taken for each other most often</h3>\n<ol class=\"confused\">\n";
  for (std::size_t i = 0; i < list.size() && i < kMostConfused; ++i)
    out += "<li><span>" + escape_html(text_of(list[i], "label")) + " <span class=\"soft\">taken for</span> " +
           escape_html(text_of(list[i], "answer")) + "</span><span>" +
           grouped(static_cast<std::uint64_t>(number_or(member(list[i], "count"), 0))) + "</span></li>\n";
  return out + "</ol></figure>\n";
}

}  // namespace

std::string classes_section_html(const Json& eval) {
  const Json& rows = member(eval, "by_class");
  if (!rows.is_array() || rows.empty()) return "";
  const std::string figures = confusion_figure(eval) + confused_list(eval);
  return "<h2>Class by class</h2>\n" + class_table(rows) +
         (figures.empty() ? "" : "<div class=\"grid\">\n" + figures + "</div>\n");
}

std::string enough_text(const Json& eval) {
  const Json &enough = member(eval, "enough"), *fathom = find_system(eval, "fathom");
  const int exit = static_cast<int>(number_or(member(enough, "exit"), 0));
  const int layers = static_cast<int>(number_or(member(eval, "layers"), 0));
  if (exit < 1 || exit >= layers || fathom == nullptr) return "";
  constexpr double kNoDearer = 1.02;  // the adaptive model is not cheaper by more than a fiftieth
  if (number_or(member(enough, "macs"), 1e18) > kNoDearer * number_or(member(*fathom, "macs"), 0)) return "";
  const Json& interval = member(enough, "interval");
  return (exit == 1 ? std::string("One layer is") : std::to_string(exit) + " layers are") +
         " enough here: stopping every input there gives " + points(member(enough, "difference")) +
         " points against all " + std::to_string(layers) + " layers (95 % interval " + points(item(interval, 0)) +
         " to " + points(item(interval, 1)) + "), at no more than deciding input by input costs. On this data depth " +
         "is hardly needed, and a model of fixed, small depth is the simpler choice.";
}

}  // namespace fathom::eval
