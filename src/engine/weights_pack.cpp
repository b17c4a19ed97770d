#include "engine/weights_pack.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "base/cpu.h"
#include "base/sha256.h"
#include "engine/checksum.h"
#include "kernels/packed_map.h"

namespace fathom::engine {
namespace {

constexpr std::size_t kPage = 4096;  // the payload keeps the mapping's alignment
constexpr std::uint32_t kVersion = 6;
constexpr char kMagic[8] = {'F', 'T', 'H', 'M', 'P', 'A', 'C', 'K'};

struct Header {  // behind it, at kChecks: a quick hash of each entry
  char magic[8];
  std::uint32_t version;
  std::uint32_t panel;
  char tier[16];
  char source[64];       // SHA-256 (hex) over the bundle's listed hashes of config.json and both safetensors
  std::uint64_t layout;  // hash of a small matrix packed by this tier: changes when the panel layout does
  std::uint64_t file_bytes;
  std::uint64_t checks_hash;  // of the hashes
};
constexpr std::size_t kChecks = 128;
static_assert(sizeof(Header) <= kChecks);

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

std::size_t payload_start(std::size_t entries) {
  return (kChecks + entries * sizeof(std::uint64_t) + kPage - 1) / kPage * kPage;
}

std::uint64_t layout_hash(const kernels::Table& table, Precision precision) {
  constexpr std::size_t kN = 37, kK = 19;
  std::vector<float> w(kN * kK);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i + 1);
  Buffer<std::byte> packed(kernels::packed_bytes(table, precision, kN, kK));
  kernels::pack_map(table, precision, w.data(), kN, kK, packed.data());
  return quick_hash(packed.data(), packed.size()) + static_cast<std::uint64_t>(precision);
}

bool is_map(const PackedEntry& entry) {
  return entry.kind != PackedEntry::Kind::norm && entry.kind != PackedEntry::Kind::table &&
         entry.kind != PackedEntry::Kind::checks;
}

std::size_t number_bytes(const PackedEntry& entry, const kernels::Table& table) {
  if (entry.kind == PackedEntry::Kind::checks) return aligned(entry.n * sizeof(std::uint64_t));
  return aligned(is_map(entry) ? kernels::packed_bytes(table, entry.precision, entry.n, entry.k)
                               : entry.n * entry.k * sizeof(float));
}
bool has_bias(const PackedEntry& entry) {
  return entry.kind != PackedEntry::Kind::table && entry.kind != PackedEntry::Kind::checks &&
         entry.kind != PackedEntry::Kind::factor;
}
std::size_t bias_bytes(const PackedEntry& entry) { return has_bias(entry) ? aligned(entry.n * sizeof(float)) : 0; }

std::size_t image_bytes(const std::vector<PackedEntry>& entries, const kernels::Table& table) {
  std::size_t bytes = payload_start(entries.size());
  for (const PackedEntry& entry : entries) bytes += number_bytes(entry, table) + bias_bytes(entry);
  return bytes;
}

// q, k and v of a qkv map, rows of `width` numbers: to[head][part][row of the head].
void interleave(const PackedEntry& map, const Model& model, const char* which, std::size_t width, float* to) {
  const std::size_t of_head = map.n / 3 / map.heads * width;
  std::size_t part = 0;
  for (const char* name : {".query", ".key", ".value"}) {
    const float* from = model.weight(map.prefix + name + which);
    for (std::size_t head = 0; head < map.heads; ++head)
      std::memcpy(to + (3 * head + part) * of_head, from + head * of_head, of_head * sizeof(float));
    ++part;
  }
}

// Row-major [n, k] weights of `map`: the tensor itself, or assembled in `temp`.
const float* assemble(const PackedEntry& map, const Model& model, std::vector<float>& temp) {
  switch (map.kind) {
    case PackedEntry::Kind::checks:
      return nullptr;
    case PackedEntry::Kind::table:
      return model.weight(map.prefix);
    case PackedEntry::Kind::norm:
    case PackedEntry::Kind::plain:
    case PackedEntry::Kind::factor:
      return model.weight(map.prefix + ".weight");
    case PackedEntry::Kind::qkv: {
      temp.resize(map.n * map.k);
      interleave(map, model, ".weight", map.k, temp.data());
      return temp.data();
    }
    case PackedEntry::Kind::conv: {
      const float* w = model.weight(map.prefix + ".weight");
      const std::size_t channels = map.k / map.taps;
      temp.resize(map.n * map.k);
      for (std::size_t row = 0; row < map.n; ++row)
        for (std::size_t c = 0; c < channels; ++c)
          for (std::size_t t = 0; t < map.taps; ++t)
            temp[row * map.k + t * channels + c] = w[row * map.k + c * map.taps + t];
      return temp.data();
    }
    case PackedEntry::Kind::lstm: {
      const float* input = model.weight(map.prefix + ".weight_ih");
      const float* hidden = model.weight(map.prefix + ".weight_hh");
      const std::size_t width = map.k - kPolicyInputs;
      temp.resize(map.n * map.k);
      for (std::size_t row = 0; row < map.n; ++row) {
        float* to = temp.data() + row * map.k;
        std::memcpy(to, input + row * kPolicyInputs, kPolicyInputs * sizeof(float));
        std::memcpy(to + kPolicyInputs, hidden + row * width, width * sizeof(float));
      }
      return temp.data();
    }
  }
  return nullptr;
}

void copy_bias(const PackedEntry& map, const Model& model, float* to) {
  if (!has_bias(map)) return;
  if (map.kind != PackedEntry::Kind::qkv) {
    std::memcpy(to, model.weight(map.prefix + ".bias"), map.n * sizeof(float));
    return;
  }
  interleave(map, model, ".bias", 1, to);
}

// Identity of the tensors the image is made of; empty when the bundle does not list them.
std::string source_of(const Model& model) {
  const Bundle* bundle = model.bundle();
  if (bundle == nullptr) return {};
  const Json& json = bundle->fathom();
  if (!json.is_object() || !json.contains("files") || !json["files"].is_object()) return {};
  const Json& files = json["files"];
  Sha256 hash;
  if (json.contains("model")) hash.update(json["model"].dump());  // an imported checkpoint's spec and names
  std::map<std::string, std::string> listed;                      // weights may lie in several files
  for (const auto& [name, entry] : files.items()) {
    if (name != "config.json" && !name.ends_with(".safetensors") && !name.ends_with(".safetensors.index.json"))
      continue;
    if (!entry.is_object() || !entry.contains("sha256") || !entry["sha256"].is_string()) return {};
    listed[name] = entry["sha256"].get<std::string>();
  }
  for (const auto& [name, sha256] : listed) hash.update(name + " " + sha256 + "\n");
  return hash.hex();
}

Header header_for(const kernels::Table& table, Precision precision, const std::string& source, std::size_t bytes) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.panel = static_cast<std::uint32_t>(table.panel);
  std::strncpy(header.tier, tier_name(table.tier), sizeof header.tier - 1);
  std::memcpy(header.source, source.data(), std::min(source.size(), sizeof header.source));
  header.layout = layout_hash(table, precision);
  header.file_bytes = bytes;
  return header;
}

