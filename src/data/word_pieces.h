// Learning WordPiece pieces from words and how often they occur: the most frequent neighbouring pair is joined, again
// and again. Ties go to the pair whose pieces were made first, so the same words give the same pieces.
// Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace fathom::data {

// At most `limit` pieces: the alphabet (every character seen, the most frequent first if they do not all fit, and the
// letters a-z and digits always), each as a word's beginning and as "##" continuation, then joined pieces in
// the order made. Pairs seen fewer than min_count times are not joined.
std::vector<std::string> learn_pieces(const std::unordered_map<std::string, std::int64_t>& words, int limit,
                                      int min_count);

}  // namespace fathom::data
