#include "bundle/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>

#include "base/json.h"

namespace fathom {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and mapped as it is");

constexpr std::string_view kScale = ".scale";
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxRank = 8;
constexpr std::uint64_t kMaxDim = std::uint64_t{1} << 48;  // far above any file, far below overflow of sums

// A name from an untrusted file, fit for a terminal: printable and short.
std::string shown(std::string_view name) {
  std::string text = "'";
  for (const char c : name.substr(0, 80)) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text + (name.size() > 80 ? "...'" : "'");
}

struct Entry {
  std::string name, dtype;
  std::vector<std::uint64_t> shape, offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Reads the header event by event, so that a hostile one costs no more than its length (a document of it would be
// searched linearly for every key). Anything but {"name": {"dtype", "shape", "data_offsets"}} stops with `refused`.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  std::vector<Entry> entries;
  std::string refused;

  bool start_object(std::size_t) override {
    if (level_ == 0) return enter();
    if (level_ != 1 || in_array_) return refuse(at() + " holds an object where a value is expected");
    metadata_ = name_ == "__metadata__";
    if (!metadata_) entries.push_back({name_, {}, {}, {}, false, false, false});
    inner_keys_.clear();
    return enter();
  }
  bool end_object() override {
    if (level_ == 2 && !metadata_) {
      const Entry& entry = entries.back();
      const char* missing = !entry.has_dtype     ? "dtype"
                            : !entry.has_shape   ? "shape"
                            : !entry.has_offsets ? "data_offsets"
                                                 : nullptr;
      if (missing != nullptr) return refuse(at() + " has no '" + missing + "'");
    }
    --level_;
    return true;
  }
  bool key(std::string& text) override {
    if (level_ == 1) {
      if (!names_.insert(text).second) return refuse("tensor " + shown(text) + " stands twice");
      name_ = text;
      return true;
    }
    if (!inner_keys_.insert(text).second) return refuse(at() + ": key " + shown(text) + " stands twice");
    field_ = text;
    if (!metadata_ && text != "dtype" && text != "shape" && text != "data_offsets")
      return refuse(at() + ": unknown key " + shown(text));
    return true;
  }
  bool start_array(std::size_t) override {
    if (level_ != 2 || metadata_ || in_array_ || field_ == "dtype") return unexpected("a list");
    in_array_ = true;
    (field_ == "shape" ? entries.back().has_shape : entries.back().has_offsets) = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool number_unsigned(std::uint64_t value) override {
    if (!in_array_) return unexpected("a number");
    auto& list = field_ == "shape" ? entries.back().shape : entries.back().offsets;
    const std::size_t most = field_ == "shape" ? kMaxRank : 2;
    if (list.size() == most)
      return refuse(at() + ": '" + field_ + "' has more than " + std::to_string(most) + " entries");
    list.push_back(value);
    return true;
  }
  bool string(std::string& text) override {
    if (level_ == 2 && metadata_ && !in_array_) return true;
    if (level_ != 2 || in_array_ || field_ != "dtype") return unexpected("text");
    entries.back().dtype = text;
    entries.back().has_dtype = true;
    return true;
  }
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("true or false"); }
  bool number_integer(std::int64_t value) override {
    return unexpected("the negative number " + std::to_string(value));
  }
  bool number_float(double, const std::string& text) override { return unexpected("the number " + shown(text)); }
  bool binary(Json::binary_t&) override { return unexpected("bytes"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("header is not valid JSON at byte " + std::to_string(position) +
                  (name_.empty() ? "" : ", in tensor " + shown(name_)));
  }

 private:
  bool enter() {
    ++level_;
    return true;
  }
  bool refuse(const std::string& why) {
    if (refused.empty()) refused = why;
    return false;
  }
  bool unexpected(const std::string& what) {
    return refuse(level_ < 2
                      ? at() + " is " + what + ", an object is expected"
                      : at() + ": " + shown(field_) + " holds " + what + (metadata_ ? ", text is expected" : ""));
  }
  std::string at() const { return level_ == 0 ? "header" : "tensor " + shown(name_); }

  int level_ = 0;  // 1 inside the header, 2 inside an entry
  bool in_array_ = false, metadata_ = false;
  std::string name_, field_;
  std::set<std::string> names_, inner_keys_;
};

// Bytes of one element; 0: a dtype that is not known.
std::uint64_t width_of(const std::string& dtype) {
  static const std::map<std::string, std::uint64_t> widths = {
      {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1}, {"U8", 1}, {"BOOL", 1}};
  const auto found = widths.find(dtype);
  return found == widths.end() ? 0 : found->second;
}

// Bytes of a tensor of this shape, or false when they do not fit 64 bits.
bool checked_bytes(const std::vector<std::uint64_t>& shape, std::uint64_t width, std::uint64_t& bytes) {
  bytes = width;
  for (const std::uint64_t dim : shape)
    if (dim > kMaxDim || __builtin_mul_overflow(bytes, dim, &bytes)) return false;
  return true;
}

std::string range_text(const Entry& entry) {
  return "bytes " + std::to_string(entry.offsets[0]) + ".." + std::to_string(entry.offsets[1]);
}

std::vector<std::int64_t> signed_shape(const std::vector<std::uint64_t>& shape) { return {shape.begin(), shape.end()}; }

Status check_entry(const Entry& entry, std::uint64_t data_bytes) {
  const std::string tensor = "tensor " + shown(entry.name);
  const auto bad = [&](const std::string& why) { return Error{Code::corrupt_bundle, tensor + ": " + why, ""}; };
  const std::uint64_t width = width_of(entry.dtype);
  if (width == 0)
    return Error{Code::unsupported,
                 tensor + ": dtype " + shown(entry.dtype) + ", weights are read from F32, F16 and BF16",
                 "convert the file to float32"};
  if (entry.offsets.size() != 2) return bad("data_offsets must be [begin, end]");
  std::uint64_t bytes = 0;
  if (!checked_bytes(entry.shape, width, bytes))
    return bad("shape " + shape_text(signed_shape(entry.shape)) + " is impossibly large");
  if (entry.offsets[0] > entry.offsets[1] || entry.offsets[1] > data_bytes)
    return bad(range_text(entry) + " lie outside the file's " + std::to_string(data_bytes) + " bytes of data");
  const std::uint64_t got = entry.offsets[1] - entry.offsets[0];
  if (got != bytes)
    return bad("shape " + shape_text(signed_shape(entry.shape)) + " needs " + std::to_string(bytes) +
               " bytes, data_offsets give " + std::to_string(got));
  return {};
}

// Entries in file order must cover the data without hole or overlap.
Status check_ranges(std::vector<Entry>& entries, std::uint64_t data_bytes) {
  for (const Entry& entry : entries) FATHOM_TRY_VOID(check_entry(entry, data_bytes));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.offsets < b.offsets; });
  std::uint64_t covered = 0;
  for (const Entry& entry : entries) {
    if (entry.offsets[0] != covered)
      return Error{Code::corrupt_bundle,
                   "tensor " + shown(entry.name) + ": " + range_text(entry) +
                       (entry.offsets[0] < covered ? " overlap the tensor before, which ends at "
                                                   : " leave a hole after byte ") +
                       std::to_string(covered),
                   ""};
    covered = entry.offsets[1];
  }
  if (covered != data_bytes)
    return Error{
        Code::corrupt_bundle,
        "tensors end at byte " + std::to_string(covered) + " of the data, the file has " + std::to_string(data_bytes),
        ""};
  return {};
}

Result<std::vector<Entry>> read_header(std::span<const std::byte> file, std::uint64_t& data_start) {
  const auto bad = [](const std::string& why) {
    return Error{Code::corrupt_bundle, why, "the file is damaged; copy or make it again"};
  };
  if (file.size() < 8)
    return bad("is " + std::to_string(file.size()) + " bytes, a safetensors file starts with 8 bytes of header length");
  std::uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  if (header > kMaxHeaderBytes)
    return bad("header length " + std::to_string(header) + " is above the limit of " + std::to_string(kMaxHeaderBytes));
  if (header > file.size() - 8)
    return bad("header length " + std::to_string(header) + ", but only " + std::to_string(file.size() - 8) +
               " bytes follow");
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, header);
  if (text.empty() || text.front() != '{') return bad("header does not start with '{'");
  HeaderReader reader;
  const bool parsed = Json::sax_parse(text, &reader);
  if (!parsed || !reader.refused.empty())
    return bad(reader.refused.empty() ? "header is not valid JSON" : reader.refused);
  data_start = 8 + header;
  if (data_start % alignof(float) != 0 && data_start != file.size())
    return Error{Code::unsupported, "header length " + std::to_string(header) + " leaves float32 data unaligned",
                 "write the file again with a header padded to 8 bytes"};
  FATHOM_TRY_VOID(check_ranges(reader.entries, file.size() - data_start));
  return std::move(reader.entries);
}

