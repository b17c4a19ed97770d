#include "engine/weights_pack.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/sha256.h"

namespace fathom::engine {
namespace {

constexpr std::size_t kHeaderBytes = 4096;  // one page: the payload keeps the mapping's alignment
constexpr std::uint32_t kVersion = 1;
constexpr char kMagic[8] = {'F', 'T', 'H', 'M', 'P', 'A', 'C', 'K'};

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t panel;
  char tier[16];
  char source[64];  // SHA-256 (hex) over the bundle's listed hashes of config.json and both safetensors
  std::uint64_t layout;     // hash of a small matrix packed by this tier: changes when the panel layout does
  std::uint64_t file_bytes;
  std::uint64_t payload_hash;
};

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// Eight independent multiply-mix lanes: about the speed of memory, so that a damaged file is noticed at every start.
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

std::uint64_t layout_hash(const kernels::Table& table) {
  constexpr std::size_t kN = 37, kK = 19;
  std::vector<float> w(kN * kK), packed(table.packed_size(kN, kK));
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i + 1);
  table.pack_weights(w.data(), kN, kK, packed.data());
  return hash_bytes(reinterpret_cast<const std::byte*>(packed.data()), packed.size() * sizeof(float));
}

std::size_t map_bytes(const LinearMap& map, const kernels::Table& table) {
  return aligned(table.packed_size(map.n, map.k) * sizeof(float)) + aligned(map.n * sizeof(float));
}

std::size_t image_bytes(const std::vector<LinearMap>& maps, const kernels::Table& table) {
  std::size_t bytes = kHeaderBytes;
  for (const LinearMap& map : maps) bytes += map_bytes(map, table);
  return bytes;
}

// Row-major [n, k] weights of `map`: the tensor itself, or assembled in `temp`.
const float* assemble(const LinearMap& map, const Model& model, std::vector<float>& temp) {
  switch (map.kind) {
    case LinearMap::Kind::plain:
      return model.weight(map.prefix + ".weight");
    case LinearMap::Kind::qkv: {
      const std::size_t third = map.n / 3 * map.k;
      temp.resize(3 * third);
      std::size_t at = 0;
      for (const char* part : {".query", ".key", ".value"}) {
        std::memcpy(temp.data() + at, model.weight(map.prefix + part + ".weight"), third * sizeof(float));
        at += third;
      }
      return temp.data();
    }
    case LinearMap::Kind::conv: {
      const float* w = model.weight(map.prefix + ".weight");
      const std::size_t channels = map.k / map.taps;
      temp.resize(map.n * map.k);
      for (std::size_t row = 0; row < map.n; ++row)
        for (std::size_t c = 0; c < channels; ++c)
          for (std::size_t t = 0; t < map.taps; ++t)
            temp[row * map.k + t * channels + c] = w[row * map.k + c * map.taps + t];
      return temp.data();
    }
    case LinearMap::Kind::lstm: {
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

void copy_bias(const LinearMap& map, const Model& model, float* to) {
  if (map.kind != LinearMap::Kind::qkv) {
    std::memcpy(to, model.weight(map.prefix + ".bias"), map.n * sizeof(float));
    return;
  }
  const std::size_t third = map.n / 3;
  for (const char* part : {".query", ".key", ".value"}) {
    std::memcpy(to, model.weight(map.prefix + part + ".bias"), third * sizeof(float));
    to += third;
  }
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
    if (name != "config.json" && !name.ends_with(".safetensors") && !name.ends_with(".safetensors.index.json")) continue;
    if (!entry.is_object() || !entry.contains("sha256") || !entry["sha256"].is_string()) return {};
    listed[name] = entry["sha256"].get<std::string>();
  }
  for (const auto& [name, sha256] : listed) hash.update(name + " " + sha256 + "\n");
  return hash.hex();
}

Header header_for(const kernels::Table& table, const std::string& source, std::size_t bytes) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.panel = static_cast<std::uint32_t>(table.panel);
  std::strncpy(header.tier, tier_name(table.tier), sizeof header.tier - 1);
  std::memcpy(header.source, source.data(), std::min(source.size(), sizeof header.source));
  header.layout = layout_hash(table);
  header.file_bytes = bytes;
  return header;
}

// Everything but the payload's hash must be as expected, and the payload must hash to what the header says.
bool trustworthy(std::span<const std::byte> file, const Header& expected) {
  if (file.size() != expected.file_bytes) return false;
  Header found;
  std::memcpy(&found, file.data(), sizeof found);
  const std::uint64_t hash = found.payload_hash;
  found.payload_hash = expected.payload_hash;
  if (std::memcmp(&found, &expected, sizeof found) != 0) return false;
  return hash == hash_bytes(file.data() + kHeaderBytes, file.size() - kHeaderBytes);
}

Buffer<std::byte> build(const Model& model, const kernels::Table& table, const std::vector<LinearMap>& maps,
                        Header header) {
  Buffer<std::byte> image(header.file_bytes);
  std::vector<float> temp;
  std::byte* at = image.data() + kHeaderBytes;
  for (const LinearMap& map : maps) {
    float* packed = reinterpret_cast<float*>(at);
    table.pack_weights(assemble(map, model, temp), map.n, map.k, packed);
    at += aligned(table.packed_size(map.n, map.k) * sizeof(float));
    copy_bias(map, model, reinterpret_cast<float*>(at));
    at += aligned(map.n * sizeof(float));
  }
  header.payload_hash = hash_bytes(image.data() + kHeaderBytes, image.size() - kHeaderBytes);
  std::memcpy(image.data(), &header, sizeof header);
  return image;
}

}  // namespace

