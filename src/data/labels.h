// Label values as files have them ("1", "sports", a folder's name) to 0..classes-1.
// Blanks around a label do not count, and leading zeros of a number only where train has the number with and without.
// Order: as the given names; else numerically when all are whole numbers; else by bytes.
// Numeric values with given names count from 1 when the largest equals the number of names, else from 0.
// Errors: bad_input. Thread rule: immutable once made.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace fathom::data {

class LabelMap {
 public:
  // `values`: the training part's label values; `names`, of the file `names_from`, may be empty; `where` is the
  // training file. `least`: fewer distinct labels are refused.
  static Result<LabelMap> make(const std::vector<std::string>& values, const std::vector<std::string>& names,
                               const std::string& where, const std::string& names_from = "the class names",
                               std::size_t least = 2);
  const std::vector<std::string>& names() const { return names_; }
  // -1: a value that the training part does not have.
  std::int32_t find(const std::string& value) const;
  std::string known() const;  // the known values, for errors

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::int32_t> index_;
  bool as_written_ = false;  // train has labels that differ by leading zeros alone
};

// Class numbers of `from` as numbers in `to`, by name. Error: bad_input naming the class that `to` lacks.
Result<std::vector<std::int32_t>> classes_by_name(const std::vector<std::string>& from,
                                                  const std::vector<std::string>& to);

// Class names in label order, one a line.
Result<std::vector<std::string>> parse_class_names(const std::string& text, const std::string& where);

}  // namespace fathom::data
