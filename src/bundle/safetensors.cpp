#include "bundle/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/quote.h"

namespace fathom {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and used as it is");

constexpr std::string_view kScale = ".scale";
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxTensors = 200'000;  // of one file; some 500 bytes of memory each
constexpr std::size_t kMaxRank = 8;
constexpr std::uint64_t kMaxDim = std::uint64_t{1} << 48;  // far above any file, far below overflow of sums

std::string shown(std::string_view name) { return quote(name); }

struct Entry {
  std::string name, dtype;
  std::array<std::uint64_t, kMaxRank> dims{};
  std::array<std::uint64_t, 2> offsets{};
  std::uint8_t rank = 0, ends = 0;
  bool has_dtype = false, has_shape = false, has_offsets = false;
  std::vector<std::int64_t> shape() const { return {dims.begin(), dims.begin() + rank}; }
};

// Reads the header event by event, so that a hostile one costs no more than its length. Anything but {"name": {"dtype",
// "shape", "data_offsets"}} stops with `refused`.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  std::vector<Entry> entries;
  std::string refused;

  bool start_object(std::size_t) override {
    if (level_ == 0) return enter();
    if (level_ != 1 || in_array_) return refuse(at() + " holds an object where a value is expected");
    metadata_ = name_ == "__metadata__";
    if (metadata_ && std::exchange(had_metadata_, true)) return refuse("tensor '__metadata__' stands twice");
    if (!metadata_) {
      if (entries.size() == kMaxTensors)
        return refuse("more than " + std::to_string(kMaxTensors) + " tensors, the limit of one file");
      entries.emplace_back().name = name_;
    }
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
      name_ = std::move(text);
      return true;
    }
    if (metadata_ && !inner_keys_.insert(text).second) return refuse(at() + ": key " + shown(text) + " stands twice");
    field_ = std::move(text);
    if (metadata_) return true;
    const Entry& entry = entries.back();
    const bool* had = field_ == "dtype"          ? &entry.has_dtype
                      : field_ == "shape"        ? &entry.has_shape
                      : field_ == "data_offsets" ? &entry.has_offsets
                                                 : nullptr;
    if (had == nullptr) return refuse(at() + ": unknown key " + shown(field_));
    return !*had || refuse(at() + ": key " + shown(field_) + " stands twice");
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
    Entry& entry = entries.back();
    const bool shape = field_ == "shape";
    const std::size_t most = shape ? entry.dims.size() : entry.offsets.size();
    std::uint8_t& count = shape ? entry.rank : entry.ends;
    if (count == most) return refuse(at() + ": '" + field_ + "' has more than " + std::to_string(most) + " entries");
    (shape ? entry.dims.data() : entry.offsets.data())[count++] = value;
    return true;
  }
  bool string(std::string& text) override {
    if (level_ == 2 && metadata_ && !in_array_) return true;
    if (level_ != 2 || in_array_ || field_ != "dtype") return unexpected("text");
    if (text.size() > 40) return refuse(at() + ": dtype " + quote(text, 40) + " is no dtype");
    entries.back().dtype = std::move(text);
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
  bool in_array_ = false, metadata_ = false, had_metadata_ = false;
  std::string name_, field_;
  std::set<std::string> inner_keys_;  // of the metadata
};

// Bytes of one element; 0: a dtype that is not known, so that only its range can be checked.
std::uint64_t width_of(const std::string& dtype) {
  static const std::map<std::string, std::uint64_t> widths = {
      {"F64", 8},  {"F32", 4}, {"F16", 2},     {"BF16", 2},    {"I64", 8},    {"I32", 4},
      {"I16", 2},  {"I8", 1},  {"U64", 8},     {"U32", 4},     {"U16", 2},    {"U8", 1},
      {"BOOL", 1}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};
  const auto found = widths.find(dtype);
  return found == widths.end() ? 0 : found->second;
}

// Bytes of a tensor of this shape, or false when they do not fit 64 bits.
bool checked_bytes(const Entry& entry, std::uint64_t width, std::uint64_t& bytes) {
  bytes = width;
  for (std::size_t i = 0; i < entry.rank; ++i)
    if (entry.dims[i] > kMaxDim || __builtin_mul_overflow(bytes, entry.dims[i], &bytes)) return false;
  return true;
}

std::string range_text(const Entry& entry) {
  return "bytes " + std::to_string(entry.offsets[0]) + ".." + std::to_string(entry.offsets[1]);
}