std::uint64_t hash_of(const std::vector<std::uint64_t>& checks) {
  return quick_hash(reinterpret_cast<const std::byte*>(checks.data()), checks.size() * sizeof(std::uint64_t));
}

// The hashes of a file whose header is as expected: these pages alone are read.
std::optional<std::vector<std::uint64_t>> checks_of(const MappedFile& file, const Header& expected,
                                                    std::size_t entries) {
  Header found;
  std::vector<std::uint64_t> checks(entries);
  if (file.size() != expected.file_bytes || !file.read(0, sizeof found, &found) ||
      !file.read(kChecks, entries * sizeof(std::uint64_t), checks.data()))
    return std::nullopt;
  const std::uint64_t hash = std::exchange(found.checks_hash, expected.checks_hash);
  if (std::memcmp(&found, &expected, sizeof found) != 0 || hash != hash_of(checks)) return std::nullopt;
  return checks;
}

bool all_good(const std::byte* payload, const std::vector<PackedEntry>& entries, const kernels::Table& table,
              const std::vector<std::uint64_t>& checks) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t bytes = number_bytes(entries[i], table) + bias_bytes(entries[i]);
    if (quick_hash(payload, bytes) != checks[i]) return false;
    payload += bytes;
  }
  return true;
}

// A quick hash of every row of a table, as its file holds them. False: the file does not give them.
bool hash_rows(const StoredTable& table, std::uint64_t* to) {
  const std::size_t bytes = table.row_bytes(), some = std::max<std::size_t>(1, (std::size_t{1} << 20) / bytes);
  Buffer<std::byte> rows(std::min(some, table.rows) * bytes);
  for (std::size_t first = 0; first < table.rows; first += some) {
    const std::size_t count = std::min(some, table.rows - first);
    if (!table.file->read(table.offset_of(first), count * bytes, rows.data())) return false;
    for (std::size_t i = 0; i < count; ++i) to[first + i] = quick_hash(rows.data() + i * bytes, bytes);
  }
  return true;
}

