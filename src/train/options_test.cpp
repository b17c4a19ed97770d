#include <gtest/gtest.h>

#include "train/checkpoint.h"
#include "train/options.h"

namespace fathom::train {
namespace {

Result<CommandLine> parsed(std::vector<const char*> flags) {
  std::vector<const char*> argv = {"fathom-train", "--data", "d", "-o", "m"};
  argv.insert(argv.end(), flags.begin(), flags.end());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

TEST(Options, ReadsFlags) {
  const auto got =
      parsed({"--layers", "3", "--norm", "post", "--text-columns", "title,body", "--seed", "9", "--lr", "0.01"});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->options.layers, 3);
  EXPECT_EQ(got->options.norm, NormOrder::post);
  EXPECT_EQ(got->options.text_columns, (std::vector<std::string>{"title", "body"}));
  EXPECT_EQ(got->options.seed, 9u);
  EXPECT_EQ(got->options.rate, 0.01);
  EXPECT_FALSE(got->options.attention.has_value());
  EXPECT_FALSE(got->options.hidden.has_value());
}

TEST(Options, RefusesWhatIsOutOfRangeOrUnknown) {
  const std::vector<std::vector<const char*>> wrong = {
      {"--layers", "1"},       {"--layers", "65"},    {"--lr", "0"},
      {"--dropout", "0.95"},   {"--batch-size", "0"}, {"--hidden", "30", "--heads", "4"},
      {"--task", "poem"},      {"--norm", "middle"},  {"--recipe", "unknown"},
      {"--no-such-flag", "1"}, {"--steps", "many"},   {"--max-disagreement", "1.5"},
      {"--word-width", "0"}};
  for (const auto& flags : wrong) {
    const auto got = parsed(flags);
    ASSERT_FALSE(got) << flags[0] << " " << flags[1];
    EXPECT_EQ(got.error().code, Code::usage) << flags[0];
    EXPECT_FALSE(got.error().message.empty());
  }
}

TEST(Options, ZerosAndInt8AreOfTuningTowardsAnother) {
  const auto good =
      parsed({"--tune", "like", "--teacher", "t", "--zeros", "2:4", "--by-movement", "--int8-levels", "127"});
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->options.zeros, "2:4");
  EXPECT_TRUE(good->options.zeros_by_movement);
  EXPECT_EQ(good->options.int8_levels, 127);
  for (const std::vector<const char*>& wrong : {std::vector<const char*>{"--zeros", "0.5"},
                                                {"--int8-levels", "255"},
                                                {"--tune", "exits", "--zeros", "0.5"},
                                                {"--tune", "like", "--by-movement"},
                                                {"--tune", "like", "--int8-levels", "64"}})
    EXPECT_FALSE(parsed(wrong)) << wrong[0] << " " << wrong[1];
}

TEST(Options, LinearAttentionHasNoWindow) {
  EXPECT_EQ(parsed({"--attention", "linear", "--window", "0"})->options.attention, Attention::linear);
  EXPECT_EQ(parsed({"--attention", "softmax", "--window", "64"})->options.window, 64);
  const auto both = parsed({"--attention", "linear", "--window", "64"});
  ASSERT_FALSE(both);
  EXPECT_NE(both.error().message.find("--window 64"), std::string::npos);
  EXPECT_EQ(difference(options_to_json(parsed({"--attention", "linear"})->options),
                       options_to_json(parsed({"--attention", "softmax"})->options)),
            "attention is \"linear\", was \"softmax\"");
}

TEST(Options, TheWordWidthIdentifiesARun) {
  const auto narrow = parsed({"--word-width", "32"});
  ASSERT_TRUE(narrow) << narrow.error().message;
  EXPECT_EQ(narrow->options.word_width, 32);
  EXPECT_NE(difference(options_to_json(narrow->options), options_to_json(parsed({})->options)), "");
}

TEST(Options, ThreadsAndProgressDoNotIdentifyARun) {
  const auto a = parsed({"--threads", "1"}), b = parsed({"--threads", "2", "--no-progress"}),
             c = parsed({"--seed", "2"});
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(difference(options_to_json(a->options), options_to_json(b->options)), "");
  EXPECT_EQ(difference(options_to_json(c->options), options_to_json(a->options)), "seed is 2, was 1");
}

}  // namespace
}  // namespace fathom::train
