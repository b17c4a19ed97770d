#include "bundle/bundle.h"

#include <fcntl.h>
#include <unistd.h>
#include <cmath>

#include <set>

#include "base/file.h"
#include "base/quote.h"
#include "base/sha256.h"

namespace fathom {
namespace {

constexpr int kFormat = 1;
constexpr std::uint64_t kMaxJsonBytes = 4u << 20;
constexpr std::uint64_t kMaxPredictorBytes = 256u << 20;
constexpr const char* kIndex = "model.safetensors.index.json";  // of weights in several files
constexpr const char* kAgain = "copy the bundle again, or make it again with `fathom fit`";

std::string quoted(const fs::path& path) { return "'" + path.string() + "'"; }

Error corrupt(const std::string& message, const std::string& hint = kAgain) {
  return {Code::corrupt_bundle, message, hint};
}

// Names that stay inside the folder and are portable: no separators, no "..", nothing hidden.
bool good_name(const std::string& name) {
  if (name.empty() || name.size() > 255 || name.front() == '.') return false;
  for (const char c : name) {
    const bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!alnum && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

bool outside_checksum(const std::string& name) {
  return name == "costs.json" || (name.starts_with("packed.") && name.ends_with(".bin"));
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<Json> read_json(const fs::path& path) {
  FATHOM_TRY(const std::string text, read_file(path, kMaxJsonBytes));
  FATHOM_TRY(Json json, parse_json(text, quoted(path), Code::corrupt_bundle));
  if (!json.is_object()) return corrupt(quoted(path) + ": must hold a JSON object");
  return json;
}

struct Listed {
  std::uint64_t bytes = 0;
  std::string sha256;
};

// The one file of the model's weights, of those a bundle lists; empty: they lie in shards.
std::string weights_file(const std::map<std::string, Listed>& files) {
  for (const char* name : {"model.safetensors", "weights.int8.safetensors"})
    if (files.contains(name)) return name;
  return "";
}

// fathom.json's "files", checked.
Result<std::map<std::string, Listed>> listed_files(const Json& fathom, const std::string& where) {
  const auto it = fathom.find("files");
  if (it == fathom.end() || !it->is_object()) return corrupt(where + ": 'files' is missing or not an object");
  std::map<std::string, Listed> files;
  for (const auto& [name, entry] : it->items()) {
    if (!good_name(name) || name == "fathom.json")
      return corrupt(where + ": 'files' names a file that no bundle holds; allowed are letters, digits, '.', '_', '-'");
    const std::string at = where + ": 'files': '" + name + "'";
    FATHOM_TRY(const std::int64_t bytes, json_int(entry, "bytes", 0, INT64_MAX, at));
    FATHOM_TRY(const std::string hash, json_string(entry, "sha256", at));
    if (!is_sha256(hash)) return corrupt(at + ": 'sha256' must be 64 hexadecimal digits");
    files[name] = {static_cast<std::uint64_t>(bytes), hash};
  }
  if (!files.contains("config.json")) return corrupt(where + ": 'files' does not list config.json");
  if (weights_file(files).empty() && !files.contains(kIndex))
    return corrupt(where + ": 'files' does not list model.safetensors");
  return files;
}

Status is_object_in(const Json& parent, const char* key, const std::string& where) {
  const auto member = json_object(parent, key, where);
  return member ? Status{} : member.error();
}

// The sections of fathom.json are of the kind that their readers take them for; what is in them the readers check.
Status check_sections(const Json& fathom, const std::string& where) {
  for (const char* key : {"policy", "model", "data", "provenance", "operating_points", "certificate", "budget_table"})
    if (fathom.contains(key)) FATHOM_TRY_VOID(is_object_in(fathom, key, where));
  if (const Json* provenance = json_find(fathom, "provenance"))
    for (const char* key : {"compressed", "tuned"})
      if (provenance->contains(key)) FATHOM_TRY_VOID(is_object_in(*provenance, key, where + ": 'provenance'"));
  if (const Json* points = json_find(fathom, "operating_points"))
    for (const auto& [key, point] : points->items())
      if (!point.is_object()) return corrupt(where + ": 'operating_points': " + quote(key) + " must be an object");
  if (const Json* certificate = json_find(fathom, "certificate"))
    if (const Json* subject = json_find(*certificate, "subject"); subject != nullptr && !subject->is_string())
      return corrupt(where + ": 'certificate': 'subject' must be text");
  return {};
}

Status check_size(const fs::path& path, std::uint64_t expected) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found)
    return corrupt(quoted(path) + " is missing, expected " + std::to_string(expected) + " bytes");
  if (status.type() != fs::file_type::regular) return corrupt(quoted(path) + " is not a regular file");
  const std::uint64_t got = fs::file_size(path, error);
  if (error) return Error{Code::io, quoted(path) + ": " + error.message(), "check the permissions"};
  if (got != expected)
    return corrupt(quoted(path) + ": expected " + std::to_string(expected) + " bytes, got " + std::to_string(got) +
                   (got < expected ? ": cut short" : ": not the file the bundle was made with"));
  return {};
}

// Reads the file piece by piece; a file that changes meanwhile has another hash.
Status check_hash(const fs::path& path, const Listed& listed) {
  constexpr std::size_t kAtOnce = std::size_t{1} << 18;
  FATHOM_TRY_VOID(check_size(path, listed.bytes));
  FATHOM_TRY(const MappedFile file, MappedFile::open(path, Weights::copy));
  std::string piece;
  Sha256 hash;
  for (std::uint64_t at = 0; at < file.size(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(kAtOnce, file.size() - at));
    if (!file.read(at, piece.size(), piece.data())) return corrupt(quoted(path) + " was cut short while it was read");
    hash.update(piece);
  }
  if (const std::string got = hash.hex(); got != listed.sha256)
    return corrupt(quoted(path) + ": expected SHA-256 " + listed.sha256 + ", got " + got);
  return {};
}

bool holds_weights(const std::string& name) { return name.ends_with(".safetensors"); }

constexpr const char* kOwnHash = "sha256";

// SHA-256 of what fathom.json says, but for itself and the certificate.
std::string own_hash(const Json& fathom) {
  Json rest = fathom;
  rest.erase(kOwnHash);
  rest.erase("certificate");
  Sha256 hash;
  hash.update(dumped(rest, -1));
  return hash.hex();
}

// Bundles of before have no such hash.
Status check_own_hash(const Json& fathom, const fs::path& path) {
  const auto it = fathom.find(kOwnHash);
  if (it == fathom.end() || *it == own_hash(fathom)) return {};
  return corrupt(quoted(path) + ": its own 'sha256' does not fit: the file was changed or is damaged",
                 std::string(kAgain) + "; after a change by hand leave 'sha256' out");
}

Status check_folder(const fs::path& folder) {
  std::error_code error;
  const auto type = fs::status(folder, error).type();
  if (type == fs::file_type::not_found)
    return Error{Code::io, "no bundle at " + quoted(folder), "check the path, or make one with `fathom fit`"};
  if (type != fs::file_type::directory)
    return Error{Code::io, "no bundle at " + quoted(folder) + ": it is not a folder",
                 "give the folder that holds fathom.json"};
  if (fs::status(folder / "fathom.json", error).type() == fs::file_type::not_found)
    return corrupt(quoted(folder) + " is not a bundle, or its fit is unfinished: it has no fathom.json",
                   "run the same `fathom fit` again: it goes on where it stopped");
  if (!fs::is_regular_file(folder / "fathom.json", error))
    return corrupt(quoted(folder / "fathom.json") + " is not a regular file");
  return {};
}

Result<Json> open_fathom_json(const fs::path& folder) {
  FATHOM_TRY_VOID(check_folder(folder));
  const fs::path path = folder / "fathom.json";
  FATHOM_TRY(Json fathom, read_json(path));
  FATHOM_TRY(const std::int64_t format, json_int(fathom, "format", 1, INT64_MAX, quoted(path)));
  if (format != kFormat)
    return Error{
        Code::unsupported,
        quoted(path) + ": bundle format " + std::to_string(format) + ", this version reads " + std::to_string(kFormat),
        "use a newer version of Fathom"};
  FATHOM_TRY_VOID(check_sections(fathom, quoted(path)));
  return fathom;
}

Status check_finite(const SafeTensors& tensors) {
  for (const auto& [name, unused] : tensors.all()) {
    const TensorView& view = *tensors.find(name);
    const std::int64_t count = view.elements();
    for (std::int64_t i = 0; i < count; ++i)
      if (!std::isfinite(view.data[i]))
        return corrupt(quoted(tensors.path()) + ": tensor '" + name + "': value " + std::to_string(i) +
                       " is not finite");
  }
  return {};
}

// Makes a removal or rename in `folder` lasting before what follows is written.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // some file systems refuse; the order of operations still protects against a killed process
  (void)::fsync(fd);
  ::close(fd);
}

// What the bundle in `folder` lists, if there is one.
std::set<std::string> listed_before(const fs::path& folder) {
  std::set<std::string> names;
  const auto fathom = open_fathom_json(folder);
  if (!fathom) return names;
  const auto files = listed_files(*fathom, "");
  if (!files) return names;
  for (const auto& [name, entry] : *files) names.insert(name);
  return names;
}

// Turns a folder that holds a bundle into one that does not, so that no mixture of two bundles ever looks whole.
Status retire_old_bundle(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / "fathom.json", error);
  if (error)
    return Error{Code::io, quoted(folder / "fathom.json") + ": cannot remove: " + error.message(),
                 "check the permissions"};
  std::vector<fs::path> stale;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (outside_checksum(it->path().filename().string())) stale.push_back(it->path());
  for (const fs::path& path : stale) fs::remove(path, error);  // measured or packed from the old weights
  sync_folder(folder);
  return {};
}

}  // namespace

