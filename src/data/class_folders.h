// A folder with one folder of JPEG/PNG pictures for each class, whose name is the label; or pictures alone, without
// labels. Pictures are looked at (format, size, content's hash), not decoded: a split of them names files, and each
// model reads those its own way. What is no picture, or lies deeper, is counted in notes. Errors: bad_input (no class
// folders, no pictures, a damaged picture: by name), limit. Thread rule: pure functions.
#pragma once

#include "base/file.h"
#include "data/raw_part.h"

namespace fathom::data {

bool has_class_folders(const fs::path& folder);  // at least one folder that holds a picture
// `check`: decode every picture.
Result<RawPart> read_class_folders(const fs::path& folder, bool check, std::vector<std::string>& notes);

// "; it holds 12 .webp, 3 pictures in folders inside the class folders" of a class folder, for errors; or nothing.
std::string what_is_left(const fs::path& folder);

bool has_pictures(const fs::path& folder);  // in itself, not in folders below
// The pictures that lie in the folder itself, in order of their names; labels are 0 and mean nothing.
Result<Split> read_picture_folder(const fs::path& folder, bool check, std::vector<std::string>& notes);

// The size of a new model of these pictures, into split.height and split.width, with a note where it is not theirs: all
// pictures' own if it is one, at most 64 a side, and patches of 3 to 16 divide it; else a square, the median's, rounded
// to a multiple of 8 from 8 to 64. `height` and `width` above 0: that one.
void choose_picture_size(Split& split, int height, int width, std::vector<std::string>& notes);

}  // namespace fathom::data
