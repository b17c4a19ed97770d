#include "data/dataset_folder.h"

#include <algorithm>
#include <map>
#include <optional>

#include "data/class_folders.h"
#include "data/labels.h"
#include "data/table.h"

namespace fathom::data {
namespace {

enum class Role { train, tune, calibrate, test, dev };
constexpr std::array kRoles = {Role::train, Role::tune, Role::calibrate, Role::test, Role::dev};
using RoleFiles = std::map<Role, PartFiles>;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::optional<Role> role_of(const std::string& stem) {
  static const std::map<std::string, Role> kStems = {
      {"train", Role::train},   {"tune", Role::tune}, {"calibrate", Role::calibrate},
      {"cal", Role::calibrate}, {"test", Role::test}, {"t10k", Role::test},
      {"dev", Role::dev},       {"val", Role::dev},   {"valid", Role::dev},
      {"validation", Role::dev}};
  const auto found = kStems.find(lower(stem));
  return found == kStems.end() ? std::nullopt : std::optional<Role>(found->second);
}

std::string without_gz(std::string name) {
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return name;
}

// "<stem>-<column>-idx<d>-ubyte[.gz]", also with a dot before idx; "" if the name is another.
std::string idx_stem(const std::string& file_name, const std::string& column, const std::string& ranks) {
  const std::string name = without_gz(lower(file_name));
  for (const char rank : ranks)
    for (const char* dash : {"-", "."}) {
      const std::string tail = "-" + column + dash + "idx" + rank + "-ubyte";
      if (name.ends_with(tail) && name.size() > tail.size()) return name.substr(0, name.size() - tail.size());
    }
  return "";
}

// CIFAR: "data_batch_<digits>.bin" trains; "<stem>_batch.bin" and "<stem>.bin" are that stem's split.
std::optional<Role> cifar_role(const std::string& file_name) {
  std::string name = without_gz(lower(file_name));
  if (!name.ends_with(".bin")) return std::nullopt;
  name.resize(name.size() - 4);
  const std::string numbered = "data_batch_";
  if (name.starts_with(numbered) && name.size() > numbered.size() &&
      std::all_of(name.begin() + static_cast<std::ptrdiff_t>(numbered.size()), name.end(),
                  [](char c) { return c >= '0' && c <= '9'; }))
    return Role::train;
  if (name.ends_with("_batch")) name.resize(name.size() - 6);
  return role_of(name);
}

std::optional<Role> table_role(const std::string& file_name) {
  if (!is_table_name(file_name)) return std::nullopt;
  const std::string name = without_gz(lower(file_name));
  return role_of(name.substr(0, name.rfind('.')));
}

Error two_files(const fs::path& a, const fs::path& b) {
  return {Code::bad_input, "'" + a.string() + "' and '" + b.string() + "' both claim the same split",
          "keep one of them, or name the file in dataset.toml"};
}

Result<std::vector<fs::path>> list_folder(const fs::path& folder) {
  std::error_code code;
  if (!fs::is_directory(folder, code))
    return Error{Code::io,
                 "'" + folder.string() + "': " + (fs::exists(folder, code) ? "not a folder" : "no such folder"),
                 "give a data folder with --data"};
  std::vector<fs::path> found;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    if (!it->path().filename().string().starts_with(".")) found.push_back(it->path());
  if (code)
    return Error{Code::io, "'" + folder.string() + "': cannot list the folder: " + code.message(),
                 "check the permissions"};
  // data_batch_2 before data_batch_10: shorter first among equal beginnings is enough for numbered names.
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {
    const std::string x = a.filename().string(), y = b.filename().string();
    return x.size() != y.size() ? x.size() < y.size() : x < y;
  });
  return found;
}

fs::path idx_partner(const fs::path& images, const std::string& column) {
  const std::string stem = idx_stem(images.filename().string(), "images", "34");
  std::error_code code;
  for (const char* tail : {"-idx1-ubyte", "-idx1-ubyte.gz", ".idx1-ubyte", ".idx1-ubyte.gz"}) {
    const fs::path path = images.parent_path() / (stem + "-" + column + tail);
    if (fs::is_regular_file(path, code)) return path;
  }
  return {};
}

Status add_idx(PartFiles& part, const fs::path& images) {
  part.files = {images};
  part.labels = idx_partner(images, "labels");
  part.complexity = idx_partner(images, "complexity");
  if (part.labels.empty())
    return Error{Code::bad_input, "'" + images.string() + "': its labels file is missing",
                 "put '" + idx_stem(images.filename().string(), "images", "34") + "-labels-idx1-ubyte' beside it"};
  return {};
}

Result<RoleFiles> find_by(const std::vector<fs::path>& paths, FileKind kind) {
  RoleFiles roles;
  std::error_code code;
  for (const fs::path& path : paths) {
    const std::string name = path.filename().string();
    std::optional<Role> role;
    if (kind == FileKind::class_folders) {
      if (fs::is_directory(path, code) && has_class_folders(path)) role = role_of(name);
    } else if (fs::is_regular_file(path, code)) {
      role = kind == FileKind::table   ? table_role(name)
             : kind == FileKind::cifar ? cifar_role(name)
                                       : role_of(idx_stem(name, "images", "34"));
    }
    if (!role) continue;
    PartFiles& part = roles[*role];
    const bool numbered = kind == FileKind::cifar && lower(name).starts_with("data_batch_");
    if (!part.files.empty() && !(numbered && lower(part.files.back().filename().string()).starts_with("data_batch_") &&
                                 without_gz(name) != without_gz(part.files.back().filename().string())))
      return two_files(part.files.back(), path);
    if (kind == FileKind::idx)
      FATHOM_TRY_VOID(add_idx(part, path));
    else
      part.files.push_back(path);
  }
  return roles;
}

Result<FileKind> kind_of_named(const std::string& name, const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) return FileKind::class_folders;
  if (!fs::exists(path, code))
    return Error{Code::bad_input, "'" + path.string() + "': named in dataset.toml but missing",
                 "correct dataset.toml or put the file there"};
  if (is_table_name(name)) return FileKind::table;
  if (!idx_stem(name, "images", "34").empty()) return FileKind::idx;
  if (without_gz(lower(name)).ends_with(".bin")) return FileKind::cifar;
  return Error{Code::bad_input, "'" + path.string() + "': named in dataset.toml, but of no known kind",
               "known: .csv .tsv .jsonl, -images-idx3-ubyte, .bin, class folders"};
}

