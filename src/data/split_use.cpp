#include "data/split_use.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <unordered_set>

#include "base/file.h"
#include "base/random.h"

namespace fathom::data {
namespace {

constexpr std::size_t kLeast = 256, kDigits = 16;

std::uint64_t hash_bytes(std::uint64_t hash, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  hash = mix64(hash ^ size);
  for (; size >= 8; size -= 8, bytes += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, 8);
    hash = mix64(hash ^ word);
  }
  std::uint64_t rest = 0;
  for (std::size_t i = 0; i < size; ++i) rest |= std::uint64_t{bytes[i]} << (8 * i);
  return mix64(hash ^ rest);
}

std::string hex_of(std::uint64_t value) {
  std::string text(kDigits, '0');
  for (std::size_t i = 0; i < kDigits; ++i) text[kDigits - 1 - i] = "0123456789abcdef"[(value >> (4 * i)) & 15];
  return text;
}

Json sketch_of(const Split& split) {
  std::vector<std::uint64_t> hashes(split.size());
  for (std::size_t i = 0; i < hashes.size(); ++i) hashes[i] = row_hash(split, i);
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  std::string least;
  for (std::size_t i = 0; i < std::min(hashes.size(), kLeast); ++i) least += hex_of(hashes[i]);
  return {{"count", hashes.size()}, {"least", least}};
}

Error unreadable(const std::string& what) {
  return {Code::corrupt_bundle, "fathom.json: split_use: " + what, "fit or copy the bundle again"};
}

// What a bundle records of one split: words, and its rows where it says them.
struct Used {
  std::vector<std::string> what;
  double count = 0;
  std::vector<std::string> least;
};

Result<Used> used_of(const Json& entry, Part part) {
  Used out;
  const char* name = part_name(part);
  if (!entry.is_object()) return unreadable("expected an object for every fingerprint");
  if (!entry.contains(name)) return out;
  if (!entry[name].is_array()) return unreadable(std::string("'") + name + "' is not a list");
  for (const Json& what : entry[name]) {
    if (!what.is_string()) return unreadable(std::string("'") + name + "' is not a list of words");
    if (const auto word = what.get<std::string>(); word != kOperatingPoints) out.what.push_back(word);
  }
  const auto rows = entry.find("rows");
  if (rows == entry.end() || !rows->is_object() || !rows->contains(name)) return out;
  const Json& sketch = (*rows)[name];
  if (!sketch.is_object() || !sketch.contains("count") || !sketch["count"].is_number() || !sketch.contains("least") ||
      !sketch["least"].is_string())
    return unreadable(std::string("rows of '") + name + "' lack count and least");
  out.count = sketch["count"].get<double>();
  const auto least = sketch["least"].get<std::string>();
  for (std::size_t at = 0; at + kDigits <= least.size(); at += kDigits) out.least.push_back(least.substr(at, kDigits));
  return out;
}

// The words of one split of an entry; what is no word is left out.
std::set<std::string> words_of(const Json& entry, Part part) {
  std::set<std::string> words;
  const auto list = entry.is_object() ? entry.find(part_name(part)) : entry.end();
  if (list == entry.end() || !list->is_array()) return words;
  for (const Json& word : *list)
    if (word.is_string()) words.insert(word.get<std::string>());
  return words;
}

}  // namespace

std::uint64_t row_hash(const Split& split, std::size_t row) {
  std::uint64_t hash = 0;
  if (!split.texts.empty()) hash = hash_bytes(1, split.texts[row].data(), split.texts[row].size());
  if (!split.second.empty()) hash = hash_bytes(hash, split.second[row].data(), split.second[row].size());
  if (!split.pixels.empty()) hash = hash_bytes(2, split.picture(row), split.picture_bytes());
  if (!split.files.empty()) hash = hash_bytes(2, split.files[row].sha256.data(), split.files[row].sha256.size());
  return hash;
}

