#include "base/json.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "base/quote.h"

namespace fathom {
namespace {

constexpr std::size_t kMaxDepth = 64;

Error wrong(const std::string& where, const char* key, const std::string& what) {
  return {Code::corrupt_bundle, where + ": '" + key + "' " + what, ""};
}

// "line 3, column 14" of byte `at`, counted from 1.
std::string place_of(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const std::size_t line = 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  const std::size_t start = before.rfind('\n');
  return "line " + std::to_string(line) + ", column " +
         std::to_string(start == std::string_view::npos ? before.size() + 1 : before.size() - start);
}

// Builds the document event by event and stops at the first thing that is refused.
class TreeReader : public nlohmann::json_sax<Json> {
 public:
  explicit TreeReader(std::string_view text) : text_(text) {}
  Json root;
  std::string refused;

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  bool number_integer(std::int64_t value) override { return add(value) != nullptr; }
  bool number_unsigned(std::uint64_t value) override { return add(value) != nullptr; }
  bool number_float(double value, const std::string&) override { return add(value) != nullptr; }
  bool string(std::string& value) override { return add(std::move(value)) != nullptr; }
  bool binary(Json::binary_t&) override { return refuse("bytes"); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    auto& members = open_.back()->get_ref<Json::object_t&>();
    const auto [at, fresh] = members.emplace(std::move(name), Json());
    if (!fresh) return refuse("key " + quote(at->first) + " stands twice");
    member_ = &at->second;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    constexpr int kNumberTooLarge = 406;
    const std::string at = place_of(text_, position == 0 ? 0 : position - 1);
    return refuse(e.id == kNumberTooLarge ? "holds a number that is too large, before " + at
                                          : "not valid JSON at " + at);
  }

 private:
  template <class Value>
  Json* add(Value&& value) {
    if (open_.empty()) return &(root = Json(std::forward<Value>(value)));
    if (open_.back()->is_array()) return &open_.back()->emplace_back(std::forward<Value>(value));
    return &(*member_ = Json(std::forward<Value>(value)));
  }
  bool open(Json&& container) {
    if (open_.size() == kMaxDepth) return refuse("nested deeper than " + std::to_string(kMaxDepth));
    open_.push_back(add(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  bool refuse(const std::string& why) {
    if (refused.empty()) refused = why;
    return false;
  }

  std::string_view text_;
  std::vector<Json*> open_;  // from the root inwards; a container does not grow while one inside it is open
  Json* member_ = nullptr;   // of the object opened last: where its next value goes
};

template <class Is>
Result<const Json*> of_kind(const Json& object, const char* key, const std::string& where, const char* kind, Is is) {
  const Json* member = json_find(object, key);
  if (member == nullptr) return wrong(where, key, "is missing");
  if (!is(*member)) return wrong(where, key, std::string("must be ") + kind);
  return member;
}

}  // namespace

void json_contract_broken(const char* what) {
  throw Json::out_of_range::create(403, std::string("read past its shape: ") + what, nullptr);
}

std::uint64_t json_key_hash(std::string_view key) {
  static const std::uint64_t seed = std::uint64_t{std::random_device{}()} << 32 | std::random_device{}();
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ull;
  std::uint64_t hash = seed ^ key.size();
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 29;
  };
  for (; key.size() >= 8; key.remove_prefix(8)) {
    std::uint64_t word;
    std::memcpy(&word, key.data(), 8);
    mix(word);
  }
  std::uint64_t rest = 0;
  for (const char c : key) rest = rest << 8 | static_cast<unsigned char>(c);
  mix(rest);
  return hash ^ hash >> 32;
}

Result<Json> parse_json(std::string_view text, const std::string& where, Code code) {
  constexpr const char* kAgain = "the file is damaged; make it again";
  if (const auto foreign = foreign_kind(text)) return Error{code, where + " " + foreign->what, foreign->next};
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return Error{code, where + ": JSON is expected, and the file is empty", kAgain};
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)  // nlohmann would stop reading there
    return Error{code, where + ": not valid JSON at " + place_of(text, nul) + ": a byte 0", kAgain};
  TreeReader reader(text);
  const bool parsed = Json::sax_parse(text, &reader);
  if (!parsed || !reader.refused.empty())
    return Error{code, where + ": " + (reader.refused.empty() ? "not valid JSON" : reader.refused), kAgain};
  return std::move(reader.root);
}

const Json* json_find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

Result<std::int64_t> json_int(const Json& object, const char* key, std::int64_t low, std::int64_t high,
                              const std::string& where) {
  FATHOM_TRY(const Json* member, of_kind(object, key, where, "a whole number",
                                         [](const Json& value) { return value.is_number_integer(); }));
  if (member->is_number_unsigned() && member->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return wrong(where, key, "is out of range");
  const auto value = member->get<std::int64_t>();
  if (value < low || value > high)
    return wrong(where, key,
                 "is " + std::to_string(value) + ", must lie in " + std::to_string(low) + ".." + std::to_string(high));
  return value;
}

Result<double> json_number(const Json& object, const char* key, double low, double high, const std::string& where) {
  FATHOM_TRY(const Json* member,
             of_kind(object, key, where, "a number", [](const Json& value) { return value.is_number(); }));
  const auto value = member->get<double>();
  if (!(value >= low && value <= high)) return wrong(where, key, "is out of range");
  return value;
}

Result<std::string> json_string(const Json& object, const char* key, const std::string& where) {
  FATHOM_TRY(const Json* member,
             of_kind(object, key, where, "text", [](const Json& value) { return value.is_string(); }));
  return member->get<std::string>();
}

Result<bool> json_bool(const Json& object, const char* key, const std::string& where) {
  FATHOM_TRY(const Json* member,
             of_kind(object, key, where, "true or false", [](const Json& value) { return value.is_boolean(); }));
  return member->get<bool>();
}

Result<const Json*> json_list(const Json& object, const char* key, const std::string& where) {
  return of_kind(object, key, where, "a list", [](const Json& value) { return value.is_array(); });
}

Result<const Json*> json_object(const Json& object, const char* key, const std::string& where) {
  return of_kind(object, key, where, "an object", [](const Json& value) { return value.is_object(); });
}

}  // namespace fathom
