// The contest behind one eval.json: loads the bundle, its data and the bundles it is compared with, traces calibrate
// and test, fixes every system's setting on calibrate and collects what each answers on test. evaluate.cpp turns it
// into JSON. Thread rule: one thread at a time.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "eval/calibrate_bundle.h"
#include "eval/evaluate.h"
#include "eval/recorded_data.h"
#include "eval/systems.h"
#include "eval/trace.h"
#include "model/model.h"

namespace fathom::eval {

// Rows of the table in their order; rivals follow.
inline constexpr const char* kSystemNames[] = {
    "base",          "full_depth",     "fixed_depth", "early_exit", "early_exit_calibrated",
    "dynamic_depth", "predictor_only", "policy_only", "fathom",     "fathom_at_macs"};

struct Loaded {
  std::filesystem::path folder;
  std::shared_ptr<const Bundle> bundle;
  std::shared_ptr<const Model> model;
  std::shared_ptr<const engine::Plan> plan;
};
Result<Loaded> load(const std::filesystem::path& folder, engine::Runtime& runtime);

// Another bundle that answers the same test inputs at full depth: `base`, a rival.
struct Guest {
  Loaded loaded;
  Encoded test;  // as this bundle reads it
};

// One row of the table.
struct System {
  std::string name;
  const Loaded* loaded = nullptr;
  const Encoded* inputs = nullptr;   // the test split as this bundle reads it
  engine::RunOptions options;        // how the engine runs it
  std::vector<std::uint64_t> masks;  // Mode::masks
  Outcome outcome;                   // on test
  std::vector<Point> curve;          // settings picked on test: drawn, never a target
  Json facts = Json::object();       // score, lambda, exit, what it is set to
  std::string measured_as;           // times and memory are those of this system (base without a bundle of its own)
};

class Contest {
 public:
  static Result<std::unique_ptr<Contest>> prepare(const EvalOptions& options);

  const EvalOptions& options() const { return options_; }
  engine::Runtime& runtime() { return *runtime_; }  // of the threads that times are taken with
  engine::Runtime& crew() { return *crew_; }        // every core: for all that is not timed
  const Loaded& loaded() const { return loaded_; }
  const EvalData& data() const { return data_; }
  const Encoded& test() const { return test_; }
  const Traced& test_trace() const { return test_trace_; }
  std::size_t calibrate_count() const { return calibrate_.count; }
  ExitCosts& costs() { return *costs_; }
  const policy::Policy& policy() const { return loaded_.plan->policy(); }
  bool own_base() const { return !options_.base.empty(); }
  std::vector<System>& systems() { return systems_; }
  System& system(const std::string& name);
  double budget_macs() const { return budget_macs_; }  // Fathom's mean MACs on calibrate: what the rivals are set to
  Json& engine_check() { return engine_check_; }
  void tell(const std::string& stage, std::size_t done, std::size_t total) const;
  Tick ticker(const std::string& stage) const;  // the same, for a loop

 private:
  Contest() = default;
  Status open(const EvalOptions& options);
  Status trace_splits();
  Status add_base();
  Status add_rivals();
  Status add_guest(const std::string& name, const std::filesystem::path& folder, const Json& facts);
  void add_fixed();
  Status add_fathom();
  Status add_exit_systems();
  Status add_at_macs();
  Status add_dynamic_depth();
  void add_exit_system(const std::string& name, OperatingPoint point, const std::string& set_to);
  Status check_engine();
  Result<OperatingPoint> point_of(const std::string& system, policy::Score score) const;

  EvalOptions options_;
  std::unique_ptr<engine::Runtime> runtime_, crew_;
  Loaded loaded_;
  std::deque<Guest> guests_;  // systems point into it
  EvalData data_;
  Encoded calibrate_, test_;
  Traced calibrate_trace_, test_trace_;
  std::unique_ptr<ExitCosts> costs_;
  double budget_macs_ = 0;
  std::vector<System> systems_;
  Json engine_check_ = Json::array();
};

}  // namespace fathom::eval
