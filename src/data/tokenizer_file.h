// A tokenizer.json read event by event: its vocabulary and merges, tens of thousands of values, go straight into lists;
// the rest, which is small, becomes parsed JSON. Reading is for untrusted files: depth, the number of values and
// duplicate keys are checked on the way. Thread rule: one thread at a time.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "data/json_events.h"

namespace fathom::data {

// Errors of files of this kind: something that we do not compute; something that cannot be right.
Error refuse_component(const std::string& where, const std::string& what, const std::string& hint);
Error damaged_file(const std::string& where, const std::string& what);

class TokenizerFile : private JsonHandler {
 public:
  struct Piece {
    std::string text;
    std::int64_t id = -1;  // -1: not a whole number from 0 on
  };
  Result<Json> parse(std::string_view file, const std::string& where);  // all but model.vocab and model.merges

  std::vector<Piece> vocabulary;  // model.vocab, as it stands
  // model.merges, "a b" or ["a", "b"]; valid as long as this object. Errors: there is no such list, or an entry is
  // neither.
  Result<std::vector<std::pair<std::string_view, std::string_view>>> merges() const;

 private:
  enum class Part { tree, vocabulary, merges };
  struct Merge {
    std::size_t begin = 0, middle = 0, end = 0;  // in merge_text_
  };

  bool null() override { return value(nullptr); }
  bool boolean(bool flag) override { return value(flag); }
  bool integer(std::int64_t number) override { return value(number); }
  bool natural(std::uint64_t number) override;
  bool real(double number) override { return value(number); }
  bool text(std::string_view value) override;
  bool key(std::string_view name) override;
  bool open_object() override { return open(Json::value_t::object); }
  bool open_list() override { return open(Json::value_t::array); }
  bool close() override;

  bool count();
  bool fault(const std::string& what);
  bool value(Json scalar);
  Json* attach(Json node);
  bool open(Json::value_t kind);
  bool at(const char* name) const { return open_.size() == 2 && path_[0] == "model" && path_[1] == name; }
  void spoil_merge() {  // the first merge of neither form: what the list still holds is not read
    if (bad_merge_ == SIZE_MAX) bad_merge_ = merges_.size() - (in_pair_ && pair_parts_ > 0 ? 1 : 0);
  }

  Json root_;
  std::vector<Json*> open_;                  // objects and lists of the tree, outermost first
  std::vector<std::set<std::string>> keys_;  // of each of these
  std::vector<std::string> path_;            // the key at each depth
  Part part_ = Part::tree;
  bool has_merges_ = false, in_pair_ = false;
  std::size_t ignored_ = 0;  // depth inside a merge that is neither form
  std::size_t pair_parts_ = 0, bad_merge_ = SIZE_MAX;
  std::string merge_text_;
  std::vector<Merge> merges_;
  std::size_t values_ = 0;
  std::string fault_;
};

}  // namespace fathom::data
