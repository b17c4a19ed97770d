// What the maps of the layers read on data, added up for compress: sums of every map, or moments of what some of them
// read. Thread rule: a Runtime for one caller at a time.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "eval/inputs.h"
#include "model/input_moments.h"
#include "model/input_sums.h"

namespace fathom::eval {

// Errors of both: the engine's; of moments corrupt_bundle, values that are not finite.
Result<InputSums> input_sums(const std::shared_ptr<const engine::Plan>& plan, engine::Runtime& runtime,
                             const Encoded& inputs);

// Of `count` layers from `first` (0-based) on, in one pass over the inputs: the layers before them are run as well.
Result<std::vector<InputMoments>> input_moments(const std::shared_ptr<const engine::Plan>& plan,
                                                engine::Runtime& runtime, const Encoded& inputs, int first, int count,
                                                const WantedMaps& maps);

}  // namespace fathom::eval
