// The weights file of a checkpoint written anew, under its family's names, so that the library which made it reads it.
// Thread rule: pure function.
#pragma once

#include <map>
#include <string>

#include "bundle/safetensors.h"
#include "model/naming.h"

namespace fathom {

// Every tensor that the model uses (classifier included), under `to`. `values` holds new ones under the names of
// model/names.h with their shapes; the rest, and rows of a table that the spec does not reach, come from `before`,
// whose names are `from`. What the model does not use is left out. Error: bad_input naming a tensor that neither has.
Result<std::string> checkpoint_bytes(const ModelSpec& spec, const SafeTensors& before, const Naming& from,
                                     const Naming& to, const std::map<std::string, TensorView>& values);

}  // namespace fathom
