// A folder with one folder of JPEG/PNG pictures for each class, whose name is the label; or pictures alone, without
// labels. Errors: bad_input (no class folders, no pictures, a damaged picture: by name), limit. Thread rule: pure
// functions.
#pragma once

#include "base/file.h"
#include "data/raw_part.h"

namespace fathom::data {

bool has_class_folders(const fs::path& folder);  // at least one folder that holds a picture
// Pictures are resized to height x width; 0: the first picture's size, at most 64 a side.
Result<RawPart> read_class_folders(const fs::path& folder, int height, int width);

bool has_pictures(const fs::path& folder);  // in itself, not in folders below
// The pictures that lie in the folder itself, in order of their names, sizes as above; labels are 0 and mean nothing.
Result<Split> read_picture_folder(const fs::path& folder, int height, int width);

}  // namespace fathom::data
