// The rule behind the generated task "tally": texts whose answer is spread over their whole length.
//
// Words of four topics (relay's four classes of four words) are scattered among fillers; the answer is the topic with
// the most of them. Counting is all it takes, over all of the text: what a model leaves unread is a part of the
// evidence.
//
// Drawing: the number of words evenly from longest/4 to longest; each is a topic word with p = .25, else a filler.
// Every text has a favourite topic, evenly drawn: a topic word is of it with p = .31, of each of the other three with p
// = .23, and any of the topic's four words evenly. A text is drawn anew until one topic, the favourite or not, leads by
// two words at least. Thread rule: a pure function of the Random given.
#pragma once

#include <string>

#include "base/random.h"

namespace fathom::data {

inline constexpr int kTallyLead = 2, kTallyShortest = 32;  // least of `longest`

struct TallyText {
  std::string words;  // lower-case, single spaces
  int answer = 0;     // of kRelayNames
};
TallyText draw_tally(Random& random, int longest);

}  // namespace fathom::data
