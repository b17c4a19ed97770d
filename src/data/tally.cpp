#include "data/tally.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace fathom::data {
namespace {

constexpr double kTopicWord = .25, kFavourite = .34;
constexpr int kFillers = 24;
constexpr const char* kTopics[kTallyTopics] = {"animal", "fruit", "tool", "weather"};
constexpr const char* kWords[kTallyTopics][kTallyWords] = {{"otter", "horse", "rabbit", "falcon"},
                                                           {"apple", "cherry", "lemon", "plum"},
                                                           {"hammer", "chisel", "pliers", "wrench"},
                                                           {"rain", "thunder", "snow", "fog"}};
constexpr const char* kFiller[kFillers] = {"the",  "with",  "near",  "under", "very",  "some",  "just",    "also",
                                           "then", "there", "here",  "while", "about", "from",  "over",    "into",
                                           "quite", "often", "again", "still", "early", "later", "perhaps", "around"};

int pick(Random& random, int count) { return static_cast<int>(random.below(static_cast<std::uint64_t>(count))); }

struct Draft {
  int topic = 0;
  std::vector<const char*> words;
  std::array<int, kTallyWords> counts{};  // of the named topic
};

Draft draw(Random& random, int longest) {
  Draft draft;
  draft.topic = pick(random, kTallyTopics);
  std::array<int, kTallyTopics> favourite{};
  for (int& word : favourite) word = pick(random, kTallyWords);
  const int count = longest / 4 + pick(random, longest - longest / 4 + 1);
  draft.words.push_back(kTopics[draft.topic]);
  while (static_cast<int>(draft.words.size()) < count) {
    if (!random.chance(kTopicWord)) {
      draft.words.push_back(kFiller[pick(random, kFillers)]);
      continue;
    }
    const int topic = pick(random, kTallyTopics), best = favourite[static_cast<std::size_t>(topic)];
    const int word = random.chance(kFavourite) ? best : (best + 1 + pick(random, kTallyWords - 1)) % kTallyWords;
    draft.words.push_back(kWords[topic][word]);
    if (topic == draft.topic) ++draft.counts[static_cast<std::size_t>(word)];
  }
  return draft;
}

}  // namespace

TallyText draw_tally(Random& random, int longest) {
  for (;;) {
    const Draft draft = draw(random, longest);
    std::array<int, kTallyWords> sorted = draft.counts;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    if (sorted[0] < sorted[1] + kTallyLead) continue;
    TallyText text;
    text.answer = static_cast<int>(std::max_element(draft.counts.begin(), draft.counts.end()) - draft.counts.begin());
    for (const char* word : draft.words) {
      if (!text.words.empty()) text.words += ' ';
      text.words += word;
    }
    return text;
  }
}

}  // namespace fathom::data
