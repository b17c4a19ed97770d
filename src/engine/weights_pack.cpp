#include "engine/weights_pack.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/cpu.h"
#include "base/sha256.h"
#include "kernels/packed_map.h"

namespace fathom::engine {
namespace {

constexpr std::size_t kHeaderBytes = 4096;  // one page: the payload keeps the mapping's alignment
constexpr std::uint32_t kVersion = 5;
constexpr char kMagic[8] = {'F', 'T', 'H', 'M', 'P', 'A', 'C', 'K'};

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t panel;
  char tier[16];
  char source[64];       // SHA-256 (hex) over the bundle's listed hashes of config.json and both safetensors
  std::uint64_t layout;  // hash of a small matrix packed by this tier: changes when the panel layout does
  std::uint64_t file_bytes;
  std::uint64_t payload_hash;
};

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// Eight independent multiply-mix lanes: about the speed of memory.
std::uint64_t hash_bytes(const std::byte* data, std::size_t bytes) {
  constexpr std::uint64_t kPrime = 0x9E3779B97F4A7C15ull;
  std::uint64_t lane[8];
  for (std::size_t i = 0; i < 8; ++i) lane[i] = kPrime * (i + 1);
  std::size_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
    std::uint64_t word[8];
    std::memcpy(word, data + at, 64);
    for (std::size_t i = 0; i < 8; ++i) {
      const std::uint64_t mixed = (lane[i] ^ word[i]) * kPrime;
      lane[i] = mixed ^ (mixed >> 29);
    }
  }
  std::uint64_t hash = bytes;
  for (; at < bytes; ++at) hash = (hash ^ static_cast<std::uint64_t>(data[at])) * kPrime;
  for (const std::uint64_t value : lane) hash = (hash ^ value ^ (hash >> 31)) * kPrime;
  return hash ^ (hash >> 32);
}

std::uint64_t layout_hash(const kernels::Table& table, Precision precision) {
  constexpr std::size_t kN = 37, kK = 19;
  std::vector<float> w(kN * kK);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i + 1);
  Buffer<std::byte> packed(kernels::packed_bytes(table, precision, kN, kK));
  kernels::pack_map(table, precision, w.data(), kN, kK, packed.data());
  return hash_bytes(packed.data(), packed.size()) + static_cast<std::uint64_t>(precision);
}

bool is_map(const PackedEntry& entry) {
  return entry.kind != PackedEntry::Kind::norm && entry.kind != PackedEntry::Kind::table;
}

std::size_t number_bytes(const PackedEntry& entry, const kernels::Table& table) {
  return aligned(is_map(entry) ? kernels::packed_bytes(table, entry.precision, entry.n, entry.k)
                               : entry.n * entry.k * sizeof(float));
}
bool has_bias(const PackedEntry& entry) {
  return entry.kind != PackedEntry::Kind::table && entry.kind != PackedEntry::Kind::factor;
}
std::size_t bias_bytes(const PackedEntry& entry) { return has_bias(entry) ? aligned(entry.n * sizeof(float)) : 0; }

