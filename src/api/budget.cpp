#include "api/budget.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/cpu.h"
#include "base/file.h"

namespace fathom::api {
namespace {

using policy::Budget, policy::shown;

constexpr double kMegabyte = 1e6;

Status check_decides(const Opened& opened, const std::string& asked) {
  const std::string what = "budget '" + asked + "': ";
  if (!opened.plan->decides())
    return Error{Code::unsupported, what + "this bundle has no exits, every input runs at full depth",
                 "make it adaptive with `fathom fit --from`"};
  if (opened.plan->policy().kind == policy::PolicyKind::gates)
    return Error{Code::unsupported, what + "this bundle's gates decide without a threshold",
                 "fit it with the default recipe"};
  return {};
}

Result<policy::BudgetTable> table_of(const Opened& opened) {
  const Json& fathom = opened.bundle().fathom();
  const std::string where = "'" + (opened.bundle().folder() / "fathom.json").string() + "': budget_table";
  if (!fathom.contains("budget_table"))
    return Error{Code::unsupported, where + " is not there: this bundle was made before budgets were",
                 "run the same `fathom fit` again (nothing is trained again), or `fathom certify`: both write it"};
  return policy::budget_table_from_json(fathom["budget_table"], opened.spec().layers,
                                        policy::score_name(opened.plan->policy().score), where);
}

// Times of the bundle's own thresholds in costs.json, measured on a machine like this one.
Result<std::vector<policy::TimedMacs>> times_of(const Opened& opened, std::string& note) {
  constexpr std::uint64_t kMaxBytes = 4u << 20;
  const fs::path path = opened.bundle().folder() / "costs.json";
  const std::string where = "'" + path.string() + "'",
                    again = "measure it here: fathom eval " + opened.bundle().folder().string();
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    return Error{Code::unsupported, where + " is not there: no times of this bundle have been measured", again};
  FATHOM_TRY(const std::string text, read_file(path, kMaxBytes));
  FATHOM_TRY(const Json json, parse_json(text, where, Code::corrupt_bundle));
  if (!json.is_object() || !json.contains("thresholds") || !json["thresholds"].is_array())
    return Error{Code::unsupported, where + " holds no times of thresholds", again};
  FATHOM_TRY(const std::string cpu, json_string(json, "cpu", where));
  FATHOM_TRY(const std::string tier, json_string(json, "tier", where));
  FATHOM_TRY(const std::int64_t threads, json_int(json, "threads", 1, 1024, where));
  const std::string own_tier = tier_name(opened.runtime->kernels().tier);
  if (cpu != cpu_name() || tier != own_tier)
    return Error{Code::unsupported,
                 where + ": times of '" + cpu + "' (" + tier + "), this is '" + cpu_name() + "' (" + own_tier + ")",
                 again};
  const int own = opened.runtime->pool().threads();
  if (own < threads)
    return Error{Code::unsupported,
                 where + ": times of " + std::to_string(threads) + " threads, this run has " + std::to_string(own),
                 again + " --threads " + std::to_string(own)};
  if (own > threads)
    note = "times were measured with " + std::to_string(threads) + " thread(s), this run has " + std::to_string(own);
  std::vector<policy::TimedMacs> times;
  for (const Json& entry : json["thresholds"]) {
    policy::TimedMacs time;
    FATHOM_TRY(time.macs, json_number(entry, "macs", 0, 1e18, where));
    FATHOM_TRY(time.ms, json_number(entry, "ms_batch1", 0, 1e12, where));
    times.push_back(time);
  }
  std::sort(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.macs < b.macs; });
  times.erase(std::unique(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.macs == b.macs; }),
              times.end());
  if (times.size() < 2) return Error{Code::unsupported, where + " holds the time of fewer than two thresholds", again};
  return times;
}

Result<Within> within_macs(const Opened& opened, const std::string& asked, const Budget& budget) {
  FATHOM_TRY(const policy::BudgetTable table, table_of(opened));
  Within out;
  out.full_macs = table.full_macs();
  const double macs = budget.kind == Budget::Kind::share ? budget.value * table.full_macs() : budget.value;
  FATHOM_TRY(out.expected, policy::point_within(table, macs, asked));
  out.options.lambda = out.expected->lambda;
  return out;
}

Result<Within> within_ms(const Opened& opened, const std::string& asked, const Budget& budget) {
  FATHOM_TRY(const policy::BudgetTable table, table_of(opened));
  Within out;
  FATHOM_TRY(const auto times, times_of(opened, out.note));
  out.full_macs = table.full_macs();
  out.full_ms = policy::ms_at(times, table.full_macs());
  for (const policy::BudgetPoint& point : table.points) {
    const double ms = policy::ms_at(times, point.macs);
    if (!(ms <= budget.value)) continue;
    out.expected = point;
    out.ms = ms;
    out.options.lambda = point.lambda;
    return out;
  }
  double least = *out.full_ms;
  for (const policy::BudgetPoint& point : table.points) least = std::min(least, policy::ms_at(times, point.macs));
  return Error{Code::usage,
               "budget '" + asked + "' is below the fastest this bundle can do: " + shown(least) + " ms an input",
               "give at least that"};
}

// Bytes of this process in memory now, or 0 where /proc does not tell.
double resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long long all = 0, resident = 0;
  const int read = std::fscanf(file, "%llu %llu", &all, &resident);
  std::fclose(file);
  return read == 2 ? static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) : 0;
}

// What the word table's rows of one input can hold in memory: the kernel maps pages around each one that is read.
double word_bytes(const ModelSpec& spec) {
  constexpr double kAround = 65536;
  if (spec.modality != Modality::text) return 0;
  return std::min(spec.max_tokens * kAround, 4.0 * spec.vocab * spec.hidden);
}

Result<Within> within_mb(const Opened& opened, const std::string& asked, const Budget& budget,
                         std::size_t buffer_bytes) {
  constexpr double kSpare = 2e6;  // stacks of threads, answers on their way out
  const ModelSpec& spec = opened.spec();
  const double fixed = resident_bytes() + static_cast<double>(buffer_bytes) + word_bytes(spec) + kSpare;
  const auto peak_mb = [&](int depth) {
    return (fixed + static_cast<double>(opened.plan->weight_bytes(depth))) / kMegabyte;
  };
  const int least = opened.plan->decides() ? 1 : spec.layers;
  int depth = spec.layers;
  while (depth >= least && peak_mb(depth) > budget.value) --depth;
  if (depth < least)
    return Error{Code::usage,
                 "budget '" + asked +
                     "': " + (least == 1 ? "even one layer" : "full depth, which is all this bundle has,") +
                     " needs about " + shown(peak_mb(least)) + " MB",
                 "give at least mb=" + shown(peak_mb(least) + 0.5)};
  Within out;
  out.peak_mb = peak_mb(depth);
  if (depth == spec.layers) return out;
  out.options.max_depth = depth;
  FATHOM_TRY_VOID(check_decides(opened, asked));
  return out;
}

}  // namespace

Result<Within> within_budget(const Opened& opened, const std::string& asked, std::size_t buffer_bytes) {
  FATHOM_TRY(const Budget budget, policy::parse_budget(asked));
  if (budget.kind == Budget::Kind::mb) return within_mb(opened, asked, budget, buffer_bytes);
  FATHOM_TRY_VOID(check_decides(opened, asked));
  return budget.kind == Budget::Kind::ms ? within_ms(opened, asked, budget) : within_macs(opened, asked, budget);
}

}  // namespace fathom::api