// Of a float32 tensor NAME.scale: NAME.
std::optional<std::string_view> owner_of(const Entry& entry) {
  const std::string_view name = entry.name;
  if (entry.dtype != "F32" || !name.ends_with(kScale)) return std::nullopt;
  return name.substr(0, name.size() - kScale.size());
}

// The scales of the int8 tensors that have them, by the name of the tensor.
std::map<std::string_view, const Entry*> scales_of(const std::vector<Entry>& entries) {
  std::set<std::string_view> bytes;
  for (const Entry& entry : entries)
    if (entry.dtype == "I8") bytes.insert(entry.name);
  std::map<std::string_view, const Entry*> scales;
  for (const Entry& entry : entries)
    if (const auto owner = owner_of(entry); owner && bytes.contains(*owner)) scales[*owner] = &entry;
  return scales;
}

// weight_map of an index, every file name a plain one that stays in the folder.
Result<std::map<std::string, std::string>> read_index(const std::filesystem::path& index) {
  constexpr std::uint64_t kMaxIndexBytes = 32u << 20;
  const std::string where = "'" + index.string() + "'";
  FATHOM_TRY(const std::string text, read_file(index, kMaxIndexBytes));
  FATHOM_TRY(const Json json, parse_json(text, where, Code::corrupt_bundle));
  const auto it = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || it == json.end() || !it->is_object() || it->empty())
    return Error{Code::corrupt_bundle, where + ": no \"weight_map\" of tensor names and files",
                 "copy the checkpoint again"};
  std::map<std::string, std::string> map;
  for (const auto& [tensor, file] : it->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (!name.ends_with(".safetensors") || name.find('/') != std::string::npos || name.front() == '.')
      return Error{Code::corrupt_bundle,
                   where + ": tensor " + shown(tensor) + " names no .safetensors file beside the index", ""};
    map[tensor] = name;
  }
  return map;
}

}  // namespace

