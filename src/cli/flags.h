// Flags that several verbs share, with their ranges. Errors: CLI11's, which cli.cpp turns into exit code 2.
#pragma once

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "engine/engine.h"

namespace fathom::cli {

// low <= value <= high; NaN and anything that is not wholly a number is refused.
inline CLI::Validator between(double low, double high, const std::string& shown) {
  return CLI::Validator(
      [low, high, shown](std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool good =
            !text.empty() && end == text.c_str() + text.size() && !std::isnan(value) && value >= low && value <= high;
        return good ? std::string() : "got '" + text + "', expected a number in " + shown;
      },
      shown);
}

inline void add_tier_flag(CLI::App* verb, engine::RuntimeOptions& runtime) {
  std::vector<std::string> tiers = {"auto"};
  for (const Tier tier : kAllTiers) tiers.push_back(tier_name(tier));
  verb->add_option("--tier", runtime.tier, "Kernel tier: auto, or one that `fathom doctor` lists")
      ->check(CLI::IsMember(tiers))
      ->envname("FATHOM_TIER");
  verb->add_option_function<std::string>(
          "--weights",
          [&runtime](const std::string& how) { runtime.weights = how == "copy" ? Weights::copy : Weights::map; },
          "map: use the files' pages where they lie; copy: read them into memory, so that a file that is cut short "
          "while it is used ends no process")
      ->check(CLI::IsMember({"map", "copy"}));
  verb->add_flag("--trust-packed", runtime.trust_packed,
                 "Do not compare packed weights and word rows with their checksums when they are first used");
}

inline void add_runtime_flags(CLI::App* verb, engine::RuntimeOptions& runtime) {
  verb->add_option("--threads", runtime.threads, "Threads; 0: every core this process may use")
      ->check(between(0, 1024, "[0, 1024]"))
      ->envname("FATHOM_THREADS");
  add_tier_flag(verb, runtime);
}

inline void add_memory_flag(CLI::App* verb, engine::RuntimeOptions& runtime) {
  verb->add_option_function<double>(
          "--memory-budget",
          [&runtime](const double& mb) { runtime.memory_budget = static_cast<std::size_t>(mb * 1e6); },
          "MB of layers' weights held in memory; layers chosen least leave it and are read again when needed. Answers "
          "stay the same")
      ->check(between(0.001, 1e9, "[0.001, 1e9]"));
}

inline void add_json_flag(CLI::App* verb, bool& json) { verb->add_flag("--json", json, "JSON on stdout"); }

}  // namespace fathom::cli