// One entry at `at`, which holds zeros; returns where the next one begins.
std::byte* write_entry(const PackedEntry& entry, const Model& model, const kernels::Table& table,
                       std::vector<float>& temp, std::byte* at) {
  if (entry.kind == PackedEntry::Kind::checks) {
    (void)hash_rows(model.table_of(entry.prefix), reinterpret_cast<std::uint64_t*>(at));  // or no row is found good
    return at + number_bytes(entry, table);
  }
  const float* numbers = assemble(entry, model, temp);
  if (is_map(entry))
    kernels::pack_map(table, entry.precision, numbers, entry.n, entry.k, at);
  else
    std::memcpy(at, numbers, entry.n * entry.k * sizeof(float));
  at += number_bytes(entry, table);
  copy_bias(entry, model, reinterpret_cast<float*>(at));
  return at + bias_bytes(entry);
}

Buffer<std::byte> build(const Model& model, const kernels::Table& table, const std::vector<PackedEntry>& entries,
                        Header header) {
  Buffer<std::byte> image(header.file_bytes);
  std::vector<float> temp;
  std::vector<std::uint64_t> checks;
  std::byte* at = image.data() + payload_start(entries.size());
  for (const PackedEntry& entry : entries) {
    std::byte* end = write_entry(entry, model, table, temp, at);
    checks.push_back(quick_hash(at, static_cast<std::size_t>(end - at)));
    at = end;
  }
  header.checks_hash = hash_of(checks);
  std::memcpy(image.data(), &header, sizeof header);
  std::memcpy(image.data() + kChecks, checks.data(), checks.size() * sizeof(std::uint64_t));
  return image;
}

// Entry by entry, so that no second image is held.
bool equals_weights(std::span<const std::byte> file, const Model& model, const kernels::Table& table,
                    const std::vector<PackedEntry>& entries) {
  std::vector<float> temp;
  std::size_t at = payload_start(entries.size());
  for (const PackedEntry& entry : entries) {
    const std::size_t bytes = number_bytes(entry, table) + bias_bytes(entry);
    Buffer<std::byte> anew(bytes);
    write_entry(entry, model, table, temp, anew.data());
    if (std::memcmp(anew.data(), file.data() + at, bytes) != 0) return false;
    at += bytes;
  }
  return true;
}

constexpr const char* kWords = "embeddings.word_embeddings.weight";

// Smaller tables may come into memory whole; of larger ones only the rows that texts use.
Words words_of(const Model& model) {
  constexpr std::size_t kLargeTable = std::size_t{4} << 20;  // bytes
  if (model.spec().modality != Modality::text) return Words::none;
  const StoredTable table = model.table_of(kWords);
  return table.rows * table.row_bytes() >= kLargeTable ? Words::rows : Words::here;
}

PackedScope scope_of(const Model& model) {
  const bool decides = model.has_decision() && model.bundle() != nullptr;
  return {decides, decides || model.has_task_head(), model.precision(), words_of(model)};
}

}  // namespace