std::string packed_name(const kernels::Table& table) {
  return std::string("packed.fp32.") + tier_name(table.tier) + ".bin";
}

std::vector<LinearMap> linear_maps(const ModelSpec& spec, bool with_decision, bool with_task_head) {
  using Kind = LinearMap::Kind;
  std::vector<LinearMap> maps;
  const auto size = [](int value) { return static_cast<std::size_t>(value); };
  const std::size_t hidden = size(spec.hidden), ffn = size(spec.ffn), classes = size(spec.classes());
  for (int i = 0; i < spec.layers; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    maps.push_back({Kind::qkv, layer + "attention.self", 3 * hidden, hidden, 1});
    maps.push_back({Kind::plain, layer + "attention.output.dense", hidden, hidden, 1});
    maps.push_back({Kind::plain, layer + "intermediate.dense", ffn, hidden, 1});
    maps.push_back({Kind::plain, layer + "output.dense", hidden, ffn, 1});
  }
  if (spec.modality == Modality::image)
    maps.push_back({Kind::conv, "embeddings.patch_embeddings.projection", hidden, size(spec.patch_elems()),
                    size(spec.patch * spec.patch)});
  if (!with_decision && !with_task_head) return maps;

  if (spec.heads_shared) maps.push_back({Kind::plain, "exits.out", classes, size(spec.pooled()), 1});
  for (int e = with_decision ? 1 : spec.layers; e <= spec.layers && !spec.heads_shared; ++e) {
    const std::string name = "exits." + std::to_string(e) + ".";
    const HeadShape head = spec.head_shape(e);
    if (head.dense > 0) maps.push_back({Kind::plain, name + "dense", size(head.dense), size(head.input), 1});
    maps.push_back({Kind::plain, name + "out", classes, size(head.out_input()), 1});
  }
  if (!with_decision) return maps;
  const ExtractorSpec& extractor = spec.extractor;
  const std::size_t taps = spec.grid_rows() == 1 ? 3 : 9;
  const std::size_t embed = size(extractor.embed), c1 = size(extractor.c1), c2 = size(extractor.c2);
  const std::size_t width = size(spec.policy_hidden);
  maps.push_back({Kind::plain, "extractor.proj", embed, hidden, 1});
  maps.push_back({Kind::conv, "extractor.conv1", c1, taps * embed, taps});
  maps.push_back({Kind::conv, "extractor.conv2", c2, taps * c1, taps});
  maps.push_back({Kind::plain, "policy.init", width, 2 * c2 + 1, 1});
  maps.push_back({Kind::lstm, "policy.lstm", 4 * width, kPolicyInputs + width, 1});
  maps.push_back({Kind::plain, "policy.out", 2, width, 1});
  return maps;
}

void PackedWeights::point(const std::byte* image, const std::vector<LinearMap>& maps, const kernels::Table& table) {
  linears_.clear();
  const std::byte* at = image + kHeaderBytes;
  for (const LinearMap& map : maps) {
    Linear linear{reinterpret_cast<const float*>(at), nullptr, map.n, map.k};
    at += aligned(table.packed_size(map.n, map.k) * sizeof(float));
    linear.bias = reinterpret_cast<const float*>(at);
    at += aligned(map.n * sizeof(float));
    linears_.push_back(linear);
  }
}

Result<PackedWeights> PackedWeights::make(const Model& model, const kernels::Table& table) {
  PackedWeights weights;
  const bool decides = model.has_decision() && model.bundle() != nullptr;
  const std::vector<LinearMap> maps = linear_maps(model.spec(), decides, decides || model.has_task_head());
  const std::string source = source_of(model);
  const Header header = header_for(table, source, image_bytes(maps, table));
  const fs::path path = source.empty() ? fs::path() : model.bundle()->folder() / packed_name(table);

  const auto map_file = [&] {
    if (path.empty()) return false;
    auto file = MappedFile::open(path);
    if (!file || !trustworthy(file->bytes(), header)) return false;
    weights.file_ = std::move(*file);
    weights.point(weights.file_.bytes().data(), maps, table);
    return true;
  };
  if (map_file()) return weights;

  Buffer<std::byte> image = build(model, table, maps, header);
  const std::string_view bytes(reinterpret_cast<const char*>(image.data()), image.size());
  // A folder that cannot be written only costs the next start; mapping what was written halves the memory held.
  if (!path.empty() && write_file_atomic(path, bytes) && map_file()) return weights;
  weights.memory_ = std::move(image);
  weights.point(weights.memory_.data(), maps, table);
  return weights;
}

}  // namespace fathom::engine
