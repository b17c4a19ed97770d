#include "data/tokenizer_file.h"

namespace fathom::data {
namespace {

constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxValues = 16'000'000;

}  // namespace

Error refuse_component(const std::string& where, const std::string& what, const std::string& hint) {
  return {Code::unsupported, where + ": " + what, hint};
}

Error damaged_file(const std::string& where, const std::string& what) {
  return {Code::corrupt_bundle, where + ": " + what, "the file is damaged; make it again"};
}

Result<Json> TokenizerFile::parse(std::string_view file, const std::string& where) {
  path_.resize(kMaxDepth);
  // Addresses, not memory: pages that stay empty are never touched, and nothing is copied while the lists grow.
  vocabulary.reserve(file.size() / 16);
  merges_.reserve(file.size() / 16);
  merge_text_.reserve(file.size() / 4);
  const auto broken = read_json_events(file, *this);
  if (broken) return damaged_file(where, "not valid JSON at byte " + std::to_string(*broken));
  if (!fault_.empty()) return damaged_file(where, fault_);
  return std::move(root_);
}

Result<std::vector<std::pair<std::string_view, std::string_view>>> TokenizerFile::merges() const {
  if (!has_merges_) return damaged_file("model", "'merges' is missing or no list");
  if (bad_merge_ != SIZE_MAX)
    return damaged_file("model", "merge " + std::to_string(bad_merge_) + " is neither \"a b\" nor [\"a\", \"b\"]");
  const std::string_view all = merge_text_;
  std::vector<std::pair<std::string_view, std::string_view>> out;
  out.reserve(merges_.size());
  for (const Merge& merge : merges_)
    out.emplace_back(all.substr(merge.begin, merge.middle - merge.begin),
                     all.substr(merge.middle, merge.end - merge.middle));
  return out;
}

bool TokenizerFile::fault(const std::string& what) {
  if (fault_.empty()) fault_ = what;
  return false;
}

bool TokenizerFile::count() {
  return ++values_ <= kMaxValues || fault("more than " + std::to_string(kMaxValues) + " values");
}

Json* TokenizerFile::attach(Json node) {
  if (open_.empty()) {
    root_ = std::move(node);
    return &root_;
  }
  Json& parent = *open_.back();
  if (parent.is_array()) {
    auto& list = parent.get_ref<Json::array_t&>();
    list.push_back(std::move(node));
    return &list.back();
  }
  // Appended as to the vector that it is: its own insertion searches all members, and keys_ has done that.
  auto& members = static_cast<Json::object_t::Container&>(parent.get_ref<Json::object_t&>());
  members.emplace_back(path_[open_.size() - 1], std::move(node));
  return &members.back().second;
}

bool TokenizerFile::value(Json scalar) {
  if (!count()) return false;
  if (part_ == Part::merges && ignored_ == 0) spoil_merge();
  if (part_ == Part::tree) attach(std::move(scalar));
  return true;  // a piece whose id is no number keeps -1
}

bool TokenizerFile::natural(std::uint64_t number) {
  if (part_ != Part::vocabulary) return value(number);
  if (number <= static_cast<std::uint64_t>(INT64_MAX)) vocabulary.back().id = static_cast<std::int64_t>(number);
  return count();
}

bool TokenizerFile::text(std::string_view line) {
  if (part_ == Part::tree) return value(std::string(line));
  if (part_ == Part::vocabulary || ignored_ > 0 || bad_merge_ != SIZE_MAX) return value(nullptr);
  if (!count()) return false;
  if (in_pair_) {
    if (pair_parts_ == 0) merges_.push_back({merge_text_.size(), merge_text_.size() + line.size(), 0});
    if (pair_parts_ == 1) merges_.back().end = merge_text_.size() + line.size();
    if (pair_parts_ < 2) merge_text_ += line;
    ++pair_parts_;
    return true;
  }
  if (line.starts_with("#version")) return true;
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    spoil_merge();
    return true;
  }
  const std::size_t begin = merge_text_.size();
  merge_text_.append(line.substr(0, space)).append(line.substr(space + 1));
  merges_.push_back({begin, begin + space, merge_text_.size()});
  return true;
}

bool TokenizerFile::open(Json::value_t kind) {
  if (!count()) return false;
  if (part_ == Part::vocabulary) return fault("the id of piece '" + vocabulary.back().text + "' is no number");
  if (part_ == Part::merges) {
    if (ignored_ == 0 && !in_pair_ && kind == Json::value_t::array) {
      in_pair_ = true;
      pair_parts_ = 0;
      return true;
    }
    spoil_merge();
    return ++ignored_ < kMaxDepth || fault("nested deeper than " + std::to_string(kMaxDepth));
  }
  if (open_.size() == kMaxDepth) return fault("nested deeper than " + std::to_string(kMaxDepth));
  if (at("vocab") && kind == Json::value_t::object) {
    part_ = Part::vocabulary;
  } else if (at("merges") && kind == Json::value_t::array) {
    part_ = Part::merges;
    has_merges_ = true;
  } else {
    open_.push_back(attach(Json(kind)));
    keys_.emplace_back();
  }
  return true;
}

bool TokenizerFile::close() {
  if (part_ == Part::vocabulary) {
    part_ = Part::tree;
  } else if (part_ == Part::merges && ignored_ > 0) {
    --ignored_;
  } else if (part_ == Part::merges && in_pair_) {
    if (pair_parts_ != 2) spoil_merge();
    in_pair_ = false;
  } else if (part_ == Part::merges) {
    part_ = Part::tree;
  } else {
    open_.pop_back();
    keys_.pop_back();
  }
  return true;
}

bool TokenizerFile::key(std::string_view name) {
  if (!count()) return false;
  if (part_ == Part::vocabulary) {
    vocabulary.push_back({std::string(name), -1});
    return true;
  }
  if (part_ == Part::merges) return true;  // of an object that is no merge
  if (!keys_.back().insert(std::string(name)).second) return fault("key '" + std::string(name) + "' stands twice");
  path_[open_.size() - 1] = name;
  return true;
}

}  // namespace fathom::data
