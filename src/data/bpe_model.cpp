#include "data/bpe_model.h"

#include <algorithm>

#include "data/append_ids.h"
#include "data/byte_pattern.h"
#include "data/utf8.h"

namespace fathom::data {
namespace {

constexpr std::size_t kShort =
    48;  // pieces; longer words keep their joins in a heap, so that time does not grow squared

Error no_piece(const std::string& piece, std::size_t line) {
  return {Code::corrupt_bundle, "merge " + std::to_string(line) + ": '" + piece + "' is not in the vocabulary", ""};
}

// The heap's top: the lowest rank, then the leftmost.
bool later(const EncodeScratch::Join& a, const EncodeScratch::Join& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
}

}  // namespace

Result<BpeModel> BpeModel::make(const Vocabulary& vocabulary, const PieceIndex& index, const std::vector<Merge>& merges,
                                const BpeOptions& options) {
  BpeModel model;
  model.options_ = options;
  if (!options.unknown.empty()) {
    model.unknown_ = index.find(options.unknown);
    if (model.unknown_ < 0) return Error{Code::corrupt_bundle, "vocabulary: '" + options.unknown + "' is missing", ""};
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string character;
    append_utf8(byte_characters()[byte], character);
    model.byte_ids_[byte] = index.find(character);
  }
  FATHOM_TRY_VOID(model.add_merges(index, merges));
  if (options.ignore_merges) {
    std::vector<std::string> bytes;
    bytes.reserve(vocabulary.pieces.size());
    for (const std::string& piece : vocabulary.pieces) bytes.push_back(bytes_of_piece(piece).value_or(""));
    FATHOM_TRY(model.whole_, PieceTrie::make(bytes, vocabulary.ids));
  }
  return model;
}

Status BpeModel::add_merges(const PieceIndex& index, const std::vector<Merge>& merges) {
  joins_.reserve(merges.size());
  merges_.reserve(merges.size());
  for (std::size_t i = merges.size(); i-- > 0;) {
    const auto& [left, right] = merges[i];
    const std::int32_t a = index.find(left), b = index.find(right);
    if (a < 0 || b < 0) return no_piece(std::string(a < 0 ? left : right), i);
    const std::int32_t id = index.find(left, right);
    if (id < 0) return no_piece(std::string(left).append(right), i);
    if (joins_.add(a, b, {static_cast<std::uint32_t>(i), id})) merges_.emplace_back(a, b);
  }
  std::reverse(merges_.begin(), merges_.end());
  return {};
}

bool BpeModel::encode(std::string_view text, std::size_t limit, EncodeScratch& scratch,
                      std::vector<std::int32_t>& ids) const {
  if (options_.add_prefix_space && !text.empty() && text.front() != ' ') {
    scratch.words.assign(1, ' ');
    scratch.words += text;
    text = scratch.words;
  }
  for (std::size_t at = 0, end = 0; at < text.size(); at = end) {
    end = next_byte_word(text, at);
    const std::string_view word = text.substr(at, end - at);
    std::span<const std::int32_t> known = scratch.cache.find(word);
    if (known.empty()) {
      split_word(word, scratch);
      scratch.cache.put(word, scratch.found);
      known = scratch.found;
    }
    if (!append_ids(known, limit, ids)) return false;
  }
  return true;
}

void BpeModel::split_word(std::string_view word, EncodeScratch& scratch) const {
  std::vector<std::int32_t>& found = scratch.found;
  found.clear();
  if (options_.ignore_merges) {
    const std::int32_t id = whole_.find(word);
    if (id >= 0) return found.push_back(id);
  }
  bool fused = false;
  for (const char c : word) {
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0)
      found.push_back(id);
    else if (unknown_ >= 0 && !fused)
      found.push_back(unknown_);
    fused = id < 0 && options_.fuse_unknown;
  }
  if (found.size() <= kShort)
    join_short(scratch);
  else
    join_long(scratch);
}

void BpeModel::join_short(EncodeScratch& scratch) const {
  std::vector<std::int32_t>& found = scratch.found;
  std::array<PairTable::Value, kShort> joins;  // [i]: of found[i] and found[i + 1]
  for (std::size_t i = 0; i + 1 < found.size(); ++i) joins[i] = join_of(found[i], found[i + 1]);
  while (found.size() > 1) {
    const std::size_t last = found.size() - 1;
    std::size_t best = 0;
    for (std::size_t i = 1; i < last; ++i)
      if (joins[i].rank < joins[best].rank) best = i;
    if (joins[best].rank == PairTable::kNoRank) return;
    found[best] = joins[best].id;
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    for (std::size_t i = best + 1; i + 1 < last; ++i) joins[i] = joins[i + 1];
    if (best > 0) joins[best - 1] = join_of(found[best - 1], found[best]);
    if (best + 1 < last) joins[best] = join_of(found[best], found[best + 1]);
  }
}

void BpeModel::join_long(EncodeScratch& scratch) const {
  std::vector<std::int32_t>& pieces = scratch.found;
  std::vector<std::int32_t>&before = scratch.before, &after = scratch.after;
  std::vector<EncodeScratch::Join>& joins = scratch.joins;
  const auto count = static_cast<std::int32_t>(pieces.size());
  before.resize(pieces.size());
  after.resize(pieces.size());
  joins.clear();
  const auto piece = [&](std::int32_t at) -> std::int32_t& { return pieces[static_cast<std::size_t>(at)]; };
  const auto offer = [&](std::int32_t at) {
    const std::int32_t next = at < 0 ? count : after[static_cast<std::size_t>(at)];
    if (next >= count) return;
    const std::uint32_t rank = join_of(piece(at), piece(next)).rank;
    if (rank == PairTable::kNoRank) return;
    joins.push_back({rank, at});
    std::push_heap(joins.begin(), joins.end(), later);
  };
  for (std::int32_t i = 0; i < count; ++i) {
    before[static_cast<std::size_t>(i)] = i - 1;
    after[static_cast<std::size_t>(i)] = i + 1;
  }
  for (std::int32_t i = 0; i + 1 < count; ++i) offer(i);
  while (!joins.empty()) {
    std::pop_heap(joins.begin(), joins.end(), later);
    const EncodeScratch::Join top = joins.back();
    joins.pop_back();
    const std::int32_t next = after[static_cast<std::size_t>(top.at)];
    if (piece(top.at) < 0 || next >= count) continue;
    const PairTable::Value value = join_of(piece(top.at), piece(next));
    if (value.rank != top.rank) continue;  // one of the two has been joined since
    piece(top.at) = value.id;
    piece(next) = -1;
    const std::int32_t beyond = after[static_cast<std::size_t>(next)];
    after[static_cast<std::size_t>(top.at)] = beyond;
    if (beyond < count) before[static_cast<std::size_t>(beyond)] = top.at;
    offer(before[static_cast<std::size_t>(top.at)]);
    offer(top.at);
  }
  std::erase(pieces, -1);
}

}  // namespace fathom::data
