// The page and the table from a document whose texts are hostile and whose numbers are known.
#include <gtest/gtest.h>

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

TEST(Png, StoredBlocksAndChecksums) {
  const std::uint8_t red[3] = {255, 0, 0};
  const std::string png = png_bytes(red, 1, 1);
  // 8 signature, 25 IHDR, 12 + (2 + 5 + 4 + 4) IDAT, 12 IEND.
  ASSERT_EQ(png.size(), 8u + 25 + 27 + 12);
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(png.substr(png.size() - 4), "\xAE\x42\x60\x82");  // CRC of an empty IEND
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64(std::string("\0\xff", 2)), "AP8=");
  const std::vector<std::uint8_t> large(200 * 150 * 3, 7);  // more than one stored block
  EXPECT_EQ(png_bytes(large.data(), 200, 150).size(), 8u + 25 + 12 + 2 + 2 * 5 + 200 * 451 + 4 + 12);
}

}  // namespace
}  // namespace fathom::eval
