// What training measured, one line a record, as CSV and JSONL in <output>/fit/. A record has a stage, a step and named
// numbers; CSV is long form (stage,step,name,value). Never part of a bundle. Thread rule: one thread.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <utility>

#include "base/result.h"

namespace fathom::train {

class Metrics {
 public:
  Metrics() = default;  // records nothing
  // Appends to the files in `folder`; records of `stage` beyond a resumed step are dropped by `rewind`.
  explicit Metrics(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void add(const std::string& stage, long step, std::initializer_list<std::pair<const char*, double>> values);
  Status rewind(const std::string& stage, long step);  // forget what was recorded after `step`
  Status flush();                                      // writes what was added since the last time

 private:
  std::filesystem::path folder_;
  std::string csv_, jsonl_;
};

}  // namespace fathom::train