Status check_entry(const Entry& entry, std::uint64_t data_bytes) {
  const std::string tensor = "tensor " + shown(entry.name);
  const auto bad = [&](const std::string& why) { return Error{Code::corrupt_bundle, tensor + ": " + why, ""}; };
  const std::uint64_t width = width_of(entry.dtype);
  if (entry.ends != 2) return bad("data_offsets must be [begin, end]");
  std::uint64_t bytes = 0;
  if (!checked_bytes(entry, std::max<std::uint64_t>(width, 1), bytes))
    return bad("shape " + shape_text(entry.shape()) + " is impossibly large");
  if (entry.offsets[0] > entry.offsets[1] || entry.offsets[1] > data_bytes)
    return bad(range_text(entry) + " lie outside the file's " + std::to_string(data_bytes) + " bytes of data");
  const std::uint64_t got = entry.offsets[1] - entry.offsets[0];
  if (width > 0 && got != bytes)
    return bad("shape " + shape_text(entry.shape()) + " needs " + std::to_string(bytes) + " bytes, data_offsets give " +
               std::to_string(got));
  return {};
}

// No name stands twice.
Status check_names(const std::vector<Entry>& entries) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const Entry& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return {};
  return Error{Code::corrupt_bundle, "tensor " + shown(*twice) + " stands twice", ""};
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

Result<std::vector<Entry>> read_header(const MappedFile& file, std::uint64_t& data_start) {
  const auto bad = [](const std::string& why) {
    return Error{Code::corrupt_bundle, why, "the file is damaged; copy or make it again"};
  };
  const Error cut{Code::io, "was cut short while it was read", "wait until the file is written whole"};
  const std::uint64_t size = file.size();
  if (size == 0) return bad("is empty, weights are expected");
  std::string first(std::min<std::uint64_t>(size, 64), '\0');
  if (!file.read(0, first.size(), first.data())) return cut;
  if (const auto foreign = foreign_kind(first)) return Error{Code::corrupt_bundle, foreign->what, foreign->next};
  if (size < 8)
    return bad("is " + std::to_string(size) + " bytes, a safetensors file starts with 8 bytes of header length");
  std::uint64_t header = 0;
  std::memcpy(&header, first.data(), 8);
  if (header > kMaxHeaderBytes)
    return bad("header length " + std::to_string(header) + " is above the limit of " + std::to_string(kMaxHeaderBytes));
  if (header > size - 8)
    return bad("header length " + std::to_string(header) + ", but only " + std::to_string(size - 8) + " bytes follow");
  if (header == 0 || (size > 8 && first[8] != '{')) return bad("header does not start with '{'");
  std::string text(header, '\0');
  if (!file.read(8, text.size(), text.data())) return cut;
  if (text.find('\0') != std::string::npos) return bad("header holds a byte 0");
  HeaderReader reader;
  const bool parsed = Json::sax_parse(text, &reader);
  if (!parsed || !reader.refused.empty())
    return bad(reader.refused.empty() ? "header is not valid JSON" : reader.refused);
  data_start = 8 + header;
  FATHOM_TRY_VOID(check_names(reader.entries));
  FATHOM_TRY_VOID(check_ranges(reader.entries, size - data_start));
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
    if (!name.ends_with(".safetensors") || name.size() > 255 || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos || name.front() == '.')
      return Error{Code::corrupt_bundle,
                   where + ": tensor " + shown(tensor) + " names no .safetensors file beside the index", ""};
    map[tensor] = name;
  }
  return map;
}

}  // namespace

Result<std::shared_ptr<const SafeTensors>> SafeTensors::open(const std::filesystem::path& path, Weights how) {
  auto opened = std::make_shared<SafeTensors>();
  FATHOM_TRY(opened->file_, MappedFile::open(path, how));
  opened->path_ = path;
  const std::string where = "'" + path.string() + "'";
  MappedFile::use_large_pages(opened->file_.bytes(),
                              false);  // of an embedding table only the rows that texts use should come into memory
  std::uint64_t data_start = 0;
  auto entries = read_header(opened->file_, data_start);
  if (!entries) return entries.error().within(where);
  const auto scales = scales_of(*entries);
  for (const Entry& entry : *entries) {
    if (const auto owner = owner_of(entry); owner && scales.contains(*owner))
      continue;  // a scale is a part of its tensor
    const bool scaled = scales.contains(entry.name);
    const auto type = stored_as(entry.dtype);
    if (scaled) {
      const Entry& scale = *scales.at(entry.name);
      if (entry.rank == 0 || scale.rank != 1 || scale.dims[0] != entry.dims[0])
        return Error{Code::corrupt_bundle,
                     where + ": tensor " + shown(entry.name) + " of int8 needs one scale for each row",
                     "the file is damaged; copy or make it again"};
    }
    if (!type || (*type == Stored::i8 && !scaled)) {
      opened->unread_[entry.name] = entry.dtype;
      continue;
    }
    const std::uint64_t offset = data_start + entry.offsets[0];
    TensorView view{nullptr, entry.shape()};
    const bool maps = how == Weights::map && *type == Stored::f32 && offset % alignof(float) == 0;
    if (maps) view.data = reinterpret_cast<const float*>(opened->file_.bytes().data() + offset);
    if (!maps) {
      auto copied = std::make_shared<Copied>();
      copied->offset = offset;
      copied->type = *type;
      copied->view = view;
      if (scaled) {
        copied->scale.resize(static_cast<std::size_t>(entry.dims[0]));
        if (!opened->file_.read(data_start + scales.at(entry.name)->offsets[0], copied->scale.size() * sizeof(float),
                                copied->scale.data()))
          return Error{Code::io, where + " was cut short while it was read", ""};
      }
      opened->copied_[entry.name] = std::move(copied);
    }
    opened->offsets_[entry.name] = offset;
    opened->tensors_[entry.name] = std::move(view);
  }
  return std::shared_ptr<const SafeTensors>(std::move(opened));
}

