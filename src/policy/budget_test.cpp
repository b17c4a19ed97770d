#include "policy/budget.h"

#include <gtest/gtest.h>

namespace fathom::policy {
namespace {

BudgetTable table() {
  BudgetTable table;
  table.score = "fused";
  table.n = 1000;
  table.points = {
      {2.0f, 4e8, 4, 1, {0, 0, 0, 1}}, {0.9f, 3e8, 3, 0.999, {0, 0.5, 0, 0.5}}, {0.5f, 1e8, 1, 0.9, {1, 0, 0, 0}}};
  return table;
}

TEST(Budget, UnitsAreReadAndWrongOnesNamed) {
  const auto value = [](const char* text, Budget::Kind kind) {
    const auto budget = parse_budget(text);
    EXPECT_TRUE(budget.has_value() && budget->kind == kind) << text;
    return budget.has_value() ? budget->value : -1;
  };
  EXPECT_DOUBLE_EQ(value("macs=50%", Budget::Kind::share), 0.5);
  EXPECT_DOUBLE_EQ(value("macs=100%", Budget::Kind::share), 1);
  EXPECT_DOUBLE_EQ(value("macs=3e8", Budget::Kind::macs), 3e8);
  EXPECT_DOUBLE_EQ(value("ms=8", Budget::Kind::ms), 8);
  EXPECT_DOUBLE_EQ(value("ms=0.25", Budget::Kind::ms), 0.25);
  EXPECT_DOUBLE_EQ(value("mb=40", Budget::Kind::mb), 40);
  const std::pair<const char*, const char*> wrong[] = {
      {"", "NAME=NUMBER"},     {"macs", "NAME=NUMBER"},  {"macs=", "no number"},   {"macs=-1", "above 0"},
      {"macs=0", "above 0"},   {"foo=3", "'foo'"},       {"macs=50", "macs=50%"},  {"macs=0.5", "macs=0.5%"},
      {"macs=120%", "100 %"},  {"ms=50%", "only macs"},  {"ms=fast", "no number"}, {"ms=1e999", "no number"},
      {"mb=inf", "no number"}, {"mb=0x10", "no number"}, {"macs=%", "no number"},  {"ms=8ms", "no number"},
      {"=8", "not known"}};
  for (const auto& [text, words] : wrong) {
    const auto budget = parse_budget(text);
    ASSERT_FALSE(budget.has_value()) << text;
    EXPECT_EQ(budget.error().code, Code::usage) << text;
    EXPECT_NE(budget.error().message.find(words), std::string::npos) << budget.error().message;
    EXPECT_FALSE(budget.error().hint.empty());
  }
}

TEST(Budget, TakesTheMostCautiousPointWithin) {
  EXPECT_EQ(point_within(table(), 1e9, "x")->lambda, 2.0f);  // above full depth: full depth
  EXPECT_EQ(point_within(table(), 4e8, "x")->lambda, 2.0f);
  EXPECT_EQ(point_within(table(), 3.99e8, "x")->lambda, 0.9f);
  EXPECT_EQ(point_within(table(), 1e8, "x")->lambda, 0.5f);
  const auto none = point_within(table(), 0.99e8, "macs=24%");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, Code::usage);
  EXPECT_NE(none.error().message.find("25 % of full depth"), std::string::npos) << none.error().message;
}

TEST(Budget, TableComesBackAndDamageIsNamed) {
  const Json good = budget_table_to_json(table());
  const auto again = budget_table_from_json(good, 4, "fused", "t");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(budget_table_to_json(*again), good);
  EXPECT_EQ(again->full_macs(), 4e8);
  const auto with = [&](const char* pointer, const Json& value) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    return budget_table_from_json(json, 4, "fused", "t");
  };
  EXPECT_FALSE(budget_table_from_json(good, 5, "fused", "t").has_value());
  EXPECT_FALSE(budget_table_from_json(good, 4, "confidence", "t").has_value());
  EXPECT_FALSE(budget_table_from_json(Json(3), 4, "fused", "t").has_value());
  EXPECT_FALSE(with("/points", Json::array()).has_value());
  EXPECT_FALSE(with("/points/1/macs", 5e8).has_value());
  EXPECT_FALSE(with("/points/0/lambda", 0.5).has_value());
  EXPECT_FALSE(with("/points/1/lambda", 7).has_value());
  EXPECT_FALSE(with("/points/1/agreement", 1.5).has_value());
  EXPECT_FALSE(with("/points/1/exits", Json::array({1})).has_value());
  EXPECT_FALSE(with("/points/1/exits/0", "x").has_value());
  EXPECT_FALSE(with("/points/1", 3).has_value());
}

TEST(Budget, TimesLieOnLines) {
  const std::vector<TimedMacs> times = {{1e8, 1}, {2e8, 3}, {4e8, 5}};
  EXPECT_DOUBLE_EQ(ms_at(times, 1.5e8), 2);
  EXPECT_DOUBLE_EQ(ms_at(times, 3e8), 4);
  EXPECT_DOUBLE_EQ(ms_at(times, 5e8), 6);
  EXPECT_DOUBLE_EQ(ms_at(times, 0.5e8), 0);
}

}  // namespace
}  // namespace fathom::policy
