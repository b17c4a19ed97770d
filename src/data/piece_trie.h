// A vocabulary as a tree of bytes: exact look-up, and the longest piece that a text begins with, in one walk.
// The children of a node lie side by side, so a node is 12 bytes (a vocabulary of 30,000 pieces: about 1 MB).
// Thread rule: immutable once made.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::data {

class PieceTrie {
 public:
  static constexpr std::uint32_t kNowhere = 0;  // no walk leads back to the root
  struct Match {
    std::int32_t id = -1;
    std::size_t bytes = 0;
  };

  PieceTrie() = default;
  // `ids` of the pieces; none: a piece's id is its place in the list. Empty pieces are left out; of a piece that stands
  // twice the last counts. Errors: too many bytes.
  static Result<PieceTrie> make(const std::vector<std::string>& pieces, std::span<const std::int32_t> ids = {});

  std::int32_t find(std::string_view piece) const;  // -1: not in the vocabulary
  // From `node` (0 is the root) along `text`; kNowhere if no piece goes that way (and text is not empty).
  std::uint32_t walk(std::uint32_t node, std::string_view text) const;
  // The longest piece that is the way to `node` and a beginning (of at least one byte) of `text`.
  Match longest(std::uint32_t node, std::string_view text) const;

 private:
  struct Node {
    std::uint32_t children = 0;  // the first one's number
    std::uint16_t count = 0;
    std::uint8_t byte = 0;
    std::int32_t id = -1;
  };
  std::uint32_t child(std::uint32_t node, unsigned char byte) const;

  std::vector<Node> nodes_;
};

}  // namespace fathom::data
