// Peak memory of one system in a process of its own: the program starts itself with the hidden verb `peak`, which
// loads the bundle, answers a few inputs one by one and prints its peak resident bytes.
// The child reads VmHWM of its own address space: ru_maxrss would carry the parent's peak across exec.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "eval/inputs.h"

namespace fathom::eval {

struct PeakRun {
  std::filesystem::path model;
  engine::Mode mode = engine::Mode::full_depth;
  int exit = 0;            // fixed_exit
  int score = -1;          // adaptive
  float lambda = -1;       // adaptive
  std::uint64_t mask = 0;  // masks: the same for every input
  std::string tier;
  int threads = 1;
  std::size_t memory_budget = 0;  // as in RuntimeOptions
};

// Inputs in a small binary file of our own, so that the child reads no data set. Little-endian:
// "FTHI", count, picture_bytes as u64, then offsets and ids as i32, or pixels. Errors: io, bad_input.
Status write_inputs(const std::filesystem::path& path, const Encoded& inputs);
Result<Encoded> read_inputs(const std::filesystem::path& path);

// Starts `self peak ...` and returns its peak in MB (1e6 bytes). Errors: io with the child's exit code.
Result<double> measure_peak(const std::filesystem::path& self, const PeakRun& run, const std::filesystem::path& inputs);

// The verb: arguments after `peak`. Prints bytes to stdout; returns the process's exit code.
int peak_main(const std::vector<std::string>& arguments);

}  // namespace fathom::eval
