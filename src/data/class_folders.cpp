#include "data/class_folders.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/sha256.h"
#include "data/picture.h"
#include "data/picture_formats.h"

namespace fathom::data {
namespace {

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

// Folders that programs leave behind, with pictures in them or not.
bool is_litter(const fs::path& folder) { return folder.filename() == "__MACOSX"; }

// What of a folder is not read, by kind.
struct Left {
  std::map<std::string, std::size_t> kinds;  // extension -> how many
  std::size_t nested = 0;                    // pictures in folders below
  void count(const fs::path& folder) {
    std::error_code code;
    for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
      if (it->path().filename().string().starts_with(".")) continue;
      if (it->is_directory(code)) {
        count_nested(it->path());
      } else if (!is_picture_name(it->path())) {
        const std::string extension = it->path().extension().string();
        ++kinds[extension.empty() ? "without an extension" : extension.substr(0, 20)];
      }
    }
  }
  void count_nested(const fs::path& folder) {
    std::error_code code;
    for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
      nested += is_picture_name(it->path()) && !it->path().filename().string().starts_with(".");
  }
  std::string list() const {
    std::string text;
    for (const auto& [kind, count] : kinds) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
    if (nested > 0)
      text += (text.empty() ? "" : ", ") + std::to_string(nested) + " pictures in folders inside the class folders";
    return text;
  }
  void note(const fs::path& folder, std::vector<std::string>& notes) const {
    if (!list().empty())
      notes.push_back(folder.filename().string() +
                      ": not read, for they are no JPEG or PNG in a class folder: " + list());
  }
};

Status append(Split& split, const fs::path& path, bool check) {
  const std::string where = "'" + path.string() + "'";
  FATHOM_TRY(const std::string bytes, read_file(path, kMaxPictureBytes));
  FATHOM_TRY(const auto size, picture_size(bytes, where));
  if (check) {
    FATHOM_TRY(const Picture decoded, decode_picture(bytes, where));
  }
  split.files.push_back({path.string(), sha256_hex(bytes), size.first, size.second});
  return {};
}

int median(std::vector<int> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool divides_well(int height, int width) {
  for (int patch = 3; patch <= 16; ++patch)
    if (height % patch == 0 && width % patch == 0) return true;
  return false;
}

std::string size_text(int height, int width) { return std::to_string(height) + "x" + std::to_string(width); }

}  // namespace

bool has_class_folders(const fs::path& folder) {
  const auto classes = entries(folder, true);
  return std::any_of(classes.begin(), classes.end(), [](const fs::path& one) { return !entries(one, false).empty(); });
}

Result<RawPart> read_class_folders(const fs::path& folder, bool check, std::vector<std::string>& notes) {
  RawPart part;
  Left left;
  std::size_t beside = 0;
  for (const fs::path& path : entries(folder, false)) beside += !path.empty();
  if (beside > 0)
    notes.push_back(folder.filename().string() + ": " + std::to_string(beside) +
                    " pictures that lie beside the class folders are not read");
  for (const fs::path& class_folder : entries(folder, true)) {
    if (is_litter(class_folder)) {
      notes.push_back(folder.filename().string() + ": folder '" + class_folder.filename().string() +
                      "' is passed over");
      continue;
    }
    const std::vector<fs::path> pictures = entries(class_folder, false);
    left.count(class_folder);
    if (pictures.empty())
      return Error{
          Code::bad_input,
          "'" + class_folder.string() + "': no JPEG or PNG picture in this class folder" + what_is_left(class_folder),
          "remove the folder or fill it"};
    for (const fs::path& path : pictures) {
      FATHOM_TRY_VOID(append(part.split, path, check));
      part.labels.push_back(class_folder.filename().string());
      part.file.push_back(static_cast<std::uint32_t>(part.files.size()));
      part.place.push_back(0);
      part.files.push_back("'" + path.string() + "'");
    }
  }
  if (part.labels.empty())
    return Error{Code::bad_input, "'" + folder.string() + "': no class folders with JPEG or PNG pictures",
                 "put the pictures of each class into a folder of its own"};
  left.note(folder, notes);
  return part;
}

std::string what_is_left(const fs::path& folder) {
  Left left;
  left.count(folder);
  return left.list().empty() ? "" : "; it holds " + left.list();
}

bool has_pictures(const fs::path& folder) { return !entries(folder, false).empty(); }

Result<Split> read_picture_folder(const fs::path& folder, bool check, std::vector<std::string>& notes) {
  Split split;
  for (const fs::path& path : entries(folder, false)) {
    FATHOM_TRY_VOID(append(split, path, check));
    split.labels.push_back(0);
  }
  if (split.labels.empty())
    return Error{Code::bad_input, "'" + folder.string() + "' holds no JPEG or PNG picture",
                 "give a folder of pictures"};
  Left left;
  left.count(folder);
  left.note(folder, notes);
  return split;
}

void choose_picture_size(Split& split, int height, int width, std::vector<std::string>& notes) {
  constexpr int kMaxFoundSide = 64, kStep = 8;
  std::vector<int> heights, widths;
  for (const PictureFile& file : split.files) {
    heights.push_back(file.height);
    widths.push_back(file.width);
  }
  const auto [low, high] = std::minmax_element(heights.begin(), heights.end());
  const auto [narrow, wide] = std::minmax_element(widths.begin(), widths.end());
  const bool one_size = *low == *high && *narrow == *wide;
  const std::string own = one_size ? "pictures are " + size_text(*low, *narrow)
                                   : "pictures have sizes from " + size_text(*low, *narrow) + " to " +
                                         size_text(*high, *wide) + " (height x width)";
  if (height > 0 && width > 0) {
    split.height = height, split.width = width;
    if (!one_size || *low != height || *narrow != width)
      notes.push_back(own + "; a new model reads them at " + size_text(height, width) + ", as asked for");
    return;
  }
  split.height = std::min(*low, kMaxFoundSide), split.width = std::min(*narrow, kMaxFoundSide);
  if (!one_size || !divides_well(split.height, split.width)) {
    const double side = std::sqrt(static_cast<double>(std::min(median(heights), kMaxFoundSide)) *
                                  std::min(median(widths), kMaxFoundSide));
    split.height = split.width = std::clamp(static_cast<int>(std::lround(side / kStep)) * kStep, kStep, kMaxFoundSide);
  }
  if (!one_size || *low != split.height || *narrow != split.width)
    notes.push_back(own + "; a new model reads all of them resized to " + size_text(split.height, split.width) +
                    "; --image-size chooses another size");
}

}  // namespace fathom::data