std::string packed_name(Precision precision, const kernels::Table& table) {
  return std::string("packed.") + precision_name(precision) + "." + tier_name(table.tier) + ".bin";
}

namespace {

std::size_t size(int value) { return static_cast<std::size_t>(value); }

void add_embedding(std::vector<PackedEntry>& entries, const ModelSpec& spec, const PackedScope& scope) {
  using Kind = PackedEntry::Kind;
  const std::size_t hidden = size(spec.hidden);
  if (spec.modality == Modality::text) {
    if (scope.words != Words::none)
      entries.push_back({scope.words == Words::here ? Kind::table : Kind::checks, kWords, size(spec.vocab),
                         spec.word_width > 0 ? size(spec.word_width) : hidden, 1});
    if (spec.word_width > 0)
      entries.push_back(
          {Kind::factor, "embeddings.word_projection", hidden, size(spec.word_width), 1, scope.precision});
    entries.push_back({Kind::table, "embeddings.position_embeddings.weight", size(spec.position_rows()), hidden, 1});
    if (spec.token_types > 0)
      entries.push_back({Kind::table, "embeddings.token_type_embeddings.weight", size(spec.token_types), hidden, 1});
    if (spec.norm == NormOrder::post) entries.push_back({Kind::norm, "embeddings.LayerNorm", hidden, 1, 1});
    return;
  }
  entries.push_back({Kind::conv, "embeddings.patch_embeddings.projection", hidden, size(spec.patch_elems()),
                     size(spec.patch * spec.patch), scope.precision});
  entries.push_back({Kind::table, "embeddings.cls_token", 1, hidden, 1});
  if (spec.prefix_tokens == 2) entries.push_back({Kind::table, "embeddings.distillation_token", 1, hidden, 1});
  entries.push_back({Kind::table, "embeddings.position_embeddings", size(spec.tokens()), hidden, 1});
}

PackedEntry factor_entry(const ModelSpec& spec, const LayerMap& map, Precision precision, int index) {
  const std::string name = factor_name(spec, index, map);
  return {PackedEntry::Kind::factor, name.substr(0, name.rfind('.')), size(map.rank), size(map.in), 1, precision};
}

void add_layer(std::vector<PackedEntry>& entries, const ModelSpec& spec, Precision precision, int index) {
  using Kind = PackedEntry::Kind;
  const std::size_t hidden = size(spec.hidden);
  const bool pre = spec.norm == NormOrder::pre;
  const std::string layer = "encoder.layer." + std::to_string(index) + ".";
  const std::array<LayerMap, 4> maps = layer_maps(spec);
  const auto add_map = [&](const LayerMap& map) {
    if (map.rank > 0 && !spec.ranks.shared) entries.push_back(factor_entry(spec, map, precision, index));
    const bool three = map.parts.size() == 3;
    entries.push_back({three ? Kind::qkv : Kind::plain, layer + (three ? map.name : map.parts[0]), size(map.outputs()),
                       size(map.reads()), 1, precision, size(spec.heads)});
  };
  add_map(maps[0]);
  add_map(maps[1]);
  entries.push_back({Kind::norm, layer + (pre ? "layernorm_before" : "attention.output.LayerNorm"), hidden, 1, 1});
  add_map(maps[2]);
  add_map(maps[3]);
  entries.push_back({Kind::norm, layer + (pre ? "layernorm_after" : "output.LayerNorm"), hidden, 1, 1});
}

void add_head(std::vector<PackedEntry>& entries, const ModelSpec& spec, int exit) {
  using Kind = PackedEntry::Kind;
  const std::string name = "exits." + std::to_string(exit) + ".";
  const HeadShape head = spec.head_shape(exit);
  if (head.norm > 0) entries.push_back({Kind::norm, name + "norm", size(head.norm), 1, 1});
  if (head.dense > 0) entries.push_back({Kind::plain, name + "dense", size(head.dense), size(head.input), 1});
  entries.push_back({Kind::plain, name + "out", size(spec.classes()), size(head.out_input()), 1});
}

void add_decision(std::vector<PackedEntry>& entries, const ModelSpec& spec) {
  using Kind = PackedEntry::Kind;
  const ExtractorSpec& extractor = spec.extractor;
  const std::size_t taps = spec.grid_rows() == 1 ? 3 : 9;
  const std::size_t embed = size(extractor.embed), c1 = size(extractor.c1), c2 = size(extractor.c2);
  const std::size_t width = size(spec.policy_hidden);
  entries.push_back({Kind::plain, "extractor.proj", embed, size(spec.hidden), 1});
  entries.push_back({Kind::conv, "extractor.conv1", c1, taps * embed, taps});
  entries.push_back({Kind::conv, "extractor.conv2", c2, taps * c1, taps});
  entries.push_back({Kind::plain, "policy.init", width, 2 * c2 + 1, 1});
  entries.push_back({Kind::lstm, "policy.lstm", 4 * width, kPolicyInputs + width, 1});
  entries.push_back({Kind::plain, "policy.out", 2, width, 1});
}

}  // namespace