Result<std::vector<std::string>> SafeTensors::shards_of(const std::filesystem::path& index) {
  FATHOM_TRY(const auto map, read_index(index));
  std::set<std::string> files;
  for (const auto& [tensor, file] : map) files.insert(file);
  return std::vector<std::string>(files.begin(), files.end());
}

Result<std::shared_ptr<const SafeTensors>> SafeTensors::open_sharded(const std::filesystem::path& index, Weights how) {
  FATHOM_TRY(const auto map, read_index(index));
  auto all = std::make_shared<SafeTensors>();
  all->path_ = index;
  std::map<std::string, const SafeTensors*> opened;
  for (const auto& [tensor, file] : map) {
    if (!opened.contains(file)) {
      FATHOM_TRY(auto shard, open(index.parent_path() / file, how));
      for (const auto& [name, dtype] : shard->unread()) all->unread_[name] = dtype;
      opened[file] = shard.get();
      all->shards_.push_back(std::move(shard));
    }
    const SafeTensors& shard = *opened[file];
    if (const TensorView* view = shard.peek(tensor)) {
      all->tensors_[tensor] = *view;
      all->shard_of_[tensor] = &shard;
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

// Reads and widens some rows at a time, so that no second copy is held.
void SafeTensors::fill(const std::string& name, Copied& tensor) const {
  constexpr std::size_t kAtOnce = std::size_t{1} << 18;
  const StoredTable table = table_of(name);
  tensor.values = Buffer<float>(static_cast<std::size_t>(tensor.view.elements()));
  tensor.view.data = tensor.values.data();
  if (tensor.values.size() == 0) return;
  if (tensor.type == Stored::f32) {
    if (!file_.read(tensor.offset, tensor.values.size() * sizeof(float), tensor.values.data())) failed_ = true;
    return;
  }
  const std::size_t some = std::max<std::size_t>(1, kAtOnce / table.row_bytes());
  Buffer<std::byte> rows(std::min(some, table.rows) * table.row_bytes());
  for (std::size_t first = 0; first < table.rows; first += some) {
    const std::size_t count = std::min(some, table.rows - first);
    if (!file_.read(table.offset_of(first), count * table.row_bytes(), rows.data())) {
      failed_ = true;
      return;
    }
    for (std::size_t row = 0; row < count; ++row)
      table.widen_row(first + row, rows.data() + row * table.row_bytes(),
                      tensor.values.data() + (first + row) * table.width);
  }
}

const TensorView* SafeTensors::find(const std::string& name) const {
  if (const auto shard = shard_of_.find(name); shard != shard_of_.end()) return shard->second->find(name);
  const auto it = copied_.find(name);
  if (it == copied_.end()) return peek(name);
  Copied& tensor = *it->second;
  std::call_once(tensor.once, [&] { fill(name, tensor); });
  return &tensor.view;
}

bool SafeTensors::intact() const {
  return !failed_ && std::all_of(shards_.begin(), shards_.end(), [](const auto& shard) { return shard->intact(); });
}

StoredTable SafeTensors::table_of(const std::string& name) const {
  if (const auto shard = shard_of_.find(name); shard != shard_of_.end()) return shard->second->table_of(name);
  const TensorView& view = tensors_.at(name);
  StoredTable table;
  table.rows = view.shape.empty() ? 1 : static_cast<std::size_t>(view.shape[0]);
  table.width = table.rows == 0 ? 0 : static_cast<std::size_t>(view.elements()) / table.rows;
  table.file = &file_;
  table.offset = offsets_.at(name);
  if (const auto it = copied_.find(name); it != copied_.end()) {
    table.type = it->second->type;
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
