#include "data/word_pieces.h"

#include <algorithm>
#include <map>
#include <queue>

#include "data/normalizer.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxAlphabet = 1000;
constexpr std::size_t kMaxWordCharacters = 100;  // longer words are [UNK] when encoded

using Id = std::int32_t;
using PairKey = std::uint64_t;

PairKey key_of(Id a, Id b) {
  return static_cast<PairKey>(static_cast<std::uint32_t>(a)) << 32 | static_cast<std::uint32_t>(b);
}

struct Word {
  std::vector<Id> pieces;
  std::int64_t count = 0;
};

struct Candidate {
  std::int64_t count;
  PairKey pair;
  bool operator<(const Candidate& other) const {  // top of the queue: largest count, then smallest pair
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Learner {
 public:
  Learner(int limit, int min_count) : limit_(static_cast<std::size_t>(limit)), min_count_(std::max(1, min_count)) {}

  std::vector<std::string> learn(const std::unordered_map<std::string, std::int64_t>& counts) {
    // Sorted, so that nothing depends on the order of a hash map.
    const std::map<std::string, std::int64_t> sorted(counts.begin(), counts.end());
    make_alphabet(sorted);
    for (const auto& [text, count] : sorted) add_word(text, count);
    for (std::size_t w = 0; w < words_.size(); ++w)
      for (std::size_t i = 0; i + 1 < words_[w].pieces.size(); ++i)
        change(words_[w].pieces[i], words_[w].pieces[i + 1], words_[w].count, w);
    push_changed();
    while (pieces_.size() < limit_ && join_best()) {
    }
    return std::move(pieces_);
  }

 private:
  Id piece(const std::string& text) {
    const auto [found, added] = ids_.try_emplace(text, static_cast<Id>(pieces_.size()));
    if (added) pieces_.push_back(text);
    return found->second;
  }

  void make_alphabet(const std::map<std::string, std::int64_t>& words) {
    std::map<char32_t, std::int64_t> seen;
    for (char c = 'a'; c <= 'z'; ++c) seen[static_cast<char32_t>(c)] = INT64_MAX / 2;
    for (char c = '0'; c <= '9'; ++c) seen[static_cast<char32_t>(c)] = INT64_MAX / 2;
    for (const auto& [text, count] : words)
      for (std::size_t at = 0; at < text.size();) seen[next_code_point(text, at)] += count;
    std::vector<std::pair<std::int64_t, char32_t>> order;
    for (const auto& [code, count] : seen) order.emplace_back(-count, code);
    std::sort(order.begin(), order.end());
    if (order.size() > kMaxAlphabet) order.resize(kMaxAlphabet);
    std::vector<char32_t> kept;
    std::size_t size = 0;
    for (const auto& [count, code] : order) {
      const std::size_t forms = continues(code) ? 2 : 1;
      if (size + forms > limit_) break;
      size += forms;
      kept.push_back(code);
    }
    std::sort(kept.begin(), kept.end());
    for (const bool rest : {false, true})
      for (const char32_t code : kept) {
        if (rest && !continues(code)) continue;
        std::string text = rest ? "##" : "";
        append_utf8(code, text);
        piece(text);
      }
  }

  // Punctuation and ideographs are words of their own and never continue one.
  static bool continues(char32_t code) { return !is_punctuation(code) && !is_ideograph(code); }

  void add_word(const std::string& text, std::int64_t count) {
    Word word;
    word.count = count;
    for (std::size_t at = 0; at < text.size();) {
      std::string one = word.pieces.empty() ? "" : "##";
      append_utf8(next_code_point(text, at), one);
      const auto found = ids_.find(one);
      if (found == ids_.end() || word.pieces.size() == kMaxWordCharacters) return;  // [UNK]: teaches nothing
      word.pieces.push_back(found->second);
    }
    if (word.pieces.size() > 1) words_.push_back(std::move(word));
  }

  void change(Id a, Id b, std::int64_t by, std::size_t word) {
    const PairKey key = key_of(a, b);
    counts_[key] += by;
    if (by > 0) where_[key].push_back(word);
    changed_.push_back(key);
  }

  void push_changed() {
    std::sort(changed_.begin(), changed_.end());
    changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
    for (const PairKey key : changed_)
      if (counts_[key] >= min_count_) queue_.push({counts_[key], key});
    changed_.clear();
  }

  bool join_best() {
    while (!queue_.empty() && counts_[queue_.top().pair] != queue_.top().count) queue_.pop();  // outdated
    if (queue_.empty()) return false;
    const PairKey key = queue_.top().pair;
    const Id a = static_cast<Id>(key >> 32), b = static_cast<Id>(key & 0xFFFFFFFFu);
    const Id joined = piece(pieces_[static_cast<std::size_t>(a)] + pieces_[static_cast<std::size_t>(b)].substr(2));
    std::vector<std::size_t> touched = std::move(where_[key]);
    std::sort(touched.begin(), touched.end());
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    for (const std::size_t w : touched) join_in(w, a, b, joined);
    counts_.erase(key);
    where_.erase(key);
    push_changed();
    return true;
  }

  void join_in(std::size_t w, Id a, Id b, Id joined) {
    std::vector<Id>& pieces = words_[w].pieces;
    const std::int64_t count = words_[w].count;
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
      if (pieces[i] != a || pieces[i + 1] != b) continue;
      if (i > 0) {
        change(pieces[i - 1], a, -count, w);
        change(pieces[i - 1], joined, count, w);
      }
      if (i + 2 < pieces.size()) {
        change(b, pieces[i + 2], -count, w);
        change(joined, pieces[i + 2], count, w);
      }
      change(a, b, -count, w);
      pieces[i] = joined;
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
  }

  std::size_t limit_;
  std::int64_t min_count_;
  std::vector<std::string> pieces_;
  std::unordered_map<std::string, Id> ids_;
  std::vector<Word> words_;
  std::unordered_map<PairKey, std::int64_t> counts_;
  std::unordered_map<PairKey, std::vector<std::size_t>> where_;  // words that hold or held the pair
  std::vector<PairKey> changed_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace

std::vector<std::string> learn_pieces(const std::unordered_map<std::string, std::int64_t>& words, int limit,
                                      int min_count) {
  return Learner(limit, min_count).learn(words);
}

}  // namespace fathom::data