std::vector<PackedEntry> packed_entries(const ModelSpec& spec, const PackedScope& scope) {
  std::vector<PackedEntry> entries;
  add_embedding(entries, spec, scope);
  if (spec.ranks.shared)
    for (const LayerMap& map : layer_maps(spec))
      if (map.rank > 0) entries.push_back(factor_entry(spec, map, scope.precision, 0));
  const int first_head = scope.decision ? 1 : scope.task_head ? spec.layers : spec.layers + 1;
  for (int layer = 1; layer <= spec.layers;
       ++layer) {  // in the order of use: whoever reads a map brings the next one near
    add_layer(entries, spec, scope.precision, layer - 1);
    if (layer >= first_head) add_head(entries, spec, layer);
  }
  if (scope.decision) add_decision(entries, spec);
  return entries;
}

// What an image is to be: its entries, and a header that only lacks its hashes.
struct PackedImage {
  std::vector<PackedEntry> entries;
  Header header;
};

void PackedWeights::point(const PackedImage& image, const kernels::Table& table) {
  const std::byte* begin = mapped() ? file_.bytes().data() : memory_.data();
  linears_.clear();
  ends_.assign(1, 0);
  payload_ = payload_start(image.entries.size());
  const std::byte* at = begin + payload_;
  for (const PackedEntry& entry : image.entries) {
    Linear linear{at, nullptr, entry.n, entry.k, entry.precision};
    at += number_bytes(entry, table);
    if (bias_bytes(entry) > 0) linear.bias = reinterpret_cast<const float*>(at);
    at += bias_bytes(entry);
    linears_.push_back(linear);
    prefixes_.push_back(entry.prefix);
    kinds_.push_back(entry.kind);
    ends_.push_back(static_cast<std::size_t>(at - begin) - payload_);
  }
}

std::span<const std::byte> PackedWeights::piece(std::size_t first, std::size_t end) const {
  const std::byte* image = mapped() ? file_.bytes().data() : memory_.data();
  return {image + payload_ + ends_[first], ends_[end] - ends_[first]};
}

Status PackedWeights::check(std::size_t first, std::size_t end) const {
  for (std::size_t i = first; i < end && !path_.empty(); ++i) {
    const std::span<const std::byte> bytes = piece(i, i + 1);
    if (quick_hash(bytes.data(), bytes.size()) == checks_[i]) continue;
    std::error_code ignored;
    fs::remove(path_, ignored);
    return Error{Code::corrupt_bundle,
                 "'" + path_.string() + "' is damaged: '" + prefixes_[i] + "' is not what was written",
                 "run again: the file was removed, and is packed again from the model's own weights"};
  }
  return {};
}

bool PackedWeights::use_file(const fs::path& path, const PackedImage& image, const PackedUse& use) {
  auto file = MappedFile::open(path, use.weights);
  if (!file) return false;
  auto checks = checks_of(*file, image.header, image.entries.size());
  if (!checks) return false;
  if (use.weights == Weights::copy) {
    memory_ = Buffer<std::byte>(image.header.file_bytes);
    if (!file->read(0, memory_.size(), memory_.data())) return false;
  } else {
    file_ = std::move(*file);
    MappedFile::use_large_pages(file_.bytes(), true);  // read front to back at each run: fewer walks of page tables
  }
  checks_ = std::move(*checks);
  if (!use.trust) path_ = path;
  return true;
}

