#include "data/idx.h"

#include "data/gzip.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxSide = 1024;

Error fault(const std::string& where, const std::string& what,
            const std::string& hint = "copy or download the file again") {
  return {Code::bad_input, where + ": " + what, hint};
}

std::string shape(const std::vector<std::size_t>& dims) {
  std::string text;
  for (std::size_t i = 0; i < dims.size(); ++i) text += (i ? "x" : "") + std::to_string(dims[i]);
  return text;
}

struct Bytes {
  std::string bytes;
  IdxArray array;
  std::string where;
};

Status read_array(const fs::path& path, Bytes& out) {
  out.where = "'" + path.string() + "'";
  FATHOM_TRY(out.bytes, read_data_file(path));
  FATHOM_TRY(out.array, parse_idx(out.bytes, out.where));
  return {};
}

Status check_column(const Bytes& column, std::size_t rows, const Bytes& images, const char* what) {
  if (column.array.dims.size() != 1)
    return fault(column.where, std::string("expected one dimension of ") + what + ", got " + shape(column.array.dims));
  if (column.array.dims[0] != rows)
    return fault(column.where,
                 std::to_string(column.array.dims[0]) + " " + what + ", but " + images.where + " has " +
                     std::to_string(rows) + " images",
                 "the two files do not belong together");
  return {};
}

}  // namespace

Result<IdxArray> parse_idx(std::string_view bytes, const std::string& where) {
  if (bytes.size() < 4) return fault(where, "too short for an IDX header");
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  if (byte(0) != 0 || byte(1) != 0)
    return fault(where, "not an IDX file (it must begin with two zero bytes)", "give an IDX file");
  if (byte(2) != 8)
    return Error{Code::unsupported,
                 where + ": IDX values of type " + std::to_string(byte(2)) + ", only unsigned bytes (8) are read", ""};
  const std::size_t rank = byte(3), header = 4 + 4 * rank;
  if (rank < 1 || rank > 4) return fault(where, std::to_string(rank) + " dimensions, expected 1 to 4", "");
  if (bytes.size() < header) return fault(where, "ends inside the IDX header");
  IdxArray array;
  std::size_t count = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    std::size_t dim = 0;
    for (std::size_t b = 0; b < 4; ++b) dim = dim << 8 | byte(4 + 4 * d + b);
    if (dim != 0 && count > kMaxDataBytes / dim)
      return fault(where, "the header promises more than " + std::to_string(kMaxDataBytes) + " values");
    count *= dim;
    array.dims.push_back(dim);
  }
  if (count == 0) return fault(where, "holds no values (" + shape(array.dims) + ")", "give a file with data");
  array.values = bytes.substr(header);
  if (array.values.size() != count)
    return fault(where, "the header promises " + shape(array.dims) + " = " + std::to_string(count) +
                            " values, the file has " + std::to_string(array.values.size()));
  return array;
}

std::string idx_bytes(const std::vector<std::size_t>& dims, std::string_view values) {
  std::string bytes("\0\0\x08", 3);
  bytes.reserve(4 + 4 * dims.size() + values.size());
  bytes.push_back(static_cast<char>(dims.size()));
  for (const std::size_t dim : dims)
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(dim >> shift & 0xFF));
  bytes.append(values);
  return bytes;
}

Result<RawPart> read_idx_part(const fs::path& image_path, const fs::path& label_path, const fs::path& complexity_path) {
  Bytes images, labels, complexity;
  FATHOM_TRY_VOID(read_array(image_path, images));
  FATHOM_TRY_VOID(read_array(label_path, labels));
  const std::vector<std::size_t>& dims = images.array.dims;
  if (dims.size() != 3 && !(dims.size() == 4 && dims[3] == 3))
    return fault(images.where,
                 "images of shape " + shape(dims) + ", expected count x height x width, or count x height x width x 3",
                 "");
  if (dims[1] > kMaxSide || dims[2] > kMaxSide)
    return Error{Code::limit, images.where + ": images of " + shape(dims) + ", at most 1024x1024 are read",
                 "make them smaller"};
  FATHOM_TRY_VOID(check_column(labels, dims[0], images, "labels"));

  RawPart part;
  part.files = {images.where, labels.where};
  part.place_name = "record";
  part.split.height = static_cast<int>(dims[1]);
  part.split.width = static_cast<int>(dims[2]);
  const std::string_view values = images.array.values;
  if (dims.size() == 4) {
    part.split.pixels.assign(values.begin(), values.end());
  } else {
    part.split.pixels.resize(values.size() * 3);
    for (std::size_t i = 0; i < part.split.pixels.size(); ++i)
      part.split.pixels[i] = static_cast<std::uint8_t>(values[i / 3]);
  }
  for (std::size_t i = 0; i < dims[0]; ++i) {
    part.labels.push_back(std::to_string(static_cast<unsigned char>(labels.array.values[i])));
    part.file.push_back(1);
    part.place.push_back(i + 1);
  }
  if (!complexity_path.empty()) {
    FATHOM_TRY_VOID(read_array(complexity_path, complexity));
    FATHOM_TRY_VOID(check_column(complexity, dims[0], images, "complexities"));
    for (const char c : complexity.array.values) part.split.complexity.push_back(static_cast<unsigned char>(c));
  }
  return part;
}

}  // namespace fathom::data
