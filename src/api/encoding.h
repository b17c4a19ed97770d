// Encoding: texts, pairs or pictures as a Batch the engine reads, and what of each input an Outcome tells besides its
// prediction. Errors: invalid_argument when the model reads the other kind of input; those of data::fit_picture.
// Thread rule: one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/opened.h"
#include "data/picture.h"

namespace fathom::api {

// A picture as the model reads it, all that is kept of it while a batch is gathered: the file's may be far larger.
struct FittedPicture {
  std::vector<std::uint8_t> pixels;  // [image_height, image_width, 3]
};
Result<FittedPicture> fit_picture(const Opened& opened, const data::Picture& picture);

class Encoding {
 public:
  explicit Encoding(std::shared_ptr<const Opened> opened) : opened_(std::move(opened)) {}
  // Whether the model reads inputs of this kind; encode() relies on it.
  Status takes(std::span<const std::string> texts) const;
  Status takes(std::span<const TextPair> pairs) const;
  Status takes(std::span<const data::Picture> pictures) const;
  Status takes(std::span<const FittedPicture> pictures) const;
  // One outcome each, all but its prediction. The batch is a view of this object: it lasts until the next call, or
  // until this is moved.
  Result<engine::Batch> encode(std::span<const std::string> texts, std::span<Outcome> outcomes);
  Result<engine::Batch> encode(std::span<const TextPair> pairs, std::span<Outcome> outcomes);
  Result<engine::Batch> encode(std::span<const data::Picture> pictures, std::span<Outcome> outcomes);
  Result<engine::Batch> encode(std::span<const FittedPicture> pictures, std::span<Outcome> outcomes);

 private:
  template <class Append>  // (index) -> cut: appends one input's ids, and its types if it has any
  engine::Batch packed(std::size_t inputs, const Append& append, std::span<Outcome> outcomes);
  template <class Put>  // (index, to): writes one picture's pixels
  Result<engine::Batch> fitted(std::size_t inputs, const Put& put, std::span<Outcome> outcomes);

  std::shared_ptr<const Opened> opened_;
  std::vector<std::int32_t> ids_, types_, offsets_;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace fathom::api