Result<PackedWeights> PackedWeights::make(const Model& model, const kernels::Table& table, const PackedUse& use) {
  PackedWeights weights;
  PackedImage image;
  image.entries = packed_entries(model.spec(), scope_of(model));
  for (const PackedEntry& entry : image.entries)
    if (entry.precision == Precision::int8 && entry.k > kernels::kInt8MaxK)
      return Error{Code::unsupported,
                   "'" + entry.prefix + "' reads " + std::to_string(entry.k) +
                       " values a row, more than int8 sums up (" + std::to_string(kernels::kInt8MaxK) + ")",
                   "run the bundle it was made from, in fp32 or bf16"};
  const std::string source = source_of(model);
  image.header = header_for(table, model.precision(), source, image_bytes(image.entries, table));
  const fs::path path = source.empty() ? fs::path() : model.bundle()->folder() / packed_name(model.precision(), table);
  if (!path.empty() && weights.use_file(path, image, use)) {
    weights.point(image, table);
    return weights;
  }
  // Whoever packs vouches for what is packed.
  if (model.bundle() != nullptr) FATHOM_TRY_VOID(model.bundle()->verify_weights());
  weights.memory_ = build(model, table, image.entries, image.header);
  if (!model.intact())
    return Error{Code::io, "the model's weights were cut short while they were read", "wait until they are whole"};
  const std::string_view bytes(reinterpret_cast<const char*>(weights.memory_.data()), weights.memory_.size());
  // A folder that cannot be written only costs the next start; mapping what was written halves the memory held.
  if (!path.empty() && write_file_atomic(path, bytes) && use.weights == Weights::map) {
    const auto whole = MappedFile::open(path);  // compared through a mapping of its own, whose pages are let go at once
    if (whole && whole->bytes().size() == bytes.size() &&
        std::memcmp(whole->bytes().data(), bytes.data(), bytes.size()) == 0) {
      Buffer<std::byte> kept = std::move(weights.memory_);
      weights.memory_ = Buffer<std::byte>();
      if (!weights.use_file(path, image, use)) weights.memory_ = std::move(kept);
    } else {
      std::error_code ignored;
      fs::remove(path, ignored);  // it does not read back as it was written
    }
  }
  weights.point(image, table);
  return weights;
}

Result<std::vector<PackedCheck>> verify_packed(const Model& model) {
  std::vector<PackedCheck> checks;
  const std::string source = source_of(model);
  if (source.empty()) return checks;
  const std::vector<PackedEntry> entries = packed_entries(model.spec(), scope_of(model));
  for (const Tier tier : kAllTiers) {
    const kernels::Table& table = kernels::table(tier);
    const bool runs_here = tier_available(tier, detect_cpu());
    const fs::path path = model.bundle()->folder() / packed_name(model.precision(), table);
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) continue;
    FATHOM_TRY(const MappedFile file, MappedFile::open(path));
    PackedCheck check{packed_name(model.precision(), table), false};
    const std::size_t expected = runs_here ? image_bytes(entries, table) : file.bytes().size();
    const std::size_t start = payload_start(entries.size());
    if (file.bytes().size() == expected && expected > start) {
      // Code of another machine's tier does not run here, and so cannot say how long its entries are: such a file is
      // named as used and left to the machine that uses it.
      const auto hashes = runs_here
                              ? checks_of(file, header_for(table, model.precision(), source, expected), entries.size())
                              : std::nullopt;
      check.used = !runs_here || hashes.has_value();
      const bool good = !hashes || (all_good(file.bytes().data() + start, entries, table, *hashes) &&
                                    equals_weights(file.bytes(), model, table, entries));
      if (!good)
        return Error{Code::corrupt_bundle, "'" + path.string() + "' is damaged: its weights are not those of the model",
                     "delete this file; the next run packs it again from the model's own weights"};
    }
    checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace fathom::engine