Result<std::shared_ptr<const Bundle>> Bundle::open(const std::filesystem::path& folder, Weights how) {
  auto bundle = std::make_shared<Bundle>();
  bundle->folder_ = folder;
  FATHOM_TRY(bundle->fathom_, open_fathom_json(folder));
  FATHOM_TRY(const auto files, listed_files(bundle->fathom_, quoted(folder / "fathom.json")));
  for (const auto& [name, listed] : files) FATHOM_TRY_VOID(check_size(folder / name, listed.bytes));
  for (const auto& [name, listed] : files)
    if (!holds_weights(name)) FATHOM_TRY_VOID(check_hash(folder / name, listed));
  FATHOM_TRY(bundle->config_, read_json(folder / "config.json"));
  if (const auto whole = weights_file(files); !whole.empty()) {
    FATHOM_TRY(bundle->weights_, SafeTensors::open(folder / whole, how));
  } else {
    FATHOM_TRY(const auto shards, SafeTensors::shards_of(folder / kIndex));
    for (const std::string& shard : shards)
      if (!files.contains(shard))
        return corrupt(quoted(folder / kIndex) + " names '" + shard + "', which fathom.json does not list");
    FATHOM_TRY(bundle->weights_, SafeTensors::open_sharded(folder / kIndex, how));
  }
  if (files.contains("fathom.safetensors")) {
    FATHOM_TRY(bundle->decision_, SafeTensors::open(folder / "fathom.safetensors", how));
  }
  if (files.contains("predictor.txt")) {
    FATHOM_TRY(bundle->predictor_, read_file(folder / "predictor.txt", kMaxPredictorBytes));
  }
  return std::shared_ptr<const Bundle>(std::move(bundle));
}

