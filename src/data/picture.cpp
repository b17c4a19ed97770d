#include "data/picture.h"

#include "base/file.h"
#include "data/exif.h"
#include "data/picture_formats.h"

namespace fathom::data {

namespace {

// True: JPEG; false: PNG.
Result<bool> is_jpeg(std::string_view bytes, const std::string& where) {
  if (bytes.empty()) return Error{Code::bad_input, where + ": the picture is empty", "give a JPEG or PNG file"};
  if (bytes.starts_with("\xFF\xD8\xFF")) return true;
  if (bytes.starts_with(std::string_view("\x89PNG\r\n\x1A\n", 8))) return false;
  return Error{Code::unsupported, where + ": neither JPEG nor PNG", "convert the picture to JPEG or PNG"};
}

}  // namespace

Result<Picture> decode_picture(std::string_view bytes, const std::string& where) {
  FATHOM_TRY(const bool jpeg, is_jpeg(bytes, where));
  FATHOM_TRY(Picture picture, jpeg ? decode_jpeg(bytes, where) : decode_png(bytes, where));
  apply_orientation(picture, jpeg ? jpeg_orientation(bytes) : png_orientation(bytes));
  return picture;
}

Result<std::pair<int, int>> picture_size(std::string_view bytes, const std::string& where) {
  FATHOM_TRY(const bool jpeg, is_jpeg(bytes, where));
  return jpeg ? jpeg_size(bytes, where) : png_size(bytes, where);
}

Result<Picture> read_picture(const std::filesystem::path& path) {
  FATHOM_TRY(const std::string bytes, read_file(path, kMaxPictureBytes));
  return decode_picture(bytes, "'" + path.string() + "'");
}

Status check_picture_size(std::uint64_t height, std::uint64_t width, const std::string& where) {
  if (height == 0 || width == 0)
    return Error{Code::bad_input, where + ": the picture has no pixels", "the file is damaged"};
  if (height > kMaxPixels || width > kMaxPixels || height * width > kMaxPixels)
    return Error{
        Code::limit,
        where + ": " + std::to_string(width) + "x" + std::to_string(height) + " pixels, at most 40 million are read",
        "make the picture smaller"};
  return {};
}

}  // namespace fathom::data