Result<std::shared_ptr<const SafeTensors>> SafeTensors::open(const std::filesystem::path& path) {
  auto opened = std::make_shared<SafeTensors>();
  FATHOM_TRY(opened->file_, MappedFile::open(path));
  opened->path_ = path;
  MappedFile::use_large_pages(opened->file_.bytes(),
                              false);  // of an embedding table only the rows that texts use should come into memory
  std::uint64_t data_start = 0;
  auto entries = read_header(opened->file_.bytes(), data_start);
  if (!entries) return entries.error().within("'" + path.string() + "'");
  const auto scales = scales_of(*entries);
  const auto bytes_of = [&](const Entry& entry) {
    return opened->file_.bytes().data() + data_start + entry.offsets[0];
  };
  for (const Entry& entry : *entries) {
    if (const auto owner = owner_of(entry); owner && scales.contains(*owner))
      continue;  // a scale is a part of its tensor
    const std::byte* data = bytes_of(entry);
    const bool scaled = scales.contains(entry.name);
    const auto type = stored_as(entry.dtype);
    if (scaled && (entry.shape.empty() || scales.at(entry.name)->shape != std::vector<std::uint64_t>{entry.shape[0]}))
      return Error{Code::corrupt_bundle,
                   "'" + path.string() + "': tensor " + shown(entry.name) + " of int8 needs one scale for each row",
                   "the file is damaged; copy or make it again"};
    if (!type || (*type == Stored::i8 && !scaled)) {
      opened->unread_[entry.name] = entry.dtype;
      continue;
    }
    TensorView view{reinterpret_cast<const float*>(data), signed_shape(entry.shape)};
    // An integer tensor of odd size in front can leave floats where they must not be read from.
    if (*type != Stored::f32 || reinterpret_cast<std::uintptr_t>(data) % alignof(float) != 0) {
      auto widened = std::make_shared<Widened>();
      try {
        widened->values = Buffer<float>(static_cast<std::size_t>(view.elements()));
      } catch (const std::bad_alloc&) {
        return Error{Code::out_of_memory, "'" + path.string() + "': no memory to widen tensor " + shown(entry.name),
                     ""};
      }
      widened->from = data;
      widened->type = *type;
      if (scaled) {
        widened->scale.resize(static_cast<std::size_t>(entry.shape[0]));
        std::memcpy(widened->scale.data(), bytes_of(*scales.at(entry.name)), widened->scale.size() * sizeof(float));
      }
      view.data = widened->values.data();
      opened->widened_[entry.name] = std::move(widened);
    }
    opened->tensors_[entry.name] = std::move(view);
  }
  MappedFile::release(
      opened->file_.bytes(),
      false);  // reading the header mapped 2 MB of its neighbours where the system caches files in large pages
  return std::shared_ptr<const SafeTensors>(std::move(opened));
}