Result<RoleFiles> find_named(const fs::path& folder, const DatasetToml& toml, FileKind& kind) {
  RoleFiles roles;
  std::optional<FileKind> seen;
  for (const Part part : kAllParts) {
    const auto& names = toml.files[static_cast<std::size_t>(part)];
    for (const std::string& name : names) {
      FATHOM_TRY(const FileKind found, kind_of_named(fs::path(name).filename().string(), folder / name));
      if ((seen && *seen != found) || (names.size() > 1 && found != FileKind::cifar))
        return Error{
            Code::bad_input,
            "'" + (folder / "dataset.toml").string() + "': '" + name + "' cannot be joined with the other files",
            "one file a split (several only for .bin batches), all of one kind"};
      seen = found;
      PartFiles& files = roles[kRoles[static_cast<std::size_t>(part)]];
      if (found == FileKind::idx)
        FATHOM_TRY_VOID(add_idx(files, folder / name));
      else
        files.files.push_back(folder / name);
    }
  }
  if (seen) kind = *seen;
  return roles;
}

Result<RoleFiles> find_files(const fs::path& folder, const std::vector<fs::path>& paths, Task task, FolderPlan& plan) {
  const auto& named = plan.toml.files;
  if (std::any_of(named.begin(), named.end(), [](const auto& files) { return !files.empty(); }))
    return find_named(folder, plan.toml, plan.kind);
  const std::vector<FileKind> kinds = task == Task::text_classification
                                          ? std::vector{FileKind::table}
                                          : std::vector{FileKind::idx, FileKind::cifar, FileKind::class_folders};
  for (const FileKind kind : kinds) {
    FATHOM_TRY(RoleFiles roles, find_by(paths, kind));
    plan.kind = kind;
    if (!roles.empty()) return roles;
  }
  return RoleFiles{};
}

// dev is the test split if there is no other; else tune, else calibrate, if those are free.
void place_dev(RoleFiles& roles, std::vector<std::string>& notes) {
  const auto dev = roles.find(Role::dev);
  if (dev == roles.end()) return;
  const std::string name = dev->second.files.front().filename().string();
  const char* note = "ignored: all splits have files";
  for (const auto& [role, text] :
       {std::pair{Role::test, "is the test split, as no test file exists"}, std::pair{Role::tune, "is the tune split"},
        std::pair{Role::calibrate, "is the calibrate split"}}) {
    if (roles.count(role) > 0) continue;
    roles[role] = dev->second;
    note = text;
    break;
  }
  notes.push_back(name + ": " + note);
  roles.erase(Role::dev);
}

Status read_names(const std::vector<fs::path>& paths, FolderPlan& plan) {
  plan.label_names = plan.toml.label_names;
  plan.names_from = "dataset.toml";
  for (const bool meta : {false, true})
    for (const fs::path& path : paths) {
      const std::string name = lower(path.filename().string());
      if (!plan.label_names.empty() || !(meta ? name.ends_with(".meta.txt") : name == "classes.txt")) continue;
      FATHOM_TRY(const std::string text, read_file(path, 1 << 20));
      FATHOM_TRY(plan.label_names, parse_class_names(text, "'" + path.string() + "'"));
      plan.names_from = path.filename().string();
      plan.notes.push_back(plan.names_from + ": " + std::to_string(plan.label_names.size()) + " class names");
    }
  return {};
}

