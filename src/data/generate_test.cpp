#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "data/dataset.h"
#include "data/relay.h"
#include "data/relay_strip.h"
#include "data/relay_text.h"
#include "data/tally.h"
#include "data/test_files.h"

namespace fathom::data {
namespace {

constexpr auto kText = Task::text_classification;
constexpr auto kImage = Task::image_classification;

Dataset generated(const TestFolder& folder, GenerateOptions options) {
  const auto status = generate_dataset(folder.path(), options);
  EXPECT_TRUE(status.has_value()) << message_of(status);
  ReadOptions read;
  read.task = options.task;
  auto dataset = read_dataset(folder.path(), read);
  EXPECT_TRUE(dataset.has_value()) << message_of(dataset);
  return std::move(dataset).value();
}

const std::map<std::string, int>& topics() {
  static const std::map<std::string, int> kTopics = {{"otter", 0},  {"horse", 0},   {"rabbit", 0}, {"falcon", 0},
                                                     {"apple", 1},  {"cherry", 1},  {"lemon", 1},  {"plum", 1},
                                                     {"hammer", 2}, {"chisel", 2},  {"pliers", 2}, {"wrench", 2},
                                                     {"rain", 3},   {"thunder", 3}, {"snow", 3},   {"fog", 3}};
  return kTopics;
}

// The rule as a reader of the documentation would write it, from the words alone.
std::pair<int, int> answer_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> before;
  for (std::string word; in >> word; before.push_back(word)) {
    const auto found = topics().find(word);
    if (found == topics().end()) continue;
    int answer = found->second;
    for (auto it = before.rbegin(); it != before.rend(); ++it) {
      if (*it == "however") answer = std::array{1, 0, 3, 2}[static_cast<std::size_t>(answer)];
      if (*it == "instead") answer = std::array{2, 3, 0, 1}[static_cast<std::size_t>(answer)];
    }
    return {static_cast<int>(before.size()) + 1, answer};
  }
  return {0, -1};
}

TEST(Relay, LabelAndComplexityFollowFromTheText) {
  const TestFolder folder;
  const Dataset dataset = generated(folder, {kText, 3, 4000, 100, 100, 500});
  EXPECT_EQ(dataset.label_names, (std::vector<std::string>{"animal", "fruit", "tool", "weather"}));
  for (const Part part : kAllParts) {
    const Split& split = dataset.part(part);
    for (std::size_t i = 0; i < split.size(); ++i) {
      const auto [distance, answer] = answer_of(split.texts[i]);
      ASSERT_EQ(distance, split.complexity[i]) << split.texts[i];
      ASSERT_EQ(answer, split.labels[i]) << split.texts[i];
    }
  }
  EXPECT_EQ(dataset.part(Part::train).size(), 4000u);
  EXPECT_EQ(dataset.part(Part::test).size(), 500u);
}

TEST(Relay, IsDrawnAsDocumented) {
  Random random(11);
  constexpr int kRows = 40000;
  std::array<int, 13> distances{};
  std::array<int, 4> answers{};
  double before = 0, flips = 0, beyond = 0, decoys = 0;
  for (int i = 0; i < kRows; ++i) {
    const RelayExample example = draw_relay(random);
    ++distances[static_cast<std::size_t>(example.distance)];
    ++answers[static_cast<std::size_t>(example.answer)];
    for (int p = 0; p < kRelayPlaces; ++p) {
      const auto kind = example.places[static_cast<std::size_t>(p)].kind;
      if (p + 1 < example.distance) ++before, flips += kind == RelaySymbol::flip;
      if (p + 1 > example.distance) ++beyond, decoys += kind == RelaySymbol::class_word;
    }
  }
  const std::array share = {.45, .22, .14, .10, .09};
  for (std::size_t d = 1; d <= 10; ++d) EXPECT_NEAR(distances[d] / double{kRows}, share[(d - 1) / 2] / 2, .006) << d;
  for (const int count : answers) EXPECT_NEAR(count / double{kRows}, .25, .012);
  EXPECT_NEAR(flips / before, .1, .004);
  EXPECT_NEAR(decoys / beyond, .3, .005);
}

TEST(Relay, TrainingRowsShowEachDistanceAsOften) {
  Random random(12);
  std::array<int, 13> distances{};
  for (int i = 0; i < 24000; ++i)
    ++distances[static_cast<std::size_t>(draw_relay(random, RelayDistances::even).distance)];
  for (std::size_t d = 1; d <= 10; ++d) EXPECT_NEAR(distances[d] / 24000., 1. / 10, .008) << d;
}

TEST(Relay, WordsAreDistinctAndAlphabetic) {
  std::set<std::string> words;
  for (std::uint8_t a = 0; a < 4; ++a)
    for (std::uint8_t b = 0; b < 4; ++b) words.insert(relay_word({RelaySymbol::class_word, a, b}));
  for (std::uint8_t f = 0; f < 2; ++f) words.insert(relay_word({RelaySymbol::flip, f, 0}));
  for (std::uint8_t f = 0; f < kRelayFillers; ++f) words.insert(relay_word({RelaySymbol::filler, 0, f}));
  EXPECT_EQ(words.size(), 42u);
  for (const std::string& word : words)
    EXPECT_TRUE(std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; })) << word;
}