Result<std::vector<std::string>> SafeTensors::shards_of(const std::filesystem::path& index) {
  FATHOM_TRY(const auto map, read_index(index));
  std::set<std::string> files;
  for (const auto& [tensor, file] : map) files.insert(file);
  return std::vector<std::string>(files.begin(), files.end());
}

Result<std::shared_ptr<const SafeTensors>> SafeTensors::open_sharded(const std::filesystem::path& index) {
  FATHOM_TRY(const auto map, read_index(index));
  auto all = std::make_shared<SafeTensors>();
  all->path_ = index;
  std::map<std::string, const SafeTensors*> opened;
  for (const auto& [tensor, file] : map) {
    if (!opened.contains(file)) {
      FATHOM_TRY(auto shard, open(index.parent_path() / file));
      for (const auto& [name, dtype] : shard->unread()) all->unread_[name] = dtype;
      opened[file] = shard.get();
      all->shards_.push_back(std::move(shard));
    }
    const SafeTensors& shard = *opened[file];
    if (const TensorView* view = shard.peek(tensor)) {
      all->tensors_[tensor] = *view;
      const auto widened = shard.widened_.find(tensor);
      if (widened != shard.widened_.end()) all->widened_[tensor] = widened->second;
    } else if (!shard.unread().contains(tensor))
      return Error{Code::corrupt_bundle,
                   "'" + index.string() + "': tensor " + shown(tensor) + " is not in " + shown(file),
                   "copy all files of the checkpoint again"};
  }
  return std::shared_ptr<const SafeTensors>(std::move(all));
}

const TensorView* SafeTensors::peek(const std::string& name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

const TensorView* SafeTensors::find(const std::string& name) const {
  const auto it = widened_.find(name);
  if (it != widened_.end()) {
    Widened& tensor = *it->second;
    std::call_once(tensor.once, [&] {
      const StoredTable table = table_of(name);
      for (std::size_t row = 0; row < table.rows; ++row)
        table.widen_row(row, table.row(row), tensor.values.data() + row * table.width);
    });
  }
  return peek(name);
}

StoredTable SafeTensors::table_of(const std::string& name) const {
  for (const auto& shard : shards_)
    if (shard->tensors_.contains(name)) return shard->table_of(name);
  const TensorView& view = tensors_.at(name);
  StoredTable table;
  table.rows = view.shape.empty() ? 1 : static_cast<std::size_t>(view.shape[0]);
  table.width = table.rows == 0 ? 0 : static_cast<std::size_t>(view.elements()) / table.rows;
  table.file = &file_;
  table.data = reinterpret_cast<const std::byte*>(view.data);
  if (const auto it = widened_.find(name); it != widened_.end()) {
    table.type = it->second->type;
    table.data = it->second->from;
    if (!it->second->scale.empty()) table.scale = it->second->scale.data();
  }
  return table;
}

std::string safetensors_bytes(const std::vector<StoredTensor>& tensors) {
  std::string header = "{";
  std::uint64_t offset = 0;
  std::set<std::string> names;
  for (const StoredTensor& tensor : tensors) {
    FATHOM_CHECK(names.insert(tensor.name).second && tensor.name != "__metadata__", "tensor names must differ");
    FATHOM_CHECK(tensor.shape.size() <= kMaxRank, "tensor rank too large");
    header += (header.size() > 1 ? "," : "") + Json(tensor.name).dump(-1, ' ', false, Json::error_handler_t::replace) +
              ":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":" + Json(tensor.shape).dump() + ",\"data_offsets\":[" +
              std::to_string(offset) + "," + std::to_string(offset + tensor.bytes.size()) + "]}";
    offset += tensor.bytes.size();
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  FATHOM_CHECK(header.size() <= kMaxHeaderBytes, "safetensors header too large");
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  bytes.reserve(8 + length + offset);
  bytes += header;
  for (const StoredTensor& tensor : tensors)
    bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return bytes;
}

std::string safetensors_bytes(const std::vector<NamedTensor>& tensors) {
  std::vector<StoredTensor> stored;
  for (const NamedTensor& tensor : tensors)
    stored.push_back({tensor.name, "F32", tensor.view.shape,
                      std::as_bytes(std::span(tensor.view.data, static_cast<std::size_t>(tensor.view.elements())))});
  return safetensors_bytes(stored);
}

}  // namespace fathom
