#include "policy/policy.h"

#include <gtest/gtest.h>

namespace fathom::policy {
namespace {

ModelSpec small_spec() {
  ModelSpec spec;
  spec.layers = 3;
  spec.extractor.c1 = 1;  // 5 features
  spec.label_names = {"a", "b"};
  return spec;
}

// One tree on the last feature of `features`: low below 1.5, high above.
std::string predictor(int features, const std::string& objective, const std::string& low, const std::string& high) {
  return "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=" + std::to_string(features - 1) +
         "\nobjective=" + objective + "\n\nTree=0\nnum_leaves=2\nsplit_feature=" + std::to_string(features - 1) +
         "\nthreshold=1.5\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=" + low + " " + high +
         "\nleaf_count=1 1\n\nend of trees\n";
}
const std::string kSurvival = predictor(6, "binary sigmoid:1", "2", "-2");
const std::string kHuber = predictor(5, "huber", "1.25", "2.5");

Policy small_policy() {
  Policy policy;
  policy.lambda = 0.9f;
  policy.first_exit = 2;
  policy.temperature = {1.0f, 1.5f, 0.8f};
  policy.fusion.weights = {0.1f, 0.2f, -0.3f, 0.4f, 0.5f, 0.6f, 0.7f};
  policy.fusion.bias = {-1.0f, 0.25f};
  return policy;
}

void refused(const Json& json, const std::string& text, const std::string& word) {
  const auto policy = policy_from_json(json, small_spec(), text, "fathom.json 'policy'");
  ASSERT_FALSE(policy.has_value()) << word;
  EXPECT_EQ(policy.error().code, Code::corrupt_bundle);
  EXPECT_NE(policy.error().message.find(word), std::string::npos) << policy.error().message;
  EXPECT_NE(policy.error().message.find("fathom.json"), std::string::npos);
}

TEST(Policy, RoundTrip) {
  const Json json = policy_to_json(small_policy());
  const auto back = policy_from_json(json, small_spec(), kSurvival, "x");
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(policy_to_json(*back).dump(), json.dump());
  EXPECT_EQ(back->lambda, 0.9f);
  EXPECT_EQ(back->first_exit, 2);
  EXPECT_EQ(back->temperature, small_policy().temperature);
  EXPECT_EQ(back->fusion.weights, small_policy().fusion.weights);
  EXPECT_EQ(back->fusion.bias, small_policy().fusion.bias);
  EXPECT_EQ(back->score, Score::fused);
  EXPECT_TRUE(back->predictor.has_value());
  EXPECT_EQ(json["lambda"].dump(), "0.9");
}

TEST(Policy, StrictBothWays) {
  const Json whole = policy_to_json(small_policy());
  for (const auto& [key, value] : whole.items()) {
    Json json = whole;
    json.erase(key);
    refused(json, kSurvival, "'" + key + "'");
    for (const Json& wrong : {Json(), Json("nonsense"), Json(-1), Json(1e9), Json::array(), Json::object()}) {
      json = whole;
      json[key] = wrong;
      refused(json, kSurvival, key);
    }
  }
  Json json = whole;
  json["surprise"] = 1;
  refused(json, kSurvival, "'surprise'");
  json = whole;
  json["fusion"]["surprise"] = 1;
  refused(json, kSurvival, "'surprise'");
  json = whole;
  json["fusion"]["weights"].push_back(1);
  refused(json, kSurvival, "'weights' has 8 entries, expected 7");
  json = whole;
  json["temperature"][1] = 0;
  refused(json, kSurvival, "'temperature': entry 1");
  json = whole;
  json["first_exit"] = 4;
  refused(json, kSurvival, "'first_exit'");
  refused(Json::array(), kSurvival, "object");
}

TEST(Policy, PredictorMustFit) {
  Json json = policy_to_json(small_policy());
  refused(json, "", "needs predictor.txt");
  refused(json, "tree", "predictor.txt");
  refused(json, kHuber, "5 features, this model gives 6");
  refused(json, predictor(6, "huber", "1", "2"), "objective binary");
  json["predictor"] = "huber";
  refused(json, kSurvival, "6 features, this model gives 5");
  EXPECT_TRUE(policy_from_json(json, small_spec(), kHuber, "x").has_value());
  json["score"] = "confidence";
  const auto plain = policy_from_json(json, small_spec(), "", "x");
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  EXPECT_FALSE(plain->predictor.has_value());
  json["kind"] = "gates";
  json["policy_reads_level"] = true;
  refused(json, "", "needs predictor.txt");
}

TEST(Policy, Names) {
  for (const Score score : {Score::confidence, Score::predictor, Score::policy, Score::fused})
    EXPECT_EQ(parse_score(score_name(score), "x").value(), score);
  EXPECT_NE(parse_score("best", "--score").error().message.find("confidence, predictor, policy, fused"),
            std::string::npos);
  EXPECT_EQ(predictor_features(small_spec()), 5);
}

TEST(Policy, SurvivalAndDepth) {
  std::vector<double> features(6, 0.0);
  Policy policy = policy_from_json(policy_to_json(small_policy()), small_spec(), kSurvival, "x").value();
  const double high = 1 / (1 + std::exp(-2.0)), low = 1 / (1 + std::exp(2.0));
  EXPECT_DOUBLE_EQ(survival(policy, features, 1), high);
  EXPECT_DOUBLE_EQ(survival(policy, features, 2), low);
  EXPECT_DOUBLE_EQ(predicted_depth(policy, features, 3), 1 + high + low);
  Json json = policy_to_json(small_policy());
  json["predictor"] = "huber";
  policy = policy_from_json(json, small_spec(), kHuber, "x").value();
  features[4] = 2;  // tokens / max_tokens is the last that huber reads: l_pred = 2.5
  EXPECT_DOUBLE_EQ(survival(policy, features, 2), 1 / (1 + std::exp(-1.0)));
  EXPECT_DOUBLE_EQ(predicted_depth(policy, features, 3), 2.5);
  EXPECT_DOUBLE_EQ(predicted_depth(policy, features, 2), 2.0);
}

TEST(Policy, FusedScoreByHand) {
  const Policy policy = small_policy();
  Signals s;
  s.confidence_logit = 2, s.margin = 0.5f, s.entropy = 0.25f, s.agrees = 1, s.divergence = 0.125f, s.depth = 0.5f;
  const double z = 0.25 + 0.1 * 2 + 0.2 * 0.5 - 0.3 * 0.25 + 0.4 + 0.5 * 0.125 + 0.6 * std::log(0.8 / 0.2) + 0.7 * -1.5;
  EXPECT_NEAR(fused_score(policy.fusion, s, 0.2f, -1.5f, 2), 1 / (1 + std::exp(-z)), 1e-6);
  const float sure = fused_score(policy.fusion, s, 0.0f, 0.0f, 1),
              unsure = fused_score(policy.fusion, s, 1.0f, 0.0f, 1);
  const double rest = -1.0 + 0.2 + 0.1 - 0.075 + 0.4 + 0.0625;
  EXPECT_NEAR(sure, 1 / (1 + std::exp(-(rest + 0.6 * 6))), 1e-6);
  EXPECT_NEAR(unsure, 1 / (1 + std::exp(-(rest - 0.6 * 6))), 1e-6);
}

}  // namespace
}  // namespace fathom::policy