// How often each topic is named among the first `most` words, as a reader of the documentation would count.
std::array<int, 4> tally_of(const std::string& text, std::size_t most) {
  std::istringstream in(text);
  std::string word;
  std::array<int, 4> counts{};
  for (std::size_t i = 0; i < most && in >> word; ++i)
    if (const auto found = topics().find(word); found != topics().end())
      ++counts[static_cast<std::size_t>(found->second)];
  return counts;
}

TEST(Tally, TheAnswerFollowsFromTheWholeTextAndNotFromItsBeginning) {
  const TestFolder folder;
  GenerateOptions options{kText, 5, 600, 20, 20, 400};
  options.longest = 2046;
  const Dataset dataset = generated(folder, options);
  EXPECT_EQ(dataset.label_names, (std::vector<std::string>{"animal", "fruit", "tool", "weather"}));
  const Split& split = dataset.part(Part::train);
  EXPECT_TRUE(split.complexity.empty());
  std::array<int, 4> answers{};
  double told_early = 0, words = 0;
  for (std::size_t i = 0; i < split.size(); ++i) {
    const std::string& text = split.texts[i];
    const auto count = static_cast<double>(std::count(text.begin(), text.end(), ' ') + 1);
    ASSERT_GE(count, 511);
    ASSERT_LE(count, 2046);
    words += count / 600;
    const auto all = tally_of(text, 2046), early = tally_of(text, 126);
    const auto answer = static_cast<std::size_t>(split.labels[i]);
    for (std::size_t k = 0; k < 4; ++k) ASSERT_TRUE(k == answer || all[answer] >= all[k] + kTallyLead) << text;
    ++answers[answer];
    // The best guess from the first 128 tokens: the leader so far, evenly drawn among equals.
    const int top = *std::max_element(early.begin(), early.end());
    if (early[answer] == top)
      told_early += 1.0 / static_cast<double>(std::count(early.begin(), early.end(), top)) / 600;
  }
  for (const int count : answers) EXPECT_NEAR(count / 600.0, .25, .06);
  EXPECT_NEAR(words, 0.625 * 2046, 50);
  EXPECT_GT(told_early, .35);
  EXPECT_LT(told_early, .55);
}

TEST(Tally, RefusesTextsTooShortForIt) {
  const TestFolder folder;
  GenerateOptions options{kText, 5, 20, 20, 20, 20};
  options.longest = kTallyShortest - 1;
  EXPECT_FAILS(generate_dataset(folder.path(), options), Code::usage, "31 words");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Generate, TheSameSeedGivesTheSameBytesAndAnotherOthers) {
  for (const Task task : {kText, kImage}) {
    const TestFolder a, b, c;
    ASSERT_TRUE(generate_dataset(a.path(), {task, 7, 50, 10, 10, 20}).has_value());
    ASSERT_TRUE(generate_dataset(b.path(), {task, 7, 50, 10, 10, 20}).has_value());
    ASSERT_TRUE(generate_dataset(c.path(), {task, 8, 50, 10, 10, 20}).has_value());
    int files = 0;
    for (const auto& entry : fs::directory_iterator(a.path())) {
      const auto name = entry.path().filename();
      EXPECT_EQ(*read_file(a.path() / name), *read_file(b.path() / name)) << name;
      ++files;
    }
    EXPECT_EQ(files, task == kText ? 6 : 14);
    const std::string train = task == kText ? "train.csv" : "train-images-idx4-ubyte";
    EXPECT_NE(*read_file(a.path() / train), *read_file(c.path() / train));
  }
}

