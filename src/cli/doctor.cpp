// `fathom doctor`: what this machine can do, which kernels would be used and why, and whether fathom-train runs.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/cores.h"
#include "base/cpu.h"
#include "base/json.h"
#include "cli/child.h"
#include "cli/flags.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace fathom::cli {
namespace {

const char* needs(Tier tier) {
  switch (tier) {
    case Tier::ref:
      return "nothing";
    case Tier::avx2:
      return "AVX2, FMA and F16C";
    case Tier::avx512:
      return "AVX-512 F, BW, DQ and VL";
    case Tier::avx512_vnni:
      return "AVX-512 VNNI";
    case Tier::avx512_bf16:
      return "AVX-512 VNNI and BF16";
    case Tier::avx512_amx:
      return "AVX-512 VNNI and BF16, AMX with int8 and bf16, and Linux 5.16";
    case Tier::neon:
      return "Advanced SIMD";
    case Tier::neon_dotprod:
      return "8-bit dot products (ARMv8.2)";
  }
  return "?";
}

std::string why(const std::string& wanted) {
  return wanted.empty() || wanted == "auto" ? "the best that this CPU has" : "asked for with --tier or FATHOM_TIER";
}

std::string cores_text(const Cores& cores) {
  std::string text = std::to_string(cores.cores) + " usable";
  if (cores.cpus > cores.cores)
    text += " (" + std::to_string(cores.cpus) + " CPUs in the affinity mask; those that share a core count once)";
  if (cores.share > 0) {
    char share[32];
    std::snprintf(share, sizeof share, "%.4g", cores.share);
    text += std::string(", the control group allows the time of ") + share + " (" + cores.share_from + ")";
  }
  return text;
}

std::string why_threads(const Cores& cores, int wanted) {
  if (wanted > 0) return "asked for with --threads or FATHOM_THREADS";
  return cores.threads < cores.cores ? "what the control group allows, rounded up" : "one a core";
}

// "ready", or what is wrong and what to do.
Result<std::string> train_state() {
  const fs::path program = train_program();
  std::error_code ignored;
  if (!fs::exists(program, ignored))
    return std::string("absent: run `make` with FATHOM_TRAIN on (the default) to build it");
  std::vector<Child> child(1);
  child[0].command = {program.string(), "--help"};
  child[0].drop_output = true;
  FATHOM_TRY_VOID(run_children(child));
  if (child[0].exit_code == 0) return std::string("ready");
  return std::string("there, but does not start (exit code ") + std::to_string(child[0].exit_code) +
         "): are LibTorch and LightGBM where they were linked? run `make deps`";
}

Result<int> act(const engine::RuntimeOptions& runtime, bool as_json) {
  const CpuFeatures features = detect_cpu();
  FATHOM_TRY(const Tier chosen, choose_tier(runtime.tier, features));
  FATHOM_TRY(const std::string train, train_state());
  const Cores cores = usable_cores();
  const int threads = runtime.threads > 0 ? runtime.threads : cores.threads;
  const double memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  Json tiers = Json::object();
  for (const Tier tier : kAllTiers) tiers[tier_name(tier)] = tier_available(tier, features);
  const Json json = {{"cpu", cpu_name()},
                     {"cores", cores.cores},
                     {"cpus", cores.cpus},
                     {"cpu_share", cores.share > 0 ? Json(cores.share) : Json()},
                     {"cpu_share_from", cores.share > 0 ? Json(cores.share_from) : Json()},
                     {"memory_bytes", memory},
                     {"tiers", tiers},
                     {"tier", tier_name(chosen)},
                     {"why", why(runtime.tier)},
                     {"threads", threads},
                     {"fathom_train", train}};
  if (as_json) {
    std::printf("%s\n", json.dump(2).c_str());
    return 0;
  }
  std::printf("cpu               %s\n", cpu_name().c_str());
  std::printf("cores             %s\n", cores_text(cores).c_str());
  std::printf("threads           %d would be used: %s\n", threads, why_threads(cores, runtime.threads).c_str());
  std::printf("memory            %s\n", bytes_text(memory).c_str());
  for (const Tier tier : kAllTiers) {
    const bool there = tier_available(tier, features);
    const bool slow = there && tier == Tier::avx512_bf16 && !features.quick_bf16;
    const std::string state = slow    ? "available, but slower than avx512_vnni on this CPU"
                              : there ? "available"
                                      : std::string("not on this CPU, needs ") + needs(tier);
    std::printf("tier %-12s %s%s\n", tier_name(tier), state.c_str(),
                tier == chosen ? (", would be used: " + why(runtime.tier)).c_str() : "");
  }
  std::printf("fathom-train      %s\n", train.c_str());
  return 0;
}

}  // namespace

void add_doctor(Frame& frame) {
  struct Options {
    engine::RuntimeOptions runtime;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = frame.verb("doctor", "Show what this machine can do and which kernels would be used");
  add_runtime_flags(verb, options->runtime);
  add_json_flag(verb, options->json);
  frame.on(verb, [options] { return act(options->runtime, options->json); });
}

}  // namespace fathom::cli