Json split_use_of(const Json& fathom) {
  Json use = Json::object();
  if (fathom.contains("split_use")) {
    carry_split_use(use, fathom["split_use"]);
    return use;
  }
  const auto provenance = fathom.find("provenance"), data = fathom.find("data");
  if (provenance == fathom.end() || !provenance->is_object() || !provenance->contains("compressed")) return use;
  if (data == fathom.end() || !data->is_object() || !data->contains("fingerprint")) return use;
  if (const Json& fingerprint = (*data)["fingerprint"]; fingerprint.is_string())
    use[fingerprint.get<std::string>()][part_name(Part::calibrate)] = {"moments"};
  return use;
}

Result<Json> read_split_use(const std::filesystem::path& folder) {
  const fs::path path = folder / "fathom.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Json(Json::object());
  FATHOM_TRY(const std::string text, read_file(path, std::uint64_t{64} << 20));
  FATHOM_TRY(const Json fathom, parse_json(text, "'" + path.string() + "'"));
  return fathom.is_object() ? split_use_of(fathom) : Json(Json::object());
}

void note_split_use(Json& use, const Dataset& dataset, Part part, const std::vector<std::string>& what) {
  if (what.empty() || dataset.part(part).size() == 0) return;
  Json& entry = use[dataset.fingerprint];
  std::set<std::string> words = words_of(entry, part);
  words.insert(what.begin(), what.end());
  entry[part_name(part)] = words;
  const bool fits = std::any_of(words.begin(), words.end(), [](const auto& word) { return word != kOperatingPoints; });
  if (fits) entry["rows"][part_name(part)] = sketch_of(dataset.part(part));
}

void carry_split_use(Json& use, const Json& from, const std::string& by) {
  if (!from.is_object()) return;
  for (const auto& [fingerprint, entry] : from.items())
    for (const Part part : kAllParts) {
      std::set<std::string> words;
      for (const std::string& word : words_of(entry, part))
        if (by.empty() || word != kOperatingPoints) words.insert(by.empty() ? word : by + ": " + word);
      if (words.empty()) continue;
      if (use.contains(fingerprint)) words.merge(words_of(use[fingerprint], part));
      use[fingerprint][part_name(part)] = words;
      const auto rows = entry.find("rows");
      if (rows != entry.end() && rows->is_object() && rows->contains(part_name(part)))
        use[fingerprint]["rows"][part_name(part)] = (*rows)[part_name(part)];
    }
}

Result<std::vector<Fitted>> fitted_on(const Json& fathom, const Dataset& dataset, Part part) {
  const Split& asked = dataset.part(part);
  const Json recorded = fathom.contains("split_use") ? fathom["split_use"] : split_use_of(fathom);
  if (!recorded.is_object()) return unreadable("not an object");
  std::unordered_set<std::string> hashes;  // filled when the first other data set is met
  std::vector<Fitted> out;
  for (const auto& [fingerprint, entry] : recorded.items()) {
    for (const Part used_part : kAllParts) {
      FATHOM_TRY(const Used used, used_of(entry, used_part));
      double share = 0;
      if (fingerprint == dataset.fingerprint) {
        share = used_part == part ? 1 : 0;
      } else if (!used.what.empty() && !used.least.empty()) {
        if (hashes.empty())
          for (std::size_t i = 0; i < asked.size(); ++i) hashes.insert(hex_of(row_hash(asked, i)));
        double met = 0;
        for (const std::string& hash : used.least) met += static_cast<double>(hashes.count(hash));
        const double rows = met / static_cast<double>(used.least.size()) * used.count;
        share = hashes.empty() ? 0 : std::min(1.0, rows / static_cast<double>(hashes.size()));
      }
      if (share < kSameRows) continue;
      for (const std::string& what : used.what) out.push_back({what, fingerprint, used_part, share});
    }
  }
  return out;
}

std::string fitted_text(const std::vector<Fitted>& fitted) {
  std::string out;
  for (const Part part : kAllParts) {
    std::set<std::string> words;
    for (const Fitted& one : fitted)
      if (one.part == part) words.insert(one.what);
    if (words.empty()) continue;
    if (!out.empty()) out += "; ";
    std::string list;
    for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
    out += list + " on its " + part_name(part) + " rows";
  }
  return out;
}

}  // namespace fathom::data
