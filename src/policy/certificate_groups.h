// Groups of inputs that a certificate speaks of one by one: an average over all may hide one that pays for the others.
//   class: the label's, or, where labels are unknown, the one that full depth answers
//   length: thirds of the tune split by tokens. Their edges are fixed before a calibration row is seen.
// Every input is in one group. Errors: bad_input where there is no more than one group. Thread rule: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "policy/calibrate.h"

namespace fathom::policy {

enum class GroupBy { none, label, answer, length };
const char* group_by_name(GroupBy by);

struct Groups {
  GroupBy by = GroupBy::none;
  std::vector<std::string> names;             // empty: all inputs are one group
  std::vector<std::int32_t> tune, calibrate;  // group of each row
};

Result<Groups> groups_by_class(const Trace& tune, const Trace& calibrate, const std::vector<std::string>& class_names);
Result<Groups> groups_by_length(const Trace& tune, const Trace& calibrate);

}  // namespace fathom::policy
