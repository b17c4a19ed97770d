// The verbs, one file each. A verb declares its flags on a CLI11 subcommand and leaves an action that runs once all
// flags are known to be good. An action returns the exit code, or an Error that cli.cpp prints.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace fathom::cli {

using Action = std::function<Result<int>()>;

struct Frame {
  CLI::App& app;
  std::map<const CLI::App*, Action> actions;  // by subcommand
  CLI::App* verb(const char* name, const char* what) { return app.add_subcommand(name, what); }
  void on(const CLI::App* verb, Action action) { actions[verb] = std::move(action); }
};

void add_generate(Frame& frame);
void add_fit(Frame& frame);
void add_eval(Frame& frame);
void add_import(Frame& frame);
void add_bench(Frame& frame);
void add_certify(Frame& frame);
void add_compress(Frame& frame);
void add_run(Frame& frame);
void add_report(Frame& frame);
void add_info(Frame& frame);
void add_doctor(Frame& frame);
void add_demo(Frame& frame);
void add_help(Frame& frame);
void add_peak(Frame& frame);  // hidden: a fresh process whose peak memory `eval` reads

}  // namespace fathom::cli
