#include "train/checkpoint.h"

#include <cstring>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"

namespace fathom::train {
namespace {

constexpr std::string_view kMagic = "FATHOMCK";
constexpr std::size_t kHash = 64;

Error damaged(const fs::path& path, const std::string& what) {
  return {Code::io, "checkpoint " + path.string() + " is damaged: " + what, "delete it, or start in another folder"};
}

std::string state_bytes(const Json& identity, const State& state) {
  Json header = {{"identity", identity}, {"facts", state.facts}, {"tensors", Json::array()}};
  for (const auto& [name, tensor] : state.tensors) {
    header["tensors"].push_back(
        {{"name", name}, {"shape", std::vector<std::int64_t>(tensor.sizes().begin(), tensor.sizes().end())}});
  }
  const std::string json = header.dump();
  const std::uint64_t length = json.size();
  std::string bytes(kMagic);
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += json;
  for (const auto& [name, tensor] : state.tensors) {
    const auto flat = tensor.detach().to(torch::kFloat).contiguous();
    bytes.append(reinterpret_cast<const char*>(flat.data_ptr<float>()),
                 static_cast<std::size_t>(flat.numel()) * sizeof(float));
  }
  return bytes + sha256_hex(bytes);
}

struct Stored {
  Json identity;
  State state;
};

Result<Stored> parse(const fs::path& path, const std::string& bytes) {
  const std::size_t head = kMagic.size() + sizeof(std::uint64_t);
  if (bytes.size() < head + kHash || bytes.compare(0, kMagic.size(), kMagic) != 0)
    return damaged(path, "not a checkpoint or cut short");
  const std::string_view body(bytes.data(), bytes.size() - kHash);
  if (sha256_hex(body) != bytes.substr(bytes.size() - kHash)) return damaged(path, "its checksum does not match");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data() + kMagic.size(), sizeof length);
  if (length > body.size() - head) return damaged(path, "its header is cut short");
  FATHOM_TRY(const Json header, parse_json(body.substr(head, length), path.string()));
  Stored out{header["identity"], {header["facts"], {}}};
  std::size_t at = head + length;
  for (const auto& entry : header["tensors"]) {
    const auto shape = entry["shape"].get<std::vector<std::int64_t>>();
    auto tensor = torch::empty(shape);
    const auto size = static_cast<std::size_t>(tensor.numel()) * sizeof(float);
    if (size > body.size() - at) return damaged(path, "tensor " + entry["name"].get<std::string>() + " is cut short");
    std::memcpy(tensor.data_ptr(), body.data() + at, size);
    at += size;
    out.state.tensors[entry["name"].get<std::string>()] = tensor;
  }
  return out;
}

}  // namespace

std::string difference(const Json& now, const Json& before) {
  std::string text;
  const auto say_difference = [&](const std::string& key, const Json& a, const Json& b) {
    const auto word = [](const Json& x) { return x.is_null() ? std::string("not given") : x.dump(); };
    if (!text.empty()) text += "; ";
    text += key + " is " + word(a) + ", was " + word(b);
  };
  for (const auto& [key, value] : now.items()) {
    const Json old = before.contains(key) ? before[key] : Json();
    if (value == old) continue;
    if (value.is_object() && old.is_object()) {
      text += (text.empty() ? "" : "; ") + difference(value, old);
    } else {
      say_difference(key, value, old);
    }
  }
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) say_difference(key, Json(), value);
  }
  return text;
}

Status Checkpoints::save(const std::string& stage, const State& state) const {
  if (!enabled()) return {};
  const auto newest = folder_ / (stage + ".ckpt"), previous = folder_ / (stage + ".previous.ckpt");
  std::error_code ignored;
  if (fs::exists(newest, ignored)) fs::rename(newest, previous, ignored);
  return write_file_atomic(newest, state_bytes(identity_, state));
}

Result<std::optional<State>> Checkpoints::load(const std::string& stage) const {
  if (!enabled()) return std::optional<State>();
  for (const char* ending : {".ckpt", ".previous.ckpt"}) {
    const auto path = folder_ / (stage + ending);
    if (!fs::exists(path)) continue;
    FATHOM_TRY(const std::string bytes, read_file(path));
    auto stored = parse(path, bytes);
    if (!stored) {
      warn(stored.error().message + "; going back to the one before");
      continue;
    }
    const std::string other = difference(identity_, stored->identity);
    if (!other.empty()) {
      return Error{Code::usage, path.string() + " belongs to another run: " + other,
                   "use the same options and data, choose another --output, or delete " + folder_.string()};
    }
    return std::optional<State>(std::move(stored->state));
  }
  return std::optional<State>();
}

void Checkpoints::remove(const std::string& stage) const {
  if (!enabled()) return;
  std::error_code ignored;
  fs::remove(folder_ / (stage + ".ckpt"), ignored);
  fs::remove(folder_ / (stage + ".previous.ckpt"), ignored);
}

}  // namespace fathom::train
