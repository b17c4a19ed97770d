#include "policy/trees.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

namespace fathom::policy {
namespace {

std::string testdata(const std::string& name) {
  const char* root = std::getenv("FATHOM_SOURCE_DIR");
  std::string path = root != nullptr ? std::string(root) + "/src/policy/testdata/" : std::string(__FILE__);
  if (root == nullptr) path = path.substr(0, path.rfind('/')) + "/testdata/";
  std::ifstream file(path + name);
  EXPECT_TRUE(file.good()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// Two trees: (x0 <= 0.5 ? 1 : (x1 <= -1 ? 2 : 4)) + single leaf 0.25.
const std::string kSmall =
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\nobjective=huber\n"
    "feature_names=a b\nfeature_infos=none none\ntree_sizes=1 2\n\n"
    "Tree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 1\nsplit_gain=1 1\nthreshold=0.5 -1\ndecision_type=2 "
    "2\nleft_child=-1 -2\n"
    "right_child=1 -3\nleaf_value=1 2 4\nleaf_weight=1 1 1\nleaf_count=6 3 1\ninternal_value=0 0\ninternal_weight=0 0\n"
    "internal_count=10 4\nis_linear=0\nshrinkage=0.1\n\n\n"
    "Tree=1\nnum_leaves=1\nnum_cat=0\nsplit_feature=\nleaf_value=0.25\nleaf_count=10\nis_linear=0\nshrinkage=1\n\n\n"
    "end of trees\n\nfeature_importances:\n";

void refused(const std::string& text, const std::vector<std::string>& words, Code code = Code::corrupt_bundle) {
  const auto parsed = Trees::parse(text, "predictor.txt");
  ASSERT_FALSE(parsed.has_value()) << words[0];
  EXPECT_EQ(parsed.error().code, code) << parsed.error().message;
  EXPECT_NE(parsed.error().message.find("predictor.txt"), std::string::npos);
  for (const auto& word : words)
    EXPECT_NE(parsed.error().message.find(word), std::string::npos)
        << "'" << word << "' not in: " << parsed.error().message;
}

TEST(Trees, ByHand) {
  const auto parsed = Trees::parse(kSmall, "predictor.txt");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  const Trees& trees = *parsed;
  EXPECT_EQ(trees.feature_count(), 2);
  EXPECT_EQ(trees.tree_count(), 2);
  EXPECT_FALSE(trees.is_probability());
  EXPECT_DOUBLE_EQ(trees.mean_path(), (6 * 1 + 3 * 2 + 1 * 2) / 10.0);
  const auto raw = [&](double a, double b) { return trees.raw(std::vector<double>{a, b}); };
  EXPECT_EQ(raw(0.5, 9), 1.25);
  EXPECT_EQ(raw(std::nextafter(0.5, 1), -1), 2.25);
  EXPECT_EQ(raw(1, 0), 4.25);
  EXPECT_EQ(raw(std::nan(""), 0), 1.25);  // no missing kind: NaN reads as 0
  EXPECT_EQ(raw(INFINITY, -INFINITY), 2.25);
  EXPECT_EQ(trees.predict(std::vector<double>{1, 0}), 4.25);
}

// Every score equals LightGBM's own, bit for bit; made by testdata/make_fixtures.py.
TEST(Trees, AgreesWithLightGbmBitForBit) {
  for (const char* name : {"binary", "huber_nan", "binary_zero", "constant"}) {
    const auto parsed = Trees::parse(testdata(std::string(name) + ".txt"), name);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    EXPECT_EQ(parsed->feature_count(), 5);
    EXPECT_EQ(parsed->is_probability(), std::string(name) != "huber_nan");
    std::istringstream lines(testdata(std::string(name) + ".expected.txt"));
    int rows = 0;
    for (std::string line; std::getline(lines, line); ++rows) {
      std::istringstream words(line);
      std::vector<double> values;
      for (std::string word; words >> word;)
        if (word != "|") values.push_back(std::strtod(word.c_str(), nullptr));
      ASSERT_EQ(values.size(), 7u);
      const std::vector<double> features(values.begin(), values.begin() + 5);
      EXPECT_EQ(std::bit_cast<std::uint64_t>(parsed->raw(features)), std::bit_cast<std::uint64_t>(values[5]))
          << name << " row " << rows;
      EXPECT_NEAR(parsed->predict(features), values[6], 1e-15) << name << " row " << rows;
    }
    EXPECT_EQ(rows, 45);
  }
}

TEST(Trees, MeanPathIsTheMeanDepthOfItsTrainingRows) {
  const auto parsed = Trees::parse(testdata("binary.txt"), "binary");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_GT(parsed->mean_path(), 11 * 2.0);  // 11 trees of 10 leaves: at least log2(10) deep if balanced
  EXPECT_LT(parsed->mean_path(), 11 * 9.0);
  EXPECT_EQ(Trees::parse(testdata("constant.txt"), "constant")->mean_path(), 0.0);
}

TEST(Trees, BrokenStructureNamesTheTree) {
  refused(replaced(kSmall, "right_child=1 -3", "right_child=0 -3"),
          {"tree 0", "do not form a tree"});  // cycle to the root
  refused(replaced(kSmall, "right_child=1 -3", "right_child=1 1"),
          {"tree 0", "do not form a tree"});  // cycle to itself
  refused(replaced(kSmall, "left_child=-1 -2", "left_child=-2 -2"),
          {"tree 0", "do not form a tree"});  // leaf with two parents
  refused(replaced(kSmall, "right_child=1 -3", "right_child=-3 -3"),
          {"tree 0", "do not form a tree"});  // unreachable split
  refused(replaced(kSmall, "right_child=1 -3", "right_child=2 -3"), {"tree 0", "child 2"});
  refused(replaced(kSmall, "right_child=1 -3", "right_child=1 -4"), {"tree 0", "child -4"});
  refused(replaced(kSmall, "split_feature=0 1", "split_feature=0 2"), {"tree 0", "feature 2"});
  refused(replaced(kSmall, "split_feature=0 1", "split_feature=-1 1"), {"tree 0", "feature -1"});
  refused(replaced(kSmall, "Tree=1", "Tree=2"), {"tree 1", "out of order"});
}

TEST(Trees, BrokenArraysNameTheTreeAndKey) {
  refused(replaced(kSmall, "threshold=0.5 -1", "threshold=0.5"), {"tree 0", "'threshold'", "expected 2", "got 1"});
  refused(replaced(kSmall, "threshold=0.5 -1", "threshold=0.5 -1 3"), {"tree 0", "'threshold'", "more"});
  refused(replaced(kSmall, "threshold=0.5 -1\n", ""), {"tree 0", "'threshold'", "missing"});
  for (const char* value : {"nan", "inf", "-inf", "1e999", "x", "1.5x", "0x10"})
    refused(replaced(kSmall, "threshold=0.5 -1", std::string("threshold=0.5 ") + value),
            {"tree 0", "'threshold'", "entry 1"});
  refused(replaced(kSmall, "leaf_value=1 2 4", "leaf_value=1 nan 4"), {"tree 0", "'leaf_value'", "not finite"});
  refused(replaced(kSmall, "leaf_value=0.25", "leaf_value="), {"tree 1", "'leaf_value'", "got 0"});
  refused(replaced(kSmall, "leaf_count=6 3 1", "leaf_count=6 -3 1"), {"tree 0", "'leaf_count'"});
  refused(replaced(kSmall, "split_feature=0 1", "split_feature=0 1.5"), {"tree 0", "'split_feature'", "entry 1"});
  refused(replaced(kSmall, "split_feature=0 1", "split_feature=0 99999999999"), {"tree 0", "'split_feature'"});
  for (const char* leaves : {"0", "-1", "131073", "2147483648", "", "x"})
    refused(replaced(kSmall, "num_leaves=3", std::string("num_leaves=") + leaves), {"tree 0", "'num_leaves'"});
  refused(replaced(kSmall, "num_leaves=3", "num_leaves=131072"), {"tree 0", "expected 131072"});
  refused(replaced(kSmall, "decision_type=2 2", "decision_type=2 14"), {"tree 0", "decision_type 14"});
}

TEST(Trees, WhatIsNotEvaluatedIsRefusedByName) {
  refused(replaced(kSmall, "decision_type=2 2", "decision_type=2 1"), {"tree 0", "categorical"}, Code::unsupported);
  refused(replaced(kSmall, "num_cat=0", "num_cat=1"), {"tree 0", "categorical"}, Code::unsupported);
  refused(replaced(kSmall, "is_linear=0", "is_linear=1"), {"tree 0", "linear"}, Code::unsupported);
  refused(replaced(kSmall, "version=v4", "version=v3"), {"v4"}, Code::unsupported);
  refused(replaced(kSmall, "objective=huber", "objective=lambdarank"), {"lambdarank"}, Code::unsupported);
  refused(replaced(kSmall, "objective=huber", "objective=binary sigmoid:2"), {"sigmoid:2"}, Code::unsupported);
  refused(replaced(kSmall, "objective=huber", "objective=regression sqrt"), {"sqrt"}, Code::unsupported);
  refused(replaced(kSmall, "objective=huber", "average_output\nobjective=huber"), {"averaged"}, Code::unsupported);
  refused(replaced(kSmall, "num_class=1", "num_class=3"), {"'num_class'"});
  refused(replaced(kSmall, "max_feature_idx=1", "max_feature_idx=70000"), {"'max_feature_idx'"});
}

TEST(Trees, EveryTruncationIsRefused) {
  const std::size_t end = kSmall.find("end of trees") + std::string("end of trees").size();
  for (std::size_t size = 0; size < end; ++size)
    ASSERT_FALSE(Trees::parse(std::string_view(kSmall).substr(0, size), "predictor.txt").has_value()) << size;
  EXPECT_TRUE(Trees::parse(std::string_view(kSmall).substr(0, end), "predictor.txt").has_value());
  refused("", {"not a LightGBM"});
  refused(replaced(kSmall, "tree_sizes=1 2", "tree_sizes=1 2 3"), {"lists 3", "holds 2"});
}

TEST(Trees, EveryBitFlipIsRefusedOrEvaluates) {
  const std::vector<double> features(65536, 0.75);
  for (std::size_t bit = 0; bit < kSmall.size() * 8; ++bit) {
    std::string flipped = kSmall;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto parsed = Trees::parse(flipped, "predictor.txt");
    if (parsed.has_value()) {
      EXPECT_TRUE(std::isfinite(parsed->raw(features)));
    }
  }
}

TEST(Trees, DeepChainIsWalkedToItsEnd) {
  const int splits = 3000;
  std::string feature, threshold, decision, left, right, leaf, count;
  for (int i = 0; i < splits; ++i) {
    feature += "0 ", decision += "2 ", threshold += std::to_string(i) + " ";
    left += std::to_string(~i) + " ";
    right += std::to_string(i + 1 < splits ? i + 1 : ~splits) + " ";
  }
  for (int i = 0; i <= splits; ++i) leaf += std::to_string(i) + " ", count += "1 ";
  std::string text = kSmall.substr(0, kSmall.find("tree_sizes")) + "\n";
  for (int tree = 0; tree < 9; ++tree)  // eight in step and one left over
    text += "Tree=" + std::to_string(tree) + "\nnum_leaves=" + std::to_string(splits + 1) +
            "\nsplit_feature=" + feature + "\nthreshold=" + threshold + "\ndecision_type=" + decision +
            "\nleft_child=" + left + "\nright_child=" + right + "\nleaf_value=" + leaf + "\nleaf_count=" + count +
            "\n\n";
  const auto parsed = Trees::parse(text + "end of trees\n", "predictor.txt");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  for (const double x : {-1.0, 0.0, 0.5, 1234.0, 2999.0, 1e9})
    EXPECT_EQ(parsed->raw(std::vector<double>{x, 0}), 9 * std::min<double>(splits, std::max(0.0, std::ceil(x))));
}

}  // namespace
}  // namespace fathom::policy
