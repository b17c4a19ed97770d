// Fit of an imported checkpoint whose layers stay as they are: exit heads and decision from the states that the engine
// wrote (eval/frozen_states.h), so that LibTorch never runs the model and the weights' file is only copied.
// Folder: {train,tune}.{states,last,labels,lengths}.bin, tune.start.bin, their .json, and frozen.json {spec, data,
// options}. The bundle in `output` (from `fathom import`) gains fathom.safetensors, predictor.txt and a policy.
// Errors: bad_input naming file and what was expected; cancelled. Source: docs/adr/0007.
#pragma once

#include "train/options.h"

namespace fathom::train {

Status fit_frozen(const FitOptions& options);

}  // namespace fathom::train