std::size_t image_bytes(const std::vector<PackedEntry>& entries, const kernels::Table& table) {
  std::size_t bytes = kHeaderBytes;
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

// Everything but the payload's hash must be as expected: one page is read.
bool fits(std::span<const std::byte> file, const Header& expected) {
  if (file.size() != expected.file_bytes) return false;
  Header found;
  std::memcpy(&found, file.data(), sizeof found);
  found.payload_hash = expected.payload_hash;
  return std::memcmp(&found, &expected, sizeof found) == 0;
}

bool hash_agrees(std::span<const std::byte> file) {
  Header found;
  std::memcpy(&found, file.data(), sizeof found);
  return found.payload_hash == hash_bytes(file.data() + kHeaderBytes, file.size() - kHeaderBytes);
}

// One entry at `at`, which holds zeros; returns where the next one begins.
std::byte* write_entry(const PackedEntry& entry, const Model& model, const kernels::Table& table,
                       std::vector<float>& temp, std::byte* at) {
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
  std::byte* at = image.data() + kHeaderBytes;
  for (const PackedEntry& entry : entries) at = write_entry(entry, model, table, temp, at);
  header.payload_hash = hash_bytes(image.data() + kHeaderBytes, image.size() - kHeaderBytes);
  std::memcpy(image.data(), &header, sizeof header);
  return image;
}

// Entry by entry, so that no second image is held.
bool equals_weights(std::span<const std::byte> file, const Model& model, const kernels::Table& table,
                    const std::vector<PackedEntry>& entries) {
  std::vector<float> temp;
  std::size_t at = kHeaderBytes;
  for (const PackedEntry& entry : entries) {
    const std::size_t bytes = number_bytes(entry, table) + bias_bytes(entry);
    Buffer<std::byte> anew(bytes);
    write_entry(entry, model, table, temp, anew.data());
    if (std::memcmp(anew.data(), file.data() + at, bytes) != 0) return false;
    at += bytes;
  }
  return true;
}

PackedScope scope_of(const Model& model) {
  const bool decides = model.has_decision() && model.bundle() != nullptr;
  return {decides, decides || model.has_task_head(), model.precision()};
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
    if (spec.word_width > 0)
      entries.push_back(
          {Kind::factor, "embeddings.word_projection", hidden, size(spec.word_width), 1, scope.precision});
    entries.push_back({Kind::table, "embeddings.position_embeddings.weight", size(spec.max_tokens), hidden, 1});
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

void PackedWeights::point(const std::byte* image, const std::vector<PackedEntry>& entries,
                          const kernels::Table& table) {
  linears_.clear();
  ends_.assign(1, 0);
  const std::byte* at = image + kHeaderBytes;
  for (const PackedEntry& entry : entries) {
    Linear linear{at, nullptr, entry.n, entry.k, entry.precision};
    at += number_bytes(entry, table);
    if (bias_bytes(entry) > 0) linear.bias = reinterpret_cast<const float*>(at);
    at += bias_bytes(entry);
    linears_.push_back(linear);
    ends_.push_back(static_cast<std::size_t>(at - image) - kHeaderBytes);
  }
}

std::span<const std::byte> PackedWeights::piece(std::size_t first, std::size_t end) const {
  const std::byte* image = mapped() ? file_.bytes().data() : memory_.data();
  return {image + kHeaderBytes + ends_[first], ends_[end] - ends_[first]};
}

Result<PackedWeights> PackedWeights::make(const Model& model, const kernels::Table& table) {
  PackedWeights weights;
  const std::vector<PackedEntry> entries = packed_entries(model.spec(), scope_of(model));
  for (const PackedEntry& entry : entries)
    if (entry.precision == Precision::int8 && entry.k > kernels::kInt8MaxK)
      return Error{Code::unsupported,
                   "'" + entry.prefix + "' reads " + std::to_string(entry.k) +
                       " values a row, more than int8 sums up (" + std::to_string(kernels::kInt8MaxK) + ")",
                   "run the bundle it was made from, in fp32 or bf16"};
  const std::string source = source_of(model);
  const Header header = header_for(table, model.precision(), source, image_bytes(entries, table));
  const fs::path path = source.empty() ? fs::path() : model.bundle()->folder() / packed_name(model.precision(), table);

  const auto map_file = [&](bool just_written) {
    if (path.empty()) return false;
    auto file = MappedFile::open(path);
    if (!file || !fits(file->bytes(), header)) return false;
    if (just_written) {  // hashed through a mapping of its own, whose pages are let go at once
      const auto whole = MappedFile::open(path);
      if (!whole || whole->bytes().size() != header.file_bytes || !hash_agrees(whole->bytes())) return false;
    }
    weights.file_ = std::move(*file);
    weights.point(weights.file_.bytes().data(), entries, table);
    MappedFile::use_large_pages(weights.file_.bytes(),
                                true);  // read front to back at each run: fewer walks of page tables
    return true;
  };
  if (map_file(false)) return weights;

  Buffer<std::byte> image = build(model, table, entries, header);
  const std::string_view bytes(reinterpret_cast<const char*>(image.data()), image.size());
  // A folder that cannot be written only costs the next start; mapping what was written halves the memory held.
  if (!path.empty() && write_file_atomic(path, bytes)) {
    if (map_file(true)) return weights;
    std::error_code ignored;
    fs::remove(path, ignored);  // it does not read back as it was written
  }
  weights.memory_ = std::move(image);
  weights.point(weights.memory_.data(), entries, table);
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
    if (file.bytes().size() == expected && expected > kHeaderBytes) {
      // Code of another machine's tier does not run here: such a file is held to its own hash alone.
      check.used = !runs_here || fits(file.bytes(), header_for(table, model.precision(), source, expected));
      const bool good = !check.used || (hash_agrees(file.bytes()) &&
                                        (!runs_here || equals_weights(file.bytes(), model, table, entries)));
      if (!good)
        return Error{Code::corrupt_bundle, "'" + path.string() + "' is damaged: its weights are not those of the model",
                     "delete this file; the next run packs it again from the model's own weights"};
    }
    checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace fathom::engine
