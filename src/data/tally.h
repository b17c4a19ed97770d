// The rule behind the generated task "tally": texts whose answer is spread over their whole length.
//
// The first word names one of four topics; behind it fillers stand, and words of all topics, four of each. The answer is which of the
// four words of the named topic occurs most often: 0..3 in the order of the table in tally.cpp. Neither the first word alone nor the
// words without it tell, and the part of a text that a model leaves unread is a part of the evidence.
//
// Drawing: the number of words evenly from longest/4 to longest; each place behind the first is a topic word with p = .25, of an evenly
// drawn topic; every topic has a favourite of the text's own, which is taken with p = .34, each of the other three with p = .22. The
// named topic and its favourite are drawn evenly; a text is drawn anew until one word of the named topic leads by two at least.
// Thread rule: a pure function of the Random given.
#pragma once

#include <array>
#include <string>

#include "base/random.h"

namespace fathom::data {

inline constexpr int kTallyTopics = 4, kTallyWords = 4;
inline constexpr int kTallyLead = 2, kTallyLeast = 32;  // least of `longest`
inline constexpr std::array<const char*, kTallyWords> kTallyNames = {"first", "second", "third", "fourth"};

struct TallyText {
  std::string words;  // lower-case, single spaces
  int answer = 0;
};
TallyText draw_tally(Random& random, int longest);

}  // namespace fathom::data
