#include "data/piece_trie.h"

#include <algorithm>
#include <numeric>

namespace fathom::data {
namespace {

constexpr std::size_t kMaxNodes = 8'000'000;  // 96 MB
constexpr std::uint16_t kSearchFrom = 8;      // so many children are searched by halving

// Pieces begin..end (of the sorted list) share their first `depth` bytes, the way to `node`.
struct Span {
  std::size_t begin, end, depth;
  std::uint32_t node;
};

}  // namespace

Result<PieceTrie> PieceTrie::make(const std::vector<std::string>& pieces, std::span<const std::int32_t> ids) {
  std::vector<std::int32_t> order(pieces.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](std::int32_t i) { return pieces[static_cast<std::size_t>(i)].empty(); });
  const auto text = [&](std::size_t at) -> const std::string& { return pieces[static_cast<std::size_t>(order[at])]; };
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    const int way = pieces[static_cast<std::size_t>(a)].compare(pieces[static_cast<std::size_t>(b)]);
    return way != 0 ? way < 0 : a > b;  // of equal ones the last stands first, and stays
  });
  const auto same = [&](std::int32_t a, std::int32_t b) {
    return pieces[static_cast<std::size_t>(a)] == pieces[static_cast<std::size_t>(b)];
  };
  order.erase(std::unique(order.begin(), order.end(), same), order.end());

  const auto id_of = [&](std::int32_t place) { return ids.empty() ? place : ids[static_cast<std::size_t>(place)]; };
  PieceTrie trie;
  trie.nodes_.emplace_back();
  std::vector<Span> level = {{0, order.size(), 0, 0}}, below;
  for (; !level.empty(); level.swap(below), below.clear())
    for (Span span : level) {
      if (span.begin < span.end && text(span.begin).size() == span.depth)
        trie.nodes_[span.node].id = id_of(order[span.begin++]);
      trie.nodes_[span.node].children = static_cast<std::uint32_t>(trie.nodes_.size());
      for (std::size_t i = span.begin; i < span.end;) {
        const auto byte = static_cast<unsigned char>(text(i)[span.depth]);
        std::size_t end = i + 1;
        while (end < span.end && static_cast<unsigned char>(text(end)[span.depth]) == byte) ++end;
        if (trie.nodes_.size() == kMaxNodes)
          return Error{Code::limit, "vocabulary: its pieces make more than 8000000 nodes", ""};
        below.push_back({i, end, span.depth + 1, static_cast<std::uint32_t>(trie.nodes_.size())});
        trie.nodes_.push_back({0, 0, byte, -1});
        ++trie.nodes_[span.node].count;
        i = end;
      }
    }
  trie.nodes_.shrink_to_fit();
  return trie;
}

std::uint32_t PieceTrie::child(std::uint32_t node, unsigned char byte) const {
  const Node* first = nodes_.data() + nodes_[node].children;
  const Node* last = first + nodes_[node].count;
  const Node* found =
      nodes_[node].count < kSearchFrom
          ? std::find_if(first, last, [&](const Node& n) { return n.byte >= byte; })
          : std::lower_bound(first, last, byte, [](const Node& n, unsigned char b) { return n.byte < b; });
  return found != last && found->byte == byte ? static_cast<std::uint32_t>(found - nodes_.data()) : kNowhere;
}

std::uint32_t PieceTrie::walk(std::uint32_t node, std::string_view text) const {
  for (const char c : text) {
    node = child(node, static_cast<unsigned char>(c));
    if (node == kNowhere) break;
  }
  return node;
}

std::int32_t PieceTrie::find(std::string_view piece) const {
  if (piece.empty() || nodes_.empty()) return -1;
  const std::uint32_t node = walk(0, piece);
  return node == kNowhere ? -1 : nodes_[node].id;
}

PieceTrie::Match PieceTrie::longest(std::uint32_t node, std::string_view text) const {
  Match best;
  for (std::size_t at = 0; at < text.size(); ++at) {
    node = child(node, static_cast<unsigned char>(text[at]));
    if (node == kNowhere) break;
    if (nodes_[node].id >= 0) best = {nodes_[node].id, at + 1};
  }
  return best;
}

}  // namespace fathom::data
