// Which file of a folder is which split: exact stems decide, nothing else. docs/formats/datasets.md has the rules.
// Errors: bad_input (nothing fits, two files for one split, no train, no test). Thread rule: pure functions.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/dataset.h"
#include "data/dataset_toml.h"

namespace fathom::data {

enum class FileKind { table, idx, cifar, class_folders };

struct PartFiles {
  std::vector<fs::path> files;  // table: one; idx: the images; cifar: one or more; class_folders: one folder
  fs::path labels, complexity;  // idx only; complexity may be empty
};

struct FolderPlan {
  FileKind kind = FileKind::table;
  std::array<PartFiles, 4> parts;  // by Part; without files: not there
  DatasetToml toml;
  std::vector<std::string> label_names;  // of dataset.toml or a class name file; may be empty
  std::string names_from;                // that file's name
  std::vector<std::string> notes;
};

// `test_alone`: train may be missing.
Result<FolderPlan> plan_folder(const fs::path& folder, Task task, bool test_alone = false);
bool holds_splits(const fs::path& folder, Task task);  // anything that would be a split of this task, or claims to be

}  // namespace fathom::data
