// Which numbers a tier computes in a precision, as a name: tables of the same name give the same bits for the same
// model and input, tables of different names do not. Whatever was measured or proven of a model's answers was so of one
// name's numbers. Names end in files (fathom.json "certificate"): they stay what they are. Thread rule: pure functions.
//   fp32  the tier whose float kernels it has: "avx512" for all that are built upon avx512
//   bf16  that, or the tier whose products of bf16 it has: "avx512_amx"
//   int8  that and the levels of an activation above 0: "avx512/255" with VNNI, "avx512/127" without
#pragma once

#include <string>

#include "base/precision.h"
#include "kernels/table.h"

namespace fathom::kernels {

std::string numerics_name(const Table& table, Precision precision);

}  // namespace fathom::kernels
