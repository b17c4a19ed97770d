// A certificate as fathom.json keeps it: what it claims, of what, and whether it holds here and now.
//   subject   a hash of what decides: weights and decision as fathom.json lists them; the files that say how inputs are
//             read by their bytes as they are, listed or not; the model's shape, the policy without lambda, precision
//   numerics  whose numbers it was proven with (kernels/numerics.h): int8 has 255 or 127 levels, by the machine
//   seal      a hash of the whole certificate. It shows edits; it is no signature, for it needs no key to make.
// Nothing of it is believed: seal, subject, threshold and the arithmetic of the proof are computed again.
// Errors: io. Thread rule: pure functions of a bundle. Source: docs/formats/bundle.md, docs/adr/0021.
#pragma once

#include <string>

#include "base/json.h"
#include "bundle/bundle.h"
#include "kernels/table.h"

namespace fathom::eval {

Result<std::string> certified_subject(const Bundle& bundle, const Json& fathom);
Result<std::string> certified_subject(const Bundle& bundle);

// Adds "seal".
void seal_certificate(Json& certificate);

// Numbers that the layers of this bundle compute with such a table.
std::string certified_numerics(const Json& fathom, const kernels::Table& table);

struct CertificateStatus {
  enum class State { none, holds, elsewhere, broken };  // elsewhere: proven with numbers of another kind of machine
  State state = State::none;
  std::string why, restore;  // elsewhere, broken: what is wrong, and what to do
  // As `fathom run --json` and `fathom info --json` say it: "holds", "not this machine's",
  // "void: does not hold".
  const char* word() const;
};
Result<CertificateStatus> certificate_status(const Bundle& bundle, const kernels::Table& table);

// "at most 1 % of answers differ from its own full depth's, with confidence 95 %": what a certificate claims.
std::string claim_text(const Json& certificate);
// What it supposes of new inputs, and cannot show.
std::string supposition_text(const Json& certificate);
// Whose full depth it speaks of, in a precision below fp32 or against another bundle; else empty.
std::string reference_text(const Json& certificate);

}  // namespace fathom::eval