TEST(Generate, PartsShareNoExamplesBeyondChanceAndDoNotDependOnEachOther) {
  const TestFolder folder, other;
  const Dataset dataset = generated(folder, {kText, 1, 3000, 500, 500, 1000});
  const auto& train = dataset.part(Part::train).texts;
  const std::set<std::string> seen(train.begin(), train.end());
  EXPECT_EQ(seen.size(), train.size());
  for (const Part part : {Part::tune, Part::calibrate, Part::test})
    for (const std::string& text : dataset.part(part).texts) EXPECT_EQ(seen.count(text), 0u) << text;
  const Dataset smaller = generated(other, {kText, 1, 100, 500, 500, 1000});
  EXPECT_EQ(smaller.part(Part::test).texts, dataset.part(Part::test).texts);
}

// A strip patch is read back by its nearest clean drawing: what the picture shows is what the label says.
TEST(Strip, PicturesShowTheirLabels) {
  const TestFolder folder;
  const Dataset dataset = generated(folder, {kImage, 5, 300, 20, 20, 40});
  EXPECT_EQ(dataset.label_names, (std::vector<std::string>{"square", "ring", "cross", "stairs"}));
  const Split& split = dataset.part(Part::train);
  EXPECT_EQ(split.height, 8);
  EXPECT_EQ(split.width, 80);
  std::vector<RelaySymbol> symbols;
  for (std::uint8_t a = 0; a < 4; ++a)
    for (std::uint8_t b = 0; b < 4; ++b) symbols.push_back({RelaySymbol::class_word, a, b});
  for (std::uint8_t f = 0; f < 2; ++f) symbols.push_back({RelaySymbol::flip, f, 0});
  for (std::uint8_t f = 0; f < kRelayFillers; ++f) symbols.push_back({RelaySymbol::filler, 0, f});
  // The clean drawing of a symbol: the mean of 64 noisy ones.
  std::vector<std::array<double, 192>> clean(symbols.size());
  Random random(99);
  for (std::size_t s = 0; s < symbols.size(); ++s) {
    RelayExample example;
    example.places.fill(symbols[s]);
    std::vector<std::uint8_t> picture(kStripBytes);
    for (int n = 0; n < 64; ++n) {
      draw_strip(example, random, picture.data());
      for (std::size_t y = 0; y < 8; ++y)
        for (std::size_t x = 0; x < 24; ++x) clean[s][y * 24 + x] += picture[y * 240 + x] / 64.0;
    }
  }
  for (std::size_t i = 0; i < split.size(); ++i) {
    RelayExample seen;
    for (std::size_t p = 0; p < 10; ++p) {
      double best = 1e18;
      for (std::size_t s = 0; s < symbols.size(); ++s) {
        double distance = 0;
        for (std::size_t y = 0; y < 8; ++y)
          for (std::size_t x = 0; x < 24; ++x) {
            const double d = split.picture(i)[y * 240 + p * 24 + x] - clean[s][y * 24 + x];
            distance += d * d;
          }
        if (distance < best) best = distance, seen.places[p] = symbols[s];
      }
    }
    apply_relay_rule(seen);
    ASSERT_EQ(seen.distance, split.complexity[i]) << i;
    ASSERT_EQ(seen.answer, split.labels[i]) << i;
  }
}

TEST(Generate, WrongSizesAndPlacesEndWithAnError) {
  const TestFolder folder;
  EXPECT_FAILS(generate_dataset(folder.path(), {kText, 1, 20'000'000, 1, 1, 1}), Code::usage, "out of range");
  EXPECT_TRUE(fs::is_empty(folder.path()));
  const auto file = folder.put("file", "x");
  EXPECT_FAILS(generate_dataset(file / "below", {kText, 1, 1, 1, 1, 1}), Code::io, "cannot create the folder");
}

}  // namespace
}  // namespace fathom::data
