// What exits are trained on when the model below them stays as it is: one pass of the engine over the inputs, every
// layer's pooled state, the last logits, and h^0 for the extractor. On disk, because it may be larger than memory and
// because a killed run goes on where it stopped: <part>.{states,last,labels,lengths,start}.bin, little-endian float32
// (labels and lengths int32) and <part>.json {rows, done, ...}. fathom-train maps them (train/frozen.h).
//   states [layers - 1][rows][2 hidden] of [CLS; mean over all tokens]; last [rows][classes]; start
//   [rows][longest][hidden]
// Errors: io, and what the engine says. Thread rule: one call at a time on one folder; the engine uses its runtime's
// threads.
#pragma once

#include <filesystem>
#include <string>

#include "eval/inputs.h"
#include "eval/trace.h"

namespace fathom::eval {

// `key` names model and data: states of another key are thrown away. with_start: write h^0 too.
Status write_frozen_states(std::shared_ptr<const engine::Plan> plan, engine::Runtime& runtime, const Encoded& inputs,
                           const std::filesystem::path& folder, const std::string& part, const std::string& key,
                           bool with_start, const Tick& tick = nullptr);

}  // namespace fathom::eval