void note_ignored(const std::vector<fs::path>& paths, FolderPlan& plan) {
  for (const fs::path& path : paths) {
    const std::string name = path.filename().string();
    const bool data =
        is_table_name(name) || without_gz(lower(name)).ends_with(".bin") || !idx_stem(name, "images", "34").empty();
    const bool used = std::any_of(plan.parts.begin(), plan.parts.end(), [&](const PartFiles& p) {
      return std::find(p.files.begin(), p.files.end(), path) != p.files.end();
    });
    const bool noted =
        std::any_of(plan.notes.begin(), plan.notes.end(), [&](const auto& n) { return n.starts_with(name + ": "); });
    if (data && !used && !noted) plan.notes.push_back(name + ": ignored, its name is no split's");
  }
}

// For the error that a split is missing: files that claim one but are of no kind that is read, else what there is.
std::string what_lies_there(const std::vector<fs::path>& paths, Task task) {
  std::string claims, names;
  std::size_t count = 0;
  for (const fs::path& path : paths) {
    const std::string file = path.filename().string(), name = without_gz(lower(file));
    const std::string stem = name.substr(0, name.find('.'));
    if (count++ < 8) names += (names.empty() ? "" : ", ") + file;
    std::error_code code;
    if (task == Task::image_classification && role_of(file) && fs::is_directory(path, code)) {
      claims += (claims.empty() ? "; " : ", ") + file + " is there, but no class folder in it has JPEG or PNG pictures";
      for (fs::directory_iterator it(path, code), end; !code && it != end; it.increment(code))
        if (const std::string left = it->is_directory(code) ? what_is_left(it->path()) : ""; !left.empty()) {
          claims += " (" + it->path().filename().string() + left + ")";
          break;
        }
    }
    if (task != Task::text_classification || !role_of(stem) || is_table_name(file)) continue;
    claims += (claims.empty() ? "; " : ", ") + file + " is there, but " +
              (name.ends_with(".json") ? "must be JSON lines, one object a line, named " + stem + ".jsonl"
                                       : "of no kind that is read (.csv, .tsv, .jsonl)");
  }
  if (!claims.empty()) return claims;
  if (count == 0) return "; the folder is empty";
  return "; it holds " + names + (count > 8 ? " and " + std::to_string(count - 8) + " more" : "");
}

Status read_toml(const fs::path& folder, Task task, FolderPlan& plan) {
  const fs::path path = folder / "dataset.toml";
  std::error_code code;
  if (!fs::exists(path, code)) return {};
  FATHOM_TRY(const std::string text, read_file(path, 1 << 20));
  FATHOM_TRY(plan.toml, parse_dataset_toml(text, "'" + path.string() + "'"));
  if (plan.toml.task && *plan.toml.task != task)
    return Error{Code::bad_input,
                 "'" + path.string() + "' says task " + task_name(*plan.toml.task) + ", but " + task_name(task) +
                     " was asked for",
                 std::string("use --task ") + task_name(*plan.toml.task)};
  return {};
}

}  // namespace

bool holds_splits(const fs::path& folder, Task task) {
  const auto paths = list_folder(folder);
  if (!paths) return false;
  FolderPlan plan;
  const auto roles = find_files(folder, *paths, task, plan);
  return !roles || !roles->empty();
}

Result<FolderPlan> plan_folder(const fs::path& folder, Task task, bool test_alone) {
  FolderPlan plan;
  FATHOM_TRY(const std::vector<fs::path> paths, list_folder(folder));
  FATHOM_TRY_VOID(read_toml(folder, task, plan));
  FATHOM_TRY(RoleFiles roles, find_files(folder, paths, task, plan));
  const std::string where = "'" + folder.string() + "'";
  if ((plan.kind == FileKind::table) != (task == Task::text_classification))
    return Error{Code::bad_input, where + ": dataset.toml names files that do not fit the task " + task_name(task),
                 "correct the task or the files"};
  const char* expected = task == Task::text_classification
                             ? "expected train.csv, .tsv or .jsonl and a test file of the same kind"
                             : "expected train-images-idx3-ubyte and its labels, data_batch_1.bin, or "
                               "train/<class>/*.jpg|png, and the same for test";
  if (roles.count(Role::train) == 0 && !(test_alone && (roles.count(Role::test) > 0 || roles.count(Role::dev) > 0)))
    return Error{Code::bad_input,
                 where + ": no training data found for " + task_name(task) + what_lies_there(paths, task), expected};
  place_dev(roles, plan.notes);
  if (roles.count(Role::test) == 0)
    return Error{Code::bad_input,
                 where + ": no test data found beside the training data" + what_lies_there(paths, task),
                 "add a test (or dev) file; Fathom never takes test rows from the training file"};
  if (roles.count(Role::train) == 0 && roles.size() > 1)
    return Error{Code::bad_input, where + ": a test split and others, but no train" + what_lies_there(paths, task),
                 expected};
  for (const Part part : kAllParts)
    plan.parts[static_cast<std::size_t>(part)] = roles[kRoles[static_cast<std::size_t>(part)]];
  FATHOM_TRY_VOID(read_names(paths, plan));
  note_ignored(paths, plan);
  return plan;
}

}  // namespace fathom::data
