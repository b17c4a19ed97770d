#include "eval/analysis.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/calibrate_bundle.h"
#include "eval/sample_eval.h"

namespace fathom::eval {
namespace {

using policy::Score;

struct AnalysisTest : ::testing::Test {
  ModelSpec spec = testing::small_spec();
  policy::Policy policy = testing::confidence_policy(spec);
  ExitCosts costs{spec, policy};
  Traced traced = testing::known_trace();
  Outcome outcome = simulate_exits(traced, costs, Score::confidence, 0.9f, 1);
  Adaptive adaptive{traced, outcome, Score::confidence, policy::PolicyKind::exits,
                    policy::stable_depth(traced.trace.predictions, 4)};
};

TEST_F(AnalysisTest, TheoremHasTheKnownShares) {
  EXPECT_EQ(adaptive.l_opt, (std::vector<std::int32_t>{1, 2, 3, 4}));
  const Json t = theorem_section(adaptive, costs, policy::PredictorKind::survival);
  EXPECT_DOUBLE_EQ(t["alpha"].get<double>(), 0.75);
  EXPECT_DOUBLE_EQ(t["bound_drop"].get<double>(), 0.25);
  EXPECT_DOUBLE_EQ(t["measured_drop"].get<double>(), 0.25);  // full depth 3 of 4, early exit 2 of 4
  EXPECT_DOUBLE_EQ(t["disagreement"].get<double>(), 0.25);
  double at_l_opt = 0;
  for (int l = 1; l <= 4; ++l) at_l_opt += costs.adaptive(Score::confidence, 10, l).macs / 4;
  const double full = costs.adaptive(Score::confidence, 10, 4).macs;
  EXPECT_NEAR(t["bound_macs"].get<double>(), 0.75 * at_l_opt + 0.25 * full, 1e-6);
  EXPECT_TRUE(t["holds"].get<bool>());
  EXPECT_DOUBLE_EQ(t["predictor_alpha"].get<double>(), 1.0);  // it names every stable depth
  EXPECT_NEAR(t["predictor_bound_macs"].get<double>(), at_l_opt, 1e-6);
}

TEST_F(AnalysisTest, GammaIsTheRootOfTheLossOverTheNorm) {
  const Json g = gamma_section(traced);
  // Exit 3 differs from the last only on input 4: |CE(right) - CE(wrong)| = 4, norm 4, one layer left: gamma 1.
  EXPECT_NEAR(g["exits"][2]["max"].get<double>(), 1.0, 1e-6);
  EXPECT_NEAR(g["exits"][2]["median"].get<double>(), 0.0, 1e-6);
  EXPECT_NEAR(g["exits"][0]["max"].get<double>(), 1.0, 1e-6);
}

TEST_F(AnalysisTest, DepthAndComplexity) {
  const Json d = depth_section(adaptive);
  EXPECT_EQ(d["histogram"], Json({1, 2, 0, 1}));
  EXPECT_EQ(d["stable_histogram"], Json({1, 1, 1, 1}));
  EXPECT_EQ(d["layers"], Json({1.0, 0.75, 0.25, 0.25}));
  const Json c = complexity_section(adaptive);
  EXPECT_EQ(c["bins"].size(), 4u);
  EXPECT_FALSE(c["rises"].get<bool>());  // 1, 2, 2, 4
  EXPECT_EQ(c["values"][3]["exit_accuracy"], Json({0.0, 1.0, 1.0, 0.0}));
  EXPECT_NEAR(c["spearman"].get<double>(), 0.9487, 1e-3);
  traced.trace.complexity.clear();
  EXPECT_TRUE(complexity_section(adaptive).is_null());
}

TEST_F(AnalysisTest, PredictorIsReadFromItsSurvivalSums) {
  const Json p = predictor_section(adaptive, policy::PredictorKind::survival);
  // Expected depths 1.16, 2.01, 2.75, 3.65.
  EXPECT_DOUBLE_EQ(p["exact"].get<double>(), 1.0);
  EXPECT_NEAR(p["mean_absolute_error"].get<double>(), (0.16 + 0.01 + 0.25 + 0.35) / 4, 1e-5);
  EXPECT_EQ(p["matrix"][2], Json({0, 0, 1, 0}));
}

TEST_F(AnalysisTest, ClassesAreCountedAndConfused) {
  traced.trace.labels = {1, 0, 1, 1};  // Fathom answers 1, 1, 0, 0; full depth 1, 1, 1, 0
  Json eval = Json::object();
  add_classes(adaptive, {"no", "yes"}, eval);
  EXPECT_EQ(eval["by_class"][0],
            (Json{{"label", "no"}, {"count", 1}, {"recall", 0.0}, {"full_depth_recall", 0.0}, {"precision", 0.0}}));
  EXPECT_EQ(eval["by_class"][1]["count"], 3);
  EXPECT_DOUBLE_EQ(eval["by_class"][1]["recall"].get<double>(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(eval["by_class"][1]["full_depth_recall"].get<double>(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(eval["by_class"][1]["precision"].get<double>(), 0.5);
  EXPECT_EQ(eval["confusion"], Json({{0, 1}, {2, 1}}));
  EXPECT_EQ(eval["confused"][0], (Json{{"label", "yes"}, {"answer", "no"}, {"count", 2}}));
  Json many = Json::object();
  add_classes(adaptive, std::vector<std::string>(40, "x"), many);
  EXPECT_FALSE(many.contains("confusion"));
  EXPECT_TRUE(many["by_class"][7]["recall"].is_null());
}

TEST_F(AnalysisTest, EnoughIsTheFirstExitThatAnswersAsWell) {
  EXPECT_EQ(enough_section(adaptive, costs, 1)["exit"], 3);  // exits 1 and 2 lose inputs that full depth has
  for (std::size_t i = 0; i < 4; ++i) traced.trace.predictions[4 * i] = traced.trace.predictions[4 * i + 3];
  const Json enough = enough_section(adaptive, costs, 1);
  EXPECT_EQ(enough["exit"], 1);
  EXPECT_DOUBLE_EQ(enough["difference"].get<double>(), 0.0);
  EXPECT_DOUBLE_EQ(enough["macs"].get<double>(), mean(simulate_fixed(traced.trace, costs, 1).macs));
}

TEST_F(AnalysisTest, WorstHoldsTheInputItself) {
  data::Dataset dataset;
  data::Split& test = dataset.part(data::Part::test);
  test.texts = {"one", "two", "<script>three</script>", "four"};
  test.labels = {1, 1, 1, 1};
  const Json w = worst_section(adaptive, dataset, data::Part::test, spec.label_names, 10);
  ASSERT_EQ(w.size(), 1u);
  EXPECT_EQ(w[0]["row"], 3);
  EXPECT_EQ(w[0]["text"], "<script>three</script>");
  EXPECT_EQ(w[0]["answer"], "no");
  EXPECT_EQ(w[0]["full_depth_answer"], "yes");
}

TEST_F(AnalysisTest, OperatingPointsKeepTheBudgetAndComeBackFromJson) {
  const Json tight = choose_operating_points(traced.trace, policy, 0.0);
  EXPECT_EQ(tight["fathom"]["calibrate_disagreement"], 0.0);
  EXPECT_EQ(tight["early_exit"]["calibrate_n"], 4);
  EXPECT_FALSE(tight.contains("policy_only"));
  EXPECT_TRUE(tight.contains("predictor_only"));
  const Json loose = choose_operating_points(traced.trace, policy, 0.25);
  EXPECT_LE(loose["fathom"]["calibrate_disagreement"].get<double>(), 0.25);
  EXPECT_LT(loose["fathom"]["calibrate_mean_exit"], tight["fathom"]["calibrate_mean_exit"]);
  const Json fathom = {{"operating_points", loose}};
  const auto read = read_operating_point(fathom, "early_exit", "here");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->score, Score::confidence);
  EXPECT_EQ(static_cast<double>(read->lambda), loose["early_exit"]["lambda"].get<double>());
  EXPECT_FALSE(read_operating_point(fathom, "policy_only", "here"));
  EXPECT_FALSE(read_operating_point(Json::object(), "fathom", "here"));
}

}  // namespace
}  // namespace fathom::eval
