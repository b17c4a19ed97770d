// The report's drawings, from eval.json: which series, which captions. Empty string where the data is not there.
#pragma once

#include <string>

#include "base/json.h"

namespace fathom::eval {

std::string system_colour(const std::string& name);  // CSS value

std::string accuracy_macs_figure(const Json& eval, bool close_up);
std::string accuracy_ms_figure(const Json& eval);
std::string selection_figure(const Json& eval);  // share of inputs that ran each layer, by complexity or stable depth
std::string exit_accuracy_figure(const Json& eval);  // generated data only
std::string depth_figure(const Json& eval);
std::string predictor_figure(const Json& eval);

}  // namespace fathom::eval
