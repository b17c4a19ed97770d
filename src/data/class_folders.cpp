#include "data/class_folders.h"

#include <algorithm>

#include "data/gzip.h"
#include "data/picture.h"

namespace fathom::data {
namespace {

constexpr int kMaxFoundSide = 64;

bool is_picture_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

// Sorted by name, so that the order of rows does not depend on the file system. Hidden entries are left out.
std::vector<fs::path> entries(const fs::path& folder, bool folders) {
  std::vector<fs::path> found;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    if (it->path().filename().string().starts_with(".")) continue;
    if (folders ? it->is_directory(code) : is_picture_name(it->path())) found.push_back(it->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Adds one picture in the split's size, which the first one settles where none is asked for.
Status append(Split& split, const fs::path& path, const fs::path& folder, int height, int width) {
  FATHOM_TRY(Picture picture, read_picture(path));
  if (split.height == 0) {
    split.height = height > 0 ? height : std::min(picture.height, kMaxFoundSide);
    split.width = width > 0 ? width : std::min(picture.width, kMaxFoundSide);
  }
  if (split.pixels.size() + split.picture_bytes() > kMaxDataBytes)
    return Error{Code::limit,
                 "'" + folder.string() + "': more than " + std::to_string(kMaxDataBytes) + " bytes of pictures",
                 "use a smaller image size"};
  if (picture.height != split.height || picture.width != split.width)
    picture = resize_picture(picture, split.height, split.width);
  split.pixels.insert(split.pixels.end(), picture.pixels.begin(), picture.pixels.end());
  return {};
}

}  // namespace

bool has_class_folders(const fs::path& folder) {
  const auto classes = entries(folder, true);
  return std::any_of(classes.begin(), classes.end(), [](const fs::path& one) { return !entries(one, false).empty(); });
}

Result<RawPart> read_class_folders(const fs::path& folder, int height, int width) {
  RawPart part;
  for (const fs::path& class_folder : entries(folder, true)) {
    const std::vector<fs::path> pictures = entries(class_folder, false);
    if (pictures.empty())
      return Error{Code::bad_input, "'" + class_folder.string() + "': no JPEG or PNG picture in this class folder",
                   "remove the folder or fill it"};
    for (const fs::path& path : pictures) {
      FATHOM_TRY_VOID(append(part.split, path, folder, height, width));
      part.labels.push_back(class_folder.filename().string());
      part.file.push_back(static_cast<std::uint32_t>(part.files.size()));
      part.place.push_back(0);
      part.files.push_back("'" + path.string() + "'");
    }
  }
  if (part.labels.empty())
    return Error{Code::bad_input, "'" + folder.string() + "': no class folders with JPEG or PNG pictures",
                 "put the pictures of each class into a folder of its own"};
  return part;
}

bool has_pictures(const fs::path& folder) { return !entries(folder, false).empty(); }

Result<Split> read_picture_folder(const fs::path& folder, int height, int width) {
  Split split;
  for (const fs::path& path : entries(folder, false)) {
    FATHOM_TRY_VOID(append(split, path, folder, height, width));
    split.labels.push_back(0);
  }
  if (split.labels.empty())
    return Error{Code::bad_input, "'" + folder.string() + "' holds no JPEG or PNG picture",
                 "give a folder of pictures"};
  return split;
}

}  // namespace fathom::data
