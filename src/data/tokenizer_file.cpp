#include "data/tokenizer_file.h"

namespace fathom::data {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxValues = 16'000'000;

}  // namespace

Error refuse_component(const std::string& where, const std::string& what, const std::string& hint) {
  return {Code::unsupported, where + ": " + what, hint};
}

Error damaged_file(const std::string& where, const std::string& what) {
  return {Code::corrupt_bundle, where + ": " + what, "the file is damaged; make it again"};
}

Result<Json> TokenizerFile::parse(std::string_view text, const std::string& where) {
  try {
    Json root = Json::parse(text.begin(), text.end(), [this](int depth, Event event, Json& value) { return keep(depth, event, value); });
    if (open_piece_) fault_ = "a vocabulary id is missing";
    if (!fault_.empty()) return damaged_file(where, fault_);
    return root;
  } catch (const Json::exception& e) {
    return damaged_file(where, std::string("not valid JSON: ") + e.what());
  }
}

bool TokenizerFile::keep(int depth, Event event, const Json& value) {
  if (depth > kMaxDepth) fault_ = "nested deeper than " + std::to_string(kMaxDepth);
  if (++values_ > kMaxValues) fault_ = "more than " + std::to_string(kMaxValues) + " values";
  if (!fault_.empty()) return false;
  if (event == Event::object_start) keys_.emplace_back();
  if (event == Event::object_end) keys_.pop_back();
  if (event == Event::key) return keep_key(static_cast<std::size_t>(depth), value.get<std::string>());
  if (event == Event::value && depth == 3 && open_piece_) {
    vocabulary.back().second = value;
    open_piece_ = false;
  }
  return true;
}

bool TokenizerFile::keep_key(std::size_t depth, const std::string& key) {
  path_.resize(depth);
  path_.back() = key;
  if (depth == 3 && path_[0] == "model" && path_[1] == "vocab") {
    if (open_piece_) fault_ = "the id of piece '" + vocabulary.back().first + "' is no number";
    vocabulary.emplace_back(key, nullptr);
    open_piece_ = true;
    return false;
  }
  if (!keys_.back().insert(key).second) fault_ = "key '" + key + "' stands twice";
  return fault_.empty();
}

}  // namespace fathom::data
