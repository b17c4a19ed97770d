// The page and the table from a document whose texts are hostile and whose numbers are known.
#include <gtest/gtest.h>

#include "data/picture.h"
#include "eval/eval_json.h"
#include "eval/evaluate.h"
#include "eval/format.h"
#include "eval/png.h"
#include "eval/svg.h"
#include "eval/verdict.h"

namespace fathom::eval {
namespace {

Json system_row(const char* name, double value, double macs) {
  return {{"name", name},
          {"metric", "accuracy"},
          {"value", value},
          {"macs", macs},
          {"decision_macs", 1000.0},
          {"mean_depth", 2.0},
          {"ms_batch1", macs / 1e6},
          {"ms_batch32", macs / 2e6},
          {"peak_mb", nullptr},
          {"difference", value - 0.97},
          {"interval", {value - 0.98, value - 0.96}},
          {"curve", {{macs / 2, value - 0.1}, {macs, value}}},
          {"curve_ms", Json::array()}};
}

Json sample_document() {
  Json eval = {{"task", "text-classification"},
               {"n_test", 10000},
               {"n_calibrate", 2000},
               {"seed", 1},
               {"layers", 2},
               {"hidden", 64},
               {"tier", "ref"},
               {"threads", 1},
               {"cpu", "a <cpu>"},
               {"base_is", "the same trunk"},
               {"bundle", "0123456789abcdef0123"},
               {"fingerprint", "fedcba98765432100123"}};
  eval["systems"] = Json::array({system_row("base", 0.97, 4e6), system_row("full_depth", 0.97, 4e6),
                                 system_row("fixed_depth", 0.80, 2e6), system_row("early_exit", 0.965, 1.9e6),
                                 system_row("fathom", 0.969, 1.8e6)});
  for (const char* name : {"full_depth", "fixed_depth", "early_exit"})
    eval["fathom_versus"][name] = {{"difference", 0.004}, {"interval", {-0.001, 0.009}}};
  eval["overhead"] = {{"macs_share_used", 0.01},     {"macs_share_every", 0.06}, {"time_share_used", nullptr},
                      {"time_share_every", nullptr}, {"never_exit_inputs", 0},   {"never_exit_time_ratio", nullptr}};
  eval["theorem"] = {{"alpha", 0.7},  {"bound_macs", 2e6},  {"measured_macs", 1.8e6},
                     {"holds", true}, {"bound_drop", 0.02}, {"measured_drop", 0.001}};
  eval["gamma"] = {{"median", 0.5}, {"max", 1.5}};
  eval["depth"] = {{"histogram", {6000, 4000}},
                   {"stable_histogram", {7000, 3000}},
                   {"mean", 1.4},
                   {"mean_stable", 1.3},
                   {"by_stable_depth", {{{"value", 1}, {"layers", {1.0, 0.2}}}}}};
  eval["complexity"] = nullptr;
  eval["predictor"] = nullptr;
  eval["worst"] = Json::array({{{"row", 3},
                                {"depth", 1},
                                {"stable_depth", 2},
                                {"answer", "<b>yes</b>"},
                                {"full_depth_answer", "no"},
                                {"label", "no"},
                                {"text", "\"><script>alert('x')</script> & more\x01"}},
                               {{"row", 4},
                                {"depth", 1},
                                {"stable_depth", 2},
                                {"answer", "no"},
                                {"full_depth_answer", "no"},
                                {"label", "no"},
                                {"picture", "data:image/png;base64,AA\" onerror=\"alert(1)"}}});
  eval["engine_check"] = Json::array({{{"system", "fathom"}, {"inputs", 10000}, {"labels", 0}, {"depths", 0}}});
  eval["savings"] = savings_section(eval);
  eval["gates"] = gates_section(eval);
  eval["data"] = {{"name", "my <data>"}, {"date", "2026-11-01"}};
  eval["measured"] = "2026-12-01";
  eval["classes"] = {"a", "<i>b</i>"};
  eval["by_class"] = Json::array();
  for (const char* label : {"a", "<i>b</i>"})
    eval["by_class"].push_back(
        {{"label", label}, {"count", 5000}, {"recall", 0.9}, {"full_depth_recall", 0.91}, {"precision", 0.92}});
  eval["confusion"] = {{4500, 500}, {500, 4500}};
  eval["confused"] = Json::array({{{"label", "<i>b</i>"}, {"answer", "a"}, {"count", 500}}});
  eval["enough"] = nullptr;
  return eval;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Report, HostileTextCannotLeaveItsPlace) {
  const std::string page = report_html(sample_document());
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("onerror"), std::string::npos);  // a picture that is not base64 is left out
  EXPECT_EQ(page.find("<b>yes"), std::string::npos);
  EXPECT_EQ(page.find("<cpu>"), std::string::npos);
  EXPECT_NE(page.find("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more\xEF\xBF\xBD"),
            std::string::npos);
}

TEST(Report, LabelsAndDirectionsOfWritingAreOnlyText) {
  Json eval = sample_document();
  eval["by_class"][0]["label"] = "evil\xE2\x80\xAEtxt\x1b[2J";
  const std::string page = report_html(eval), table = table_text(eval);
  EXPECT_EQ(page.find("<i>b"), std::string::npos);
  EXPECT_EQ(page.find("my <data>"), std::string::npos);
  EXPECT_NE(page.find("<h1>my &lt;data&gt;</h1>"), std::string::npos);
  for (const std::string& out : {page, table}) {
    EXPECT_EQ(out.find("\xE2\x80\xAE"), std::string::npos);
    EXPECT_EQ(out.find('\x1b'), std::string::npos);
  }
  EXPECT_NE(page.find("evil\xEF\xBF\xBDtxt"), std::string::npos);
}

TEST(Report, SpeaksOfTheDataFirstAndOfTheMethodLast) {
  Json eval = sample_document();
  eval["enough"] = {{"exit", 1}, {"macs", 1.7e6}, {"difference", -0.001}, {"interval", {-0.002, 0.001}}};
  const std::string page = report_html(eval);
  std::size_t at = 0;
  for (const char* part :
       {"data of 2026-11-01", "measured 2026-12-01", "One layer is enough here", "96.90 %", "Class by class",
        "Beside what else", "What accuracy costs", "About the method", "What the demo is held to"}) {
    const std::size_t next = page.find(part, at);
    ASSERT_NE(next, std::string::npos) << part;
    at = next;
  }
  eval["gates"] = Json::array();
  EXPECT_EQ(report_html(eval).find("held to"), std::string::npos);
  EXPECT_EQ(table_text(eval).find("NOT MET"), std::string::npos);
  eval["enough"]["macs"] = 3e6;  // dearer than deciding: then depth does pay
  EXPECT_EQ(report_html(eval).find("enough here"), std::string::npos);
}

// Any key may be missing, or null, at any depth: a page all the same.
void without_each(const Json& whole, const Json& part, const Json::json_pointer& place) {
  if (!part.is_structured()) return;
  for (const auto& [key, value] : part.items()) {
    const auto at = part.is_array() ? place / std::stoul(key) : place / key;
    for (const bool null : {false, true}) {
      Json eval = whole;
      if (null)
        eval[at] = nullptr;
      else if (part.is_object())
        eval[place].erase(key);
      else
        eval[place].erase(std::stoul(key));
      if (!check_eval_json(eval, "x")) continue;  // refused: no list of systems, a system without a name
      const std::string page = report_html(eval) + table_text(eval);
      EXPECT_GT(page.size(), 100u) << at.to_string();
    }
    without_each(whole, value, at);
  }
}

TEST(Report, MissingKeysAreNotRead) {
  const Json eval = sample_document();
  ASSERT_TRUE(check_eval_json(eval, "x"));
  without_each(eval, eval, Json::json_pointer());
  EXPECT_FALSE(report_html(Json{{"systems", Json::array()}}).empty());
  EXPECT_FALSE(table_text(Json{{"systems", Json::array({{{"name", "fathom"}}, {{"name", "base"}}})}}).empty());
}

TEST(Report, WrongTypesAreRefusedByPlace) {
  const auto refused = [](const char* pointer, const Json& value, const std::string& part) {
    Json eval = sample_document();
    eval[Json::json_pointer(pointer)] = value;
    const Status status = check_eval_json(eval, "'eval.json'");
    ASSERT_FALSE(status) << pointer;
    EXPECT_EQ(static_cast<int>(status.error().code) / 100, 3);  // the exit code
    EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
  };
  refused("/layers", "two", "'eval.json': layers: expected a whole number");
  refused("/layers", -3, "layers: expected a whole number");
  refused("/systems/1/macs", Json::array(), "systems[1].macs: expected a number");
  refused("/systems/1/macs", 1e300, "systems[1].macs: expected a number, 0.0 to 1e+18; got 1e+300");
  refused("/systems/0/curve/1/0", "x", "systems[0].curve[1][0]");
  refused("/systems/0/interval", 3, "expected a list");
  refused("/gates/0/met", "yes", "gates[0].met");
  refused("/worst/0/text", 5, "worst[0].text: expected text");
  refused("/depth/by_stable_depth/0/value", 1.5, "by_stable_depth[0].value");
  refused("/depth/histogram", std::vector<int>(100, 1), "at most 64");
  refused("/theorem", 3, "theorem: expected an object");
  refused("/systems/0", 3, "systems[0]: expected an object");
  refused("/systems", Json::object(), "no \"systems\" list");
}

// One huge number makes neither millions of ticks nor a page of digits.
TEST(Svg, AxesAreBounded) {
  for (const double far : {1e18, 1e300, 1.7e308, 5e-324}) {
    Plot plot;
    plot.id = "p";
    plot.series.push_back({"a", "red", {{1, 0.5}, {far, far}}, {{far, 1e17}, {1, 1e17 + 16}}, true});
    for (const Ticks kind : {Ticks::plain, Ticks::percent, Ticks::macs}) {
      plot.x_ticks = plot.y_ticks = kind;
      EXPECT_LT(plot_svg(plot).size(), 40000u) << far;
    }
    Bars bars;
    bars.values = {far, 0};
    EXPECT_LT(bars_svg(bars).size(), 40000u) << far;
  }
}

struct Written {
  double x, y, width;
};

std::vector<Written> labels_of(const std::string& svg) {
  std::vector<Written> out;
  for (std::size_t at = svg.find("class=\"label"); at != std::string::npos; at = svg.find("class=\"label", at + 1)) {
    const std::size_t open = svg.rfind("<text", at), text = svg.find('>', at) + 1;
    const auto value = [&](const char* key) {
      return std::stod(svg.substr(svg.find(key, open) + std::string(key).size()));
    };
    out.push_back({value(" x=\""), value(" y=\""), 6.6 * static_cast<double>(svg.find('<', text) - text)});
  }
  return out;
}

TEST(Svg, LabelsDoNotCollide) {
  Plot plot;
  plot.id = "p";
  for (int i = 0; i < 9; ++i)  // nine systems in the same place, and some apart
    plot.series.push_back(
        {"a system number " + std::to_string(i), "red", {}, {{1e6 + (i > 6 ? 1e5 * i : 10 * i), 0.9}}, i == 8});
  const auto labels = labels_of(plot_svg(plot));
  ASSERT_EQ(labels.size(), 9u);  // each is there, on the drawing or under it
  for (std::size_t a = 0; a < labels.size(); ++a)
    for (std::size_t b = 0; b < a; ++b)
      EXPECT_FALSE(std::abs(labels[a].y - labels[b].y) < 14 && labels[a].x < labels[b].x + labels[b].width &&
                   labels[b].x < labels[a].x + labels[a].width)
          << a << " and " << b;
}

TEST(Report, IsOneFileThatLoadsNothing) {
  const std::string page = report_html(sample_document());
  for (const char* outside : {"http://", "https://", "<link", "@import", "url(//", "src=\"/"})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  EXPECT_NE(page.find("name=\"viewport\""), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme:dark"), std::string::npos);
  EXPECT_EQ(count(page, "<svg"), count(page, "</svg>"));
  EXPECT_EQ(count(page, "<figure>"), count(page, "</figure>"));
  EXPECT_GE(count(page, "<svg"), 4u);
  EXPECT_EQ(page, report_html(sample_document()));
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

TEST(Table, PrintsKnownValues) {
  const std::string text = table_text(sample_document());
  EXPECT_NE(text.find("10,000 inputs"), std::string::npos);
  EXPECT_NE(text.find("fathom saves 55.0 % of MACs, 55.0 % of ms at batch 1, 55.0 % of ms at batch 32; accuracy -0.10"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("96.90 %     -0.10 [-1.10, +0.90]  1.80 M  55.0 %"), std::string::npos) << text;
  EXPECT_NE(text.find("NOT MET     decision, every checkpoint evaluated: share of full-depth MACs: 0.0600 (<= 0.050)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("unmeasured  inputs that never exit"), std::string::npos) << text;
}

TEST(Verdict, GatesFollowTheirLimits) {
  Json eval = sample_document();
  const auto met = [&](const std::string& start) {
    for (const Json& gate : gates_section(eval))
      if (gate["what"].get<std::string>().starts_with(start)) return gate["met"];
    return Json("absent");
  };
  EXPECT_EQ(met("accuracy against base"), true);
  EXPECT_EQ(met("MACs saved"), true);
  EXPECT_EQ(met("accuracy above fixed_depth"), false);  // 0.4 points
  EXPECT_EQ(met("answers or depths"), true);
  EXPECT_EQ(met("Spearman"), "absent");
  eval["engine_check"][0]["labels"] = 1;
  EXPECT_EQ(met("answers or depths"), false);
  EXPECT_EQ(failed_gates(eval).size(), 3u);  // fixed_depth, MACs of deciding, the engine
  for (Json& gate : eval["gates"])
    if (gate["kind"] == "time") gate["met"] = false;
  EXPECT_EQ(failed_gates(eval).size(), 3u);  // times fail nothing
  eval["gates"] = Json::array();
  EXPECT_EQ(failed_gates(eval).size(), 1u);  // the engine, always
  eval["engine_check"][0]["labels"] = 0;
  EXPECT_TRUE(failed_gates(eval).empty());
}

TEST(Format, NumbersAsRead) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(macs_text(5320000.0), "5.32 M");
  EXPECT_EQ(macs_text(2.86e9), "2.86 G");
  EXPECT_EQ(macs_text(nullptr), "—");
  EXPECT_EQ(percent(0.9765), "97.65 %");
  EXPECT_EQ(points(-0.0012), "-0.12");
  EXPECT_EQ(points(0.00001), "±0.00");
}

TEST(Png, ComesBackAsItWas) {
  std::vector<std::uint8_t> rgb(200 * 150 * 3);
  for (std::size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<std::uint8_t>(i * 7 + i / 450);
  const auto picture = data::decode_picture(png_bytes(rgb.data(), 200, 150), "page");
  ASSERT_TRUE(picture.has_value());
  EXPECT_EQ(picture->height, 200);
  EXPECT_EQ(picture->width, 150);
  EXPECT_EQ(picture->pixels, rgb);
  const std::vector<std::uint8_t> plain(200 * 150 * 3, 7);
  EXPECT_LT(png_bytes(plain.data(), 200, 150).size(), 2000u);  // compressed
  EXPECT_EQ(png_data_uri(plain.data(), 0, 0), "");
}

TEST(Base64, KnownValues) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64(std::string("\0\xff", 2)), "AP8=");
}

}  // namespace
}  // namespace fathom::eval