Status Bundle::verify() const {
  FATHOM_TRY(const auto files, listed_files(fathom_, quoted(folder_ / "fathom.json")));
  for (const auto& [name, listed] : files) FATHOM_TRY_VOID(check_hash(folder_ / name, listed));
  FATHOM_TRY_VOID(check_finite(*weights_));
  if (decision_ != nullptr) FATHOM_TRY_VOID(check_finite(*decision_));
  return {};
}

Status Bundle::unchanged() const { return check_own_hash(fathom_, folder_ / "fathom.json"); }

Status Bundle::verify_weights() const {
  FATHOM_TRY(const auto files, listed_files(fathom_, quoted(folder_ / "fathom.json")));
  for (const auto& [name, listed] : files)
    if (holds_weights(name)) FATHOM_TRY_VOID(check_hash(folder_ / name, listed));
  return {};
}

std::string Bundle::checksum() const {
  std::map<std::string, std::string> hashes;  // sorted: the order in fathom.json does not matter
  for (const auto& [name, entry] : fathom_.at("files").items()) hashes[name] = entry.at("sha256").get<std::string>();
  Sha256 hash;
  for (const auto& [name, value] : hashes) hash.update(name + " " + value + "\n");
  Json rest = fathom_;
  rest.erase("files");
  rest.erase(kOwnHash);  // follows from the rest
  hash.update(dumped(rest, -1));
  return hash.hex();
}

