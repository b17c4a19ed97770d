// Whether a model's weights are numbers: a NaN or an infinity among them makes nonsense of some answer, or of all.
// Reads every weight that the spec uses, once, as its file holds it; what the model does not use is not looked at.
// Errors: bad_input naming the file, the tensor and its first element that is not finite. Thread rule: pure functions.
#pragma once

#include "model/model.h"

namespace fathom {

Status check_finite(const ModelSpec& spec, const Naming& naming, const SafeTensors& weights);  // a checkpoint's
Status check_finite(const Model& model);  // of a bundle: exit heads and decision too

}  // namespace fathom
