#include "data/cifar.h"

#include "data/gzip.h"

namespace fathom::data {
namespace {

constexpr std::size_t kSide = 32, kPlane = kSide * kSide;

}  // namespace

Result<RawPart> read_cifar_part(const std::vector<fs::path>& files) {
  RawPart part;
  part.place_name = "record";
  part.split.height = part.split.width = static_cast<int>(kSide);
  std::size_t labels = 0;  // label bytes of a record
  for (const fs::path& path : files) {
    const std::string where = "'" + path.string() + "'";
    FATHOM_TRY(const std::string bytes, read_data_file(path));
    const std::size_t found = bytes.size() % (3 * kPlane + 1) == 0 ? 1 : bytes.size() % (3 * kPlane + 2) == 0 ? 2 : 0;
    if (found == 0)
      return Error{
          Code::bad_input,
          where + ": " + std::to_string(bytes.size()) + " bytes are no whole number of records of 3073 (or 3074) bytes",
          "the file is cut short or not a CIFAR binary batch"};
    if (labels != 0 && labels != found)
      return Error{Code::bad_input, where + ": other record size than " + part.files.front(),
                   "do not mix two kinds of batches"};
    labels = found;
    const std::size_t record = 3 * kPlane + labels, count = bytes.size() / record;
    const std::size_t before = part.split.pixels.size();
    part.split.pixels.resize(before + count * 3 * kPlane);
    std::uint8_t* out = part.split.pixels.data() + before;
    for (std::size_t r = 0; r < count; ++r) {
      const char* in = bytes.data() + r * record;
      part.labels.push_back(std::to_string(static_cast<unsigned char>(in[labels - 1])));
      part.file.push_back(static_cast<std::uint32_t>(part.files.size()));
      part.place.push_back(r + 1);
      for (std::size_t p = 0; p < kPlane; ++p)
        for (std::size_t c = 0; c < 3; ++c) *out++ = static_cast<std::uint8_t>(in[labels + c * kPlane + p]);
    }
    part.files.push_back(where);
  }
  return part;
}

}  // namespace fathom::data