Status write_bundle(const std::filesystem::path& folder, const std::map<std::string, std::string>& files, Json fathom,
                    const std::map<std::string, std::filesystem::path>& copies) {
  Json out;
  out["format"] = kFormat;
  for (const auto& [key, value] : fathom.items())
    if (key != "format" && key != "files" && key != kOwnHash) out[key] = value;
  out["files"] = Json::object();
  const auto bad_name = [](const std::string& name) {
    return !good_name(name) || name == "fathom.json" || outside_checksum(name);
  };
  const auto refuse = [](const std::string& name) {
    return Error{Code::invalid_argument, "write_bundle: '" + name + "' is no file name for a bundle",
                 "use letters, digits, '.', '_', '-'"};
  };
  std::map<std::string, Json> listed;  // sorted by name, whatever the kind
  for (const auto& [name, bytes] : files) {
    if (bad_name(name)) return refuse(name);
    listed[name] = {{"bytes", bytes.size()}, {"sha256", sha256_hex(bytes)}};
  }
  for (const auto& [name, path] : copies) {
    if (bad_name(name) || files.contains(name)) return refuse(name);
    FATHOM_TRY(const MappedFile file, MappedFile::open(path));
    listed[name] = {{"bytes", file.bytes().size()}, {"sha256", sha256_hex(file.bytes())}};
  }
  for (const auto& [name, entry] : listed) out["files"][name] = entry;
  FATHOM_TRY(const auto checked, listed_files(out, "write_bundle"));
  (void)checked;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return Error{Code::io, quoted(folder) + ": cannot create the folder: " + error.message(),
                 "check the path and its permissions"};
  std::set<std::string> old = listed_before(folder);
  FATHOM_TRY_VOID(retire_old_bundle(folder));
  for (const auto& [name, bytes] : files) FATHOM_TRY_VOID(write_file_atomic(folder / name, bytes));
  for (const auto& [name, path] : copies) {
    if (fs::equivalent(path, folder / name, error)) continue;  // a bundle written again over its own files
    FATHOM_TRY(const MappedFile file, MappedFile::open(path));
    const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    FATHOM_TRY_VOID(write_file_atomic(folder / name, bytes));
  }
  sync_folder(folder);
  out[kOwnHash] = own_hash(out);
  FATHOM_TRY_VOID(write_file_atomic(folder / "fathom.json", dumped(out, 1) + "\n"));
  for (const auto& [name, entry] : listed) old.erase(name);
  for (const std::string& name : old) fs::remove(folder / name, error);  // the old bundle's alone
  return {};
}

Status update_bundle(const std::filesystem::path& folder, const Json& fathom) {
  FATHOM_TRY(const Json old, open_fathom_json(folder));
  FATHOM_TRY(const auto listed, listed_files(old, quoted(folder / "fathom.json")));
  (void)listed;
  Json out;
  out["format"] = kFormat;
  for (const auto& [key, value] : fathom.items())
    if (key != "format" && key != "files" && key != kOwnHash) out[key] = value;
  out["files"] = old.at("files");
  out[kOwnHash] = own_hash(out);
  return write_file_atomic(folder / "fathom.json", dumped(out, 1) + "\n");
}

}  // namespace fathom
