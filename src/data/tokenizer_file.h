// A tokenizer.json as parsed JSON, with its vocabulary beside it. Reading is for untrusted files: depth, the number of values
// and duplicate keys are checked on the way. Thread rule: one thread at a time.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace fathom::data {

// Errors of files of this kind: something that we do not compute; something that cannot be right.
Error refuse_component(const std::string& where, const std::string& what, const std::string& hint);
Error damaged_file(const std::string& where, const std::string& what);

// The vocabulary is read into a list: an ordered Json object of many thousand members takes quadratic time.
class TokenizerFile {
 public:
  Result<Json> parse(std::string_view text, const std::string& where);
  std::vector<std::pair<std::string, Json>> vocabulary;  // model.vocab, as it stands

 private:
  using Event = Json::parse_event_t;
  bool keep(int depth, Event event, const Json& value);
  bool keep_key(std::size_t depth, const std::string& key);

  std::vector<std::set<std::string>> keys_;  // of each open object
  std::vector<std::string> path_;            // the key at each depth
  bool open_piece_ = false;                  // a piece waits for its id
  std::size_t values_ = 0;
  std::string fault_;
};

}  // namespace fathom::data
